"""The points of a task, and how frames become their vectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy import sparse

from ptsel_fairseq.selection.embedding import downsampling_filters
from study_tools.fetched import Span, draw
from study_tools.stream import Stream, Track

DOWNSAMPLED = 4


class Task(Protocol):
    """A downstream task.

    Attributes:
        summary: how frames become the vector of a point, of features and of labels: ``mean``, ``mean_std``, or
            ``downsample``, four Gaussian-weighted means in time order.
    """

    @property
    def name(self) -> str: ...

    @property
    def summary(self) -> str: ...


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


def drawn_points(
    stream: Stream,
    task: Task,
    spans: Sequence[Span],
    *,
    most: Mapping[str, int],
    fewest: Mapping[str, int],
    most_classes: int,
    is_valid: Callable[[str], bool],
) -> Points:
    """Points among stretches of a stream's recordings, the first by a checksum.

    Args:
        spans: those of other recordings are passed over.
        most: points of each class in ``train`` and in ``test``.
        fewest: a class that has fewer in either part is left out.
        most_classes: the most frequent are taken.
        is_valid: whether heads are tuned on a recording of the training part.
    """
    number_of = {path: number for number, path in enumerate(stream.paths)}
    spans = [span for span in spans if span[0] in number_of]
    parts = {"train": Counter(), "test": Counter()}
    for path, _, _, name in spans:
        parts["test" if stream.test[number_of[path]] else "train"][name] += 1
    enough = [name for name in parts["train"] if all(parts[p][name] >= fewest[p] for p in parts)]
    names = sorted(sorted(enough, key=lambda name: (-parts["train"][name], name))[:most_classes])
    kept: list[tuple[int, float, float, int]] = []
    taken = Counter()
    for path, start, end, name in sorted(spans, key=lambda span: draw(f"{span[0]} {span[1]}")):
        if name in names:
            number = number_of[path]
            part = "test" if stream.test[number] else "train"
            if taken[part, name] < most[part]:
                taken[part, name] += 1
                kept.append((number, start, end, names.index(name)))
    kept.sort()
    utterance = np.array([entry[0] for entry in kept])
    local = np.array([stream.grid.frames_between(s, e, int(stream.samples[u])) for u, s, e, _ in kept])
    test = stream.test[utterance]
    tuned = np.array([is_valid(path) for path in stream.paths])
    return Points(
        task=task,
        start=stream.first[utterance] + local[:, 0],
        end=stream.first[utterance] + local[:, 1],
        y=np.array([entry[3] for entry in kept]),
        names=tuple(names),
        test=test,
        valid=tuned[utterance] & ~test,
        utterance=utterance,
        seconds=np.array([entry[1:3] for entry in kept]),
    )
