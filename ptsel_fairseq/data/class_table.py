"""Tables of classes as people keep them: CSV or TSV, with a header of any names, quoted or not."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_lines

DELIMITERS = ("\t", ",", ";", "|")
PATH_NAMES = ("path", "file", "filename", "file_name", "file_path", "filepath", "audio", "wav", "source")
CLASS_NAMES = ("class", "label", "target", "category")


@dataclass(frozen=True)
class Line:
    """What one line of a table says; times in seconds, or None."""

    path: str
    name: str
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True)
class Table:
    """A table's lines with their numbers as an editor counts them; those without a class are left out."""

    file: Path
    rows: list[tuple[int, Line]]


def read_table(
    file: Path,
    path_column: str | None = None,
    class_column: str | None = None,
    start_column: str | None = None,
    end_column: str | None = None,
) -> Table:
    """Read a table; the delimiter is that of tab, comma, semicolon and bar which the header has most often.

    Raises:
        PtselError: a file that is no such table, columns that it does not have or that are not clear, or times that are
            none.
    """
    expected = "a table of comma, semicolon or tab separated columns with a header"
    text = "\n".join(read_lines(file, expected))
    if not text.strip():
        raise PtselError(f"{file}: expected {expected}, found nothing")
    header_line = text.split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=header_line.count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(reader)]
        numbered = [(reader.line_num, fields) for fields in reader if any(field.strip() for field in fields)]
    except csv.Error as error:
        raise PtselError(f"{file}, line {reader.line_num}: not a table ({error})") from None
    path = _column(file, header, path_column, PATH_NAMES, "--path-column")
    name = _class_column(file, header, class_column, path)
    if (start_column is None) != (end_column is None):
        raise PtselError("--start-column, --end-column: expected both or none")
    times = [
        _column(file, header, column, (), "--start-column") for column in (start_column, end_column) if column
    ]
    rows = []
    for number, fields in numbered:
        if len(fields) != len(header):
            raise PtselError(
                f"{file}, line {number}: expected {len(header)} fields ({', '.join(header)}), found {len(fields)}"
            )
        if fields[name].strip():
            spoken = [_seconds(file, number, fields[column]) for column in times]
            if spoken and not 0 <= spoken[0] < spoken[1]:
                raise PtselError(
                    f"{file}, line {number}: expected 0 <= start < end, found {spoken[0]:g} and {spoken[1]:g}"
                )
            rows.append((number, Line(fields[path].strip(), fields[name].strip(), *spoken)))
    if not rows:
        raise PtselError(f"{file}: no line has a class in the column {header[name]!r}")
    return Table(file, rows)


def _column(file: Path, header: Sequence[str], wanted: str | None, usual: Sequence[str], option: str) -> int:
    if wanted is not None:
        if wanted not in header:
            raise PtselError(f"{file}: no column {wanted!r}; expected one of {', '.join(header)}")
        return header.index(wanted)
    found = [i for i, name in enumerate(header) if name.lower() in usual]
    if len(found) != 1:
        raise PtselError(
            f"{file}: expected one column of {', '.join(usual)}, found the columns {', '.join(header)}; name it with "
            f"{option}"
        )
    return found[0]


def _class_column(file: Path, header: Sequence[str], wanted: str | None, path: int) -> int:
    others = [i for i in range(len(header)) if i != path]
    if wanted is None and len(others) == 1:
        return others[0]
    return _column(file, header, wanted, CLASS_NAMES, "--class-column")


def _seconds(file: Path, number: int, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise PtselError(f"{file}, line {number}: expected seconds such as 1.25, found {text!r}")
    return seconds
