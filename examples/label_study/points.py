"""The points of each task: which frames, which class, which part; and how frames become vectors."""

from __future__ import annotations

import re

import numpy as np
from corpora import aligned
from pool import Pool
from settings import (
    FEWEST_POINTS,
    MOST_CLASSES,
    MUSIC_SECONDS,
    Settings,
    Task,
)
from study_tools.fetched import Span, below, classes_of, draw, note_pitch_classes, note_seconds
from study_tools.points import Points, drawn_points

from ptsel_fairseq.base.manifest import read_manifest

VALID_SHARE = 0.2  # of the training part's recordings, to choose a head's penalty and epoch on
LANGUAGE_OF = re.compile(r"^(?:asterisk/.*/sounds/(?P<a>[a-z]{2})_|fish-fillets/.*/(?P<b>cs|nl)/[^/]+$)")


def points_of(settings: Settings, pool: Pool, task: Task) -> Points:
    """The points of a task in its pool."""
    return drawn_points(
        pool,
        task,
        SPANS[task.name](settings, pool),
        most=task.most,
        fewest=dict.fromkeys(FEWEST_POINTS, 1) if settings.tiny else FEWEST_POINTS,
        most_classes=MOST_CLASSES,
        is_valid=lambda path: draw(f"valid {path}") < VALID_SHARE,
    )


def whole(classes: dict[str, str]) -> list[Span]:
    return [(path, 0.0, np.inf, name) for path, name in classes.items()]


def english(settings: Settings, kind: str) -> list[Span]:
    """Words or phones of the English prompts, as pocketsphinx aligned them."""
    root = below(read_manifest(settings.corpora / "asterisk" / "en" / "train.tsv"), settings)
    lines = (aligned(settings) / f"{kind}.tsv").read_text().splitlines()[1:]
    rows = (line.split("\t") for line in lines)
    return [(f"{root}/{path}", float(start), float(end), name) for path, start, end, name in rows]


def characters(settings: Settings, pool: Pool) -> list[Span]:
    return whole(classes_of(settings, "amazon-queen", "character_sure"))


def roles(settings: Settings, pool: Pool) -> list[Span]:
    return whole(classes_of(settings, "fish-fillets", "role_cs"))


def languages(settings: Settings, pool: Pool) -> list[Span]:
    """Five of the Asterisk prompts, Czech and Dutch of the acted game: each language has voices of its own."""
    found = {path: LANGUAGE_OF.match(path) for path in pool.paths}
    return whole({path: match["a"] or match["b"] for path, match in found.items() if match})


def emotions(settings: Settings, pool: Pool) -> list[Span]:
    return whole(classes_of(settings, "polish-emotions", "emotion"))


def sentences(settings: Settings, pool: Pool) -> list[Span]:
    return whole(classes_of(settings, "amazon-queen", "sentence"))


def sentences_cs(settings: Settings, pool: Pool) -> list[Span]:
    return whole(classes_of(settings, "fish-fillets", "sentence_cs"))


def instruments(settings: Settings, pool: Pool) -> list[Span]:
    return note_seconds(settings, pool, "instrument", MUSIC_SECONDS)


def pitch_classes(settings: Settings, pool: Pool) -> list[Span]:
    return note_pitch_classes(settings, pool, MUSIC_SECONDS)


def instruments_sf(settings: Settings, pool: Pool) -> list[Span]:
    """The notes of the soundfont, at most their first seconds."""
    classes = classes_of(settings, "fluidr3mono", "instrument")
    return [(path, 0.0, float(MUSIC_SECONDS), name) for path, name in classes.items()]


SPANS = {
    "phones": lambda settings, pool: english(settings, "phone"),
    "words": lambda settings, pool: english(settings, "word"),
    "characters": characters,
    "roles": roles,
    "language": languages,
    "emotion": emotions,
    "question": sentences,
    "question_cs": sentences_cs,
    "instruments": instruments,
    "instruments_sf": instruments_sf,
    "pitch_class": pitch_classes,
}
