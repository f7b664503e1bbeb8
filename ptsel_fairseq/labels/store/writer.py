"""Writing one split's folder of a label store so that a kill at any moment loses nothing that was finished.

Arrays (`arrays`) are made at their full size under names ending in ``.partial``, which claims the disk space at once.
Tracks go to their place in them; a journal (`journal`) lists the utterances whose tracks are safely on disk and is
written after them. When all are there, statistics and checksums are computed, the arrays get their names, and the
header, written last, makes the labels exist. Running again goes on from whichever of these steps was reached.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ptsel_fairseq.base.device import CPU
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import WholeFile, file_checksum, locked_folder, write_text
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.kept import SECONDS_BETWEEN_FLUSHES
from ptsel_fairseq.base.manifest import Manifest, Utterance
from ptsel_fairseq.base.provenance import versions
from ptsel_fairseq.labels.label import Label
from ptsel_fairseq.labels.store.journal import Journal
from ptsel_fairseq.labels.store.partial_arrays import TrackArrays, named_errors
from ptsel_fairseq.labels.store.reader import (
    DTYPES,
    FORMAT,
    HEADER,
    LENGTHS,
    LabelInfo,
    label_entry,
    read_header,
)
from ptsel_fairseq.labels.store.software import software_entry
from ptsel_fairseq.labels.store.statistics import track_statistics

if TYPE_CHECKING:
    from ptsel_fairseq.labels.label import Track


class StoreWriter:
    """Adds labels to the folder of one split.

    Args:
        store: folder of the store.
        manifest: of the split.
        labels: those that the split shall have; those it has already are left alone.
        grid: of the tracks.
        command_line: for the header.
        dtype: of the values on disk, one of `DTYPES`.
        skipped: for the header, which lines of which manifest this one lacks; None if it is as it was given.
        devices: for the header, label -> what computes it, where that is not this package on the CPU.

    Raises:
        PtselError: another extraction writes there, or the store is of another manifest, grid or version.
    """

    def __init__(
        self,
        store: Path | str,
        manifest: Manifest,
        labels: Sequence[Label],
        grid: FrameGrid,
        command_line: str = "",
        dtype: str = "float32",
        skipped: dict[str, Any] | None = None,
        devices: Mapping[str, str] | None = None,
    ) -> None:
        if dtype not in DTYPES:
            raise PtselError(f"--dtype: expected {' or '.join(DTYPES)}, found {dtype!r}")
        self._dtype = np.dtype(dtype)
        self.manifest = manifest
        self.grid = grid
        self.folder = Path(store) / manifest.split
        self._command_line = command_line
        self._devices = devices or {}
        frames = [grid.num_frames(utterance.samples) for utterance in manifest]
        self._offsets = np.concatenate([[0], np.cumsum(frames, dtype=np.int64)])
        self._unflushed: list[int] = []
        self._last_flush = time.monotonic()
        self._lock = contextlib.ExitStack()
        self._journal = Journal(self.folder)
        with named_errors(self.folder):
            busy = f"{self.folder}: another extraction is writing here; wait for it to end"
            self._lock.enter_context(locked_folder(self.folder, busy))
        try:
            self._header = self._read_header(labels)
            if skipped is not None:
                self._header["skipped"] = skipped
            self.missing = [label for label in labels if label.name not in self._header["labels"]]
        except BaseException:
            self._lock.close()
            raise
        self.arrays = TrackArrays(self.folder, self.missing, int(self._offsets[-1]), self._dtype)

    def close(self) -> None:
        """Give the folder back; what is written stays for the next run."""
        try:
            if self._unflushed:
                self._flush()
        finally:
            self.arrays.close()
            self._lock.close()

    def bytes_missing(self) -> int:
        """Disk space that the missing labels will take beyond what their partial arrays have claimed."""
        frames = int(self._offsets[-1])
        needed = sum(
            frames * (self._dtype.itemsize * label.dim + (label.undefined is not None))
            for label in self.missing
        )
        claimed = sum(file.stat().st_size for file in self.folder.glob("*.npy.partial"))
        return max(0, needed - claimed)

    def todo(self) -> list[Utterance]:
        """The utterances whose tracks are not on disk yet."""
        if not self.missing:
            return []
        whole = all(array.is_whole() for array in self.arrays)
        done = self._journal.read(self._plan()) if whole else set()
        return [utterance for utterance in self.manifest if utterance.index not in done]

    def open(self) -> list[Utterance]:
        """Claim the disk space and begin or go on; returns the utterances still to do."""
        todo = self.todo()
        with named_errors(self.folder):
            if not self.missing:
                if not any(self.folder.glob("*.npy.partial")):  # killed between the header and the end
                    self._journal.remove()
                return []
            if len(todo) == len(self.manifest):
                self._start_journal()
            for array in self.arrays:
                array.make()
        return todo

    def first_row(self, index: int) -> int:
        """The row of `arrays` in which an utterance's tracks begin."""
        return int(self._offsets[index])

    def write(self, index: int, tracks: dict[str, Track]) -> None:
        """Put one utterance's tracks into their place."""
        where = self.manifest.where(self.manifest.utterances[index])
        with named_errors(self.folder):
            self.arrays.write(self.first_row(index), tracks, where)
        self.written(index)

    def written(self, index: int) -> None:
        """Note that one utterance's tracks are in `arrays`."""
        self._unflushed.append(index)
        if time.monotonic() - self._last_flush > SECONDS_BETWEEN_FLUSHES:
            self._flush()

    def finish(self) -> None:
        """Compute statistics and checksums, give the arrays their names and write the header."""
        self._flush()
        with named_errors(self.folder):
            for label in self.missing:
                values, valid = self.arrays.values[label.name], self.arrays.valid.get(label.name)
                statistics = track_statistics(values, valid)
                finished = [values] if valid is None else [values, valid]
                for array in finished:
                    array.finish()
                checksums = {array.final.name: file_checksum(array.final) for array in finished}
                self._header["labels"][label.name] = {
                    **label_entry(label_info(label), statistics, checksums, self._dtype.name),
                    "origin": label.origin,
                    **software_entry(label),
                    "device": self._devices.get(label.name, CPU),
                    "software": software_versions(),
                    "command": self._command_line,
                }
            self._save_lengths()
            self._header["labels"] = dict(sorted(self._header["labels"].items()))
            write_text(self.folder / HEADER, json.dumps(self._header, indent=1))
            self._journal.remove()
        self.missing = []

    def _plan(self) -> str:
        labels = {
            label.name: [
                label.version,
                label.dim,
                label.parameters,
                label.origin,
                self._devices.get(label.name, CPU),
            ]
            for label in self.missing
        }
        return json.dumps(
            [self.manifest.checksum, vars(self.grid), labels, self._dtype.name, software_versions()],
            sort_keys=True,
        )

    def _start_journal(self) -> None:
        """Begin anew, dropping arrays that an extraction with another plan has left."""
        # First of all the old journal: it must never speak of arrays that are not those it was written for.
        self._journal.remove()
        for file in self.folder.glob("*.npy.partial"):
            file.unlink()
        for array in self.arrays:  # renamed, but never named by a header
            array.final.unlink(missing_ok=True)
        self._journal.start(self._plan())

    def _flush(self) -> None:
        with named_errors(self.folder):
            for array in self.arrays:
                array.flush()
            if self._unflushed:
                self._journal.add(self._unflushed)
        self._unflushed.clear()
        self._last_flush = time.monotonic()

    def _read_header(self, labels: Sequence[Label]) -> dict[str, Any]:
        if not (self.folder / HEADER).exists():
            return {
                "format": FORMAT,
                "grid": vars(self.grid),
                "manifest": self.manifest.file.name,
                "manifest_checksum": self.manifest.checksum,
                "labels": {},
            }
        header = read_header(self.folder)
        if header["manifest_checksum"] != self.manifest.checksum:
            without = len(header.get("skipped", {}).get("lines", ()))
            hint = f" (one without {without} skipped files)" if without else ""
            raise PtselError(
                f"{self.folder}: this store was made from another manifest than {self.manifest.file}{hint}; "
                "give another --store, or remove this one"
            )
        if header["grid"] != vars(self.grid):
            raise PtselError(
                f"{self.folder}: this store is on another frame grid ({header['grid']}); give another --store"
            )
        for label in labels:
            entry = header["labels"].get(label.name)
            if entry is not None and entry["info"]["version"] != label.version:
                raise PtselError(
                    f"{self.folder}: {label.name} is of definition {entry['info']['version']}, this version of "
                    f"ptsel makes {label.version}; extract into another --store"
                )
        return header

    def _save_lengths(self) -> None:
        lengths = np.array([utterance.samples for utterance in self.manifest], dtype=np.int64)
        with WholeFile(self.folder / LENGTHS) as file:
            np.save(file, lengths)


def label_info(label: Label) -> LabelInfo:
    """A label's entry of the catalogue as the store keeps it."""
    parameters = {**label.parameters, "window_seconds": label.window, "source": label.source}
    return LabelInfo(
        label.name,
        label.dim,
        label.unit,
        label.description,
        label.version,
        parameters,
        label.undefined,
        label.unvoiced_value,
    )


def software_versions() -> dict[str, str]:
    """Versions of what the values of a track may depend on."""
    return versions("librosa", "numba", "numpy", "scipy", "soundfile", "torch")
