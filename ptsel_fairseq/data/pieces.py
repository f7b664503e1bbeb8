"""``conversion.csv``: from which recording, and from which second of it, each converted file comes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import write_text

PIECES = "conversion.csv"
COLUMNS = ("path", "source", "start", "seconds")


@dataclass(frozen=True)
class Piece:
    """A converted file: its path in the manifest, the recording it comes from, and where in it, in seconds."""

    path: str
    source: str
    start: float
    seconds: float


def write_pieces(file: Path, rows: Iterable[tuple[str, str, float, float]]) -> None:
    """Write the table, a line for each converted file: path, source, start and seconds."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(
        [path, source, f"{start:.4f}", f"{seconds:.4f}"] for path, source, start, seconds in rows
    )
    write_text(file, text.getvalue().encode("utf-8", "replace").decode())


def read_pieces(data_dir: Path) -> list[Piece]:
    """The pieces of a folder that `ptsel convert` wrote; none if it did not.

    Raises:
        PtselError: a table that is not as it was written.
    """
    file = data_dir / PIECES
    if not file.is_file():
        return []
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
        return [Piece(row["path"], row["source"], float(row["start"]), float(row["seconds"])) for row in rows]
    except (KeyError, TypeError, ValueError, UnicodeDecodeError, csv.Error) as error:
        raise PtselError(f"{file}: expected the columns {', '.join(COLUMNS)} ({error})") from None
