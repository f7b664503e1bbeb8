"""Loops that numba compiles."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache, wraps
from types import ModuleType
from typing import Any

from ptsel_fairseq.base.files import in_turn

# Sums may be taken in another order, several terms at once; what is not finite stays what it is.
ANY_ORDER = frozenset({"reassoc", "contract"})

_first = threading.Lock()


@lru_cache
def compiled(function: Callable[..., Any], any_order: bool = False) -> Callable[..., Any]:
    """A loop compiled by numba; kept on disk where the place it is installed to can be written.

    With `any_order` the terms of a sum are added as is fastest, which changes its rounding. Division by zero gives
    what it gives in numpy: to raise an error instead, each one would be done by itself, with a branch.
    """
    numba = import_numba()
    options: dict[str, Any] = {"error_model": "numpy"}
    if any_order:
        options["fastmath"] = set(ANY_ORDER)
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # numba finds no folder for its cache
        return numba.njit(**options)(function)


def import_numba() -> ModuleType:
    """numba whose processes take turns to save into a folder of compiled loops.

    numba reads, adds to and writes the index of such a folder without a lock. Where several processes compile a loop
    for different types for the first time, as worker processes do, the index can then name another type's code, which
    computes garbage or crashes, in every later run. That holds for librosa's loops too, which are compiled as it is
    imported.
    """
    import numba

    with _first:
        _save_in_turn()
    return numba


@lru_cache
def _save_in_turn() -> None:
    """Once in a process: wrapped twice, saving would wait for itself."""
    from numba.core.caching import IndexDataCacheFile

    setattr(IndexDataCacheFile, "save", _saving_in_turn(IndexDataCacheFile.save))  # noqa: B010 (mypy allows no method)


def _saving_in_turn(save: Callable[..., None]) -> Callable[..., None]:
    """It reads and writes files and compiles nothing, so a process that holds the lock waits for nothing else."""

    @wraps(save)
    def save_in_turn(self: Any, *arguments: Any) -> None:
        with in_turn(self._cache_path):
            save(self, *arguments)

    return save_in_turn
