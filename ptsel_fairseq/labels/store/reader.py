"""The label store: one folder a split, arrays that are memory-mapped, a header that says what they are.

``STORE/<split>/`` holds

* ``header.json``: grid, manifest checksum, and for each label its definition, statistics and the checksums of
  its arrays; written last, so a label that is in the header is finished;
* ``recordings.tsv``: for each manifest line, size, time and SHA-256 of the file when it was analysed, see `recordings`;
* ``lengths.npy``: int64 [utterances], samples of each manifest line, from which the frame offsets follow;
* ``<label>.npy``: float32 or float16 [frames of the split, dim], as the header says; int16 or int32 of codes;
* ``<label>.valid.npy``: bool [frames of the split], only for labels that can be undefined;
* ``packed/``: copies of several labels side by side, if there are any, see `pack`.

No pickle anywhere. Names ending in ``.partial`` belong to an extraction that has not finished.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ptsel_fairseq.base.array_file import load_array, read_at_random, read_soon
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.manifest import Manifest
from ptsel_fairseq.base.utterances import smallest_type
from ptsel_fairseq.labels.store.header import (
    LENGTHS,
    THIS_PACKAGE,
    LabelInfo,
    Statistics,
    dtype_of,
    read_header,
    software_of,
    statistics_of,
)
from ptsel_fairseq.labels.store.recordings import changed, read_recordings

__all__ = ["THIS_PACKAGE", "LabelInfo", "LabelStore", "Statistics"]


LARGE_ARRAY = 1 << 30  # bytes; of a smaller one the neighbours that the system reads unasked are wanted soon


class LabelStore:
    """The tracks of one split, read lazily from memory maps.

    Can be pickled; each process opens the arrays that it reads, once.

    Raises:
        PtselError: no such store, an unfinished one, or arrays that do not fit the header.
    """

    def __init__(self, folder: Path | str, split: str) -> None:
        self.folder = Path(folder)
        self.split = split
        self._folder = self.folder / split
        header = read_header(self._folder)
        self.grid = FrameGrid(**header["grid"])
        self.manifest_checksum: str = header["manifest_checksum"]
        self._recordings: str | None = header.get("recordings")
        self._labels: dict[str, Any] = header["labels"]
        self._arrays: dict[str, np.ndarray] = {}
        self._at_random = False
        lengths = self._lengths()
        self.num_utterances = len(lengths)
        self._offsets = smallest_type(self.grid.offsets(lengths))
        self.total_frames = int(self._offsets[-1])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_arrays": {}}

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Names of the finished labels, sorted."""
        return tuple(sorted(self._labels))

    def info(self, label: str) -> LabelInfo:
        return LabelInfo(**self._entry(label)["info"])

    def statistics(self, label: str) -> Statistics:
        return statistics_of(self._entry(label))

    @property
    def split_folder(self) -> Path:
        """Where the arrays of the split are."""
        return self._folder

    def dtype(self, label: str) -> np.dtype:
        """Type of the values on disk."""
        return np.dtype(dtype_of(self._entry(label)))

    def itemsize(self, label: str) -> int:
        """Bytes of one value on disk."""
        return self.dtype(label).itemsize

    def software(self, label: str) -> str:
        """The program that computed a label: `THIS_PACKAGE`, or name and version of a backend."""
        return software_of(self._entry(label))

    def num_frames(self, index: int) -> int:
        place = self._place(index)
        return int(place.stop - place.start)

    def place(self, index: int) -> tuple[int, int]:
        """Where the frames of one manifest line begin among those of the split, and how many there are."""
        place = self._place(index)
        return place.start, place.stop - place.start

    def first_frame(self, index: int) -> int:
        """Where the frames of one manifest line begin among those of the split."""
        return self.place(index)[0]

    def track(self, label: str, index: int) -> np.ndarray:
        """float32 [frames, dim] of one manifest line, a view of the memory map if it can be; 0 where undefined.

        Raises:
            PtselError: no such label or utterance, or an array that is damaged.
        """
        place = self._place(index)
        return self.frames(label, place.start, place.stop)

    def valid(self, label: str, index: int) -> np.ndarray:
        """bool [frames]: where the label is defined."""
        place = self._place(index)
        return self.valid_frames(label, place.start, place.stop)

    def frames(self, label: str, first: int, last: int) -> np.ndarray:
        """As `track`, of the frames ``[first, last)`` of the split."""
        array = self._array(label)
        if self._at_random and array.nbytes >= LARGE_ARRAY:
            read_soon(array, first, last)
        values = array[first:last].astype(np.float32, copy=False)
        if not np.isfinite(values).all():
            index = self._utterance(first, np.asarray(~np.isfinite(values).all(axis=1)))
            raise PtselError(
                f"{self._folder / label}.npy: the track of utterance {index} has values that are not finite, and was "
                f"written without any: the array is damaged; remove {self._folder} and extract it again"
            )
        codes = self._labels[label]["info"].get("codes")
        if codes is not None and len(values) and not (values.min() >= 0 and values.max() < codes):
            index = self._utterance(first, ((values < 0) | (values >= codes)).any(axis=1))
            raise PtselError(
                f"{self._folder / label}.npy: expected codes from 0 to {codes - 1} in utterance {index}, found "
                f"{values.min():g} to {values.max():g}: the array is damaged; remove it and make the codes again"
            )
        return values

    def valid_frames(self, label: str, first: int, last: int) -> np.ndarray:
        """As `valid`, of the frames ``[first, last)`` of the split."""
        if self._entry(label)["info"]["undefined"] is None:
            return np.ones(last - first, dtype=bool)
        return self._array(label, ".valid")[first:last]

    def read_at_random(self) -> None:
        """From now on crops are read here and there: of large arrays the system then reads these and no more."""
        self._at_random = True
        self._arrays = {}  # opened again when they are needed

    def checksums(self) -> dict[Path, str]:
        """The arrays of the finished labels, and the SHA-256 that each had when it was written."""
        return {
            self._folder / name: checksum
            for entry in self._labels.values()
            for name, checksum in entry["checksums"].items()
        }

    def check_manifest(self, manifest: Manifest) -> None:
        """Raise PtselError if the store was made from another manifest, naming the first line that differs."""
        advice = f"run `ptsel extract` for {manifest.file} into a new store"
        both, lengths = min(len(manifest), self.num_utterances), self._lengths()
        differing = np.flatnonzero(manifest.samples[:both] != lengths[:both])
        if len(differing):
            utterance = manifest.utterances[int(differing[0])]
            raise PtselError(
                f"{manifest.where(utterance)}: {utterance.samples} samples, but the store {self._folder} was "
                f"made from a manifest with {lengths[utterance.index]} on that line; {advice}"
            )
        if len(manifest) != self.num_utterances:
            raise PtselError(
                f"{manifest.file}: {len(manifest)} utterances, but the store {self._folder} was made from a manifest "
                f"of {self.num_utterances}; {advice}"
            )
        if manifest.checksum != self.manifest_checksum:
            raise PtselError(
                f"{manifest.file}: the paths differ from those of the manifest that the store {self._folder} was "
                f"made from, though the lengths agree; {advice}"
            )

    def check_recordings(
        self,
        manifest: Manifest,
        thorough: bool = False,
        look_at: int | None = None,
        read: int | None = None,
    ) -> None:
        """Raise PtselError if a file is not what it was when its labels were computed, naming the first one.

        A store of version 0.1 does not know what its recordings held, and passes.

        Args:
            manifest: of the store, see `check_manifest`.
            thorough, look_at, read: see `recordings.changed`.
        """
        recordings = read_recordings(self._folder, self._recordings)
        if recordings is None:
            return
        found = changed(manifest, recordings, thorough, look_at, read)
        if found:
            utterance = manifest.utterances[found[0]]
            missing = not manifest.audio_path(utterance).exists()
            what = (
                "is not there any more"
                if missing
                else "holds another recording than when its labels were computed"
            )
            more = f" (and {len(found) - 1} files more)" if len(found) > 1 else ""
            raise PtselError(
                f"{manifest.where(utterance)}: the file {what}{more}; run `ptsel extract` with --store {self.folder} "
                "again, which computes what has changed, or bring the recordings back"
            )

    def _lengths(self) -> np.ndarray:
        """Samples of each manifest line; looked at when a store is opened, and not kept."""
        return _load(self._folder / LENGTHS, None, np.int64)

    def _place(self, index: int) -> slice:
        """The frames of one manifest line in the arrays."""
        if not 0 <= index < self.num_utterances:
            raise PtselError(
                f"{self._folder}: no utterance {index}; the store holds 0 to {self.num_utterances - 1}"
            )
        return slice(int(self._offsets[index]), int(self._offsets[index + 1]))

    def _utterance(self, first: int, damaged: np.ndarray) -> int:
        """The manifest line of the first damaged one of the frames from `first` on."""
        return int(np.searchsorted(self._offsets, first + int(damaged.argmax()), side="right")) - 1

    def _entry(self, label: str) -> dict[str, Any]:
        if label not in self._labels:
            raise PtselError(
                f"{self._folder}: no label {label!r} in this store, which holds {', '.join(self.labels) or 'none'}; "
                f"add it with `ptsel extract --labels {label}`"
            )
        entry: dict[str, Any] = self._labels[label]
        return entry

    def _array(self, label: str, kind: str = "") -> np.ndarray:
        name = label + kind
        if name not in self._arrays:
            entry = self._entry(label)
            total = self.total_frames
            shape = (total, entry["info"]["dim"]) if not kind else (total,)
            self._arrays[name] = _load(
                self._folder / f"{name}.npy", shape, np.bool_ if kind else dtype_of(entry)
            )
            if self._at_random and self._arrays[name].nbytes >= LARGE_ARRAY:
                read_at_random(self._arrays[name])
        return self._arrays[name]


def _load(file: Path, shape: tuple[int, ...] | None, dtype: type) -> np.ndarray:
    advice = f"remove {file.parent} and extract it again"
    try:
        array = load_array(file)
    except (OSError, ValueError) as error:
        raise PtselError(f"{file}: the label store is damaged ({error}); {advice}") from None
    if array.dtype != dtype or (shape is not None and array.shape != shape):
        expected = f"{np.dtype(dtype)} of shape {shape}" if shape is not None else str(np.dtype(dtype))
        raise PtselError(f"{file}: expected {expected}, found {array.dtype} of shape {array.shape}; {advice}")
    # The same map; slices of numpy's own class for maps take ten times as long.
    plain: np.ndarray = array.view(np.ndarray)
    return plain
