"""A piece of sheet music: the notes of its parts, its bars, key and meter, whatever format it came in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

# Times are whole numbers of this part of a quarter note: it holds 256ths, and 3, 5, 7 and 9 in 1.
QUARTER = 20160
MAJOR, MINOR = "major", "minor"
PITCH_CLASSES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}  # semitones above C
SHARPS = "FCGDAEB"  # the order in which a key signature has them
MAJOR_ON_FIFTHS = 7  # semitones of a fifth: a signature of n sharps belongs to the major key on 7 n


class UnreadableError(ValueError):
    """Sheet music that is not read: what was expected and found, for the count of pieces left out."""


@dataclass(frozen=True, order=True)
class Note:
    """One note: `start` and `length` in `QUARTER`s from the beginning of the piece, `pitch` as in MIDI (C4 = 60)."""

    start: int
    length: int
    pitch: int

    @property
    def end(self) -> int:
        return self.start + self.length


@dataclass(frozen=True)
class Piece:
    """One piece as written, without repeats, and with the last of several endings.

    Attributes:
        parts: notes of each part, in order of their starts.
        bars: where bars begin, in `QUARTER`s; the first may be a pickup.
        length: of the piece, in `QUARTER`s.
        meter: the time signature as (beats, unit), None if it changes or there is none.
        fifths: sharps of the key signature, flats negative; None if it changes or there is none.
        tonic: pitch class, where a key is stated.
        mode: ``major`` or ``minor`` where it is stated, or the name of another mode; empty if nothing is stated.
        title: as written.
        collection: what the piece is a part of, such as a mass; empty if nothing is stated.
    """

    parts: Sequence[Sequence[Note]]
    bars: Sequence[int]
    length: int
    meter: tuple[int, int] | None = None
    fifths: int | None = None
    tonic: int | None = None
    mode: str = ""
    title: str = ""
    collection: str = ""


@dataclass
class Stated:
    """Key and meter as they are met on the way through a piece."""

    meters: list[tuple[int, int]] = field(default_factory=list)
    fifths: list[int] = field(default_factory=list)
    keys: list[tuple[int, str]] = field(default_factory=list)

    def only_meter(self) -> tuple[int, int] | None:
        """The meter if there is one and it never changes."""
        return self.meters[0] if len(set(self.meters)) == 1 else None

    def only_fifths(self) -> int | None:
        """The key signature if there is one and it never changes."""
        return self.fifths[0] if len(set(self.fifths)) == 1 else None

    def only_key(self) -> tuple[int | None, str]:
        """Tonic and mode if they are stated and never change."""
        return self.keys[0] if len(set(self.keys)) == 1 else (None, "")


def in_quarters(above: int, below: int = 1) -> int:
    """`above` / `below` quarter notes, in `QUARTER`s.

    Raises:
        UnreadableError: they are no whole number of them.
    """
    length, rest = divmod(QUARTER * above, below)
    if rest:
        raise UnreadableError(f"expected a common length of notes, found {above}/{below} of a quarter")
    return length


def without_ties(notes: Sequence[tuple[Note, bool]]) -> list[Note]:
    """Notes in order of their starts; one that is tied to the next one of its pitch becomes one note with it."""
    merged: list[Note] = []
    open_ties: dict[int, int] = {}  # pitch -> index of the note that is tied onward
    for note, tied in sorted(notes, key=lambda pair: pair[0]):
        before = open_ties.pop(note.pitch, None)
        if before is not None and merged[before].end == note.start:
            merged[before] = Note(merged[before].start, merged[before].length + note.length, note.pitch)
            index = before
        else:
            merged.append(note)
            index = len(merged) - 1
        if tied:
            open_ties[note.pitch] = index
    return sorted(merged)
