"""Sheet music in Humdrum's ``**kern``: one column a part, one line a moment."""

from __future__ import annotations

import re
from functools import lru_cache

from ptsel_fairseq.downstream.corpora.music.piece import (
    MAJOR,
    MINOR,
    QUARTER,
    SHARPS,
    STEPS,
    Note,
    Piece,
    Stated,
    UnreadableError,
    in_quarters,
    without_ties,
)

DURATION = re.compile(r"(\d+)(?:%(\d+))?(\.*)")
PITCH = re.compile(r"([a-g]+|[A-G]+)(#+|-+|n)?")
KEY = re.compile(r"\*([A-Ga-g])([#-]?):(\w*)$")
METER = re.compile(r"\*M(\d+)/(\d+)$")
SIGNATURE = re.compile(r"\*k\[([^\]]*)\]$")


def parse_kern(text: str) -> Piece:
    """Read one piece.

    Raises:
        UnreadableError: columns that do not fit, durations that do not agree, or what is not read here.
    """
    reader = _Reader()
    for line in text.splitlines():
        if line:
            reader.take(line)
    return reader.piece()


class _Reader:
    def __init__(self) -> None:
        self.records: dict[str, str] = {}
        self.parts: list[int | None] = []  # of each column; None for columns that hold no notes
        self.busy: list[int] = []  # until when each column's last note lasts
        self.now = 0
        self.notes: dict[int, list[tuple[Note, bool]]] = {}
        self.bars: list[int] = [0]
        self.stated = Stated()

    def take(self, line: str) -> None:
        if line.startswith("!!!"):
            name, _, value = line[3:].partition(":")
            self.records.setdefault(name.strip(), value.strip())
            return
        if line.startswith("!"):
            return
        tokens = line.split("\t")
        if line.startswith("**"):
            self.parts = [i if token == "**kern" else None for i, token in enumerate(tokens)]
            self.busy = [0] * len(tokens)
            self.notes = {i: [] for i in self.parts if i is not None}
            return
        if len(tokens) != len(self.parts):
            raise UnreadableError(f"expected {len(self.parts)} columns, found {len(tokens)}")
        if line.startswith("*"):
            self._interpret(tokens)
        elif line.startswith("="):
            self._bar()
        else:
            self._data(tokens)

    def _interpret(self, tokens: list[str]) -> None:
        for token, part in zip(tokens, self.parts, strict=True):
            if part is not None:
                self._state(token)
        if not any(token in ("*^", "*v", "*-", "*+", "*x") for token in tokens):
            return
        parts: list[int | None] = []
        busy: list[int] = []
        joining = False
        for token, part, until in zip(tokens, self.parts, self.busy, strict=True):
            if token in ("*+", "*x"):
                raise UnreadableError(f"expected columns that split or join, found {token}")
            if token == "*v" and joining:
                continue
            joining = token == "*v"
            copies = {"*^": 2, "*-": 0}.get(token, 1)
            parts += [part] * copies
            busy += [until] * copies
        self.parts, self.busy = parts, busy

    def _state(self, token: str) -> None:
        if found := METER.match(token):
            self.stated.meters.append((int(found[1]), int(found[2])))
        elif found := SIGNATURE.match(token):
            self.stated.fifths.append(signature_fifths(found[1]))
        elif found := KEY.match(token):
            shift = {"#": 1, "-": -1, "": 0}[found[2]]
            mode = found[3] or (MAJOR if found[1].isupper() else MINOR)
            self.stated.keys.append(((STEPS[found[1].upper()] + shift) % 12, mode))

    def _advance(self) -> None:
        """Go to the moment at which the first of the sounding notes ends."""
        ends = [until for until, part in zip(self.busy, self.parts, strict=True) if part is not None]
        if ends:
            self.now = max(self.now, min(ends))

    def _bar(self) -> None:
        self._advance()
        if self.now != self.bars[-1]:
            self.bars.append(self.now)

    def _data(self, tokens: list[str]) -> None:
        self._advance()
        for column, (token, part) in enumerate(zip(tokens, self.parts, strict=True)):
            if part is None or token == ".":
                continue
            length = 0
            for word in token.split(" "):
                if "q" in word.lower():
                    continue  # a grace note takes no time
                length = duration_of(word)
                if "r" not in word:
                    tied = "[" in word or "_" in word
                    self.notes[part].append((Note(self.now, length, pitch_of(word)), tied))
            if length:
                if self.busy[column] != self.now:
                    at, until = self.now / QUARTER, self.busy[column] / QUARTER
                    raise UnreadableError(
                        f"a note begins at quarter {at:g}, and the one before ends at {until:g}"
                    )
                self.busy[column] = self.now + length

    def piece(self) -> Piece:
        if not self.notes:
            raise UnreadableError("expected a column **kern, found none")
        parts = [without_ties(notes) for _, notes in sorted(self.notes.items(), reverse=True)]
        length = max((note.end for part in parts for note in part), default=0)
        tonic, mode = self.stated.only_key()
        return Piece(
            [part for part in parts if part],
            [bar for bar in self.bars if bar < length],
            length,
            self.stated.only_meter(),
            self.stated.only_fifths(),
            tonic,
            {"ion": MAJOR, "aeo": MINOR}.get(mode, mode),
            self.records.get("OTL", ""),
            self.records.get("OPR", ""),
        )


@lru_cache(maxsize=4096)
def duration_of(word: str) -> int:
    """Length of a token such as ``4.``: 0 is a breve, 00 twice that, ``3%2`` two thirds of a whole note."""
    found = DURATION.search(word)
    if not found:
        raise UnreadableError(f"expected a duration, found {word!r}")
    digits, dots = found[1], 2 ** len(found[3])
    above, below = 4 * int(found[2] or 1), int(digits)
    if below == 0:
        above, below = 4 * 2 ** len(digits), 1
    return in_quarters(above * (2 * dots - 1), below * dots)


@lru_cache(maxsize=4096)
def pitch_of(word: str) -> int:
    """The MIDI number of a token such as ``4cc#``: c is C4, cc C5, C is C3, CC C2."""
    found = PITCH.search(word)
    if not found or len(set(found[1])) != 1:
        raise UnreadableError(f"expected a pitch, found {word!r}")
    letters, signs = found[1], found[2] or ""
    octave = 3 + len(letters) if letters.islower() else 4 - len(letters)
    return 12 * (octave + 1) + STEPS[letters[0].upper()] + signs.count("#") - signs.count("-")


def signature_fifths(text: str) -> int:
    """Sharps of a signature such as ``f#c#``, flats negative."""
    names = re.findall(r"([a-g])([#n-])", text)
    sharps = [name.upper() for name, sign in names if sign == "#"]
    flats = [name.upper() for name, sign in names if sign == "-"]
    if (sharps and flats) or "".join(sharps) != SHARPS[: len(sharps)]:
        raise UnreadableError(f"expected a common key signature, found {text!r}")
    if "".join(flats) != SHARPS[::-1][: len(flats)]:
        raise UnreadableError(f"expected a common key signature, found {text!r}")
    return len(sharps) - len(flats)
