"""Loops that numba compiles."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

# Sums may be taken in another order, several terms at once; what is not finite stays what it is.
ANY_ORDER = frozenset({"reassoc", "contract"})


@lru_cache
def compiled(function: Callable[..., Any], any_order: bool = False) -> Callable[..., Any]:
    """A loop compiled by numba; kept on disk where the place it is installed to can be written.

    With `any_order` the terms of a sum are added as is fastest, which changes its rounding.
    """
    import numba

    options: dict[str, Any] = {"fastmath": set(ANY_ORDER)} if any_order else {}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # numba finds no folder for its cache
        return numba.njit(**options)(function)
