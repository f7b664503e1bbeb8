"""The points of each task, and what a linear probe on their vectors says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from corpora import Parts, present, stream_of
from settings import (
    EXCERPT,
    MOST_CLASSES,
    MOST_POINTS,
    NOTE_SECONDS,
    PENALTIES,
    PROBE_ITERATIONS,
    ROW_RESAMPLES,
    SCORES,
    TASKS,
    Settings,
    Task,
)
from study_tools.fetched import Span, classes_of, note_pitch_classes, note_seconds
from study_tools.points import Points, drawn_points
from study_tools.probes import logistic, scores, standardised
from study_tools.stream import Stream
from torch import Tensor
from torch.nn import functional

from ptsel_fairseq.downstream import evaluate_classification, evaluate_multilabel
from ptsel_fairseq.downstream.metrics.results import Result


@dataclass(frozen=True)
class Judged:
    """What a probe says: the metric of its task on the part to choose on and on the test part, and their intervals."""

    valid: float
    test: float
    low: float
    high: float


@dataclass
class Data:
    """The stream and the points of every task."""

    settings: Settings

    @cached_property
    def parts(self) -> Parts:
        return Parts(self.settings)

    @cached_property
    def stream(self) -> Stream:
        return stream_of(self.settings, self.parts)

    @cached_property
    def points(self) -> dict[str, Points]:
        return {name: points_of(self.settings, self.stream, self.parts, task) for name, task in TASKS.items()}

    def stretches(self, tasks: Iterable[str]) -> list[tuple[int, int]]:
        """First frame and end of every stretch that is a point of one of the tasks, each once."""
        return sorted(
            {
                (int(first), int(end))
                for task in tasks
                for first, end in zip(self.points[task].start, self.points[task].end, strict=True)
            }
        )


def points_of(settings: Settings, stream: Stream, parts: Parts, task: Task) -> Points:
    if task.several:
        return points_of_several(settings, stream, parts, task)
    return drawn_points(
        stream,
        task,
        spans_of(settings, stream, task),
        most=MOST_POINTS,
        fewest=settings.fewest,
        most_classes=MOST_CLASSES,
        is_valid=parts.is_valid,
    )


def spans_of(settings: Settings, stream: Stream, task: Task) -> list[Span]:
    if task.name == "pitch_class":
        return note_pitch_classes(settings, stream, NOTE_SECONDS)
    if task.corpus == SCORES:
        classes = classes_of(settings, SCORES, task.classes)
        return [(path, *EXCERPT, name) for path, name in classes.items()]
    return note_seconds(settings, stream, task.classes, NOTE_SECONDS)


def points_of_several(settings: Settings, stream: Stream, parts: Parts, task: Task) -> Points:
    """One point a rendered score; `y` says which instruments it has, float32 [points, instruments]."""
    there = present(settings)
    rows = np.array([row for row, path in enumerate(stream.paths) if path in there])
    test = stream.test[rows]
    every = sorted({name for row in rows for name in there[stream.paths[row]]})
    y = np.array([[there[stream.paths[row]].get(name, 0.0) for name in every] for row in rows], np.float32)
    enough = np.ones(len(every), bool)
    for part, members in (("train", ~test), ("test", test)):
        number = y[members].sum(axis=0)
        enough &= (number >= settings.fewest[part]) & (members.sum() - number >= settings.fewest[part])
    names = tuple(name for name, good in zip(every, enough, strict=True) if good)
    local = np.array([stream.grid.frames_between(*EXCERPT, int(stream.samples[row])) for row in rows])
    return Points(
        task=task,
        start=stream.first[rows] + local[:, 0],
        end=stream.first[rows] + local[:, 1],
        y=y[:, enough],
        names=names,
        test=test,
        valid=np.array([parts.is_valid(stream.paths[row]) for row in rows]) & ~test,
        utterance=rows,
        seconds=np.array([EXCERPT for _ in rows]),
    )


def judge(x: np.ndarray, points: Points, iterations: int = PROBE_ITERATIONS) -> Judged:
    """A linear probe: logistic regression whose penalty has the least loss on the validation part.

    The metric of the validation part is that of the probe fitted without it; the test part's is of the one fitted on
    both. The interval resamples recordings.

    Args:
        x: vectors [points, dim], NaN where undefined.
        iterations: of each fit, at most.
    """
    task: Task = points.task
    several = points.y.ndim == 2
    features = standardised(x, ~points.test)
    target = torch.from_numpy(points.y)
    classes = len(points.names)
    loss_of = functional.binary_cross_entropy_with_logits if several else functional.cross_entropy
    fitting, tuned, every, test = (
        torch.from_numpy(part)
        for part in (~points.test & ~points.valid, points.valid, ~points.test, points.test)
    )
    start: Tensor | None = None
    best, chosen, answer = np.inf, max(PENALTIES), torch.zeros(0)
    for penalty in sorted(PENALTIES, reverse=True):
        start = logistic(features[fitting], target[fitting], classes, penalty, iterations, start, loss_of)
        logits = scores(start, features[tuned])
        loss = float(loss_of(logits, target[tuned]))
        if loss < best:
            best, chosen, answer = loss, penalty, logits
    weights = logistic(features[every], target[every], classes, chosen, iterations, start, loss_of)
    valid = result_of(answer, points, points.valid)[task.metric]
    found = result_of(scores(weights, features[test]), points, points.test)[task.metric]
    low, high = found.interval or (np.nan, np.nan)
    return Judged(valid.value, found.value, low, high)


def result_of(logits: Tensor, points: Points, part: np.ndarray) -> Result:
    """The package's metrics of a probe's answers on a part."""
    groups = [str(number) for number in points.utterance[part]]
    if points.y.ndim == 2:
        return evaluate_multilabel(
            points.y[part],
            logits.sigmoid().numpy(),
            classes=points.names,
            groups=groups,
            resamples=ROW_RESAMPLES,
        )
    names = np.array(points.names)
    return evaluate_classification(
        names[points.y[part]], names[logits.argmax(1).numpy()], groups=groups, resamples=ROW_RESAMPLES
    )
