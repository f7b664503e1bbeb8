"""The points of each task: which frames, which class, which part; and how frames become vectors."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from corpora import aligned, below, classes_of, draw
from pool import Pool, Track
from scipy import sparse
from settings import (
    DOWNSAMPLED,
    FEWEST_POINTS,
    MOST_CLASSES,
    MUSIC_SECONDS,
    Settings,
    Task,
)

from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.selection.embedding import downsampling_filters

VALID_SHARE = 0.2  # of the training part's recordings, to choose a head's penalty and epoch on
NOTE = re.compile(r"[A-G]s?")
LANGUAGE_OF = re.compile(r"^(?:asterisk/.*/sounds/(?P<a>[a-z]{2})_|fish-fillets/.*/(?P<b>cs|nl)/[^/]+$)")

Span = tuple[str, float, float, str]  # path, start, end, class


@dataclass(frozen=True)
class Points:
    """The points of a task.

    Attributes:
        task: whose points they are.
        start, end: frames of the stream, int [points].
        y: class of each as a number, int [points].
        names: of the classes.
        test: bool [points].
        valid: bool [points], the part of the training points that heads are tuned on.
        utterance: number of the recording in the pool, int [points].
        seconds: start and end in the recording, float [points, 2].
    """

    task: Task
    start: np.ndarray
    end: np.ndarray
    y: np.ndarray
    names: tuple[str, ...]
    test: np.ndarray
    valid: np.ndarray
    utterance: np.ndarray
    seconds: np.ndarray

    def __len__(self) -> int:
        return len(self.y)

    @cached_property
    def rows(self) -> sparse.csr_matrix:
        """[points, frames]: the mean over a point's frames; for ``downsample`` [4 points, frames]."""
        width = DOWNSAMPLED if self.task.summary == "downsample" else 1
        values, columns, lengths = [], [], []
        for first, last in zip(self.start, self.end, strict=True):
            n = last - first
            weights = downsampling_filters(n, width, 0.07, 0.1) if width > 1 else np.full((1, n), 1 / n)
            values.append(weights.ravel())
            columns.append(np.tile(np.arange(first, last), width))
            lengths += [n] * width
        pointers = np.concatenate([[0], np.cumsum(lengths)])
        data = np.concatenate(values).astype(np.float32)
        return sparse.csr_matrix(
            (data, np.concatenate(columns), pointers), shape=(len(lengths), self.end.max())
        )

    def summarise(self, frames: np.ndarray) -> np.ndarray:
        """Vectors of all points from features of every frame, float32 [frames, dim] -> [points, width]."""
        frames = frames[: self.rows.shape[1]]
        mean = self.rows @ frames
        if self.task.summary == "mean":
            return mean
        if self.task.summary == "mean_std":
            square = self.rows @ (frames * frames)
            return np.hstack([mean, np.sqrt(np.maximum(square - mean * mean, 0))])
        return mean.reshape(len(self), -1)

    def summarise_track(self, track: Track, raw: bool = False) -> np.ndarray:
        """The same of a label, over the frames where it is defined; NaN in points without one.

        Args:
            raw: the mean over all frames in the label's own unit, with openSMILE's value where it is undefined; for
                the estimator `reference`.
        """
        end = self.rows.shape[1]
        values, valid = track.values[:end].astype(np.float32), track.valid[:end]
        if raw:
            values = values * track.std.astype(np.float32) + track.mean.astype(np.float32)
            if track.unvoiced is not None:
                values, valid = (
                    np.where(valid[:, None], values, np.float32(track.unvoiced)),
                    np.ones(end, bool),
                )
            return self._masked_mean(values, valid)[0]
        if valid[self._frames].all():
            return self.summarise(values)
        if self.task.summary == "downsample":
            return self._downsample_masked(values, valid)
        mean, _ = self._masked_mean(values, valid)
        if self.task.summary == "mean":
            return mean
        square, _ = self._masked_mean(values * values, valid)
        return np.hstack([mean, np.sqrt(np.maximum(square - mean * mean, 0))])

    @cached_property
    def _frames(self) -> np.ndarray:
        return np.unique(self.rows.indices)

    @cached_property
    def _mean_rows(self) -> sparse.csr_matrix:
        lengths = self.end - self.start
        data = np.repeat(1 / lengths, lengths).astype(np.float32)
        columns = np.concatenate([np.arange(a, b) for a, b in zip(self.start, self.end, strict=True)])
        pointers = np.concatenate([[0], np.cumsum(lengths)])
        return sparse.csr_matrix((data, columns, pointers), shape=(len(self), self.end.max()))

    def _masked_mean(self, values: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        share = self._mean_rows @ valid.astype(np.float32)
        total = self._mean_rows @ np.where(valid[:, None], values, np.float32(0))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(share[:, None] > 0, total / share[:, None], np.nan), share

    def _downsample_masked(self, values: np.ndarray, valid: np.ndarray) -> np.ndarray:
        found = np.full((len(self), DOWNSAMPLED * values.shape[1]), np.nan, np.float32)
        for i, (first, last) in enumerate(zip(self.start, self.end, strict=True)):
            known = np.flatnonzero(valid[first:last])
            if len(known):
                times = np.arange(last - first)
                filled = np.column_stack(
                    [np.interp(times, known, column) for column in values[first:last][known].T]
                )
                found[i] = (downsampling_filters(last - first, DOWNSAMPLED, 0.07, 0.1) @ filled).ravel()
        return found


def points_of(settings: Settings, pool: Pool, task: Task) -> Points:
    """The points of a task in its pool: classes with enough in both parts, at most so many of each."""
    number_of = {path: number for number, path in enumerate(pool.paths)}
    spans = [span for span in SPANS[task.name](settings, pool) if span[0] in number_of]
    parts = {"train": Counter(), "test": Counter()}
    for path, _, _, name in spans:
        parts["test" if pool.test[number_of[path]] else "train"][name] += 1
    fewest = {part: 1 if settings.tiny else FEWEST_POINTS[part] for part in parts}
    enough = [name for name in parts["train"] if all(parts[p][name] >= fewest[p] for p in parts)]
    names = sorted(sorted(enough, key=lambda name: (-parts["train"][name], name))[:MOST_CLASSES])
    kept: list[tuple[int, float, float, int]] = []
    taken = Counter()
    for path, start, end, name in sorted(spans, key=lambda span: draw(f"{span[0]} {span[1]}")):
        if name in names:
            number = number_of[path]
            part = "test" if pool.test[number] else "train"
            if taken[part, name] < task.most[part]:
                taken[part, name] += 1
                kept.append((number, start, end, names.index(name)))
    kept.sort()
    utterance = np.array([entry[0] for entry in kept])
    local = np.array([pool.grid.frames_between(s, e, int(pool.samples[u])) for u, s, e, _ in kept])
    test = pool.test[utterance]
    tuned = np.array([draw(f"valid {path}") < VALID_SHARE for path in pool.paths])
    return Points(
        task=task,
        start=pool.first[utterance] + local[:, 0],
        end=pool.first[utterance] + local[:, 1],
        y=np.array([entry[3] for entry in kept]),
        names=tuple(names),
        test=test,
        valid=tuned[utterance] & ~test,
        utterance=utterance,
        seconds=np.array([entry[1:3] for entry in kept]),
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


def note_seconds(settings: Settings, pool: Pool, kind: str) -> list[Span]:
    """The first whole seconds of every note of tonejs, with a class of the note."""
    lengths = dict(zip(pool.paths, pool.samples / pool.grid.sample_rate, strict=True))
    return [
        (path, float(second), second + 1.0, name)
        for path, name in classes_of(settings, "tonejs", kind).items()
        for second in range(min(MUSIC_SECONDS, int(lengths.get(path, 0))))
    ]


def instruments(settings: Settings, pool: Pool) -> list[Span]:
    return note_seconds(settings, pool, "instrument")


def pitch_classes(settings: Settings, pool: Pool) -> list[Span]:
    found = note_seconds(settings, pool, "note")
    return [(path, start, end, NOTE.match(name).group()) for path, start, end, name in found]


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
