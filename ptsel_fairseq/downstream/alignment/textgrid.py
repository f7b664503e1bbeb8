"""Praat's TextGrid files, as the Montreal Forced Aligner writes them: text in the long or the short format.

Praat reads a text file as a row of free-standing numbers, "texts" (a quote inside is doubled) and <flags>, and
passes over everything else (Praat's manual, "TextGrid file formats"). Read in that way both formats are the same.
"""

from __future__ import annotations

import codecs
import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import file_checksum
from ptsel_fairseq.data.audio_folder import look_into
from ptsel_fairseq.downstream.alignment.aligner import NotAligned, Stretch
from ptsel_fairseq.downstream.speech.utterances import Spoken

TOKEN = re.compile(
    r"""
    "(?P<text>(?:[^"]|"")*)"                                             # may run over lines
    | (?<!\S)(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?!\S)
    | (?P<flag><exists>|<absent>)
    | (?P<comment>![^\n]*)
    """,
    re.VERBOSE,
)
MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_BE, "utf-16"), (codecs.BOM_UTF16_LE, "utf-16"))
KINDS = {"words": "word", "word": "word", "phones": "phone", "phone": "phone"}  # of the tiers that are read
SILENCES = {"", "<eps>", "sil", "sp", "<sil>", "silence"}
UNKNOWN = {"spn", "<unk>"}  # what MFA writes where a word is not in its dictionary
STRESS = re.compile(r"^([A-Z]{2})[012]$")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
LARGEST = 1e9  # of any number in a TextGrid: seconds, or stretches of a tier
LONGEST_DIFFERENCE = 0.05  # seconds that the length of a TextGrid may differ from that of its audio


@dataclass(frozen=True)
class Tier:
    """A tier of a TextGrid: intervals in order, or points, which start and end at once."""

    name: str
    is_points: bool
    stretches: tuple[Stretch, ...]


@dataclass(frozen=True)
class TextGrid:
    start: float
    end: float
    tiers: tuple[Tier, ...]


def read_textgrid(file: Path) -> TextGrid:
    """Read a TextGrid in Praat's long or short text format, in UTF-8, UTF-16, or Latin-1 as old Praats wrote.

    Raises:
        PtselError: another format, or a file that is cut off.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise PtselError(f"{file}: cannot be read ({error.strerror})") from None
    if content.startswith(b"ooBinaryFile"):
        raise PtselError(f"{file}: a binary TextGrid; save it in Praat as a text file")
    tokens = _Tokens(file, _decode(content))
    if (tokens.text("the file type"), tokens.text("the class of the object")) != ("ooTextFile", "TextGrid"):
        raise PtselError(f"{file}: expected a TextGrid in Praat's text format (File type = ooTextFile)")
    start, end = tokens.number("the start"), tokens.number("the end")
    if tokens.flag() == "<absent>":
        return TextGrid(start, end, ())
    count = int(tokens.number("the number of tiers"))
    return TextGrid(start, end, tuple(_read_tier(tokens) for _ in range(count)))


def _decode(content: bytes) -> str:
    for mark, encoding in MARKS:
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _read_tier(tokens: _Tokens) -> Tier:
    kind, name = tokens.text("the class of a tier"), tokens.text("the name of a tier")
    where = f"the tier {name!r}"
    if kind not in ("IntervalTier", "TextTier"):
        raise PtselError(
            f"{tokens.file}: expected IntervalTier or TextTier as the class of {where}, found {kind!r}"
        )
    tokens.number(f"the start of {where}")
    tokens.number(f"the end of {where}")
    stretches = []
    for i in range(int(tokens.number(f"the number of stretches of {where}"))):
        start = tokens.number(f"time {i + 1} of {where}")
        end = start if kind == "TextTier" else tokens.number(f"the end of interval {i + 1} of {where}")
        stretches.append(Stretch(start, end, _one_line(tokens.text(f"label {i + 1} of {where}"))))
    return Tier(name, kind == "TextTier", tuple(stretches))


def _one_line(label: str) -> str:
    """A label as a class file can hold it, letters composed (NFC); Praat allows line breaks and tabs in it."""
    return unicodedata.normalize("NFC", " ".join(CONTROL.sub(" ", label).split()))


class _Tokens:
    """The free-standing numbers, texts and flags of a file, one after the other."""

    def __init__(self, file: Path, content: str) -> None:
        self.file = file
        self.rest: Iterator[re.Match[str]] = (
            match for match in TOKEN.finditer(content) if match["comment"] is None
        )

    def _next(self, kind: str, expected: str) -> str:
        match = next(self.rest, None)
        if match is None or match[kind] is None:
            found = "the end of the file; it is cut off" if match is None else match[0]
            raise PtselError(f"{self.file}: expected {expected}, found {found}")
        return match[kind]

    def text(self, expected: str) -> str:
        return self._next("text", expected).replace('""', '"')

    def number(self, expected: str) -> float:
        number = float(self._next("number", expected))
        if not abs(number) < LARGEST:
            raise PtselError(f"{self.file}: expected {expected}, found {number:g}")
        return number

    def flag(self) -> str:
        return self._next("flag", "<exists> or <absent>")


@dataclass(frozen=True)
class TextGridAligner:
    """Words and phones that another aligner has written, one TextGrid for each utterance.

    A tier counts by its name: ``words``, ``phones``, or ``SPEAKER - words`` as MFA writes for several speakers.
    The file is ``FOLDER/<path of the audio>.TextGrid``, or the only one of that name below the folder.

    Attributes:
        files: TextGrids by path below the folder without suffix, and by bare name where only one has it.
        without_stress: whether the phone ``AH0`` is ``AH``.
        shared: bare names that several recordings have: only a TextGrid with their path is theirs.
    """

    folder: Path
    files: Mapping[str, Path]
    without_stress: bool = False

    shared: frozenset[str] = frozenset()

    kinds: tuple[str, ...] = ("word", "phone")
    transcripts: str | None = None

    @classmethod
    def of_folder(cls, folder: Path, without_stress: bool = False) -> TextGridAligner:
        """Find the TextGrids below a folder; raise PtselError if there are none."""
        below = look_into(folder, (".textgrid",)).files if folder.is_dir() else ()
        found = [folder / path for path in below]
        if not found:
            raise PtselError(f"{folder}: expected a folder of .TextGrid files, found none")
        by_name: dict[str, list[Path]] = {}
        for file in found:
            by_name.setdefault(file.stem, []).append(file)
        files = {name: same[0] for name, same in by_name.items() if len(same) == 1}
        files |= {file.relative_to(folder).with_suffix("").as_posix(): file for file in found}
        return cls(folder, files, without_stress)

    def for_recordings(self, paths: Iterable[str]) -> TextGridAligner:
        """The same for recordings of these paths, of which several may have one bare name."""
        counts = Counter(Path(path).stem for path in paths)
        return replace(self, shared=frozenset(name for name, count in counts.items() if count > 1))

    @cached_property
    def _checksum(self) -> str:
        """SHA-256 over all TextGrids, so that what was aligned before is known to be of the same."""
        digest = hashlib.sha256()
        try:
            for name, file in sorted(self.files.items()):
                digest.update(f"{name}\0{file_checksum(file)}\n".encode(errors="surrogateescape"))
        except OSError as error:
            raise PtselError(f"{error.filename}: cannot be read ({error.strerror})") from None
        return digest.hexdigest()

    def provenance(self) -> dict[str, Any]:
        return {
            "kind": "textgrid",
            "folder": str(self.folder),
            "files": len(set(self.files.values())),
            "sha256": self._checksum,
            "shared_names": len(self.shared),
            "without_stress": self.without_stress,
        }

    def align(self, spoken: Spoken) -> dict[str, list[Stretch]]:
        path = Path(spoken.path).with_suffix("")
        file = self.files.get(path.as_posix())
        if file is None and path.name in self.shared and path.name in self.files:
            raise NotAligned(
                f"no TextGrid of its path; {self.files[path.name].name} may be of another recording of that name"
            )
        file = file or self.files.get(path.name)
        if file is None:
            raise NotAligned("no TextGrid")
        try:
            grid = read_textgrid(file)
        except PtselError as error:
            raise NotAligned(str(error)) from None
        if abs(grid.end - spoken.seconds) > LONGEST_DIFFERENCE:
            raise NotAligned(
                f"the TextGrid ends at {grid.end:.3f} s, the audio at {spoken.seconds:.3f} s; is it of another file?"
            )
        found: dict[str, list[Stretch]] = {}
        for tier in grid.tiers:
            kind = KINDS.get(tier.name.split(" - ")[-1].strip().lower())
            if kind is not None and not tier.is_points:
                found.setdefault(kind, []).extend(self._spoken_stretches(tier, kind, spoken))
        if not found:
            names = ", ".join(repr(tier.name) for tier in grid.tiers) or "none"
            raise NotAligned(f"expected an interval tier 'words' or 'phones', found {names}")
        # Two tiers that tell the same, such as "words" and "SPEAKER - words", are one.
        return {kind: sorted(dict.fromkeys(stretches)) for kind, stretches in found.items()}

    def _spoken_stretches(self, tier: Tier, kind: str, spoken: Spoken) -> Iterator[Stretch]:
        for start, end, name, _ in tier.stretches:
            if name.lower() in SILENCES | UNKNOWN:
                continue
            if not 0 <= start < end <= spoken.seconds + LONGEST_DIFFERENCE or start >= spoken.seconds:
                raise NotAligned(
                    f"{name!r} of the tier {tier.name!r} lies from {start:.3f} to {end:.3f} s, outside the audio of "
                    f"{spoken.seconds:.3f} s"
                )
            stressed = STRESS.match(name) if self.without_stress and kind == "phone" else None
            yield Stretch(start, min(end, spoken.seconds), stressed[1] if stressed else name)
