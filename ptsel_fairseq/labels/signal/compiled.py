"""Loops that numba compiles."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any


@lru_cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A loop compiled by numba; kept on disk where the place it is installed to can be written."""
    import numba

    try:
        return numba.njit(cache=True)(function)
    except RuntimeError:  # numba finds no folder for its cache
        return numba.njit(function)
