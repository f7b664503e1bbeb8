"""A NumPy array on disk while it is being filled: rows go to their place through the file, from any process.

Nothing is mapped into memory, so that what is written does not add to what a process holds, and a disk that fails is
an error here rather than a signal.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ptsel_fairseq.base.array_file import read_header
from ptsel_fairseq.base.errors import PtselError


class PartialArray:
    """``NAME.npy.partial`` of one folder, which becomes ``NAME.npy``; the folder must be locked by who fills it.

    Can be pickled; a process that gets it opens the file when it first writes or reads. Its name is known, so that an
    interrupted run goes on from it, but a link of that name is never followed.

    Args:
        adopt: whether a ``NAME.npy`` that is there is what a killed run has renamed, and is gone on with; not where it
            is another array, which this one is to replace when it is finished.
    """

    def __init__(
        self, folder: Path, name: str, shape: tuple[int, ...], dtype: np.dtype, adopt: bool = True
    ) -> None:
        self.final = folder / f"{name}.npy"
        self.partial = folder / f"{name}.npy.partial"
        self.shape, self.dtype = shape, dtype
        self._adopt = adopt
        self._row_bytes = int(np.prod(shape[1:])) * dtype.itemsize
        self._file: int | None = None
        self._start = 0

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None}

    def is_whole(self) -> bool:
        """Whether an earlier run has made it, with all its room, also one that was killed after it was renamed."""
        file = self.final if self._adopt and not os.path.lexists(self.partial) else self.partial
        try:
            os.close(self._open(file)[0])
        except (OSError, PtselError):
            return False
        return True

    def make(self) -> None:
        """Claim its whole room on the disk, unless an earlier run has done so; what is not whole is made anew.

        Raises:
            OSError: the disk refuses.
        """
        self.close()
        if self._adopt and not os.path.lexists(self.partial) and self.final.exists():
            os.replace(
                self.final, self.partial
            )  # killed after it was renamed, before it was said to be finished
        if self.is_whole():
            return
        self.partial.unlink(missing_ok=True)
        descr = np.lib.format.dtype_to_descr(self.dtype)
        header = {"descr": descr, "fortran_order": False, "shape": self.shape}
        with open(self.partial, "xb", opener=_never_a_link) as file:
            np.lib.format.write_array_header_1_0(file, header)
            start = file.tell()
            file.flush()
            size = self.shape[0] * self._row_bytes
            if size:
                os.posix_fallocate(file.fileno(), start, size)

    def remove(self) -> None:
        """Leave nothing of it."""
        self.close()
        self.partial.unlink(missing_ok=True)
        self.final.unlink(missing_ok=True)

    def write(self, first: int, rows: np.ndarray) -> None:
        """Put `rows` into the places from `first` on."""
        rest = memoryview(rows.astype(self.dtype, copy=False).tobytes())
        file = self._opened()
        place = self._start + first * self._row_bytes
        while rest:
            done = os.pwrite(file, rest, place)
            rest, place = rest[done:], place + done

    def read(self, first: int, last: int) -> np.ndarray:
        """The rows ``[first, last)``."""
        file = self._opened()
        place, end = (self._start + row * self._row_bytes for row in (first, last))
        pieces = []
        while place < end:
            pieces.append(os.pread(file, end - place, place))
            if not pieces[-1]:
                raise self._damaged("it is cut off")
            place += len(pieces[-1])
        return np.frombuffer(b"".join(pieces), self.dtype).reshape(last - first, *self.shape[1:])

    def flush(self) -> None:
        """Wait until what was written, by any process, is on the disk."""
        os.fsync(self._opened())

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def finish(self) -> None:
        """Give it its name."""
        self.close()
        os.replace(self.partial, self.final)

    def _opened(self) -> int:
        if self._file is None:
            self._file, self._start = self._open(self.partial)
        return self._file

    def _open(self, file: Path) -> tuple[int, int]:
        """A descriptor of the array, and where its rows begin."""
        found = os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            return found, self._checked_start(found)
        except BaseException:
            os.close(found)
            raise

    def _checked_start(self, file: int) -> int:
        """Where the rows begin, in a file that has room for all of them."""
        with os.fdopen(os.dup(file), "rb") as content:
            try:
                shape, fortran, dtype = read_header(content)
            except ValueError as error:
                raise self._damaged(str(error)) from None
            start = content.tell()
        if (shape, fortran, dtype) != (self.shape, False, self.dtype):
            raise self._damaged(
                f"expected {self.dtype} of shape {self.shape}, found {dtype} of shape {shape}"
            )
        found, expected = os.fstat(file).st_size, start + self.shape[0] * self._row_bytes
        if found < expected:
            raise self._damaged(f"expected {expected} bytes, found {found}; it was cut off")
        return start

    def _damaged(self, how: str) -> PtselError:
        return PtselError(
            f"{self.partial}: what an interrupted run has left is damaged ({how}); remove {self.partial.parent} and "
            "run the command again"
        )


def _never_a_link(file: str, flags: int) -> int:
    return os.open(file, flags | os.O_NOFOLLOW, 0o666)
