"""The estimators of the study as the package computes them, one function for all labels of a task's training part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from settings import GAMMAS

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.selection.estimators.audible import Audible, Plain
from ptsel_fairseq.selection.estimators.lee import lee
from ptsel_fairseq.selection.estimators.logme import logme
from ptsel_fairseq.selection.estimators.probe import probe
from ptsel_fairseq.selection.estimators.relevance import NOISE_FLOOR, Relevance
from ptsel_fairseq.selection.estimators.task import Task, stack
from ptsel_fairseq.selection.score import score_labels

if TYPE_CHECKING:
    from scores import TrainingPart

LOWER, HIGHER = "lower", "higher"
Scores = Mapping[str, float]


def in_classes(estimator: str, raw: bool = False) -> Callable[[TrainingPart], Scores]:
    """One of the scores that look inside the classes."""

    def estimate(part: TrainingPart) -> Scores:
        labels = part.raw if raw else part.labels
        try:
            found = score_labels(
                part.x, labels, part.classes, estimator=estimator, permutations=0, bootstrap=0
            )
        except PtselError as error:  # no class with enough points
            print(f"{part.task}: no score by {estimator}: {error}", flush=True)
            return dict.fromkeys(labels, np.nan)
        return {name: np.nan if record.score is None else record.score for name, record in found.items()}

    return estimate


def relevance(gamma: float, audible: bool, labels: int = 1) -> Callable[[TrainingPart], Scores]:
    """Relevance of each label alone; Pillai's trace where the noise floor `gamma` is 0."""

    def estimate(part: TrainingPart) -> Scores:
        task = part.shared("task", lambda: Task(part.x, part.classes, part.groups))
        kind = "audible" if audible else "plain"
        operator = part.shared(kind, lambda: Audible(task) if audible else Plain(task))
        made = part.shared(f"{kind} moments", lambda: Relevance(task, part.labels, audible, operator))
        return {
            name: _or_nan(lambda name=name: made.score(name, gamma / labels).score) for name in made.names
        }

    return estimate


def whole_task(
    function: Callable[..., float], needs_speech: bool = False
) -> Callable[[TrainingPart], Scores]:
    """One of the scores that look at all classes together."""

    def estimate(part: TrainingPart) -> Scores:
        task = part.shared("task", lambda: Task(part.x, part.classes, part.groups))
        stacked, _ = part.shared("stacked", lambda: stack(part.labels, len(task)))
        more = (part.shared("audible", lambda: Audible(task)),) if needs_speech else ()
        return {name: function(task, *more, stacked.of(name)) for name in stacked.names}

    return estimate


def _or_nan(score: Callable[[], float]) -> float:
    """NaN for a label with too many columns for the points."""
    try:
        return score()
    except PtselError:
        return np.nan


ESTIMATORS: dict[str, tuple[str, Callable[[TrainingPart], Scores]]] = {
    "reference": (LOWER, in_classes("reference", raw=True)),
    "hsic": (LOWER, in_classes("hsic")),
    "cka": (LOWER, in_classes("cka")),
    "pillai": (HIGHER, relevance(NOISE_FLOOR, audible=False)),
    "relevance": (HIGHER, relevance(NOISE_FLOOR, audible=True)),
    "pillai_0": (HIGHER, relevance(0.0, audible=False)),
    "relevance_0": (HIGHER, relevance(0.0, audible=True)),
    **{f"v_{gamma:g}": (HIGHER, relevance(gamma, audible=True, labels=34)) for gamma in GAMMAS},
    "logme": (HIGHER, whole_task(logme)),
    "lee": (LOWER, whole_task(lee, needs_speech=True)),
    "probe": (HIGHER, whole_task(probe)),
    "dimension": (HIGHER, lambda part: {name: float(dim) for name, dim in part.dims.items()}),
    "log_std": (HIGHER, lambda part: dict(part.spread)),
}
