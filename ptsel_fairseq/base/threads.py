"""Threads of the linear algebra libraries: more than one only where a product is large.

Threads of BLAS wait for each other at every product, by looking again and again: many small products took ten times as
long with two threads as with one on two free cores, and longer where one of them had to wait for a core.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from typing import Any

WORTH_THREADS = 1e9  # multiplications of one product


@lru_cache(maxsize=1)
def _thread_pools(modules: int) -> Any:
    """The libraries that have threads. To look for them takes 2 ms, so it is done again only when modules have come."""
    import threadpoolctl

    return threadpoolctl.ThreadpoolController()


@contextlib.contextmanager
def one_thread(load_torch: bool = False) -> Iterator[None]:
    """All libraries that are loaded work with one thread meanwhile, torch too: sums are the same on any machine.

    Args:
        load_torch: for work that may be the first to load torch, which would then have all its threads.
    """
    if load_torch:
        import_module("torch")
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 0
    with _thread_pools(len(sys.modules)).limit(limits=1):
        if torch:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(before)


@contextlib.contextmanager
def few_threads(multiplications: float = 0.0) -> Iterator[None]:
    """BLAS works with one thread meanwhile, unless a product takes as many multiplications as are worth more."""
    import scipy.linalg  # noqa: F401  (it has a BLAS of its own, which must be there to be found)

    if multiplications >= WORTH_THREADS:
        yield
        return
    with _thread_pools(len(sys.modules)).limit(limits=1, user_api="blas"):
        yield
