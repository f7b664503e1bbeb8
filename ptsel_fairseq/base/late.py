"""What is imported when it is first used, so that listing, parsing and importing stay light."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any


class LateModule(ModuleType):
    """Stands for a package until one of its attributes is asked for.

    For modules that define things beside the code that computes them: their definitions can be read without it.
    """

    def __getattr__(self, attribute: str) -> Any:
        package = self.__dict__.get("_package") or importlib.import_module(self.__name__)
        self._package = package
        return getattr(package, attribute)


def late_attributes(
    package: str, places: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package whose public names are imported when they are asked for.

    Args:
        package: its full name.
        places: public name -> the module that has it, below the package.
    """

    def get(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = getattr(importlib.import_module(f"{package}.{places[name]}"), name)
        setattr(sys.modules[package], name, found)
        return found

    def listed() -> list[str]:
        return sorted({*vars(sys.modules[package]), *places})

    return get, listed
