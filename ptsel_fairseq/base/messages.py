"""Lists inside messages: a few examples of many items, and lists of names that stay short."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

SHOWN = 3  # examples that a message gives
MOST_NAMES = 12  # names that a message lists before it only counts them


def examples(items: Iterable[object], separator: str = "; ") -> str:
    """The first `SHOWN` items in brackets, such as ``(first: a; b; c)``."""
    shown = [str(item) for _, item in zip(range(SHOWN), items, strict=False)]
    return f"(first: {separator.join(shown)})"


def shortened(names: Sequence[str], most: int = MOST_NAMES) -> str:
    """Names separated by commas; of more than `most` the first ones, and how many others there are."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"
