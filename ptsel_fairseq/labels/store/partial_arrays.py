"""The arrays of a store's labels while they are being filled, and where rows can be taken over from."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.partial_array import PartialArray
from ptsel_fairseq.labels.store.journal import Done

if TYPE_CHECKING:
    from ptsel_fairseq.labels.label import Track

MASK = np.dtype(bool)


@dataclass(frozen=True)
class Shape:
    """What the arrays of a label look like: values of one frame, their unit and type on disk, whether it has a mask."""

    name: str
    dim: int
    unit: str
    masked: bool
    dtype: np.dtype

    @property
    def row_bytes(self) -> int:
        return self.dim * self.dtype.itemsize + self.masked


class LabelArrays:
    """``NAME.npy.partial``, and ``NAME.valid.npy.partial`` of a label that can be undefined; can be pickled.

    Args:
        adopt: whether arrays that have their final names already are these, of an extraction that was killed then;
            not where they belong to a finished label, which stays as it is until these take its place.
    """

    def __init__(self, folder: Path, shape: Shape, frames: int, adopt: bool, slot: str = "") -> None:
        self.shape = shape
        name = shape.name + slot
        self.values = PartialArray(folder, name, (frames, shape.dim), shape.dtype, adopt)
        self.valid = PartialArray(folder, f"{name}.valid", (frames,), MASK, adopt) if shape.masked else None

    def __iter__(self) -> Iterator[PartialArray]:
        yield self.values
        if self.valid is not None:
            yield self.valid

    def are_whole(self) -> bool:
        return all(array.is_whole() for array in self)

    def write(self, first: int, track: Track, where: str, crc: tuple[int, int] = (0, 0)) -> tuple[int, int]:
        """Put a track into the rows from `first` on.

        Args:
            crc: of the rows of the same utterance before them.

        Returns:
            the CRC-32 of values and mask, on from `crc`.

        Raises:
            PtselError: a value that the type on disk cannot hold.
            OSError: the disk refuses.
        """
        with np.errstate(over="ignore"):
            stored = np.ascontiguousarray(track.values, dtype=self.shape.dtype)
        if not np.isfinite(stored).all():
            raise PtselError(
                f"{where}: label {self.shape.name} reaches {np.abs(track.values).max():g} {self.shape.unit}, more than "
                f"{self.shape.dtype} holds; take --dtype float32"
            )
        return self.write_rows(first, stored, track.valid if self.shape.masked else None, crc)

    def write_rows(
        self, first: int, values: np.ndarray, valid: np.ndarray | None, crc: tuple[int, int] = (0, 0)
    ) -> tuple[int, int]:
        """As `write`, of rows as they are on disk."""
        self.values.write(first, values)
        if self.valid is not None and valid is not None:
            self.valid.write(first, valid)
        return checksum_of_rows(values, valid, crc)

    def holds(self, done: Done, frames: int) -> bool:
        """Whether the rows of an utterance are those that were written."""
        last = done.row + frames
        values = self.values.read(done.row, last)
        valid = None if self.valid is None else self.valid.read(done.row, last)
        return checksum_of_rows(values, valid) == done.crc

    def close(self) -> None:
        for array in self:
            array.close()


class TrackArrays:
    """The arrays of several labels of one split; can be pickled."""

    def __init__(self, folder: Path, labels: Sequence[LabelArrays]) -> None:
        self.folder = folder
        self.of = {arrays.shape.name: arrays for arrays in labels}

    def write(
        self, first: int, tracks: Mapping[str, Track], where: str, crcs: dict[str, tuple[int, int]]
    ) -> None:
        """Put the frames of tracks into the rows from `first` on, and go on with the CRC-32 of each label in `crcs`."""
        for name, track in tracks.items():
            crcs[name] = self.of[name].write(first, track, where, crcs.get(name, (0, 0)))

    def close(self) -> None:
        for arrays in self.of.values():
            arrays.close()


def checksum_of_rows(
    values: np.ndarray, valid: np.ndarray | None, before: tuple[int, int] = (0, 0)
) -> tuple[int, int]:
    """CRC-32 of rows as bytes on disk: of the values, and of the mask (0 without one)."""
    mask = 0 if valid is None else zlib.crc32(valid.tobytes(), before[1])
    return zlib.crc32(values.tobytes(), before[0]), mask


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
