"""Writing one split's folder of a label store so that a kill at any moment loses nothing that was finished.

Arrays are made at their full size under names ending in ``.partial``, which claims the disk space at once. Tracks go
to their place in them; a journal lists the utterances whose tracks are safely on disk and is written after
them. When all are there, statistics and checksums are computed, the arrays get their names, and the header, written
last, makes the labels exist. Running again goes on from whichever of these steps was reached.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ptsel_fairseq import __version__
from ptsel_fairseq.device import CPU
from ptsel_fairseq.errors import PtselError
from ptsel_fairseq.files import file_checksum, replacing
from ptsel_fairseq.labels.grid import FrameGrid
from ptsel_fairseq.labels.label import Label
from ptsel_fairseq.labels.store import (
    DTYPES,
    FORMAT,
    HEADER,
    LENGTHS,
    LabelInfo,
    Statistics,
    label_entry,
    read_header,
)
from ptsel_fairseq.manifest import Manifest, Utterance

if TYPE_CHECKING:
    from ptsel_fairseq.labels.label import Track

JOURNAL = "journal.partial"
END_OF_RECORD = "."
SECONDS_BETWEEN_FLUSHES = 5.0
STATISTICS_BLOCK = 1 << 16  # frames


class StoreWriter:
    """Adds labels to the folder of one split.

    Args:
        store: folder of the store.
        manifest: of the split.
        labels: those that the split shall have; those it has already are left alone.
        grid: of the tracks.
        command_line: for the header.
        dtype: of the values on disk, one of `DTYPES`.
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
        self._arrays: dict[str, np.ndarray] = {}
        self._unflushed: list[int] = []
        self._last_flush = time.monotonic()
        with self._named_errors():
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock: int | None = self._take_lock()
        try:
            self._header = self._read_header(labels)
            self.missing = [label for label in labels if label.name not in self._header["labels"]]
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the folder back; what is written stays for the next run."""
        try:
            if self._unflushed:
                self._flush()
        finally:
            self._arrays.clear()
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

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
        done = self._read_journal()
        return [utterance for utterance in self.manifest if utterance.index not in done]

    def open(self) -> list[Utterance]:
        """Claim the disk space and begin or go on; returns the utterances still to do."""
        todo = self.todo()
        with self._named_errors():
            if not self.missing:
                if not any(self.folder.glob("*.npy.partial")):  # killed between the header and the end
                    (self.folder / JOURNAL).unlink(missing_ok=True)
                return []
            if len(todo) == len(self.manifest):
                self._start_journal()
            for name, shape, dtype in self._shapes():
                self._arrays[name] = self._open_array(name, shape, dtype)
        return todo

    def write(self, index: int, tracks: dict[str, Track]) -> None:
        """Put one utterance's tracks into their place."""
        place = slice(self._offsets[index], self._offsets[index + 1])
        for label in self.missing:
            values, valid = tracks[label.name]
            self._arrays[label.name][place] = self._stored(label, values, index)
            if valid is not None:
                self._arrays[f"{label.name}.valid"][place] = valid
        self._unflushed.append(index)
        if time.monotonic() - self._last_flush > SECONDS_BETWEEN_FLUSHES:
            self._flush()

    def _stored(self, label: Label, values: np.ndarray, index: int) -> np.ndarray:
        with np.errstate(over="ignore"):
            stored = values.astype(self._dtype, copy=False)
        if not np.isfinite(stored).all():
            where = self.manifest.where(self.manifest.utterances[index])
            raise PtselError(
                f"{where}: label {label.name} reaches {np.abs(values).max():g} {label.unit}, more than "
                f"{self._dtype} holds; take --dtype float32"
            )
        return stored

    def finish(self) -> None:
        """Compute statistics and checksums, give the arrays their names and write the header."""
        self._flush()
        with self._named_errors():
            for label in self.missing:
                statistics = self._statistics(label)
                names = [label.name] + [f"{label.name}.valid"] * (label.undefined is not None)
                for name in names:
                    self._arrays.pop(name)
                    os.replace(self._partial(name), self.folder / f"{name}.npy")
                checksums = {f"{name}.npy": file_checksum(self.folder / f"{name}.npy") for name in names}
                self._header["labels"][label.name] = {
                    **label_entry(label_info(label), statistics, checksums, self._dtype.name),
                    "origin": label.origin,
                    "device": self._devices.get(label.name, CPU),
                    "software": software_versions(),
                    "command": self._command_line,
                }
            self._save_lengths()
            self._header["labels"] = dict(sorted(self._header["labels"].items()))
            write_atomically(self.folder / HEADER, json.dumps(self._header, indent=1).encode())
            (self.folder / JOURNAL).unlink(missing_ok=True)
        self.missing = []

    def _shapes(self) -> Iterator[tuple[str, tuple[int, ...], type]]:
        frames = int(self._offsets[-1])
        for label in self.missing:
            yield label.name, (frames, label.dim), self._dtype.type
            if label.undefined is not None:
                yield f"{label.name}.valid", (frames,), np.bool_

    def _open_array(self, name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        final, partial = self.folder / f"{name}.npy", self._partial(name)
        if not partial.exists() and final.exists():  # killed between renaming and the header
            os.replace(final, partial)
        if not partial.exists():
            header = {
                "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
                "fortran_order": False,
                "shape": shape,
            }
            with partial.open("wb") as file:
                np.lib.format.write_array_header_1_0(file, header)
                start = file.tell()
                file.flush()
                size = int(np.prod(shape)) * np.dtype(dtype).itemsize
                if size:
                    os.posix_fallocate(file.fileno(), start, size)
        if not shape[0]:
            return np.zeros(shape, dtype)
        return np.lib.format.open_memmap(partial, mode="r+")

    def _partial(self, name: str) -> Path:
        return self.folder / f"{name}.npy.partial"

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
        (self.folder / JOURNAL).unlink(missing_ok=True)
        for file in self.folder.glob("*.npy.partial"):
            file.unlink()
        for name, _, _ in self._shapes():  # renamed, but never named by a header
            (self.folder / f"{name}.npy").unlink(missing_ok=True)
        write_atomically(self.folder / JOURNAL, (self._plan() + "\n").encode())

    def _read_journal(self) -> set[int]:
        """Finished utterances of an interrupted extraction with the same plan whose arrays are still there."""
        try:
            text = (self.folder / JOURNAL).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return set()
        plan, *records = text.split("\n")
        if plan != self._plan() or not all(self._array_exists(name) for name, _, _ in self._shapes()):
            return set()
        done: set[int] = set()
        for record in records:
            *indices, mark = record.split() or [""]
            if mark == END_OF_RECORD and all(word.isdecimal() for word in indices):
                done.update(map(int, indices))
        return done

    def _array_exists(self, name: str) -> bool:
        return self._partial(name).exists() or (self.folder / f"{name}.npy").exists()

    def _flush(self) -> None:
        with self._named_errors():
            for array in self._arrays.values():
                if isinstance(array, np.memmap):
                    array.flush()
            if self._unflushed:
                with (self.folder / JOURNAL).open("a", encoding="utf-8") as journal:
                    # A record that a full disk tore has no mark, and the line break keeps the next one apart.
                    journal.write("\n" + " ".join(map(str, self._unflushed)) + f" {END_OF_RECORD}\n")
                    journal.flush()
                    os.fsync(journal.fileno())
        self._unflushed.clear()
        self._last_flush = time.monotonic()

    def _statistics(self, label: Label) -> Statistics:
        """Mean and standard deviation over valid frames, in float64 and manifest order."""
        values, valid = self._arrays[label.name], self._arrays.get(f"{label.name}.valid")
        count, mean, squares = 0, np.zeros(label.dim), np.zeros(label.dim)
        for first in range(0, len(values), STATISTICS_BLOCK):
            place = slice(first, first + STATISTICS_BLOCK)
            block = values[place].astype(np.float64)
            if valid is not None:
                block = block[valid[place]]
            if not len(block):
                continue
            # Chan, Golub and LeVeque's update of mean and squared deviations by a block.
            own = block.mean(axis=0)
            shift = own - mean
            total = count + len(block)
            squares += ((block - own) ** 2).sum(axis=0) + shift**2 * count * len(block) / total
            mean += shift * len(block) / total
            count = total
        return Statistics(mean, np.sqrt(squares / max(count, 1)), count)

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
            raise PtselError(
                f"{self.folder}: this store was made from another manifest than {self.manifest.file}; "
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
        with replacing(self.folder / LENGTHS) as partial, partial.open("wb") as file:
            np.save(file, lengths)

    def _take_lock(self) -> int:
        """Lock the folder itself, which leaves no file behind and ends with the process."""
        lock = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise PtselError(
                f"{self.folder}: another extraction is writing here; wait for it to end"
            ) from None
        return lock

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise PtselError(
                f"{self.folder}: the store cannot be written ({error.strerror or error}); what is finished is kept, "
                "run the command again when there is room"
            ) from None


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
    from importlib.metadata import version

    return {"ptsel_fairseq": __version__} | {
        name: version(name) for name in ("librosa", "numba", "numpy", "scipy", "soundfile", "torch")
    }


def write_atomically(file: Path, content: bytes) -> None:
    partial = file.with_name(file.name + ".partial")
    with partial.open("wb") as output:
        output.write(content)
        output.flush()
        os.fsync(output.fileno())
    os.replace(partial, file)
