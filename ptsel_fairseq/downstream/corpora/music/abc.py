"""Tunes in ABC notation: one voice, a file with many tunes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from ptsel_fairseq.downstream.corpora.music.piece import (
    MAJOR,
    MINOR,
    SHARPS,
    STEPS,
    Note,
    Piece,
    Stated,
    UnreadableError,
    in_quarters,
    without_ties,
)

# Fifths of a mode above the major key on the same tonic, and its name.
MODES = {
    "": (0, MAJOR), "maj": (0, MAJOR), "ion": (0, MAJOR), "m": (-3, MINOR), "min": (-3, MINOR), "aeo": (-3, MINOR),
    "mix": (-1, "mixolydian"), "dor": (-2, "dorian"), "phr": (-4, "phrygian"), "lyd": (1, "lydian"),
    "loc": (-5, "locrian"),
}  # fmt: skip
KEY = re.compile(r"([A-G])([#b]?)\s*([A-Za-z]*)(.*)$")
FIELD = re.compile(r"([A-Za-z]):(.*)$")
TOKEN = re.compile(
    r"""(?P<inline>\[[A-Za-z]:[^\]]*\])
      | (?P<bar>:*(?:\[\||\|)(?:[\]:|]|\[(?=\|))*(?:\s*\[?\d[\d,.-]*)?|::|\]:?\|?|\[\d[\d,.-]*)
      | (?P<tuplet>\(\d(?::\d?(?::\d?)?)?)
      | (?P<grace>\{[^}]*\})
      | (?P<words>"[^"]*")
      | (?P<decoration>![^!\s]*!|\+[a-z.()<>0-9]+\+|[~.HJKLMNOPRSTUVWkuv])
      | (?P<chord>\[)(?P<inside>[^\]|]*)\](?P<chordlength>\d*/*\d*)
      | (?P<note>(?P<sign>\^\^|\^|__|_|=)?(?P<step>[A-Ga-g])(?P<octave>[,']*)(?P<length>\d*/*\d*))
      | (?P<rest>[zx])(?P<restlength>\d*/*\d*)
      | (?P<broken>>+|<+)
      | (?P<tie>-)
      | (?P<nothing>[\s()\\`*]|y\d*)""",
    re.VERBOSE,
)
INSIDE = re.compile(r"(\^\^|\^|__|_|=)?([A-Ga-g])([,']*)(\d*/*\d*)(-?)")
BROKEN = re.compile(r'(?:\s|"[^"]*")*(>+|<+)')  # a fingering may be between a note and its mark
SIGNS = {"^": 1, "^^": 2, "_": -1, "__": -2, "=": 0}
ALTERED = {"#": 1, "b": -1, "": 0}  # of a key's tonic
COMPOUND = 8  # meters over eighths in threes, in which tuplets of 2, 4, 5, 7 and 9 take three


def parse_abc(text: str) -> Iterator[Piece | UnreadableError]:
    """Every tune of a file, or why it is not read."""
    for number, tune in re.findall(r"(?ms)^X:\s*(\d*)[^\n]*\n(.*?)(?=^X:|\Z)", text):
        try:
            yield _Tune(tune).piece()
        except UnreadableError as error:
            yield UnreadableError(f"tune {number}: {error}")


@dataclass
class _Tune:
    text: str
    titles: list[str] = field(default_factory=list)
    unit: Fraction | None = None
    now: int = 0
    notes: list[tuple[Note, bool]] = field(default_factory=list)
    bars: list[int] = field(default_factory=lambda: [0])
    stated: Stated = field(default_factory=Stated)
    meter: tuple[int, int] = (4, 4)
    signature: dict[str, int] = field(default_factory=dict)
    accidentals: dict[tuple[str, int], int] = field(default_factory=dict)
    skipping: bool = False  # within the first of several endings

    def piece(self) -> Piece:
        for raw in self.text.splitlines():
            line = raw.split("%")[0]
            found = FIELD.match(line)
            if found and not line.startswith(("|", "[")):
                self._field(found[1], found[2].strip())
            elif line.strip():
                self._music(line)
        if not self.notes:
            raise UnreadableError("expected notes, found none")
        part = without_ties(self.notes)
        tonic, mode = self.stated.only_key()
        return Piece(
            [part],
            [bar for bar in self.bars if bar < self.now],
            self.now,
            self.stated.only_meter(),
            self.stated.only_fifths(),
            tonic,
            mode,
            self.titles[0] if self.titles else "",
        )

    def _field(self, name: str, value: str) -> None:
        if name == "T":
            self.titles.append(value)
        elif name == "V":
            raise UnreadableError("expected one voice, found V:")
        elif name == "M":
            self._meter(value)
        elif name == "L":
            found = re.match(r"(\d+)/(\d+)", value)
            if not found or int(found[2]) == 0:
                raise UnreadableError(f"expected a length such as L:1/8, found {value!r}")
            self.unit = Fraction(4 * int(found[1]), int(found[2]))
        elif name == "K":
            self._key(value)

    def _meter(self, value: str) -> None:
        value = {"C": "4/4", "C|": "2/2"}.get(value, value)
        found = re.match(r"(\d+)/(\d+)$", value)
        if not found:
            raise UnreadableError(f"expected a meter such as M:6/8, found {value!r}")
        self.meter = int(found[1]), int(found[2])
        self.stated.meters.append(self.meter)

    def _key(self, value: str) -> None:
        found = KEY.match(value)
        if not found or found[3].lower()[:3] not in MODES or "^" in found[4] or "_" in found[4]:
            raise UnreadableError(f"expected a key such as K:Em, found {value!r}")
        step, sign = found[1], found[2]
        above, mode = MODES[found[3].lower()[:3]]
        fifths = SHARPS.index(step) - 1 + 7 * ALTERED[sign] + above
        self.stated.fifths.append(fifths)
        self.stated.keys.append(((STEPS[step] + ALTERED[sign]) % 12, mode))
        sharps, flats = SHARPS[: max(0, fifths)], SHARPS[::-1][: max(0, -fifths)]
        self.signature = {name: (name in sharps) - (name in flats) for name in STEPS}

    def _music(self, line: str) -> None:
        if self.unit is None:  # the standard's default
            self.unit = Fraction(1, 4) if Fraction(*self.meter) < Fraction(3, 4) else Fraction(1, 2)
        position, tuplet, scale, broken = 0, 0, Fraction(1), Fraction(1)
        while position < len(line):
            found = TOKEN.match(line, position)
            if not found:
                raise UnreadableError(f"{line[position : position + 12]!r} is not read")
            position = found.end()
            if found["inline"]:
                self._field(found["inline"][1], found["inline"][3:-1].strip())
            elif found["bar"]:
                self._bar(found["bar"])
            elif found["tuplet"]:
                tuplet, scale = self._tuplet(found["tuplet"][1:])
            elif found["tie"]:
                if self.notes and not self.skipping:
                    end = self.notes[-1][0].end
                    self.notes = [(note, tied or note.end == end == self.now) for note, tied in self.notes]
            elif found["broken"]:
                raise UnreadableError(f"{found['broken']!r} is between no two notes")
            elif found["note"] or found["chord"] or found["rest"]:
                # A mark of broken rhythm lengthens the note before it and shortens the one after it.
                after = BROKEN.match(line, position)
                own = broken
                broken = Fraction(1)
                if after:
                    position = after.end()
                    short = Fraction(1, 2 ** len(after[1]))
                    longer = after[1][0] == ">"
                    own, broken = own * (2 - short if longer else short), (short if longer else 2 - short)
                self._event(found, own * (scale if tuplet else 1))
                tuplet = max(0, tuplet - 1)
        if broken != 1:
            raise UnreadableError("a mark of broken rhythm has no note after it")

    def _event(self, found: re.Match, factor: Fraction) -> None:
        assert self.unit is not None
        if found["rest"]:
            length = length_of(found["restlength"])
            pitches = []
        elif found["note"]:
            length = length_of(found["length"])
            pitches = [self._pitch(found["sign"], found["step"], found["octave"])]
        else:
            inside = list(INSIDE.finditer(found["inside"]))
            if not inside:
                raise UnreadableError(f"expected notes in a chord, found {found['inside']!r}")
            length = length_of(inside[0][4]) * length_of(found["chordlength"])
            pitches = [self._pitch(one[1], one[2], one[3]) for one in inside]
        length *= self.unit * factor
        ticks = in_quarters(length.numerator, length.denominator)
        if not self.skipping:
            self.notes += [(Note(self.now, ticks, pitch), False) for pitch in pitches]
            self.now += ticks

    def _pitch(self, sign: str | None, step: str, octaves: str) -> int:
        octave = (5 if step.islower() else 4) + octaves.count("'") - octaves.count(",")
        name = step.upper()
        if sign is not None:
            self.accidentals[name, octave] = SIGNS[sign]
        shift = self.accidentals.get((name, octave), self.signature.get(name, 0))
        return 12 * (octave + 1) + STEPS[name] + shift

    def _bar(self, mark: str) -> None:
        self.accidentals = {}
        ending = re.search(r"\[?(\d)[\d,.-]*$", mark)
        if ending:
            self.skipping = ending[1] == "1" and not re.search(r"1[,-]", mark)
        elif self.skipping and (":" in mark or mark in ("||", "|]")):
            self.skipping = False
        if mark.startswith("[") and ending:
            return  # the bar before it has its own mark
        if self.now != self.bars[-1]:
            self.bars.append(self.now)

    def _tuplet(self, text: str) -> tuple[int, Fraction]:
        """How many notes the tuplet has, and the factor of their lengths."""
        numbers = [int(part) if part else 0 for part in text.split(":")]
        three = 3 if self.meter[1] == COMPOUND and self.meter[0] % 3 == 0 else 2
        p = numbers[0]
        q = (numbers[1] if len(numbers) > 1 else 0) or {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}.get(p, three)
        if p < 2:
            raise UnreadableError(f"expected a tuplet of 2 to 9, found ({text}")
        return (numbers[2] if len(numbers) > 2 else 0) or p, Fraction(q, p)


def length_of(text: str) -> Fraction:
    """Units of a length such as ``3/2``, ``/`` (a half), ``//`` (a quarter), or nothing (one)."""
    found = re.fullmatch(r"(\d*)(/*)(\d*)", text)
    assert found is not None
    above = int(found[1] or 1)
    below = int(found[3]) if found[3] else 2 ** len(found[2])
    if below == 0:
        raise UnreadableError(f"expected a length, found {text!r}")
    return Fraction(above, below)
