"""Sheet music in MusicXML, plain or compressed (``.mxl``), with one element for each part."""

from __future__ import annotations

import io
import zipfile
from xml.etree import ElementTree

from ptsel_fairseq.downstream.corpora.music.piece import (
    STEPS,
    Note,
    Piece,
    Stated,
    UnreadableError,
    in_quarters,
    without_ties,
)
from ptsel_fairseq.downstream.corpora.music.theory import bar_length

LARGEST = 50_000_000  # bytes of one file, unpacked


def parse_musicxml(content: bytes) -> Piece:
    """Read one piece.

    Raises:
        UnreadableError: no MusicXML in parts, or bars that do not agree between the parts.
    """
    root = _root(_unpacked(content) if content.startswith(b"PK") else content)
    if root.tag != "score-partwise":
        raise UnreadableError(f"expected score-partwise, found {root.tag}")
    stated = Stated()
    read = [_Part(part, stated) for part in root.findall("part")]
    if not read:
        raise UnreadableError("expected a part, found none")
    counts = {len(part.lengths) for part in read}
    if len(counts) > 1:
        raise UnreadableError(f"expected as many bars in each part, found {sorted(counts)}")
    # An empty bar of one part is as long as the others' bar.
    lengths = [max(column) for column in zip(*(part.lengths for part in read), strict=True)]
    kept = [not any(column) for column in zip(*(part.skipped for part in read), strict=True)]
    starts, now = [], 0
    for length, keep in zip(lengths, kept, strict=True):
        starts.append(now)
        now += length if keep else 0
    parts = []
    for part in read:
        notes = [
            (Note(starts[bar] + note.start, note.length, note.pitch), tied)
            for bar, note, tied in part.notes
            if kept[bar]
        ]
        parts.append(without_ties(notes))
    mode = {mode for _, mode in stated.keys}
    return Piece(
        [part for part in parts if part],
        [start for start, keep in zip(starts, kept, strict=True) if keep],
        now,
        stated.only_meter(),
        stated.only_fifths(),
        None,
        mode.pop() if len(mode) == 1 else "",
        _text(root, "movement-title") or _text(root, "work/work-title"),
    )


class _Part:
    """The notes of a part by bar: (index of the bar, note within it, whether it is tied to the next)."""

    def __init__(self, part: ElementTree.Element, stated: Stated) -> None:
        self.notes: list[tuple[int, Note, bool]] = []
        self.lengths: list[int] = []
        self.skipped: list[bool] = []
        self._stated, self._divisions, self._transpose, self._skipping = stated, 1, 0, False
        self._bar: int | None = None  # length of a bar of the present meter
        for bar, measure in enumerate(part.findall("measure")):
            self._read_bar(bar, measure)

    def _read_bar(self, bar: int, measure: ElementTree.Element) -> None:
        now = sounding = silent = before = 0
        skipped = self._skipping
        for element in measure:
            if element.tag == "attributes":
                self._attributes(element)
            elif element.tag == "barline":
                for ending in element.findall("ending"):
                    first = "1" in (ending.get("number") or "").replace(",", " ").split()
                    starts = ending.get("type") == "start"
                    if starts:
                        skipped = first and "2" not in (ending.get("number") or "")
                    self._skipping = starts and skipped
            elif element.tag in ("backup", "forward"):
                length = self._duration(element)
                now += length if element.tag == "forward" else -length
            elif element.tag == "note" and element.find("grace") is None:
                length = self._duration(element)
                start = before if element.find("chord") is not None else now
                if element.find("chord") is None:
                    before, now = now, now + length
                pitch = element.find("pitch")
                if pitch is not None and element.find("cue") is None:
                    tied = any(tie.get("type") == "start" for tie in element.findall("tie"))
                    self.notes.append((bar, Note(start, length, self._pitch(pitch)), tied))
            if now < 0:
                raise UnreadableError(f"bar {bar + 1} goes back before its beginning")
            if element.tag == "note" and element.find("rest") is None:
                sounding = max(sounding, now)
            else:
                silent = max(silent, now)
        # Rests may be written twice; more of them than a bar holds are not counted.
        self.lengths.append(max(sounding, silent if self._bar is None else min(silent, self._bar)))
        self.skipped.append(skipped)

    def _attributes(self, element: ElementTree.Element) -> None:
        if divisions := _text(element, "divisions"):
            self._divisions = _whole(divisions)
            if self._divisions < 1:
                raise UnreadableError(f"expected divisions from 1, found {divisions}")
        for key in element.findall("key"):
            if fifths := _text(key, "fifths"):
                self._stated.fifths.append(_whole(fifths))
                self._stated.keys.append((0, _text(key, "mode")))
        for time in element.findall("time"):
            beats, unit = _text(time, "beats"), _text(time, "beat-type")
            if beats and unit:
                meter = sum(map(_whole, beats.split("+"))), _whole(unit)
                self._stated.meters.append(meter)
                self._bar = bar_length(meter) if min(meter) > 0 else None
        if (transpose := element.find("transpose")) is not None:
            octaves = _whole(_text(transpose, "octave-change") or "0")
            self._transpose = _whole(_text(transpose, "chromatic") or "0") + 12 * octaves

    def _duration(self, element: ElementTree.Element) -> int:
        text = _text(element, "duration")
        if not text:
            raise UnreadableError(f"expected a duration in <{element.tag}>, found none")
        return in_quarters(_whole(text), self._divisions)

    def _pitch(self, pitch: ElementTree.Element) -> int:
        step = _text(pitch, "step")
        if step not in STEPS:
            raise UnreadableError(f"expected a step from A to G, found {step!r}")
        alter = round(float(_text(pitch, "alter") or "0"))
        return 12 * (_whole(_text(pitch, "octave")) + 1) + STEPS[step] + alter + self._transpose


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UnreadableError(f"expected a whole number, found {text!r}") from None


def _text(element: ElementTree.Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _root(content: bytes) -> ElementTree.Element:
    if b"<!ENTITY" in content:  # which may multiply without end
        raise UnreadableError("expected no declaration of entities, found one")
    try:
        return ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError) as error:
        raise UnreadableError(f"not XML ({error})") from None


def _unpacked(content: bytes) -> bytes:
    """The first sheet of music in a compressed file."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for entry in archive.infolist():
                if entry.filename.startswith("META-INF") or not entry.filename.endswith(
                    (".xml", ".musicxml")
                ):
                    continue
                if entry.file_size > LARGEST:
                    raise UnreadableError(f"expected at most {LARGEST} bytes, found {entry.file_size}")
                return archive.read(entry)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise UnreadableError(f"not a compressed MusicXML file ({error})") from None
    raise UnreadableError("expected a sheet of music in the archive, found none")
