"""What a run will cost, before it starts, from rates that were measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from run import Settings

def estimate(settings: Settings) -> str:
    return "cost: to be written"
