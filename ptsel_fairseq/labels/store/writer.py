"""Writing one split's folder of a label store so that a kill at any moment loses nothing that was finished.

Arrays (`partial_arrays`) are made at their full size under names ending in ``.partial``, which claims the disk space at
once. Tracks go to their place in them; each label's journal (`journal`) lists the utterances whose rows are safely on
disk, of which recording, and is written after them. When all are there, statistics and checksums are computed, the
arrays get their names, and the header, written last, makes the labels exist. Running again goes on from whichever of
these steps was reached; for a manifest that has grown, shrunk or another order, or after a recording was replaced, what
is still right is taken over (`label_work`) and the finished labels stay as they are until the new ones are complete.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ptsel_fairseq.base.device import CPU
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import WholeFile, file_checksum, locked_folder
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.identity import Identity
from ptsel_fairseq.base.kept import SECONDS_BETWEEN_FLUSHES
from ptsel_fairseq.base.manifest import Manifest, Utterance
from ptsel_fairseq.labels.label import Label
from ptsel_fairseq.labels.store.header import (
    CODE_DTYPES,
    DTYPES,
    LENGTHS,
    finished_entry,
    header_for,
    write_header,
)
from ptsel_fairseq.labels.store.journal import Done
from ptsel_fairseq.labels.store.label_work import EARLIER, LabelWork, content, finished_rows
from ptsel_fairseq.labels.store.parking import Parked
from ptsel_fairseq.labels.store.partial_arrays import TrackArrays, named_errors
from ptsel_fairseq.labels.store.plan import Plan, differences, plan_of_entry, plan_of_label
from ptsel_fairseq.labels.store.recordings import (
    Recording,
    read_recordings,
    recognised,
    write_recordings,
)
from ptsel_fairseq.labels.store.statistics import track_statistics

if TYPE_CHECKING:
    from ptsel_fairseq.labels.label import Track


class StoreWriter:
    """Adds labels to the folder of one split.

    Args:
        store: folder of the store.
        manifest: of the split.
        labels: those that the split shall have; those it has already, of the recordings as they are, are left alone.
        grid: of the tracks.
        command_line: for the header.
        dtype: of the values on disk, one of `DTYPES`; where all labels are codes, one of `CODE_DTYPES`.
        skipped: for the header, which lines of which manifest this one lacks; None if it is as it was given.
        devices: for the header, label -> what computes it, where that is not this package on the CPU.

    Attributes:
        missing: the labels that are to be finished: computed, or taken over and completed.

    Raises:
        PtselError: another extraction writes there, or the store is of another grid, of other definitions or types of
            values, or of another manifest and from version 0.1, which kept too little to take anything over.
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
        dtypes = CODE_DTYPES if all(label.codes is not None for label in labels) and labels else DTYPES
        if dtype not in dtypes:
            raise PtselError(f"--dtype: expected {' or '.join(dtypes)}, found {dtype!r}")
        self._dtype = np.dtype(dtype)
        self.manifest = manifest
        self.grid = grid
        self.folder = Path(store) / manifest.split
        self._command_line, self._skipped, self._devices = command_line, skipped, devices or {}
        self._offsets = grid.offsets(manifest.samples)
        self._unflushed: dict[str, list[Done]] = {}
        self._last_flush = time.monotonic()
        self._lock = contextlib.ExitStack()
        self._work: dict[str, LabelWork] = {}
        self._parked: list[Parked] = []
        with named_errors(self.folder):
            busy = f"{self.folder}: another extraction is writing here; wait for it to end"
            self._lock.enter_context(locked_folder(self.folder, busy))
        try:
            self._header = header_for(self.folder, manifest, labels, grid, dtype)
            if self._skipped is None and self._header["manifest_checksum"] == manifest.checksum:
                self._skipped = self._header.get("skipped")
            self._survey(labels)
        except BaseException:
            self._lock.close()
            raise
        self.arrays = TrackArrays(self.folder, [work.arrays for work in self._work.values()])

    def close(self) -> None:
        """Give the folder back; what is written stays for the next run."""
        try:
            self._flush()
        finally:
            self.arrays.close()
            self._lock.close()

    def bytes_missing(self) -> int:
        """Disk space that the missing labels will take beyond what their partial arrays have claimed."""
        missing = 0
        for work in self._work.values():
            needed = int(self._offsets[-1]) * work.arrays.shape.row_bytes
            claimed = sum(array.partial.stat().st_size for array in work.arrays if array.partial.exists())
            missing += max(0, needed - claimed)
        return missing

    def todo(self) -> list[Utterance]:
        """The utterances of which some label must be computed."""
        return [utterance for utterance in self.manifest if self.lacking(utterance.index)]

    def lacking(self, index: int) -> set[str]:
        """The labels that must be computed of one utterance."""
        recording = self._recordings[index]
        return {label.name for label in self.missing if self._work[label.name].lacks(index, recording)}

    def open(self) -> list[Utterance]:
        """Claim the disk space, take over what is there, and begin or go on; returns the utterances still to do."""
        with named_errors(self.folder):
            self._remove_leftovers()
            for work in self._work.values():
                work.open(self._recordings)
        return self.todo()

    def identity(self, index: int) -> Identity | None:
        """Of an utterance's file as it is now, if the store has had it before."""
        recording = self._recordings[index]
        return None if recording is None else recording.identity

    def first_row(self, index: int) -> int:
        """The row of `arrays` in which an utterance's tracks begin."""
        return int(self._offsets[index])

    def write(
        self,
        index: int,
        tracks: Mapping[str, Track],
        identity: Identity | None = None,
        in_place: Mapping[str, tuple[int, int]] | None = None,
    ) -> None:
        """Put one utterance's tracks into their place.

        Args:
            identity: of the file when it was read; None for as it is now.
            in_place: labels whose tracks are in `arrays` already, with the CRC-32 of their rows.
        """
        utterance, crcs = self.manifest.utterances[index], dict(in_place or {})
        with named_errors(self.folder):
            self.arrays.write(self.first_row(index), tracks, self.manifest.where(utterance), crcs)
        identity = identity or Identity.of(self.manifest.audio_path(utterance))
        recording, before = Recording(utterance.path, utterance.samples, identity), self._recordings[index]
        if before is not None and content(before) != content(recording):
            raise PtselError(
                f"{self.manifest.where(utterance)}: the file was replaced while it was analysed; run the command again"
            )
        self._recordings[index] = recording
        for name, crc in crcs.items():
            self._unflushed.setdefault(name, []).append(Done(index, self.first_row(index), recording, crc))
        if time.monotonic() - self._last_flush > SECONDS_BETWEEN_FLUSHES:
            self._flush()

    def finish(self) -> None:
        """Compute statistics and checksums, give the arrays their names and write the header."""
        self._flush()
        with named_errors(self.folder):
            entries = {name: self._entry(work) for name, work in self._work.items()}
            if self._stale:
                for parked in self._parked:
                    parked.write_journal()
                self._write_header(
                    {}, None
                )  # from here on the arrays of the old manifest are not the store's
            for parked in self._parked:
                parked.move()
            for work in self._work.values():
                for array in work.arrays:
                    array.finish()
            self._save_lengths()
            recordings = [recording for recording in self._recordings if recording is not None]
            kept = {} if self._stale else self._header["labels"]
            self._write_header(kept | entries, write_recordings(self.folder, recordings))
            for work in self._work.values():
                work.journal.remove()
        for parked in self._parked:
            print(
                f"{self.folder}: {parked.name} lacks recordings of {self.manifest.file} and is kept unfinished; "
                + ("make it again with `ptsel codes`" if parked.is_code else "extract it again")
                + " to complete it"
            )
        self.missing.clear()
        self._work.clear()
        self._parked.clear()

    def _survey(self, labels: Sequence[Label]) -> None:
        """Find which recordings are as they were, which labels are to be finished, and what becomes of the others."""
        entries, checksum = self._header["labels"], self._header.get("recordings")
        plans = {label.name: self._plan(label) for label in labels}
        known = read_recordings(self.folder, checksum) if entries else None
        if entries and known is None and set(plans) - set(entries):
            print(
                f"{self.folder}: version 0.1 made this store and did not keep which recordings its rows are of; they "
                "are taken to be those that are there now"
            )
        wanted = [
            LabelWork(self.folder, plan, self.manifest.checksum, self._offsets) for plan in plans.values()
        ]
        heard = [recording for work in wanted for recording in work.known()]
        self._recordings = recognised(self.manifest, [*heard, *(known or [])])
        self._stale = known is not None and (
            len(known) != len(self.manifest)
            or self._header["manifest_checksum"] != self.manifest.checksum
            or any(now is None or content(now) != content(old)
                   for now, old in zip(self._recordings, known, strict=True))
        )  # fmt: skip
        self.missing = [label for label in labels if self._stale or label.name not in entries]
        for label in self.missing:
            self._add_work(label.name, plans[label.name], known)
        if not self._stale or known is None:
            return
        there = {content(recording) for recording in known}
        covered = all(now is not None and content(now) in there for now in self._recordings)
        for name in sorted(set(entries) - set(plans)):
            plan = plan_of_entry(entries[name], self._header["grid"])
            if covered:
                self._add_work(name, plan, known)
            else:
                rows = finished_rows(self.folder, plan, entries[name]["checksums"], known, self.grid)
                layout = self._header["manifest_checksum"]
                self._parked.append(Parked(self.folder, plan, layout, rows, known, self.grid))

    def _add_work(self, name: str, plan: Plan, known: Sequence[Recording] | None) -> None:
        entry, source = self._header["labels"].get(name), None
        if entry is not None and known is not None:
            before = plan_of_entry(entry, self._header["grid"])
            if before == plan:
                source = finished_rows(self.folder, plan, entry["checksums"], known, self.grid)
            else:
                print(
                    f"{self.folder}: {name} is computed anew, its {differences(plan, before)} being another now"
                )
        work = LabelWork(self.folder, plan, self.manifest.checksum, self._offsets, entry is not None, source)
        work.survey(self._recordings)
        self._work[name] = work

    def _plan(self, label: Label) -> Plan:
        return plan_of_label(label, self.grid, self._dtype, self._devices.get(label.name, CPU))

    def _entry(self, work: LabelWork) -> dict[str, Any]:
        """A label's entry of the header, of its complete arrays."""
        values, valid = work.arrays.values, work.arrays.valid
        statistics = track_statistics(values, valid, work.plan["info"].get("codes"))
        checksums = {array.final.name: file_checksum(array.partial) for array in work.arrays}
        own = any(label.name == work.name for label in self.missing)
        command = self._command_line if own else self._header["labels"][work.name]["command"]
        return finished_entry(work.plan, statistics, checksums, command)

    def _remove_leftovers(self) -> None:
        """Remove what no run can go on from: what version 0.1 has left, and journals of labels that are finished."""
        (self.folder / "journal.partial").unlink(missing_ok=True)
        for array in self.folder.glob("*.npy.partial"):
            name = array.name.removesuffix(".npy.partial").removesuffix(".valid")
            journals = [self.folder / f"{name}{slot}.journal.partial" for slot in ("", EARLIER)]
            if name not in self._work and not any(journal.exists() for journal in journals):
                array.unlink()
        for name in self._header["labels"]:
            if name not in self._work and not (self.folder / f"{name}.npy.partial").exists():
                (self.folder / f"{name}.journal.partial").unlink(missing_ok=True)

    def _flush(self) -> None:
        with named_errors(self.folder):
            for name, done in self._unflushed.items():
                self._work[name].note(done)
        self._unflushed.clear()
        self._last_flush = time.monotonic()

    def _write_header(self, labels: Mapping[str, Any], recordings: str | None) -> None:
        write_header(self.folder, self.manifest, self.grid, labels, recordings, self._skipped)

    def _save_lengths(self) -> None:
        with WholeFile(self.folder / LENGTHS) as file:
            np.save(file, self.manifest.samples.astype(np.int64))


def unfinished(folder: Path) -> list[str]:
    """The labels of a split's folder that an interrupted extraction has begun, sorted."""
    with contextlib.suppress(OSError):
        return sorted({file.name.split(".")[0] for file in folder.glob("*.journal.partial")})
    return []
