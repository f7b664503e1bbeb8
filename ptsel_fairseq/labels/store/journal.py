"""Which utterances of an unfinished label are safely on disk: a text file that a kill or a full disk cannot falsify."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from ptsel_fairseq.base.files import write_text
from ptsel_fairseq.labels.store.recordings import Recording

END_OF_RECORD = "."


class Done(NamedTuple):
    """An utterance whose rows of one label are on disk.

    Attributes:
        utterance: index in the manifest that the rows are laid out for.
        row: the first of its rows.
        recording: that they are of.
        crc: CRC-32 of the rows' values and of their mask (0 for a label without one), as bytes on disk.
    """

    utterance: int
    row: int
    recording: Recording
    crc: tuple[int, int]


class Journal:
    """``NAME.journal.partial``: line one says what is being extracted, each further line that an utterance is done.

    A line is written after the rows of which it speaks are on the disk.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.file = folder / f"{name}.journal.partial"

    def exists(self) -> bool:
        return os.path.lexists(self.file)

    def read(self) -> tuple[dict[str, Any], list[Done]]:
        """What is being extracted and what is done; nothing where there is no journal, or none that can be read."""
        try:
            text = self.file.read_text(encoding="utf-8", errors="replace")
            plan, *lines = text.split("\n")
            found = json.loads(plan)
        except (OSError, ValueError):
            return {}, []
        if not isinstance(found, dict):
            return {}, []
        return found, [done for done in map(_parsed, lines) if done is not None]

    def start(self, plan: dict[str, Any], done: Iterable[Done] = ()) -> None:
        """Begin a journal, in place of another one."""
        write_text(self.file, json.dumps(plan, sort_keys=True) + "\n" + "".join(map(_line, done)))

    def add(self, done: Iterable[Done]) -> None:
        with open(self.file, "a", encoding="utf-8", opener=_never_a_link) as journal:
            # A line that a full disk tore has no mark, and the line break keeps the next one apart.
            journal.write("".join(map(_line, done)))
            journal.flush()
            os.fsync(journal.fileno())

    def remove(self) -> None:
        self.file.unlink(missing_ok=True)


def _line(done: Done) -> str:
    fields = [
        str(done.utterance),
        str(done.row),
        *done.recording.fields(),
        *map(str, done.crc),
        END_OF_RECORD,
    ]
    return "\n" + "\t".join(fields) + "\n"


def _parsed(line: str) -> Done | None:
    fields = line.split("\t")
    if len(fields) != 10 or fields[-1] != END_OF_RECORD:
        return None
    try:
        utterance, row, crc = int(fields[0]), int(fields[1]), (int(fields[7]), int(fields[8]))
        recording = Recording.of_fields(fields[2:7])
        return Done(utterance, row, recording, crc) if utterance >= 0 and row >= 0 else None
    except ValueError:
        return None


def _never_a_link(file: str, flags: int) -> int:
    return os.open(file, flags | os.O_NOFOLLOW, 0o666)
