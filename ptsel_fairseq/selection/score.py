"""Scores of conditional independence: how much each label still depends on the speech, given the class.

The score of a label is the dependence of speech X and label Z inside the classes Y, averaged over
classes. **Lower is better**: the papers (arXiv 2107.00594, section 3) expect a label to help a downstream
task the more, the closer it is to being independent of the speech given the class.

Three scores, never to be mixed in one table:

* ``cka`` (default): debiased centred kernel alignment, in [-1, 1]; comparable between labels;
* ``hsic``: unbiased HSIC; invariant to units, but smaller for labels that vary little;
* ``reference``: the papers' released code. It hardly centres its kernels and takes labels in their own
  units, so its order of the labels follows those units; it never falls below about 1/n.

Nothing here claims that a low score of one estimator predicts what a low score of another does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from ptsel_fairseq.base.device import check_device
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.base.workers import LOCAL, available_cores, map_ordered
from ptsel_fairseq.selection.checks import minimum_points, no_class_left, prepare_labels
from ptsel_fairseq.selection.estimators.one_class import MEMORY, score_class, scoring_seconds
from ptsel_fairseq.selection.label_score import LabelScore

ESTIMATORS = ("cka", "hsic", "reference")
AVERAGES = ("count", "plain")
TOO_SMALL, CONSTANT = "too small", "constant"
TAIL = 0.025  # of an interval of 95 %, at each end
SHORT_WORK_SECONDS = 6.0  # less than this is done faster in one process than processes start


@dataclass
class _Tally:
    """What the classes say about one label; `nulls` are the permutations' scores of each class."""

    counts: dict[str, int] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    nulls: list[np.ndarray] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=lambda: {TOO_SMALL: 0, CONSTANT: 0})

    def add(self, class_name: str, result: tuple[int, np.ndarray] | str) -> None:
        if isinstance(result, str):
            self.left_out[result] += 1
            return
        self.counts[class_name], scores = result
        self.scores[class_name] = float(scores[0])
        self.nulls.append(scores[1:])


def score_labels(
    x: np.ndarray,
    labels: Mapping[str, np.ndarray],
    classes: np.ndarray,
    estimator: str = "cka",
    seed: int = 0,
    permutations: int = 1000,
    bootstrap: int = 1000,
    average: str | None = None,
    divisor: str = "n2",
    progress: bool = False,
    memory: float = MEMORY,
    engine: str = LOCAL,
    jobs: int | None = None,
    device: str = "cpu",
) -> dict[str, LabelScore]:
    """Score each label; lower means closer to independent of the speech given the class.

    Classes are scored apart from each other, each by one worker; none of the settings from `progress` on changes a
    score by more than rounding.

    Args:
        x: points [N, d], one speech vector for each sample (see `embedding.embed`).
        labels: name -> values [N] or [N, d]; NaN where a label is undefined. Such a sample is left out
            for that label only.
        classes: downstream class of each sample [N].
        estimator: cka, hsic or reference.
        permutations: of the labels inside each class, for `p` and `z`; 0 for none.
        bootstrap: resamplings of the classes, for the interval; 0 for none.
        average: over classes: by `count` (the papers' equation 4; default of cka and hsic) or `plain` (the
            released code; default of reference).
        divisor: of `reference`, see `hsic.hsic`.
        progress: show a bar on stderr.
        memory: bytes that the computation may take beside its arguments (default 4e9); see `class_scores`.
        engine: where the classes are scored, see `workers.map_ordered`.
        jobs: processes of the engine ``local``; default, all cores, or one if that is faster.
        device: ``cpu``, or ``cuda`` (or ``cuda:1``) for the permutations of classes that fit into the GPU's memory.

    Returns:
        Label -> LabelScore, sorted by name.

    Raises:
        PtselError: arrays that do not fit each other, values that are not finite, an unknown setting, a
            class that does not fit into `memory`, or no class with enough points.
    """
    x, classes = np.asarray(x), np.asarray(classes)
    average = average or ("plain" if estimator == "reference" else "count")
    check_settings(estimator, average, permutations, bootstrap)
    check_device(device)
    values, scores = prepare_labels(x, labels, classes, estimator)
    names, class_of = np.unique(classes, return_inverse=True)
    if engine == LOCAL:
        seconds = scoring_seconds(np.bincount(class_of), x.shape[1], values.values(), 1 + permutations)
        jobs = (
            1
            if device != "cpu" or seconds < SHORT_WORK_SECONDS
            else min(jobs or available_cores(), len(names))
        )
        memory /= jobs
    shared = (estimator, divisor, permutations, seed, memory, device)
    by_class = np.split(np.argsort(class_of, kind="stable"), np.cumsum(np.bincount(class_of))[:-1])
    pieces = (
        (number, x[rows], {name: z[rows] for name, z in values.items()}, *shared)
        for number, rows in enumerate(by_class)
    )
    found: Iterable[dict[str, tuple[int, np.ndarray] | str]] = map_ordered(score_piece, pieces, engine, jobs)
    if progress:
        found = progress_bar(found, total=len(names), desc="scoring classes", unit="class")
    tallies = {name: _Tally() for name in values}
    for class_name, results in zip(names, found, strict=True):
        for name, result in results.items():
            tallies[name].add(str(class_name), result)
    scores |= {
        name: _summarise(tally, values[name], estimator, average, bootstrap, seed)
        for name, tally in tallies.items()
    }
    if not any(tally.scores for tally in tallies.values()) and tallies:
        raise PtselError(no_class_left(estimator, classes))
    return dict(sorted(scores.items()))


def check_settings(estimator: str, average: str, permutations: int, bootstrap: int) -> None:
    if estimator not in ESTIMATORS:
        raise PtselError(f"expected an estimator among {', '.join(ESTIMATORS)}, found {estimator!r}")
    if average not in AVERAGES:
        raise PtselError(f"expected an average among {', '.join(AVERAGES)}, found {average!r}")
    if permutations < 0 or bootstrap < 0:
        raise PtselError(
            f"expected counts of at least 0, found permutations {permutations}, bootstrap {bootstrap}"
        )


def score_piece(piece: tuple) -> dict[str, tuple[int, np.ndarray] | str]:
    """Score the labels of one class, on its samples and on permutations of them: what a worker does.

    Args:
        piece: number of the class, x [n, d], label -> values [n, dim], then estimator, divisor, permutations, seed,
            memory and device as `score_labels` has them.

    Returns:
        Label -> the number of samples on which it is defined, and its score for each order [1 + permutations]; or
        the reason why the class is left out for it.
    """
    number, x, labels, estimator, divisor, permutations, seed, memory, device = piece
    results: dict[str, tuple[int, np.ndarray] | str] = {}
    for members, group in _same_samples(labels):
        n = len(members)
        if n < minimum_points(estimator):
            results |= dict.fromkeys(group, TOO_SMALL)
            continue
        rng = np.random.default_rng([seed, number, n])
        orders = np.array([np.arange(n), *(rng.permutation(n) for _ in range(permutations))])
        found = score_class(x[members], group, estimator, divisor, orders, memory, device)
        results |= {name: (n, found[name]) if name in found else CONSTANT for name in group}
    return results


def _same_samples(labels: Mapping[str, np.ndarray]) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Group the labels by the samples on which they are defined; the speech kernel is the same for a group."""
    groups: dict[bytes, tuple[np.ndarray, dict[str, np.ndarray]]] = {}
    for name, z in labels.items():
        members = np.flatnonzero(~np.isnan(z[:, 0]))
        groups.setdefault(members.tobytes(), (members, {}))[1][name] = z[members]
    yield from groups.values()


def _summarise(
    tally: _Tally, values: np.ndarray, estimator: str, average: str, bootstrap: int, seed: int
) -> LabelScore:
    """Average the classes; the same average of each permutation is the null distribution."""
    undefined = int(np.isnan(values[:, 0]).sum())
    too_small, constant = tally.left_out[TOO_SMALL], tally.left_out[CONSTANT]
    if not tally.scores:
        reason = f"no class with {minimum_points(estimator)} or more points where it is defined and varies"
        return LabelScore(
            score=None,
            points_undefined=undefined,
            classes_too_small=too_small,
            classes_constant=constant,
            reason=reason,
        )
    scores = np.array(list(tally.scores.values()))
    counts = np.array(list(tally.counts.values()), dtype=np.float64)
    weights = counts if average == "count" else np.ones_like(counts)
    score = float(np.average(scores, weights=weights))
    effective_classes = float(weights.sum() ** 2 / (weights**2).sum())

    p = z = null_interval = interval = error = None
    null = np.average(np.array(tally.nulls), axis=0, weights=weights)
    if len(null):
        slack = 1e-10 * max(abs(score), float(np.abs(null).max()))  # ties are equal up to rounding
        p = float((1 + np.count_nonzero(null >= score - slack)) / (1 + len(null)))
        z = float((score - null.mean()) / null.std()) if null.std() > slack else None
        null_interval = _middle(null)
    if bootstrap and len(scores) > 1:
        drawn = np.random.default_rng([seed, len(scores)]).integers(0, len(scores), (bootstrap, len(scores)))
        resampled = (scores * weights)[drawn].sum(axis=1) / weights[drawn].sum(axis=1)
        interval = _middle(resampled, small_sample_tail(effective_classes))
        error = float(resampled.std(ddof=1)) if bootstrap > 1 else None
    return LabelScore(
        score=score,
        interval=interval,
        standard_error=error,
        p=p,
        z=z,
        null_interval=null_interval,
        points=int(counts.sum()),
        points_undefined=undefined,
        classes=len(scores),
        effective_classes=effective_classes,
        classes_too_small=too_small,
        classes_constant=constant,
        floor=float(np.average(1 / counts, weights=weights)) if estimator == "reference" else None,
        per_class=tally.scores,
        points_per_class=tally.counts,
    )


def small_sample_tail(classes: float) -> float:
    """Share of the resamplings to leave out at each end for an interval of 95 % over so many classes.

    Resampling m values gives intervals that are too narrow by sqrt((m - 1) / m), and by a normal in place of
    Student's distribution; leaving out less mends both (Hesterberg 2015, "What teachers should know about the
    bootstrap", section 5.2). Towards 2.5 % for many classes.
    """
    from scipy.special import ndtr, stdtrit  # scipy.stats takes half a second to import

    freedom = max(classes - 1, 1e-9)
    return float(ndtr(np.sqrt((freedom + 1) / freedom) * stdtrit(freedom, TAIL)))


def _middle(values: np.ndarray, tail: float = TAIL) -> tuple[float, float]:
    """Where the values lie but for the share `tail` at each end."""
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
