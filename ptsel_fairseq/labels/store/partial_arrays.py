"""The arrays of a store while they are being filled: rows go to their place through the file, from any process.

Nothing is mapped into memory, so that what is written does not add to what a process holds, and a disk that fails is
an error here rather than a signal.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.labels.label import Label

if TYPE_CHECKING:
    from ptsel_fairseq.labels.label import Track


class PartialArray:
    """``NAME.npy.partial`` of one folder, which becomes ``NAME.npy``.

    Can be pickled; a process that gets it opens the file when it first writes or reads.
    """

    def __init__(self, folder: Path, name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.final = folder / f"{name}.npy"
        self.partial = folder / f"{name}.npy.partial"
        self.shape, self.dtype = shape, dtype
        self._row_bytes = int(np.prod(shape[1:])) * dtype.itemsize
        self._file: int | None = None
        self._start = 0

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None}

    def exists(self) -> bool:
        """Whether an extraction has made it, also one that was killed after it was renamed."""
        return self.partial.exists() or self.final.exists()

    def make(self) -> None:
        """Claim its whole room on the disk, unless an interrupted extraction has done so."""
        if not self.partial.exists() and self.final.exists():  # killed between renaming and the header
            os.replace(self.final, self.partial)
        if self.partial.exists():
            return
        descr = np.lib.format.dtype_to_descr(self.dtype)
        header = {"descr": descr, "fortran_order": False, "shape": self.shape}
        with self.partial.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            start = file.tell()
            file.flush()
            size = self.shape[0] * self._row_bytes
            if size:
                os.posix_fallocate(file.fileno(), start, size)

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
                raise PtselError(
                    f"{self.partial}: it is cut off; remove {self.partial.parent} and extract again"
                )
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
            with self.partial.open("rb") as file:
                np.lib.format.read_magic(file)
                np.lib.format.read_array_header_1_0(file)
                self._start = file.tell()
            self._file = os.open(self.partial, os.O_RDWR)
        return self._file


class TrackArrays:
    """The partial arrays of some labels of one split; can be pickled."""

    def __init__(self, folder: Path, labels: Sequence[Label], frames: int, dtype: np.dtype) -> None:
        self.folder = folder
        self._units = {label.name: label.unit for label in labels}
        self._dtype = dtype
        self.values = {
            label.name: PartialArray(folder, label.name, (frames, label.dim), dtype) for label in labels
        }
        self.valid = {
            label.name: PartialArray(folder, f"{label.name}.valid", (frames,), np.dtype(bool))
            for label in labels
            if label.undefined is not None
        }

    def __iter__(self) -> Iterator[PartialArray]:
        yield from self.values.values()
        yield from self.valid.values()

    def write(self, first: int, tracks: dict[str, Track], where: str) -> None:
        """Put the frames of tracks into the rows from `first` on.

        Raises:
            PtselError: a value that the type on disk cannot hold.
            OSError: the disk refuses.
        """
        for name, (values, valid) in tracks.items():
            with np.errstate(over="ignore"):
                stored = values.astype(self._dtype, copy=False)
            if not np.isfinite(stored).all():
                raise PtselError(
                    f"{where}: label {name} reaches {np.abs(values).max():g} {self._units[name]}, more than "
                    f"{self._dtype} holds; take --dtype float32"
                )
            self.values[name].write(first, stored)
            if name in self.valid:
                self.valid[name].write(first, valid)

    def close(self) -> None:
        for array in self:
            array.close()


@contextlib.contextmanager
def named_errors(folder: Path) -> Iterator[None]:
    """What the operating system refuses in a store's folder, as an error that names it."""
    try:
        yield
    except OSError as error:
        raise PtselError(
            f"{folder}: the store cannot be written ({error.strerror or error}); what is finished is kept, "
            "run the command again when there is room"
        ) from None
