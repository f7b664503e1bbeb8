"""Scores of estimators that look at all points of a task at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.selection.checks import no_class_left
from ptsel_fairseq.selection.estimators import TaskEstimator
from ptsel_fairseq.selection.estimators.audible import Audible
from ptsel_fairseq.selection.estimators.null import Null, permuted
from ptsel_fairseq.selection.estimators.relevance import NOISE_FLOOR, Relevance
from ptsel_fairseq.selection.estimators.task import Task, large_classes, stack
from ptsel_fairseq.selection.estimators.value_task import task_of
from ptsel_fairseq.selection.label_score import LabelScore

JACKKNIFE_BLOCKS = 10  # of groups, for estimators that must be computed anew without each


def score_by_task(
    x: np.ndarray,
    labels: Mapping[str, np.ndarray],
    classes: np.ndarray,
    estimator: TaskEstimator,
    groups: np.ndarray | None = None,
    seed: int = 0,
    permutations: int = 0,
    interval: bool = True,
    gamma: float | None = None,
    progress: bool = False,
    made: Relevance | None = None,
    values: np.ndarray | None = None,
) -> dict[str, LabelScore]:
    """`score.score_labels` for an estimator of whole tasks.

    Args:
        made: the relevance of the same labels and points, where there is one already.
        values: what is to be told in place of the classes.
    """
    rows: np.ndarray | slice = slice(None)
    small = 0
    if values is None:
        rows = large_classes(classes, estimator.least_points)
        if len(np.unique(classes[rows])) < 2:
            raise PtselError(no_class_left(estimator, classes))
        small = len(np.unique(classes)) - len(np.unique(classes[rows]))
    task = task_of(x, classes, values, groups, seed, rows)
    used = {name: np.asarray(z)[rows] for name, z in labels.items()}
    if estimator.audible is None:
        return _by_function(task, used, estimator, permutations, interval, small, progress)
    if made is None or not estimator.audible or estimator.least_points != 2:
        made = Relevance(task, used, estimator.audible)
    floor = NOISE_FLOOR if gamma is None else gamma
    scores = _without_score(made.reasons, made.stacked.undefined, small)
    nulls = made.nulls(floor, permutations) if permutations else {}
    for name in made.names:
        try:
            found = made.score(name, floor, jackknife=interval)
        except PtselError as error:
            reason = str(error).removeprefix(f"label {name}: ")
            scores |= _without_score({name: reason}, made.stacked.undefined, small)
            continue
        factor = found.most / (found.most - found.chance)
        null = nulls[name].scaled(found.chance, factor) if permutations else None
        per_class = (found.per_class - found.chance * task.shares) * factor
        scores[name] = _record(
            task,
            made.stacked.undefined[name],
            small,
            found.score,
            null,
            estimator,
            found.standard_error,
            found.blocks,
            _named(task, per_class),
        )
    return scores


def _by_function(
    task: Task,
    labels: Mapping[str, np.ndarray],
    estimator: TaskEstimator,
    permutations: int,
    interval: bool,
    small: int,
    progress: bool,
) -> dict[str, LabelScore]:
    stacked, reasons = stack(labels, len(task))
    scores = _without_score(reasons, stacked.undefined, small)
    score = _function(task, estimator)
    parts = _blocks(task) if interval else []
    apart = [(rows, _function(part, estimator)) for rows, part in parts]
    names: Iterable[str] = stacked.names
    if progress:
        names = progress_bar(names, desc="scoring labels", unit="label")
    for name in names:
        z = stacked.of(name)
        value = score(z)
        if not np.isfinite(value):
            reason = "it says nothing at all of the classes"
            scores |= _without_score({name: reason}, stacked.undefined, small)
            continue
        null = error = None
        if permutations:
            drawn = [
                score(z[task.transplant(np.random.default_rng([task.seed, 3, number]))])
                for number in range(permutations)
            ]
            null = permuted(np.array(drawn)[np.isfinite(drawn)])
        if len(apart) > 1:
            left = np.array([part(_standard(z[rows])) for rows, part in apart])
            spread = left - left.mean()
            error = float(np.sqrt((len(left) - 1) / len(left) * (spread @ spread)))
            error = error if np.isfinite(error) else None
        scores[name] = _record(
            task,
            stacked.undefined[name],
            small,
            value,
            null,
            estimator,
            error,
            len(apart),
            None if estimator.by_class is None else _named(task, estimator.by_class(task, z)),
        )
    return scores


def _function(task: Task, estimator: TaskEstimator) -> Callable[[np.ndarray], float]:
    """What the estimator makes of values of the task."""
    if estimator.hearing is not None:
        hearing, audible = estimator.hearing, Audible(task)
        return lambda z: float(hearing(task, audible, z))
    if estimator.function is None:
        raise PtselError(f"estimator {estimator.name}: it has neither a function nor one that hears")
    function = estimator.function
    return lambda z: float(function(task, z))


def _blocks(task: Task) -> list[tuple[np.ndarray, Task]]:
    """The task without one block of groups at a time, and which points are left."""
    count = min(JACKKNIFE_BLOCKS, int(task.blocks.max()) + 1)
    found = []
    for block in range(count):
        rows = np.flatnonzero(task.blocks % count != block)
        if task.can_be_told(rows) and len(np.unique(task.group_of[rows])) > 1:
            found.append((rows, task.only(rows)))
    return found


def _standard(z: np.ndarray) -> np.ndarray:
    deviation = z.std(axis=0)
    return (z - z.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)


def _record(
    task: Task,
    undefined: int,
    small: int,
    score: float,
    null: Null | None,
    estimator: TaskEstimator,
    error: float | None,
    blocks: int,
    per_class: dict[str, float] | None = None,
) -> LabelScore:
    from scipy.special import stdtrit  # scipy.stats takes half a second to import

    turned = null if null is None or estimator.higher_is_better else null.mirrored()
    interval = None
    if error is not None:
        aside = float(stdtrit(blocks - 1, 0.975)) * error
        least, most = estimator.bounds
        interval = (max(least, score - aside), min(most, score + aside))
    return LabelScore(
        score=score,
        interval=interval,
        standard_error=error,
        p=turned.p(-estimator.cost(score)) if turned else None,
        z=null.z(score) if null else None,
        null_interval=null.middle() if null else None,
        points=len(task) - undefined,
        points_undefined=undefined,
        classes=len(task.names) if task.of_classes else 0,
        classes_too_small=small,
        effective_classes=float(1 / (task.shares @ task.shares)) if task.of_classes else 0.0,
        per_class=per_class or {},
        units=0 if error is None else blocks,
        points_per_class=_named(task, task.counts.astype(int)),
    )


def _named(task: Task, values: np.ndarray) -> dict[str, Any]:
    """Values [k] by the name of the class; none of a task of values."""
    if not task.of_classes:
        return {}
    return dict(zip(map(str, task.names), values.tolist(), strict=True))


def _without_score(
    reasons: Mapping[str, str], undefined: Mapping[str, int], small: int
) -> dict[str, LabelScore]:
    return {
        name: LabelScore(None, points_undefined=undefined[name], classes_too_small=small, reason=reason)
        for name, reason in reasons.items()
    }
