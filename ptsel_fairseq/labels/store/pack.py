"""A packed copy of some labels of a split: their values and masks side by side, so that a crop is one read of one file.

``STORE/<split>/packed/`` holds for each set of labels

* ``<key>.json``: of which labels and of which arrays of the store, by their checksums; written last, so that a copy
  which it names is whole, and one that it does not fit any more is known to be old;
* ``<key>.npy``: uint8, for each manifest line the values of its frames, [frames, sum of dims] of float32, or of float16
  where all labels are stored so, and behind them a byte for each frame and label, [frames, labels], 1 where defined.

The store stays what it is without them: they can be removed at any time.
"""

from __future__ import annotations

import hashlib
import logging
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ptsel_fairseq.base.array_file import read_header
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.json_file import read_json
from ptsel_fairseq.labels.store.reader import LabelStore

FOLDER = "packed"
FORMAT = 1
CHECKSUM = "crc32"
BYTES_AT_ONCE = 1 << 22

logger = logging.getLogger(__name__)


def identity(store: LabelStore, labels: Sequence[str]) -> dict[str, Any]:
    """What a packed copy of these labels is of, as its JSON file has it; PtselError for a label it lacks."""
    infos = [store.info(label) for label in labels]
    files = {f"{label}{kind}.npy" for label in labels for kind in ("", ".valid")}
    sources = {file.name: checksum for file, checksum in store.checksums().items() if file.name in files}
    halves = all(store.dtype(label) == np.float16 for label in labels)
    return {
        "format": FORMAT,
        "labels": [{"name": info.name, "version": info.version, "dim": info.dim} for info in infos],
        "dtype": "float16" if halves else "float32",
        "grid": vars(store.grid),
        "manifest_checksum": store.manifest_checksum,
        "frames": store.total_frames,
        "sources": dict(sorted(sources.items())),
    }


def key_of(labels: Sequence[str]) -> str:
    """The name of the files of a packed copy of these labels."""
    return hashlib.sha256(",".join(labels).encode()).hexdigest()[:16]


def frame_bytes(of: dict[str, Any]) -> int:
    """The bytes of one frame: values, and one for each label."""
    values = sum(label["dim"] for label in of["labels"])
    return int(values * np.dtype(of["dtype"]).itemsize + len(of["labels"]))


class Pack:
    """A packed copy that fits its store, open for reading. Can be pickled; each process opens it when it first reads.

    Args:
        folder: of the packed copies of a split.
        of: see `identity`.

    Raises:
        PtselError: the array is missing, cut off, or of another shape.
    """

    def __init__(self, folder: Path, of: dict[str, Any]) -> None:
        self.labels = [label["name"] for label in of["labels"]]
        self.dims = [int(label["dim"]) for label in of["labels"]]
        self.dtype, self.frame_bytes = np.dtype(of["dtype"]), frame_bytes(of)
        self.size = int(of["frames"]) * self.frame_bytes
        self.file = folder / f"{key_of(self.labels)}.npy"
        self._value_bytes = sum(self.dims) * self.dtype.itemsize
        self._content: BinaryIO | None = None
        self._passed_over = bytearray()
        try:
            with self.file.open("rb") as content:
                shape, _, dtype = read_header(content)
                self._start = content.tell()
                found = os.fstat(content.fileno()).st_size - self._start
        except (OSError, ValueError) as error:
            raise self._damaged(getattr(error, "strerror", None) or str(error)) from None
        if (shape, dtype) != ((self.size,), np.uint8) or found < self.size:
            raise self._damaged(f"expected {self.size} bytes, found {dtype} of shape {shape} in {found}")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_content": None, "_passed_over": bytearray()}

    def read(self, block: int, frames: int, first: int, values: np.ndarray, masks: np.ndarray) -> None:
        """Fill arrays with consecutive frames of an utterance: one read.

        Args:
            block: the first frame of the utterance among those of the split.
            frames: of the utterance.
            first: of the wanted frames, counted in the utterance.
            values: [wanted frames, sum of dims] without gaps, of the type `dtype`.
            masks: bool [wanted frames, labels] without gaps.

        Raises:
            PtselError: the file cannot be read or was cut off.
        """
        wanted = len(values)
        if not wanted:
            return
        between = (frames - first - wanted) * self._value_bytes + first * len(self.labels)
        parts: list[Any] = [values, masks]
        if between:
            if len(self._passed_over) < between:
                self._passed_over = bytearray(between)
            parts.insert(1, memoryview(self._passed_over)[:between])
        self._fill(block * self.frame_bytes + first * self._value_bytes, parts)

    def crc32(self) -> int:
        """Of all that is behind the header."""
        found, piece = 0, np.empty(BYTES_AT_ONCE, np.uint8)
        for place in range(0, self.size, BYTES_AT_ONCE):
            part = piece[: self.size - place]
            self._fill(place, [part])
            found = zlib.crc32(part.data, found)
        return found

    def damaged_values(self, line: int) -> PtselError:
        """An error that says that values of an utterance cannot be what was written."""
        return self._damaged(f"it has values of utterance {line} that no label can have")

    def _fill(self, place: int, parts: list[Any]) -> None:
        try:
            if self._content is None:
                self._content = self.file.open("rb", buffering=0)
            got = os.preadv(self._content.fileno(), parts, self._start + place)
        except OSError as error:
            raise self._damaged(error.strerror or str(error)) from None
        if got != (wanted := sum(memoryview(part).nbytes for part in parts)):
            raise self._damaged(f"expected {wanted} bytes at {place}, found {got}")

    def _damaged(self, how: str) -> PtselError:
        return PtselError(
            f"{self.file}: the packed copy of the labels is damaged ({how}); remove {self.file.parent}, and make it "
            "again with `ptsel extract --pack`"
        )


def packs_of(store: LabelStore) -> tuple[list[tuple[Pack, int]], list[Path]]:
    """The packed copies of a split that fit the store, each with its CRC-32, and the JSON files of those that do not.

    Raises:
        PtselError: a copy that says it fits, but is damaged.
    """
    fitting, old = [], []
    for file in sorted((store.split_folder / FOLDER).glob("*.json")):
        try:
            found = read_json(file)
            labels = [label["name"] for label in found["labels"]]
            fits = found | identity(store, labels) == found and isinstance(found[CHECKSUM], int)
        except (OSError, ValueError, KeyError, TypeError, PtselError):
            fits = False
        if fits:
            fitting.append((Pack(file.parent, found), found[CHECKSUM]))
        else:
            old.append(file)
    return fitting, old


def find_pack(store: LabelStore, labels: Sequence[str]) -> Pack | None:
    """The smallest packed copy that has all of these labels; None if there is none that fits the store."""
    if not labels:
        return None
    fitting, old = packs_of(store)
    covering = [pack for pack, _ in fitting if set(labels) <= set(pack.labels)]
    if covering:
        return min(covering, key=lambda pack: (pack.frame_bytes, pack.file.name))
    if old:
        logger.warning(
            "%s: the store has changed since this packed copy was made, which is not used; make it again with "
            "`ptsel extract --pack`",
            old[0],
        )
    return None
