"""What becomes of finished labels that an extraction for another manifest does not name.

A label of which every recording is there is laid out anew by copying. Of one that lacks some, the finished rows become
those of an interrupted extraction, which goes on when the label is asked for again: nothing is computed that was not
asked for, and nothing that was computed is lost.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels.store.journal import Done, Journal
from ptsel_fairseq.labels.store.label_work import EARLIER, Rows
from ptsel_fairseq.labels.store.partial_arrays import LabelArrays, checksum_of_rows
from ptsel_fairseq.labels.store.plan import Plan, shape_of
from ptsel_fairseq.labels.store.recordings import Recording


class Parked:
    """A finished label that is about to become an unfinished one.

    Args:
        layout: checksum of the manifest for which its rows are laid out.
        rows: its rows; recordings: of which, in order.
    """

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        layout: str,
        rows: Rows,
        recordings: Sequence[Recording],
        grid: FrameGrid,
    ) -> None:
        self._plan, self._layout, self._rows, self._recordings = plan, layout, rows, recordings
        self.name = shape_of(plan).name
        self.is_code = plan["info"].get("codes") is not None
        self._offsets = np.cumsum([0, *(grid.num_frames(recording.samples) for recording in recordings)])
        # An interrupted extraction of it for the new manifest may be there already.
        taken = LabelArrays(folder, shape_of(plan), 0, adopt=False).values.partial.exists()
        self._journal = Journal(folder, self.name + EARLIER * taken)
        self._arrays = LabelArrays(folder, shape_of(plan), 0, adopt=False, slot=EARLIER * taken)
        self._final = LabelArrays(folder, shape_of(plan), 0, adopt=False)

    def write_journal(self) -> None:
        """Say which rows there are; to be done while the header still names the label."""
        done = []
        for index, recording in enumerate(self._recordings):
            first, last = int(self._offsets[index]), int(self._offsets[index + 1])
            found = self._rows.read(recording, last - first)
            if found is not None:
                done.append(Done(index, first, recording, checksum_of_rows(*found)))
        head = {"plan": self._plan, "layout": self._layout, "rows": int(self._offsets[-1])}
        self._journal.start(head, done)

    def move(self) -> None:
        """Give its arrays the names of unfinished ones; to be done when the header names it no more."""
        for final, partial in zip(self._final, self._arrays, strict=True):
            if final.final.exists():
                os.replace(final.final, partial.partial)
