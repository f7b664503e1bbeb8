"""Packages that are imported when they are first used, so that what only lists or parses stays light."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any


class LateModule(ModuleType):
    """Stands for a package until one of its attributes is asked for.

    For modules that define things beside the code that computes them: their definitions can be read without it.
    """

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self.__name__), attribute)
