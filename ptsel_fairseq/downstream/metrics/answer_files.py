"""Reading what `ptsel evaluate` compares: a reference and a system's answers, as tables of items and values."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import SEGMENT_HEADER, SEGMENTS_EXAMPLE, UTTERANCE_HEADER, read_lines

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

    def numbers(self, expected: str, accept: Callable[[float], bool] = math.isfinite) -> list[float]:
        """The values as numbers; raise PtselError naming the first that is none or is not accepted."""
        found = []
        for item, value in self.values.items():
            try:
                number = float(value)
            except ValueError:
                number = math.nan
            if not accept(number):
                raise PtselError(f"{self.file}: expected {expected}, found {value!r} for {shown_item(item)}")
            found.append(number)
        return found

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
                shown = "; ".join(shown_item(item) for item in items[:3])
                raise PtselError(
                    f"{self.file}: expected the {len(reference.values)} items of {reference.file}; {len(items)} {what} "
                    f"(first: {shown}); {advice}"
                )
        return Table(self.file, {item: self.values[item] for item in reference.values})

    def of_paths(self, paths: Iterable[str]) -> list[str]:
        """The value of each path; raise PtselError if one has none."""
        paths = list(paths)
        lacking = sorted({path for path in paths if path not in self.values})
        if lacking:
            raise PtselError(
                f"{self.file}: expected a class for each utterance that is tested; {len(lacking)} have none "
                f"(first: {'; '.join(shown_item(path) for path in lacking[:3])})"
            )
        return [self.values[path] for path in paths]


def read_table(
    file: Path | str,
    expected: str,
    parse: Callable[[str], Entry | None],
    skip: int = 0,
    repeats: bool = False,
) -> Table:
    """Read a table line by line.

    Args:
        file: UTF-8 text.
        expected: what messages say a line should be.
        parse: the entry of a line, or None if it is not as expected.
        skip: lines of a header.
        repeats: whether an item may occur again with the same value, which counts once.

    Raises:
        PtselError: a line that cannot be parsed, an item that occurs twice, or no lines.
    """
    file = Path(file)
    lines: dict[str, int] = {}
    values: dict[str, str] = {}
    for number, line in enumerate(read_lines(file, expected)[skip:], start=1 + skip):
        entry = parse(line)
        if entry is None:
            raise PtselError(f"{file}, line {number}: expected {expected}, found {line!r}")
        item, value = entry
        if repeats and values.get(item) == value:
            continue
        if item in values:
            raise PtselError(
                f"{file}, line {number}: {shown_item(item)} is on line {lines[item]} already; expected each once"
            )
        lines[item], values[item] = number, value
    if not values:
        raise PtselError(f"{file}: expected lines such as {expected}, found none")
    return Table(file, values)


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
    expected = f"a header and lines such as {CLASS_EXAMPLE!r} or {SEGMENTS_EXAMPLE!r}"
    header = _header(file, (UTTERANCE_HEADER, SEGMENT_HEADER), expected)

    def parse(line: str) -> Entry | None:
        fields = line.split("\t")
        if len(fields) != len(header) or not all(fields):
            return None
        try:
            times = [f"{float(field):.4f}" for field in fields[1:-1]]  # 0.1 and 0.10 are the same time
        except ValueError:
            return None
        return "\t".join([fields[0], *times]), fields[-1]

    return read_table(file, f"{len(header)} fields ({', '.join(header)}) separated by tabs", parse, skip=1)


def read_labels(file: Path | str) -> Table:
    """Relevance or score of (item, class) pairs, 0 to 1; a pair without a line is unlabelled."""
    _header(file, (MULTILABEL_HEADER,), f"a header and lines such as {LABEL_EXAMPLE!r}")

    def parse(line: str) -> Entry | None:
        fields = line.split("\t")
        return ("\t".join(fields[:2]), fields[2]) if len(fields) == 3 and all(fields) else None

    return read_table(file, repr(LABEL_EXAMPLE), parse, skip=1)


def _header(file: Path | str, accepted: Sequence[tuple[str, ...]], expected: str) -> tuple[str, ...]:
    lines = read_lines(Path(file), expected)
    header = tuple(lines[0].split("\t")) if lines else ()
    if header not in accepted:
        names = " or ".join(repr("<TAB>".join(names)) for names in accepted)
        raise PtselError(
            f"{file}, line 1: expected the header {names}, found {lines[0] if lines else 'an empty file'!r}"
        )
    return header


def shown_item(item: str) -> str:
    return " ".join(item.split("\t"))
