"""Read the files of `ptsel evaluate`: a reference and a system's answers, as tables of items and values."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptsel_fairseq.base.class_file import ClassRow, read_rows
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_lines
from ptsel_fairseq.base.messages import examples
from ptsel_fairseq.base.value_file import read_value_rows

TEXT_EXAMPLE = "clips/en_0001.flac<TAB>PRESS ZERO FOR HELP"
TRN_EXAMPLE = "PRESS ZERO FOR HELP (None-17)"
TRIAL_EXAMPLE = "1 id10270/x6uYqmx31kE/00001.wav id10270/8jEAjG6SegY/00008.wav"
TRIAL_SCORE_EXAMPLE = "id10270/x6uYqmx31kE/00001.wav id10270/8jEAjG6SegY/00008.wav 0.731"
CLASS_EXAMPLE = "clips/en_0001.flac<TAB>neutral"
LABEL_EXAMPLE = "000178_3840<TAB>clarinet<TAB>0.17105"

MULTILABEL_HEADER = ("path", "class", "relevance")
TRN_LINE = re.compile(r"^(?P<text>.*?)\s*\((?P<id>[^()]+)\)$")  # sclite's, which fairseq's decoders write

Entry = tuple[str, str]  # the item's name (its fields joined by tabs) and its value


@dataclass(frozen=True)
class Table:
    """Items and their values in the order of the file."""

    file: Path
    values: dict[str, str]

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.file.read_bytes()).hexdigest()

    def in_order_of(self, reference: Table) -> Table:
        """The same values in the order of another table; raise PtselError unless both hold the same items."""
        lacking = [item for item in reference.values if item not in self.values]
        surplus = [item for item in self.values if item not in reference.values]
        for items, what, advice in (
            (lacking, "are missing", "a system must answer for every item"),
            (
                surplus,
                f"are not in {reference.file}",
                "take these lines out, or give the reference that has them",
            ),
        ):
            if items:
                raise PtselError(
                    f"{self.file}: expected the {len(reference.values)} items of {reference.file}; {len(items)} {what} "
                    f"{examples(map(shown_item, items))}; {advice}"
                )
        return Table(self.file, {item: self.values[item] for item in reference.values})

    def of_paths(self, paths: Iterable[str]) -> list[str]:
        """The value of each path; raise PtselError if one has none."""
        paths = list(paths)
        lacking = sorted({path for path in paths if path not in self.values})
        if lacking:
            raise PtselError(
                f"{self.file}: expected a class for each utterance that is tested; {len(lacking)} have none "
                f"{examples(map(shown_item, lacking))}"
            )
        return [self.values[path] for path in paths]


class _Filling:
    """A table line by line, each item once.

    Args:
        repeats: whether an item may occur again with the same value, which counts once.
    """

    def __init__(self, file: Path, repeats: bool = False) -> None:
        self.file, self.repeats = file, repeats
        self.lines: dict[str, int] = {}
        self.values: dict[str, str] = {}

    def add(self, number: int, item: str, value: str) -> None:
        """The entry of line `number`; raise PtselError if the item is there already."""
        if self.repeats and self.values.get(item) == value:
            return
        if item in self.values:
            raise PtselError(
                f"{self.file}, line {number}: {shown_item(item)} is on line {self.lines[item]} already; expected each "
                "once"
            )
        self.lines[item], self.values[item] = number, value

    def whole(self) -> Table:
        return Table(self.file, self.values)


def read_table(
    file: Path | str,
    expected: str,
    parse: Callable[[str], Entry | None],
    skip: int = 0,
    repeats: bool = False,
) -> Table:
    """Read a table line by line, letters joined with their marks (NFC), which is said where they were not.

    Args:
        file: UTF-8 text.
        expected: what messages say a line should be.
        parse: the entry of a line, or None if it is not as expected.
        skip: lines of a header.
        repeats: whether an item may occur again with the same value, which counts once.

    Raises:
        PtselError: a line that cannot be parsed, an item that occurs twice, or no lines.
    """
    table = _Filling(Path(file), repeats)
    decomposed = 0
    for number, line in enumerate(read_lines(Path(file), expected)[skip:], start=1 + skip):
        composed = unicodedata.normalize("NFC", line)
        decomposed += composed != line
        entry = parse(composed)
        if entry is None:
            raise PtselError(f"{file}, line {number}: expected {expected}, found {line!r}")
        table.add(number, *entry)
    if decomposed:
        print(
            f"{file}: {decomposed} lines hold letters apart from their marks (NFD); they are compared joined (NFC)"
        )
    if not table.values:
        raise PtselError(f"{file}: expected lines such as {expected}, found none")
    return table.whole()


def read_texts(file: Path | str) -> Table:
    """Transcripts: ``id<TAB>text``, or sclite's ``text (id)`` as fairseq's decoders write it; a text may be empty."""

    def parse(line: str) -> Entry | None:
        item, tab, text = line.partition("\t")
        if tab:
            return (item, text) if item and "\t" not in text else None
        match = TRN_LINE.match(line)
        return (match["id"], match["text"]) if match else None

    return read_table(file, f"{TEXT_EXAMPLE!r} or {TRN_EXAMPLE!r}", parse)


def read_trials(file: Path | str) -> Table:
    """Trials as VoxCeleb lists them: 1 (same speaker) or 0, then the two utterances; a repeated one counts once."""

    def parse(line: str) -> Entry | None:
        fields = line.split()
        return ("\t".join(fields[1:]), fields[0]) if len(fields) == 3 and fields[0] in ("0", "1") else None

    return read_table(file, repr(TRIAL_EXAMPLE), parse, repeats=True)


def read_trial_scores(file: Path | str) -> Table:
    """Scores of trials: the two utterances, then a number that is higher for the same speaker."""

    def parse(line: str) -> Entry | None:
        fields = line.split()
        return ("\t".join(fields[:2]), fields[2]) if len(fields) == 3 else None

    return read_table(file, repr(TRIAL_SCORE_EXAMPLE), parse, repeats=True)


def read_class_table(file: Path | str) -> Table:
    """Classes of utterances or of segments in seconds, in the format of a class file."""
    return _table_of_rows(file, read_rows(file))


def read_value_table(file: Path | str) -> Table:
    """Values of utterances or of segments in seconds, in the format of a value file; numbers as text."""
    return _table_of_rows(file, read_value_rows(file))


def _table_of_rows(file: Path | str, rows: Iterable[ClassRow]) -> Table:
    table = _Filling(Path(file))
    for row in rows:
        times = [] if row.times is None else [f"{time:.4f}" for time in row.seconds()]
        table.add(row.number, "\t".join([row.path, *times]), row.name)  # 0.1 and 0.10 are the same time
    return table.whole()


def read_labels(file: Path | str) -> Table:
    """Relevance or score of (item, class) pairs, 0 to 1; a pair without a line is unlabelled."""
    lines = read_lines(Path(file), f"a header and lines such as {LABEL_EXAMPLE!r}")
    if not lines or tuple(lines[0].split("\t")) != MULTILABEL_HEADER:
        raise PtselError(
            f"{file}, line 1: expected the header {'<TAB>'.join(MULTILABEL_HEADER)!r}, found "
            f"{lines[0] if lines else 'an empty file'!r}"
        )

    def parse(line: str) -> Entry | None:
        fields = line.split("\t")
        return ("\t".join(fields[:2]), fields[2]) if len(fields) == 3 and all(fields) else None

    return read_table(file, repr(LABEL_EXAMPLE), parse, skip=1)


def values_as(
    given: Mapping[str, Any], convert: Callable[[Any], Any], expected: str, where: object
) -> list[Any]:
    """Each value by `convert`; raise PtselError naming the first that it gives None for."""
    found = []
    for item, value in given.items():
        converted = convert(value)
        if converted is None:
            raise PtselError(f"{where}: expected {expected}, found {value!r} for {shown_item(item)}")
        found.append(converted)
    return found


def shown_item(item: str) -> str:
    return " ".join(item.split("\t"))
