"""What outputs say of their making: versions of software, and checksums of the files that were read."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from ptsel_fairseq.base.files import file_checksum
from ptsel_fairseq.base.version import __version__

PYTHON = "python"
NUMERICS = ("numpy", PYTHON, "scipy")  # what scores and metrics depend on


def versions(*names: str, optional: Iterable[str] = ()) -> dict[str, str]:
    """Versions of this package and of what the numbers in an output depend on.

    Args:
        names: distributions that are installed, or ``python``, in the order of the output.
        optional: distributions that are left out where they are not installed.

    Raises:
        importlib.metadata.PackageNotFoundError: one of `names` is not installed.
    """
    found = {"ptsel_fairseq": __version__}
    for name in names:
        found[name] = _version(name)
    for name in optional:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = _version(name)
    return found


@lru_cache
def _version(name: str) -> str:
    """Looked up once in a process: it takes 2 ms, and each of many results says it."""
    return platform.python_version() if name == PYTHON else importlib.metadata.version(name)


def checksums(files: Iterable[Path | str | None]) -> dict[str, str]:
    """SHA-256 of each file by its path as given; None is passed over, which an option that was not given is."""
    return {str(file): file_checksum(Path(file)) for file in files if file is not None}
