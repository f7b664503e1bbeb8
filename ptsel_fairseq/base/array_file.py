"""Read NumPy arrays of whomever: no pickles, no more memory than the file has bytes."""

from __future__ import annotations

import mmap
import tokenize
from pathlib import Path
from typing import BinaryIO

import numpy as np

# What NumPy raises for a damaged header, which it parses as a Python literal and does not run.
HEADER_ERRORS = (
    EOFError,
    SyntaxError,
    tokenize.TokenError,
    OverflowError,
    MemoryError,
    RecursionError,
    TypeError,
)


def load_array(file: Path | str) -> np.ndarray:
    """The array of a ``.npy`` file as a view of a memory map.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no array, objects, or fewer bytes than its header says.
    """
    try:
        found = np.load(file, mmap_mode="r", allow_pickle=False)
    except HEADER_ERRORS as error:
        raise ValueError(_one_line(error)) from None
    except ValueError as error:
        raise ValueError(_one_line(error)) from None
    if not isinstance(found, np.ndarray):
        raise ValueError("an archive, not one array")
    return found


def read_at_random(array: np.ndarray) -> None:
    """Say that rows of what `load_array` gave are read here and there: the system then reads no more than these.

    It would read 128 kB around each place otherwise. Nothing happens for an array that is no memory map.
    """
    _advise(array, "MADV_RANDOM", 0, len(array))


def read_soon(array: np.ndarray, first: int, last: int) -> None:
    """Say that the rows ``[first, last)`` are wanted: more than a page of them comes at once, not page by page."""
    row = array.itemsize * array[:1].size
    if (last - first) * row > mmap.PAGESIZE:
        _advise(array, "MADV_WILLNEED", first, last)


def _advise(array: np.ndarray, advice: str, first: int, last: int) -> None:
    found = array if isinstance(array, np.memmap) else array.base
    # Systems know different advice, and it is never more than that.
    if not isinstance(found, np.memmap) or not hasattr(mmap, advice) or last <= first:
        return
    row = array.itemsize * array[:1].size
    header = found.offset % mmap.ALLOCATIONGRANULARITY  # where the rows begin in the map
    start = (header + first * row) // mmap.PAGESIZE * mmap.PAGESIZE
    pages: mmap.mmap = found._mmap  # type: ignore[attr-defined]
    pages.madvise(getattr(mmap, advice), start, header + last * row - start)


def read_header(content: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether it is in Fortran's order, and type, of a ``.npy`` of format 1; the file then is at the values.

    Raises:
        ValueError: no such header.
    """
    try:
        np.lib.format.read_magic(content)
        return np.lib.format.read_array_header_1_0(content)
    except (*HEADER_ERRORS, ValueError) as error:
        raise ValueError(_one_line(error)) from None


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else text[:157] + "..."
