"""The arrays of a store while they are being filled."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.partial_array import PartialArray
from ptsel_fairseq.labels.label import Label

if TYPE_CHECKING:
    from ptsel_fairseq.labels.label import Track


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
