"""Write packed copies of labels, in blocks of frames; a run that was interrupted goes on where it was."""

from __future__ import annotations

import json
import shutil
import time
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from ptsel_fairseq.base.errors import BusyError, PtselError
from ptsel_fairseq.base.files import locked_folder, readable_size, write_text
from ptsel_fairseq.base.json_file import read_json
from ptsel_fairseq.base.kept import SECONDS_BETWEEN_FLUSHES
from ptsel_fairseq.base.partial_array import PartialArray
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.base.version import __version__
from ptsel_fairseq.labels.store.pack import (
    BYTES_AT_ONCE,
    CHECKSUM,
    FOLDER,
    Pack,
    find_pack,
    frame_bytes,
    identity,
    key_of,
)
from ptsel_fairseq.labels.store.partial_arrays import named_errors
from ptsel_fairseq.labels.store.reader import LabelStore

SECONDS_BETWEEN_LOOKS = 1.0


def pack_labels(store: LabelStore, labels: Sequence[str], *, command_line: str = "") -> Pack:
    """Make sure that a packed copy of these labels is there; says first what it takes.

    A copy of more labels will do. One of another state of the store is replaced.

    Raises:
        PtselError: a label that the store lacks or whose array is damaged, no room, or (BusyError) another process
            that writes into the split.
    """
    found = find_pack(store, labels)
    if found is not None:
        return found
    labels = sorted(set(labels))
    busy = f"{store.split_folder}: another process is writing here; wait for it to end"
    with named_errors(store.split_folder), locked_folder(store.split_folder, busy):
        found = find_pack(store, labels)  # made while this process waited for its turn
        if found is not None:
            return found
        work = _Packing(LabelStore(store.folder, store.split), labels, command_line)
        if work.of != identity(store, labels):
            raise PtselError(
                f"{store.split_folder}: the store changed after it was opened; run the command again"
            )
        work.announce()
        return work.run()


def pack_or_wait(store: LabelStore, labels: Sequence[str], *, command_line: str = "") -> Pack:
    """As `pack_labels`, of several processes that want it one writes it and the others wait."""
    while True:
        try:
            return pack_labels(store, labels, command_line=command_line)
        except BusyError:
            time.sleep(SECONDS_BETWEEN_LOOKS)


class _Packing:
    """A packed copy that is being written; its folder is locked."""

    def __init__(self, store: LabelStore, labels: Sequence[str], command_line: str) -> None:
        self.store, self.labels, self._command_line = store, labels, command_line
        self.folder = store.split_folder / FOLDER
        self.of = identity(store, labels)
        self._frame_bytes, self._dtype = frame_bytes(self.of), np.dtype(self.of["dtype"])
        self.size = store.total_frames * self._frame_bytes
        key = key_of(labels)
        self._description = self.folder / f"{key}.json"
        self._journal = self.folder / f"{key}.journal.partial"
        self._array = PartialArray(self.folder, key, (self.size,), np.dtype(np.uint8))

    def announce(self) -> None:
        """Say how much room it takes; raise PtselError where there is less."""
        claimed = self._array.partial.stat().st_size if self._array.partial.exists() else 0
        free = shutil.disk_usage(self.store.split_folder).free
        print(
            f"{self.store.split}: packing {', '.join(self.labels)}, {readable_size(self.size)} of "
            f"{readable_size(free)} free"
        )
        if self.size - claimed > free:
            raise PtselError(
                f"{self.folder}: the packed copy needs {readable_size(self.size)}, {readable_size(free)} are free; "
                "make room, or go on without it"
            )

    def run(self) -> Pack:
        """Write what is missing and give it its names."""
        self.folder.mkdir(exist_ok=True)
        line, crc = self._done()
        self._array.make()
        if not line:
            self._note(0, 0)
        flushed, lines = time.monotonic(), self.store.num_utterances
        with progress_bar(
            total=lines, initial=line, desc=f"packing {self.store.split}", unit="file"
        ) as progress:
            while line < lines:
                last = self._end_of_piece(line)
                packed = self._packed(line, last)
                self._array.write(self._place(line), packed)
                crc = zlib.crc32(packed.data, crc)
                progress.update(last - line)
                line = last
                if time.monotonic() - flushed > SECONDS_BETWEEN_FLUSHES:
                    self._array.flush()
                    self._note(line, crc)
                    flushed = time.monotonic()
        self._array.flush()
        self._array.finish()
        made = {CHECKSUM: crc, "ptsel_fairseq": __version__, "command": self._command_line}
        write_text(self._description, json.dumps({**self.of, **made}, indent=1))
        self._journal.unlink(missing_ok=True)
        return Pack(self.folder, self.of)

    def _place(self, line: int) -> int:
        """The byte at which an utterance begins; of the one after the last, the size of all."""
        at_end = line == self.store.num_utterances
        return (self.store.total_frames if at_end else self.store.first_frame(line)) * self._frame_bytes

    def _end_of_piece(self, line: int) -> int:
        """Up to which utterance is packed at once: one at least, and about `BYTES_AT_ONCE`."""
        last, end = line + 1, self._place(line) + BYTES_AT_ONCE
        while last < self.store.num_utterances and self._place(last + 1) <= end:
            last += 1
        return last

    def _packed(self, line: int, last: int) -> np.ndarray:
        """The bytes of some utterances."""
        begin = self.store.first_frame(line)
        frames = [self.store.num_frames(index) for index in range(line, last)]
        end, column = begin + sum(frames), 0
        values = np.empty((end - begin, sum(label["dim"] for label in self.of["labels"])), self._dtype)
        masks = np.empty((end - begin, len(self.labels)), bool)
        for place, label in enumerate(self.of["labels"]):
            name, columns = label["name"], slice(column, column + label["dim"])
            values[:, columns] = self.store.frames(name, begin, end)
            masks[:, place] = self.store.valid_frames(name, begin, end)
            column = columns.stop
        parts, row = [], 0
        for count in frames:
            parts += [values[row : row + count].tobytes(), masks[row : row + count].tobytes()]
            row += count
        return np.frombuffer(b"".join(parts), np.uint8)

    def _note(self, lines: int, crc: int) -> None:
        """Say how many utterances are on the disk."""
        write_text(self._journal, json.dumps({**self.of, "lines": lines, CHECKSUM: crc}))

    def _done(self) -> tuple[int, int]:
        """How many utterances an interrupted run has left that are right, and their CRC-32; none if they are not."""
        try:
            found: dict[str, Any] = read_json(self._journal)
            lines, crc = int(found["lines"]), int(found[CHECKSUM])
        except (OSError, ValueError, KeyError, TypeError):
            return 0, 0
        fits = isinstance(found, dict) and found | self.of == found
        if not fits or not 0 <= lines <= self.store.num_utterances or not self._array.is_whole():
            return 0, 0
        self._array.make()  # takes back the name of one that was killed after it was renamed
        right = 0
        for place in range(0, size := self._place(lines), BYTES_AT_ONCE):
            right = zlib.crc32(self._array.read(place, min(place + BYTES_AT_ONCE, size)).data, right)
        return (lines, crc) if right == crc else (0, 0)
