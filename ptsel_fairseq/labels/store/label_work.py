"""One label of a split while it is being extracted: its rows, which of them are done, and where others come from.

The rows are laid out for one manifest. If an extraction begins for another one, or a recording was replaced, finished
arrays and those of an interrupted extraction that were laid out otherwise are read, and what is still right is copied.
An interrupted extraction's arrays wait under ``NAME.earlier`` until they have been copied.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ptsel_fairseq.base.array_file import load_array
from ptsel_fairseq.base.files import file_checksum
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels.store.journal import Done, Journal
from ptsel_fairseq.labels.store.partial_arrays import LabelArrays, Shape, checksum_of_rows
from ptsel_fairseq.labels.store.plan import Plan, shape_of
from ptsel_fairseq.labels.store.recordings import Recording

EARLIER = ".earlier"
Content = tuple[int, str]  # samples and SHA-256 of a recording


def content(recording: Recording) -> Content:
    return recording.samples, recording.identity.sha256


class Rows:
    """Rows of a label that were laid out for another manifest, found by the content of the recording.

    Args:
        files: of the values, and of the mask if the label has one.
        places: the first row of each recording, and the CRC-32 of its rows where it is known.
        trusted: says whether the files are what was written; asked once, before the first row is read.
    """

    def __init__(
        self,
        shape: Shape,
        files: Sequence[Path],
        places: dict[Content, tuple[int, tuple[int, int] | None]],
        trusted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._shape, self._files, self.places, self._trusted = shape, files, places, trusted
        self._arrays: list[np.ndarray] | None = None

    def read(self, recording: Recording, frames: int) -> tuple[np.ndarray, np.ndarray | None] | None:
        """Values and mask of a recording as they are on disk; None if they are not there or not what was written."""
        if self._arrays is None:
            self._arrays = self._opened()
        place = self.places.get(content(recording))
        if place is None or not self._arrays:
            return None
        first, crc = place
        values, *masks = (array[first : first + frames] for array in self._arrays)
        valid = masks[0] if masks else None
        if len(values) != frames or (crc is not None and checksum_of_rows(values, valid) != crc):
            return None
        return values, valid

    def _opened(self) -> list[np.ndarray]:
        """The arrays; none where they are not as they should be."""
        try:
            if not self._trusted():
                return []
            arrays = [load_array(file) for file in self._files]
        except (OSError, ValueError):
            return []
        expected = [((self._shape.dim,), self._shape.dtype), ((), np.dtype(bool))]
        fits = all(
            (array.shape[1:], array.dtype) == kind for array, kind in zip(arrays, expected, strict=False)
        )
        return arrays if fits else []


def finished_rows(
    folder: Path, plan: Plan, checksums: dict[str, str], recordings: Sequence[Recording], grid: FrameGrid
) -> Rows:
    """The rows of a finished label, which are right if the arrays have their checksums."""
    shape = shape_of(plan)
    places: dict[Content, tuple[int, tuple[int, int] | None]] = {}
    row = 0
    for recording in recordings:
        places[content(recording)] = (row, None)
        row += grid.num_frames(recording.samples)
    files = [folder / f"{shape.name}.npy", *([folder / f"{shape.name}.valid.npy"] if shape.masked else [])]

    def trusted() -> bool:
        right = all(file_checksum(file) == checksums.get(file.name) for file in files)
        if not right:
            print(f"{folder}: {shape.name} is damaged (its SHA-256 is not the header's); it is computed anew")
        return right

    return Rows(shape, files, places, trusted)


class LabelWork:
    """A label's arrays and journal for one layout.

    Args:
        plan: what decides its values.
        layout: checksum of the manifest that the rows are laid out for.
        offsets: first row of each utterance and, last, the number of rows.
        finished: whether arrays of its name belong to a finished label, which these are to replace.
        source: rows of this finished label that may be copied.
    """

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        layout: str,
        offsets: np.ndarray,
        finished: bool = False,
        source: Rows | None = None,
    ) -> None:
        self.folder, self.plan, self._layout, self._offsets = folder, plan, layout, offsets
        self._finished = finished
        self._source = source
        shape = shape_of(plan)
        self.name = shape.name
        self.journal = Journal(folder, self.name)
        self._earlier = Journal(folder, self.name + EARLIER)
        self.arrays = LabelArrays(folder, shape, int(offsets[-1]), adopt=not finished)
        self.done: dict[int, Done] = {}
        self.takeable: set[Content] = set()

    def known(self) -> list[Recording]:
        """The recordings of which an interrupted extraction has rows."""
        return [done.recording for journal in (self._earlier, self.journal) for done in journal.read()[1]]

    def survey(self, recordings: Sequence[Recording | None]) -> None:
        """Find which rows are there, as far as it is known without reading them, of the recordings as they are now."""
        head, records = self.journal.read()
        self.done = {}
        if head == self._head() and self.arrays.are_whole():
            for record in records:
                index = record.utterance
                now = recordings[index] if index < len(recordings) else None
                same = now is not None and content(now) == content(record.recording)
                if now is not None and same and record.row == int(self._offsets[index]):
                    self.done[index] = record._replace(recording=now)
        self.takeable = {place for rows in self._sources() for place in rows.places}

    def open(self, recordings: Sequence[Recording | None]) -> None:
        """Claim the room, look at the rows that are said to be done, and copy what can be taken over.

        Raises:
            OSError: the disk refuses.
        """
        self._set_aside()
        self.survey(recordings)
        if self.journal.exists() and not self.done:
            self.journal.remove()  # first of all: it must never speak of arrays that it was not written for
        for array in self.arrays:
            array.make()
        kept = {
            index: done for index, done in self.done.items() if self.arrays.holds(done, self._frames(index))
        }
        if len(kept) < len(self.done) or not kept:
            if len(kept) < len(self.done):
                print(f"{self.folder}: {self.name}: {len(self.done) - len(kept)} utterances of the interrupted "
                      "extraction are damaged; they are computed anew")  # fmt: skip
            self.done = kept
            self.journal.start(self._head(), kept.values())
        self._take_over(recordings)
        self.remove_earlier()

    def lacks(self, index: int, recording: Recording | None) -> bool:
        """Whether an utterance's rows must be computed."""
        return index not in self.done and (recording is None or content(recording) not in self.takeable)

    def note(self, done: Sequence[Done]) -> None:
        """Wait until the rows of utterances are on the disk, then say so in the journal."""
        for array in self.arrays:
            array.flush()
        self.journal.add(done)
        self.done.update((record.utterance, record) for record in done)

    def remove_earlier(self) -> None:
        """Remove what was set aside."""
        for file in [self._earlier.file, *(array.partial for array in self._earlier_arrays())]:
            file.unlink(missing_ok=True)

    def _head(self) -> dict[str, Any]:
        return {"plan": self.plan, "layout": self._layout, "rows": int(self._offsets[-1])}

    def _frames(self, index: int) -> int:
        return int(self._offsets[index + 1] - self._offsets[index])

    def _earlier_arrays(self) -> LabelArrays:
        return LabelArrays(self.folder, self.arrays.shape, 0, adopt=False, slot=EARLIER)

    def _sources(self) -> list[Rows]:
        """Rows that can be copied: of the finished label, and of interrupted extractions with another layout."""
        found = [] if self._source is None else [self._source]
        for journal, arrays in ((self._earlier, self._earlier_arrays()), (self.journal, self.arrays)):
            head, records = journal.read()
            if head.get("plan") != self.plan or head == self._head():
                continue
            files = [array.partial if array.partial.exists() else array.final for array in arrays]
            found.append(
                Rows(self.arrays.shape, files, {content(r.recording): (r.row, r.crc) for r in records})
            )
        return found

    def _set_aside(self) -> None:
        """Give way to the new layout: an interrupted extraction's arrays with another one become ``NAME.earlier``."""
        head, records = self.journal.read()
        if self.journal.exists() and head.get("plan") == self.plan and head != self._head():
            if len(self._earlier.read()[1]) > len(records):
                return  # of two such extractions the one with more is kept
            self.remove_earlier()
            os.replace(self.journal.file, self._earlier.file)
        if self._earlier.exists() and not self.journal.exists():  # also after a kill in the middle
            for array, earlier in zip(self.arrays, self._earlier_arrays(), strict=True):
                present = array.partial if array.partial.exists() or self._finished else array.final
                if not earlier.partial.exists() and present.exists():
                    os.replace(present, earlier.partial)

    def _take_over(self, recordings: Sequence[Recording | None]) -> None:
        sources = self._sources()
        copied: list[Done] = []
        for index, recording in enumerate(recordings):
            if index in self.done or recording is None:
                continue
            first, frames = int(self._offsets[index]), self._frames(index)
            for rows in sources:
                found = rows.read(recording, frames)
                if found is not None:
                    copied.append(Done(index, first, recording, self.arrays.write_rows(first, *found)))
                    break
        if copied:
            self.note(copied)
        self.takeable = set()
