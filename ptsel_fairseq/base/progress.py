"""One progress bar for all long work: on a terminal only, and never with `ptsel --quiet`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

_quiet = False


def be_quiet(quiet: bool = True) -> None:
    """From now on show no bar in this process, terminal or not."""
    global _quiet
    _quiet = quiet


def progress_bar(items: Iterable | None = None, **settings: Any) -> Any:
    """tqdm's bar on standard error, silent where that is no terminal.

    Args:
        items: what to go through, as for ``tqdm``; None for a bar that is moved by hand.
        settings: of ``tqdm``, such as ``total``, ``desc``, ``unit`` and ``initial``.
    """
    from tqdm import tqdm

    return tqdm(items, file=sys.stderr, disable=True if _quiet else None, dynamic_ncols=True, **settings)
