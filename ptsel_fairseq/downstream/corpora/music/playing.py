"""A recipe and its sheet music as MIDI, and the classes of what is then heard."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ptsel_fairseq.downstream.corpora.corpus import Span
from ptsel_fairseq.downstream.corpora.music.library import Work
from ptsel_fairseq.downstream.corpora.music.midi import REVERB, VOLUME, Sounding, Voice, midi_bytes
from ptsel_fairseq.downstream.corpora.music.piece import PITCH_CLASSES, QUARTER, Note
from ptsel_fairseq.downstream.corpora.music.plan import Draws, Recipe, window
from ptsel_fairseq.downstream.corpora.music.theory import bass_line, key_name, meter_class

PRESENT = 0.5  # seconds that an instrument must sound before it counts as present
SHORTEST_BASS = 0.4  # seconds of a stretch of the bass
MOST_BASS = 8  # stretches of a clip
ON_BAR, ON_QUARTER = 8, 4  # how much stronger such notes are


@dataclass(frozen=True)
class Played:
    """A clip as it is played: MIDI, and its classes."""

    midi: bytes
    classes: Mapping[str, str]
    bass: Sequence[Span]
    instruments: frozenset[str]


def play(work: Work, recipe: Recipe, seconds: float) -> Played:
    """Write the notes of a clip as MIDI, and say what is heard."""
    start, draws = recipe.start, Draws(recipe.seed)
    scale = 60 / recipe.tempo / QUARTER
    bars = {bar - start for bar in work.bars}
    voices, sounding, heard = [], [], Counter[str]()
    for player in recipe.players:
        notes = []
        shift = recipe.transposition + player.octave
        for note in window(work, work.piece.parts[player.part], start, recipe.tempo, seconds):
            begin, end = note.start * scale, min(note.end * scale, seconds)
            accent = ON_BAR if note.start in bars else ON_QUARTER if note.start % QUARTER == 0 else 0
            swell = recipe.swell * math.sin(2 * math.pi * begin / recipe.period)
            strength = recipe.velocity + player.strength + accent + swell + draws.between(-6, 6)
            notes.append(Sounding(begin, end, note.pitch + shift, max(20, min(127, round(strength)))))
            sounding.append(Note(note.start, note.length, note.pitch + shift))
            heard[player.instrument] += round((end - begin) * 1000)
        voices.append(Voice(player.program, notes, ((VOLUME, 100), (REVERB, recipe.send))))
    classes = {"style": work.style, "tempo": recipe.tempo_class, "work": work.group}
    assert work.piece.meter is not None
    classes["meter"] = meter_class(work.piece.meter) or ""
    if work.key is not None:
        classes["key"] = key_name(work.key[0] + recipe.transposition, work.key[1])
        classes["mode"] = work.key[1]
    lengths = Counter[int]()
    for note in sounding:
        lengths[note.pitch % 12] += note.length
    classes["pitch_class"] = PITCH_CLASSES[max(lengths, key=lambda pitch: (lengths[pitch], -pitch))]
    bass = [
        (round(begin * scale, 4), round(end * scale, 4), PITCH_CLASSES[pitch % 12])
        for begin, end, pitch in bass_line(sounding)
        if (end - begin) * scale >= SHORTEST_BASS
    ]
    bass = bass[:: max(1, -(-len(bass) // MOST_BASS))]
    present = frozenset(name for name, length in heard.items() if length >= 1000 * PRESENT)
    return Played(midi_bytes(voices, seconds), classes, bass, present)
