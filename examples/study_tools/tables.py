"""Tidy tables that grow row by row: a row that is there is not computed again."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


class Table:
    """A CSV file with a header, and the keys of its rows.

    Args:
        file: made if absent.
        columns: of the file.
        key: those that tell its rows apart.
    """

    def __init__(self, file: Path, columns: Iterable[str], key: Iterable[str]) -> None:
        self.file, self.columns, self.key = file, tuple(columns), tuple(key)
        self.keys: set[tuple[str, ...]] = set()
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.is_file():
            self._cut_unfinished_line()
            self.keys = {self._key(row) for row in read(file)}
        else:
            file.write_text(",".join(self.columns) + "\n")

    def __contains__(self, row: Mapping[str, Any]) -> bool:
        return self._key(row) in self.keys

    def add(self, row: Mapping[str, Any]) -> None:
        """Append a row at once, unless its key is there."""
        if row in self:
            return
        with self.file.open("a", newline="") as out:
            csv.writer(out, lineterminator="\n").writerow([_text(row[column]) for column in self.columns])
        self.keys.add(self._key(row))

    def _key(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(_text(row[column]) for column in self.key)

    def _cut_unfinished_line(self) -> None:
        """Remove what an interruption left of a row."""
        content = self.file.read_bytes()
        if not content.endswith(b"\n"):
            self.file.write_bytes(content[: content.rfind(b"\n") + 1])


def read(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
