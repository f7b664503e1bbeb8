"""Which utterances of an unfinished split are safely on disk: a text file that a kill or a full disk cannot falsify."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ptsel_fairseq.base.files import write_text

JOURNAL = "journal.partial"
END_OF_RECORD = "."


class Journal:
    """Line one says what is being extracted (the plan), each further line which utterances are done.

    It is written after what it speaks of is on the disk, and believed by an extraction with the same plan only.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / JOURNAL

    def read(self, plan: str) -> set[int]:
        """The utterances that are done; none if the plan was another one."""
        try:
            text = self._file.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return set()
        found, *records = text.split("\n")
        done: set[int] = set()
        if found != plan:
            return done
        for record in records:
            *indices, mark = record.split() or [""]
            if mark == END_OF_RECORD and all(word.isdecimal() for word in indices):
                done.update(map(int, indices))
        return done

    def start(self, plan: str) -> None:
        write_text(self._file, plan + "\n")

    def add(self, indices: Iterable[int]) -> None:
        with open(self._file, "a", encoding="utf-8", opener=_never_a_link) as journal:
            # A record that a full disk tore has no mark, and the line break keeps the next one apart.
            journal.write("\n" + " ".join(map(str, indices)) + f" {END_OF_RECORD}\n")
            journal.flush()
            os.fsync(journal.fileno())

    def remove(self) -> None:
        self._file.unlink(missing_ok=True)


def _never_a_link(file: str, flags: int) -> int:
    return os.open(file, flags | os.O_NOFOLLOW, 0o666)
