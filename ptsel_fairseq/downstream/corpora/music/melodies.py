"""Which pieces share a melody: they must not be in two splits."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence

from ptsel_fairseq.downstream.corpora.music.piece import Note, Piece

LENGTH = 20  # notes that two pieces have in common, in one key or another, before they count as one melody
BEGINNING = 12  # the same of notes at the beginning
ARTICLES = ("the", "a", "an", "da", "la", "le", "il")
NUMBERS = re.compile(r"\b(?:no|set|version|\d+(?:st|d|nd|rd|th)?|[ivx]+)\b")


def melody_of(piece: Piece) -> Sequence[Note]:
    """The part that is highest on average."""
    return max(piece.parts, key=lambda part: sum(note.pitch for note in part) / len(part))


def stretches(notes: Sequence[Note], length: int = LENGTH) -> Iterator[tuple[int, ...]]:
    """Every stretch of `length` notes as intervals in semitones; of notes at once the highest, of repeated ones one."""
    pitches: list[int] = []
    last = None
    for note in notes:
        if last is not None and note.start == last:
            pitches[-1] = max(pitches[-1], note.pitch)
        else:
            pitches.append(note.pitch)
        last = note.start
    line = [pitch for i, pitch in enumerate(pitches) if i == 0 or pitch != pitches[i - 1]]
    steps = [after - before for before, after in itertools.pairwise(line)]
    for first in range(len(steps) - length + 2):
        yield tuple(steps[first : first + length - 1])


def features_of(piece: Piece, file: str) -> list[object]:
    """What a piece shares with those that belong to it: title, collection, beginning, and stretches of its melody.

    Pieces of a collection have titles such as Kyrie, which say nothing; nor does a title that is the file's name.
    """
    melody = melody_of(piece)
    beginning = next(stretches(melody, BEGINNING), None)
    # There are many stretches, so each is kept as bytes; a step of 256 semitones does not occur.
    features: list[object] = [*{bytes(step % 256 for step in steps): None for steps in stretches(melody)}]
    if beginning:
        features.append(("beginning", beginning))
    if piece.collection:
        features.append(("collection", plain_title(piece.collection)))
    elif plain_title(piece.title) and not file.endswith(piece.title.rpartition(".")[0] or piece.title):
        features.append(("title", plain_title(piece.title)))
    return features


def plain_title(title: str) -> str:
    """A title without case, marks, articles and numbers: ``Soldier's Joy, The. No 2`` is ``soldiers joy``."""
    words = NUMBERS.sub(" ", title.casefold().replace("'", "").split("--")[0]).replace("_", " ")
    plain = [word for word in re.findall(r"\w+", words) if word not in ARTICLES]
    return " ".join(plain)


def grouped(features: Sequence[Iterable[object]]) -> list[int]:
    """A group for each item: those that share a feature, by however many steps, are in one group.

    The number of a group is the place of its first item.
    """
    parent = list(range(len(features)))

    def find(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    seen: dict[object, int] = {}
    for item, own in enumerate(features):
        for feature in own:
            one, other = sorted((find(item), find(seen.setdefault(feature, item))))
            parent[other] = one
    return [find(item) for item in range(len(features))]
