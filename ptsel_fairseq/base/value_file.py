"""Read value files: a number of utterances or of segments, such as valence, a mean opinion score or an age.

A value file is UTF-8 text with tabs, in the form of a class file: its header line is ``path<TAB>value``, or
``path<TAB>start<TAB>end<TAB>value`` with times in seconds. Numbers are written with a point, such as ``3.25`` or
``-1e-3``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ptsel_fairseq.base.class_file import CLASS_FORM, ClassFile, ClassRow, Form, read_of_manifest, read_rows
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import Manifest, read_lines

VALUES_EXAMPLE = "clips/en_0001.flac<TAB>3.25"
SEGMENT_VALUES_EXAMPLE = "clips/en_0001.flac<TAB>0.310<TAB>0.420<TAB>-0.7"
VALUE_FORM = Form(
    "value",
    f"the header 'path<TAB>value' or 'path<TAB>start<TAB>end<TAB>value', then lines such as {VALUES_EXAMPLE!r} or "
    f"{SEGMENT_VALUES_EXAMPLE!r}",
    SEGMENT_VALUES_EXAMPLE,
)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class ValueFile(ClassFile):
    """The values of one manifest's utterances; the `name` of a segment is its value as the file has it."""

    @property
    def what(self) -> str:
        return VALUE_FORM.column

    def in_order_values(self) -> list[float]:
        """The values of the segments of `in_order`."""
        return [float(segment.name) for segment in self.in_order()]


def number_of(text: str) -> float | None:
    """A finite decimal number, or None where the text is none."""
    number = float(text) if NUMBER.fullmatch(text) else math.nan
    return number if math.isfinite(number) else None


def read_value_rows(file: Path | str) -> Iterator[ClassRow]:
    """Go through the lines of a value file below its header, in order; `ClassRow.name` is the number as text.

    Raises:
        PtselError: a file that cannot be read, the header of a class file or another one, no lines, a line without its
            fields, a value that is no finite number, or an item that stands twice.
    """
    file = Path(file)
    first = read_lines(file, VALUE_FORM.expected)[:1]
    if first and tuple(first[0].split("\t")) in CLASS_FORM.headers:
        raise PtselError(
            f"{file}, line 1: expected {VALUE_FORM.expected}, found {first[0]!r}, the header of a class file; give "
            "that as --classes"
        )
    lines: dict[tuple[str, tuple[float, float]], int] = {}
    for row in read_rows(file, form=VALUE_FORM):
        if number_of(row.name) is None:
            raise PtselError(
                f"{file}, line {row.number}: expected a finite number such as 3.25 as the value, found {row.name!r}; "
                "take lines without a value out"
            )
        item = (row.path, row.seconds())
        if (earlier := lines.setdefault(item, row.number)) != row.number:
            raise PtselError(
                f"{file}, line {row.number}: the same utterance or segment as line {earlier} ({row.line!r}); expected "
                "one value for each"
            )
        yield row


def read_values(file: Path | str, manifest: Manifest, sample_rate: int) -> ValueFile:
    """Read the values of `manifest`'s utterances; lines about others and utterances without one are counted.

    Raises:
        NoClassesError: no line is about this manifest.
        PtselError: as `read_value_rows`, or a segment outside its utterance.
    """
    found = read_of_manifest(Path(file), read_value_rows(file), manifest, sample_rate, VALUE_FORM)
    return ValueFile(found.file, found.checksum, found.segments, found.other_paths, found.unlabelled)
