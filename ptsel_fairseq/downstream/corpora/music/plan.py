"""Which clips are made of which works, and how each is played: drawn from a seed, the same on every machine."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.downstream.corpora.music.instruments import playable
from ptsel_fairseq.downstream.corpora.music.library import STYLES, Library, Work, digest
from ptsel_fairseq.downstream.corpora.music.piece import QUARTER, Note
from ptsel_fairseq.downstream.corpora.music.theory import bar_length, beat_length

# Beats a minute: each class is a quarter wider than the one before.
TEMPI: Mapping[str, tuple[float, float]] = {
    "60-75": (60.0, 75.0),
    "75-94": (75.0, 93.75),
    "94-117": (93.75, 117.19),
    "117-146": (117.19, 146.48),
    "146-183": (146.48, 183.11),
}
FASTEST = 8.0  # notes a second of the busiest part
TRANSPOSITIONS = range(-5, 7)  # semitones: every tonic once
SLOTS: tuple[str, ...] = ("train",) * 3 + ("test",) + ("train",) * 2 + ("valid",) + ("train",) * 3 + ("test",)
SLOTS += ("train",) * 2 + ("valid", "test") + ("train",) * 2 + ("valid", "test", "test")  # 12, 3 and 5 of 20
MOST_PLAYERS = 3  # of a tune, in unison or octaves; of several parts, different instruments
MOST_PARTS = 15  # MIDI's channels without the one for drums

Item = TypeVar("Item")


@dataclass(frozen=True)
class Player:
    """One voice of a clip: which part it plays, and how.

    Attributes:
        part: index in the piece.
        instrument: its class; `program` is General MIDI's.
        octave: semitones added to what is written and to the transposition of the clip.
        strength: added to the velocity of the clip.
    """

    part: int
    instrument: str
    program: int
    octave: int
    strength: int


@dataclass(frozen=True)
class Recipe:
    """One clip: all that its sound depends on, apart from the sheet music, the sound font and FluidSynth.

    Attributes:
        path: of its audio.
        work, style, split: see `library.Work`.
        start: `piece.QUARTER`s from the beginning of the piece, at a bar.
        tempo: quarter notes a minute; `beats` are beats a minute, and `tempo_class` one of `TEMPI`.
        transposition: semitones.
        players: at least one of each part that has notes.
        velocity, swell, period: strength of the notes, by how much it swells and falls, and seconds of a swell.
        reverb: room size, damping, width and level, as FluidSynth takes them; `send` is MIDI's controller 91.
        peak: the largest sample of the clip.
        seed: of small differences between the notes.
    """

    path: str
    work: str
    style: str
    split: str
    start: int
    tempo: float
    beats: float
    tempo_class: str
    transposition: int
    players: tuple[Player, ...]
    velocity: int
    swell: int
    period: float
    reverb: tuple[float, float, float, float]
    send: int
    peak: float
    seed: int

    def line(self) -> str:
        """As a line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)


class Draws:
    """Random draws that no version of Python changes: all come from `random.Random.random`."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self._random()

    def one_of(self, items: Sequence[Item]) -> Item:
        return items[min(int(len(items) * self._random()), len(items) - 1)]

    def some_of(self, items: Sequence[Item], count: int) -> list[Item]:
        left = list(items)
        return [left.pop(min(int(len(left) * self._random()), len(left) - 1)) for _ in range(count)]


def plan_clips(library: Library, count: int, seconds: float, seed: int) -> list[Recipe]:
    """`count` clips: styles in turn, of every twenty of a style 12 for training, 3 for validation and 5 for testing.

    The first clips of a longer plan are those of a shorter one. A work comes again when all others of its style and
    split were taken; then it is played in another way.

    Raises:
        PtselError: a style without a work in a split, so that its clips could not be divided.
    """
    styles = [style.name for style in STYLES if any(work.style == style.name for work in library.works)]
    orders: dict[tuple[str, str], list[Work]] = {}
    for style in styles:
        for split in dict.fromkeys(SLOTS):
            works = library.of(style, split)
            if not works:
                raise PtselError(f"expected pieces of {style} for {split}, found none among its works")
            orders[style, split] = in_order(works, seed)
    taken: Counter = Counter()
    recipes = []
    for index in range(count):
        style, split = styles[index % len(styles)], SLOTS[index // len(styles) % len(SLOTS)]
        order = orders[style, split]
        turn, place = divmod(taken[style, split], len(order))
        taken[style, split] += 1
        recipes.append(draw_clip(order[place], turn, seconds, seed))
    return recipes


def in_order(works: Sequence[Work], seed: int) -> list[Work]:
    """Works with a sure key first, major and minor in turn as long as there are both: most pieces are in major."""
    ranks: Counter = Counter()
    order = []
    for work in sorted(works, key=lambda work: digest(seed, work.name)):
        mode = work.key and work.key[1]
        order.append((mode is None, ranks[mode], mode or "", work))
        ranks[mode] += 1
    return [entry[-1] for entry in sorted(order, key=lambda entry: entry[:-1])]


def draw_clip(work: Work, turn: int, seconds: float, seed: int) -> Recipe:
    """How a work is played at its `turn`."""
    own = digest("clip", seed, work.name, turn, seconds)
    draws = Draws(own)
    tempo_class, beats = draw_tempo(work, draws)
    assert work.piece.meter is not None
    tempo = beats * beat_length(work.piece.meter) / QUARTER
    start = draw_start(work, tempo, seconds, draws)
    transposition = draws.one_of(TRANSPOSITIONS)
    players = draw_players(work, start, tempo, seconds, transposition, draws)
    return Recipe(
        path=f"{work.style}/{plain_name(work.name)}-{turn}.flac",
        work=work.name,
        style=work.style,
        split=work.split,
        start=start,
        tempo=tempo,
        beats=beats,
        tempo_class=tempo_class,
        transposition=transposition,
        players=tuple(players),
        velocity=round(draws.between(60, 100)),
        swell=round(draws.between(0, 14)),
        period=round(draws.between(4, 12), 3),
        reverb=tuple(
            round(draws.between(low, high), 3) for low, high in ((0.1, 0.9), (0, 0.7), (0.2, 1), (0.2, 0.9))
        ),  # type: ignore[arg-type]
        send=round(draws.between(0, 110)),
        peak=round(10 ** (-draws.between(1, 9) / 20), 4),
        seed=own,
    )


def draw_tempo(work: Work, draws: Draws) -> tuple[str, float]:
    """One of `TEMPI` at which no part plays more than `FASTEST` notes a second, and beats a minute within it."""
    piece = work.piece
    assert piece.meter is not None
    busiest = max(len({note.start for note in part}) for part in piece.parts) / piece.length
    a_beat = busiest * beat_length(piece.meter)
    allowed = [name for name, (_, high) in TEMPI.items() if high / 60 * a_beat <= FASTEST]
    name = draws.one_of(allowed or list(TEMPI)[:1])
    low, high = TEMPI[name]
    return name, round(math.exp(draws.between(math.log(low), math.log(high))), 2)


def draw_start(work: Work, tempo: float, seconds: float, draws: Draws) -> int:
    """A bar from which the piece lasts for the whole clip; the beginning of a piece that is too short."""
    needed = tempo / 60 * seconds * QUARTER
    late_enough = [bar for bar in work.bars if work.piece.length - bar >= needed]
    return draws.one_of(late_enough) if late_enough else min(work.piece.bars[0], work.bars[0])


def draw_players(
    work: Work, start: int, tempo: float, seconds: float, transposition: int, draws: Draws
) -> list[Player]:
    """Who plays: a tune is played by one to three, several parts by as many instruments or fewer."""
    heard: dict[int, list[int]] = {}
    for index, part in enumerate(work.piece.parts):
        pitches = [note.pitch + transposition for note in window(work, part, start, tempo, seconds)]
        if pitches:
            heard[index] = pitches
    chosen: list[Player] = []
    count = draws.one_of(range(1, MOST_PLAYERS + 1))
    if len(heard) == 1:
        ((index, pitches),) = heard.items()
        able = playable(min(pitches), max(pitches))
        for instrument, octave in draws.some_of(able, min(count, len(able))):
            chosen.append(Player(index, instrument.name, draws.one_of(instrument.programs), octave, 0))
        return chosen
    ensemble: dict[str, int] = {}  # instrument -> program
    for index, pitches in list(heard.items())[:MOST_PARTS]:
        able = playable(min(pitches), max(pitches))
        there = [pair for pair in able if pair[0].name in ensemble]
        fresh = [pair for pair in able if pair[0].name not in ensemble]
        # New instruments until there are enough of them, and wherever none of those there can play the part.
        instrument, octave = draws.one_of(fresh if fresh and (len(ensemble) < count or not there) else there)
        program = ensemble.setdefault(instrument.name, draws.one_of(instrument.programs))
        chosen.append(Player(index, instrument.name, program, octave, round(draws.between(-8, 8))))
    return chosen


def window(work: Work, part: Sequence[Note], start: int, tempo: float, seconds: float) -> Iterator[Note]:
    """The notes of a part that begin within a clip, from its start; a piece that ends earlier begins again."""
    assert work.piece.meter is not None
    bar = bar_length(work.piece.meter)
    whole = -(-work.piece.length // bar) * bar  # a last bar that a pickup fills
    end = start + math.ceil(tempo / 60 * seconds * QUARTER)
    for round_ in range(end // whole + 1):
        for note in part:
            begin = note.start + round_ * whole
            if start <= begin < end:
                yield Note(begin - start, min(note.length, end - begin), note.pitch)


def plain_name(name: str) -> str:
    """A name for a file of lower-case letters, digits and hyphens, without the folder."""
    stem = name.partition("/")[2] or name
    return "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in stem.lower())
