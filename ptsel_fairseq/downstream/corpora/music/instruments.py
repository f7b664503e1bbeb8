"""The instruments that clips are played on: General MIDI's programs, and the range in which each sounds like itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Instrument:
    """A class of sounds.

    Attributes:
        name: as in class files.
        programs: of General MIDI, counted from 0; one of them is drawn.
        low, high: the lowest and the highest pitch, as MIDI numbers.
    """

    name: str
    programs: tuple[int, ...]
    low: int
    high: int


INSTRUMENTS = (
    Instrument("accordion", (21, 23), 53, 89),
    Instrument("banjo", (105,), 48, 86),
    Instrument("bass", (32, 33, 35), 28, 62),
    Instrument("bassoon", (70,), 34, 75),
    Instrument("cello", (42,), 36, 81),
    Instrument("clarinet", (71,), 50, 91),
    Instrument("flute", (73,), 59, 96),
    Instrument("guitar", (24, 25, 26), 40, 86),
    Instrument("harp", (46,), 31, 98),
    Instrument("harpsichord", (6,), 29, 89),
    Instrument("horn", (60,), 41, 77),
    Instrument("mallets", (11, 12), 45, 91),
    Instrument("oboe", (68,), 58, 91),
    Instrument("organ", (16, 19), 36, 96),
    Instrument("piano", (0, 1), 24, 104),
    Instrument("saxophone", (64, 65, 66), 46, 87),
    Instrument("trombone", (57,), 40, 74),
    Instrument("trumpet", (56,), 55, 84),
    Instrument("violin", (40,), 55, 100),
    Instrument("voice", (52, 53), 43, 84),
)
OCTAVES = (0, 12, -12)  # a part may be played as written, or an octave up or down


def playable(low: int, high: int) -> list[tuple[Instrument, int]]:
    """The instruments that reach all from `low` to `high`, and the smallest shift by octaves with which they do."""
    found = []
    for instrument in INSTRUMENTS:
        shifts = [
            shift for shift in OCTAVES if instrument.low <= low + shift and high + shift <= instrument.high
        ]
        if shifts:
            found.append((instrument, shifts[0]))
    return found
