"""The modules of an example's folder, which are no package: importable in one test file, then forgotten."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from conftest import ROOT


class Modules:
    """Modules by name, imported when they are asked for."""

    def __getattr__(self, name: str) -> ModuleType:
        return importlib.import_module(name)


@contextmanager
def modules_of(example: str) -> Iterator[Modules]:
    """The modules of ``examples/<example>``; another example may have modules of the same names."""
    folder = ROOT / "examples" / example
    added = [str(folder), str(folder.parent)]  # study_tools lies beside it
    sys.path[:0] = added
    try:
        yield Modules()
    finally:
        for path in added:
            sys.path.remove(path)
        for name, module in list(sys.modules.items()):
            if Path(getattr(module, "__file__", None) or ".").parent == folder:
                del sys.modules[name]
