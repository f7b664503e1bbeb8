"""Key, meter and beat of a piece, as far as they are sure."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

from ptsel_fairseq.downstream.corpora.music.piece import (
    MAJOR,
    MAJOR_ON_FIFTHS,
    MINOR,
    PITCH_CLASSES,
    QUARTER,
    Note,
    Piece,
)

SURE = 0.7  # share of the bars of a piece that must begin where its meter says
TRIADS = {MAJOR: (0, 4, 7), MINOR: (0, 3, 7)}
MINOR_ABOVE_MAJOR = 9  # semitones from a major key's tonic up to that of the minor key with its signature


def key_name(tonic: int, mode: str) -> str:
    """One of 24, such as ``Eb minor``."""
    return f"{PITCH_CLASSES[tonic % 12]} {mode}"


def sure_key(piece: Piece) -> tuple[int, str] | None:
    """Tonic and mode of a piece that ends in its key; None if its key changes, is another mode, or is doubtful.

    A stated key is sure if the last note in the bass is the tonic, in a piece of one part if it is in the tonic's
    triad. Without a stated tonic (MusicXML, whose mode many programs write unasked) the key signature leaves a major
    and a minor key; the last note in the bass decides between them.
    """
    last = final_bass(piece)
    if last is None or piece.fifths is None:
        return None
    if piece.tonic is not None:
        if piece.mode not in TRIADS:
            return None
        allowed = TRIADS[piece.mode] if len(piece.parts) == 1 else (0,)
        return (piece.tonic, piece.mode) if (last - piece.tonic) % 12 in allowed else None
    major = MAJOR_ON_FIFTHS * piece.fifths % 12
    by_tonic = {major: MAJOR, (major + MINOR_ABOVE_MAJOR) % 12: MINOR}
    return (last, by_tonic[last]) if last in by_tonic else None


def final_bass(piece: Piece) -> int | None:
    """The pitch class of the lowest of the notes that end last."""
    notes = [note for part in piece.parts for note in part]
    end = max((note.end for note in notes), default=None)
    return min((note.pitch for note in notes if note.end == end), default=0) % 12 if notes else None


def bar_length(meter: tuple[int, int]) -> int:
    """The length of a bar, in `QUARTER`s."""
    return QUARTER * 4 * meter[0] // meter[1]


def beat_length(meter: tuple[int, int]) -> int:
    """The length of a beat, in `QUARTER`s; in 6/8, 9/8 and 12/8 (6/4 ...) a beat is three of the units."""
    return QUARTER * 4 * (3 if is_compound(meter) else 1) // meter[1]


def is_compound(meter: tuple[int, int]) -> bool:
    """Whether beats are divided in three."""
    return meter[0] > 3 and meter[0] % 3 == 0


def meter_class(meter: tuple[int, int]) -> str | None:
    """``duple`` (2 or 4 beats), ``triple``, ``compound duple`` or ``compound triple``; None for 5 and others.

    2/4, 4/4 and 2/2 are one class: what tells them apart is how a beat is written, not how it sounds.
    """
    beats = meter[0] // 3 if is_compound(meter) else meter[0]
    kind = {2: "duple", 4: "duple", 3: "triple"}.get(beats)
    return kind and ("compound " if is_compound(meter) else "") + kind


def downbeats(piece: Piece) -> Sequence[int]:
    """Where its bars begin if the meter is sure, else nothing.

    A repeat sign amid a bar divides it in two; that leaves the phase of the bars around it as it is.
    """
    if piece.meter is None or meter_class(piece.meter) is None:
        return []
    bar = bar_length(piece.meter)
    phases = Counter(start % bar for start in piece.bars)
    phase, count = max(phases.items(), key=lambda item: (item[1], -item[0]))
    if count < SURE * len(piece.bars):
        return []
    return [start for start in piece.bars if start % bar == phase]


def bass_line(notes: Sequence[Note]) -> list[tuple[int, int, int]]:
    """Stretches (start, end, pitch) in which the lowest sounding note stays; nothing where no note sounds."""
    times = sorted({time for note in notes for time in (note.start, note.end)})
    stretches: list[tuple[int, int, int]] = []
    waiting = sorted(notes, key=lambda note: note.start, reverse=True)
    sounding: list[Note] = []
    for start, end in itertools.pairwise(times):
        while waiting and waiting[-1].start <= start:
            sounding.append(waiting.pop())
        sounding = [note for note in sounding if note.end > start]
        if not sounding:
            continue
        lowest = min(note.pitch for note in sounding)
        if stretches and stretches[-1][1] == start and stretches[-1][2] == lowest:
            stretches[-1] = stretches[-1][0], end, lowest
        else:
            stretches.append((start, end, lowest))
    return stretches
