"""Read and write class files: the downstream class of utterances or of segments.

`value_file` reads numbers in the same form.

A class file is UTF-8 text with tabs. Its header line is ``path<TAB>class`` for the classes of whole utterances, or
``path<TAB>start<TAB>end<TAB>class`` for those of segments, with times in seconds. Paths are those of the manifests;
one class file may serve several splits.
"""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import write_lines
from ptsel_fairseq.base.manifest import Manifest, read_lines

CLASSES_EXAMPLE = "clips/en_0001.flac<TAB>en_allison"
SEGMENTS_EXAMPLE = "clips/en_0001.flac<TAB>0.310<TAB>0.420<TAB>AH"

UTTERANCE_HEADER = ("path", "class")
SEGMENT_HEADER = ("path", "start", "end", "class")
EXPECTED = (
    f"the header 'path<TAB>class' or 'path<TAB>start<TAB>end<TAB>class', then lines such as "
    f"{CLASSES_EXAMPLE!r} or {SEGMENTS_EXAMPLE!r}"
)


@dataclass(frozen=True)
class Form:
    """What a file of utterances or segments holds: the name of its last column, and how its lines look."""

    column: str
    expected: str
    segments_example: str

    @property
    def headers(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The header of utterances, and that of segments."""
        return ("path", self.column), ("path", "start", "end", self.column)


CLASS_FORM = Form("class", EXPECTED, SEGMENTS_EXAMPLE)
INVISIBLE = re.compile("[\u200b\u2060\ufeff\u00ad]")  # zero-width spaces, byte order mark, soft hyphen
ROUNDING = 0.02  # seconds by which the last segment may end after its audio: aligners round times


class NoClassesError(PtselError):
    """No line of a class file is about the manifest that it was read for."""


@dataclass(frozen=True)
class Segment:
    """A stretch of an utterance with its class, in seconds.

    `end` is infinite where the class is that of the whole utterance.
    """

    utterance: int
    start: float
    end: float
    name: str


@dataclass(frozen=True)
class ClassFile:
    """The classes of one manifest's utterances.

    `other_paths` counts the lines about paths that this manifest does not hold (a class file may
    serve several splits), `unlabelled` the utterances that no line mentions.
    """

    file: Path
    checksum: str
    segments: tuple[Segment, ...]
    other_paths: int
    unlabelled: int

    @property
    def what(self) -> str:
        """What it holds, for messages."""
        return CLASS_FORM.column

    def names(self) -> list[str]:
        """The classes, sorted."""
        return sorted({segment.name for segment in self.segments})

    def in_order(self) -> list[Segment]:
        """The segments in the one order that points, features and results use: by utterance, then as in the file."""
        return sorted(self.segments, key=lambda segment: segment.utterance)


class ClassRow(NamedTuple):
    """One line of a class file as it is written; `times` are start and end, None for a whole utterance."""

    file: Path
    number: int
    line: str
    path: str
    times: tuple[str, str] | None
    name: str

    def seconds(self, length: float = math.inf) -> tuple[float, float]:
        """Start and end of a segment in an utterance of `length` seconds; 0 and infinity for a whole utterance.

        Raises:
            PtselError: times that are not numbers, or not ``0 <= start < end <= length``.
        """
        if self.times is None:
            return 0.0, math.inf
        try:
            start, end = (float(time) for time in self.times)
        except ValueError:
            start, end = math.nan, math.nan
        if not (0 <= start < end <= length + ROUNDING) or math.isinf(end):
            limit = "" if math.isinf(length) else f" <= {length:.3f} (the seconds of {self.path!r})"
            raise PtselError(
                f"{self.file}, line {self.number}: expected 0 <= start < end{limit}, found start {self.times[0]!r} "
                f"and end {self.times[1]!r}"
            )
        return start, min(end, length)


def is_class_header(line: str) -> bool:
    """Whether a first line is that of a class file, which tells it from a manifest."""
    return tuple(line.split("\t")) in (UTTERANCE_HEADER, SEGMENT_HEADER)


def read_rows(file: Path | str, segments_only: bool = False, form: Form = CLASS_FORM) -> Iterator[ClassRow]:
    """Go through the lines of a class file below its header, in order.

    Args:
        segments_only: whether classes of whole utterances are an error.
        form: of the file, where it holds something else than classes.

    Raises:
        PtselError: a file that cannot be read, another header, no lines, or a line without its fields.
    """
    file = Path(file)
    of_utterances, of_segments = form.headers
    segments_expected = f"a {form.column} file of segments such as {form.segments_example!r}"
    lines = read_lines(file, segments_expected if segments_only else form.expected)
    header = tuple(lines[0].split("\t")) if lines else ()
    found = lines[0] if lines else "an empty file"
    if segments_only and header != of_segments:
        raise PtselError(
            f"{file}, line 1: expected the header {'<TAB>'.join(of_segments)!r} of {segments_expected}, "
            f"found {found!r}"
        )
    if header not in form.headers:
        raise PtselError(f"{file}, line 1: expected {form.expected}, found {found!r}")
    if len(lines) == 1:
        raise PtselError(f"{file}: expected {form.expected}; it has the header and no lines")
    for number, line in enumerate(lines[1:], start=2):
        fields = line.split("\t")
        if len(fields) != len(header) or not fields[0] or not class_name(fields[-1]):
            raise PtselError(
                f"{file}, line {number}: expected {len(header)} fields ({', '.join(header)}) separated by tabs, "
                f"found {line!r}"
            )
        times = None if header == of_utterances else (fields[1], fields[2])
        yield ClassRow(file, number, line, fields[0], times, class_name(fields[-1]))


def class_name(text: str) -> str:
    """A class as it is compared and written: letters composed (NFC), no blanks around it, no invisible characters.

    Spreadsheets leave blanks behind names, and macOS decomposes their letters.
    """
    return unicodedata.normalize("NFC", INVISIBLE.sub("", text)).strip()


def read_classes(file: Path | str, manifest: Manifest, sample_rate: int) -> ClassFile:
    """Read the classes of `manifest`'s utterances.

    Raises:
        NoClassesError: no line is about this manifest.
        PtselError: a line cannot be read or stands twice, a segment lies outside its utterance, or an utterance has
            two classes.
    """
    return read_of_manifest(Path(file), read_rows(file), manifest, sample_rate)


def read_of_manifest(
    file: Path, rows: Iterable[ClassRow], manifest: Manifest, sample_rate: int, form: Form = CLASS_FORM
) -> ClassFile:
    """`read_classes` from the rows of a file of some form."""
    by_path = {unicodedata.normalize("NFC", utterance.path): utterance for utterance in manifest}
    by_path |= {utterance.path: utterance for utterance in manifest}
    segments: list[Segment] = []
    lines: dict[Segment, int] = {}
    other_paths, other_path, whole = 0, "", True
    for row in rows:
        utterance = by_path.get(row.path) or by_path.get(unicodedata.normalize("NFC", row.path))
        if utterance is None:
            other_paths, other_path = other_paths + 1, other_path or row.path
            continue
        whole = row.times is None
        start, end = row.seconds(utterance.samples / sample_rate)
        segment = Segment(utterance.index, start, end, row.name)
        if (earlier := lines.setdefault(segment, row.number)) != row.number:
            raise PtselError(
                f"{file}, line {row.number}: the same as line {earlier} ({row.line!r}); a point that "
                "stands twice makes chance look like a finding, so remove one of the two"
            )
        segments.append(segment)
    if not segments:
        raise NoClassesError(
            f"{file}: none of its {other_paths} lines is about an utterance of {manifest.file}; expected paths as "
            f"written there, such as {manifest.utterances[0].path!r}, found such as {other_path!r}"
        )
    labelled = {segment.utterance for segment in segments}
    if whole and len(labelled) < len(segments):
        _raise_for_second_class(file, manifest, segments, form)
    checksum = hashlib.sha256(file.read_bytes()).hexdigest()
    return ClassFile(file, checksum, tuple(segments), other_paths, len(manifest) - len(labelled))


def _raise_for_second_class(file: Path, manifest: Manifest, segments: list[Segment], form: Form) -> None:
    seen: dict[int, str] = {}
    for segment in segments:
        if segment.utterance in seen:
            path = manifest.utterances[segment.utterance].path
            raise PtselError(
                f"{file}: expected one {form.column} for each utterance, found {seen[segment.utterance]!r} and "
                f"{segment.name!r} for {path!r}; use the header {'<TAB>'.join(form.headers[1])} for segments"
            )
        seen[segment.utterance] = segment.name


def utterance_line(path: str, name: str) -> str:
    """A line of a class file of utterances; raise PtselError for a class without a name."""
    return f"{path}\t{_named(path, name)}"


def segment_line(path: str, start: float, end: float, name: str) -> str:
    """A line of a class file of segments; times in seconds. Raises PtselError likewise."""
    return f"{path}\t{start:.6g}\t{end:.6g}\t{_named(path, name)}"


def _named(path: str, name: str) -> str:
    named = class_name(" ".join(name.split()))
    if not named:
        raise PtselError(f"{path}: expected a class, found a name of blanks, {name!r}")
    return named


def write_class_file(file: Path | str, lines: Iterable[str], segments: bool) -> Path:
    """Write a header and lines such as `utterance_line` and `segment_line` make."""
    return write_lines(file, ["\t".join(SEGMENT_HEADER if segments else UTTERANCE_HEADER), *lines])
