"""The learning rate of short trainings."""

from __future__ import annotations

WARM_UP = 0.05  # of the updates; then the rate falls to 0 along a line


def rate_at(update: int, updates: int) -> float:
    """The factor on the largest rate at an update, counted from 0."""
    warm = (update + 1) / max(1, WARM_UP * updates)
    return min(warm, (updates - update) / max(1, (1 - WARM_UP) * updates))
