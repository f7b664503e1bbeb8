"""Scores of estimators of kernels: each class by one worker, then their average.

Labels are permuted inside each class. Where points come in groups (segments of utterances) the permutation goes
by group: in each class a label's values are put into the order of the ranks that the label has, inside their
classes, in another group, drawn once for all classes. Each class keeps its values, a label that is the same
throughout an utterance stays so nearly, and classes that share utterances stay tied to each other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.base.workers import LOCAL, LONG_WORK_SECONDS, available_cores, map_ordered
from ptsel_fairseq.selection.checks import no_class_left, prepare_labels
from ptsel_fairseq.selection.estimators import KernelEstimator
from ptsel_fairseq.selection.estimators.grouped_orders import (
    GroupedOrders,
    ranks_in_classes,
    values_of_groups,
)
from ptsel_fairseq.selection.estimators.null import MIDDLE, least_p
from ptsel_fairseq.selection.estimators.one_class import MEMORY, score_class, scoring_seconds
from ptsel_fairseq.selection.label_score import LabelScore

AVERAGES = ("count", "plain")
TOO_SMALL, CONSTANT = "too small", "constant"
TAIL = MIDDLE[0]  # of an interval of 95 %, at each end
SHARE_OF_KERNELS = 64  # bytes: of 16 a pair, a quarter of the memory


@dataclass(frozen=True)
class Compute:
    """Where and with what the work is done; changes no score by more than rounding."""

    memory: float = MEMORY
    engine: str = LOCAL
    jobs: int | None = None
    device: str = "cpu"


@dataclass(frozen=True)
class KernelSettings:
    """What the scores depend on; see `score.score_labels`."""

    estimator: KernelEstimator
    seed: int
    permutations: int
    bootstrap: int
    average: str


@dataclass(frozen=True)
class Piece:
    """One class for a worker: its number, speech [n, d], labels -> values [n, dim], and how to score them.

    `orders` says how labels are permuted where points come in groups; None where each is its own.
    """

    number: int
    x: np.ndarray
    labels: Mapping[str, np.ndarray]
    settings: KernelSettings
    memory: float
    device: str
    orders: GroupedOrders | None = None


def score_by_kernels(
    x: np.ndarray,
    labels: Mapping[str, np.ndarray],
    classes: np.ndarray,
    groups: np.ndarray | None,
    settings: KernelSettings,
    compute: Compute,
    progress: bool = False,
    codes: Collection[str] = (),
) -> dict[str, LabelScore]:
    """`score.score_labels` for an estimator of kernels."""
    values, scores = prepare_labels(x, labels, classes, settings.estimator, codes)
    names, class_of = np.unique(classes, return_inverse=True)
    sizes = np.bincount(class_of)
    memory, jobs = compute.memory, compute.jobs
    in_groups = settings.permutations > 0 and groups is not None and len(np.unique(groups)) < len(x)
    if compute.engine == LOCAL:
        orders = 1 + settings.permutations
        dims = [z.shape[1] for z in values.values()]
        seconds = scoring_seconds(sizes, x.shape[1], dims, orders, in_groups)
        if compute.device != "cpu" or seconds < LONG_WORK_SECONDS:
            jobs = 1
        else:
            jobs = min(jobs or available_cores(), len(names))
        memory /= jobs
    ranks: dict[str, np.ndarray] = {}
    constant: dict[str, np.ndarray] = {}
    if in_groups:
        ranks = ranks_in_classes(values, class_of)
        constant = values_of_groups(values, np.unique(np.asarray(groups), return_inverse=True)[1])
    by_class = np.split(np.argsort(class_of, kind="stable"), np.cumsum(sizes)[:-1])
    pieces = (
        Piece(
            number,
            x[rows],
            {name: z[rows] for name, z in values.items()},
            settings,
            memory,
            compute.device,
            GroupedOrders.of(np.asarray(groups), rows, ranks, settings.seed, constant) if ranks else None,
        )
        for number, rows in enumerate(by_class)
    )
    found: Iterable[dict[str, tuple[int, np.ndarray] | str]] = map_ordered(
        score_piece, pieces, compute.engine, jobs
    )
    if progress:
        found = progress_bar(found, total=len(names), desc="scoring classes", unit="class")
    tallies = {name: _Tally() for name in values}
    for class_name, results in zip(names, found, strict=True):
        for name, result in results.items():
            tallies[name].add(str(class_name), result)
    scores |= {name: _summarise(tally, values[name], settings) for name, tally in tallies.items()}
    if not any(tally.scores for tally in tallies.values()) and tallies:
        raise PtselError(no_class_left(settings.estimator, classes))
    return scores


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


def score_piece(piece: Piece) -> dict[str, tuple[int, np.ndarray] | str]:
    """Score the labels of one class, on its samples and on permutations of them: what a worker does.

    Returns:
        Label -> the number of samples on which it is defined, and its score for each order [1 + permutations]; or
        the reason why the class is left out for it.
    """
    results: dict[str, tuple[int, np.ndarray] | str] = {}
    settings, estimator = piece.settings, piece.settings.estimator
    for members, group in _same_samples(piece.labels):
        n = len(members)
        if n <= estimator.zero_up_to:
            zero = np.zeros(1 + settings.permutations)
            results |= dict.fromkeys(group, (n, zero) if n else TOO_SMALL)
            continue
        if n < estimator.least_points:
            results |= dict.fromkeys(group, TOO_SMALL)
            continue
        moved = (
            {}
            if piece.orders is None
            else {name: z for name, z in group.items() if name in piece.orders.constant}
        )
        results |= {name: _by_group_value(piece, members, name, z) for name, z in moved.items()}
        rest = {name: z for name, z in group.items() if name not in moved}
        for part, orders in _orders(piece, members, rest):
            found = score_class(piece.x[members], part, estimator, orders, piece.memory, piece.device)
            results |= {name: (n, found[name]) if name in found else CONSTANT for name in part}
    return results


def _by_group_value(
    piece: Piece, members: np.ndarray, name: str, z: np.ndarray
) -> tuple[int, np.ndarray] | str:
    """Scores of a label that is the same throughout each group: its values as they are, and permuted by group."""
    n, settings = len(members), piece.settings
    as_it_is = np.arange(n)[None]
    speech = piece.x[members]
    score = score_class(speech, {name: z}, settings.estimator, as_it_is, piece.memory, piece.device)
    if name not in score or piece.orders is None:
        return CONSTANT
    nulls: list[float] = []
    drawn = enumerate(piece.orders.of_constant(name, members, settings.permutations))
    at_once = max(1, int(piece.memory / SHARE_OF_KERNELS / n**2))
    while some := {str(number): moved for number, moved in islice(drawn, at_once)}:
        found = score_class(speech, some, settings.estimator, as_it_is, piece.memory, piece.device)
        nulls += [float(found[number][0]) if number in found else 0.0 for number in some]
    return n, np.array([float(score[name][0]), *nulls])


def _orders(
    piece: Piece, members: np.ndarray, group: Mapping[str, np.ndarray]
) -> Iterator[tuple[Mapping[str, np.ndarray], np.ndarray]]:
    """Labels, and the orders of their samples [1 + permutations, n]: the same for all, or those of each by group."""
    n, permutations = len(members), piece.settings.permutations
    if piece.orders is None:
        rng = np.random.default_rng([piece.settings.seed, piece.number, n])
        yield group, np.array([np.arange(n), *(rng.permutation(n) for _ in range(permutations))])
        return
    for name, drawn in piece.orders.of_labels(group, members, permutations):
        yield {name: group[name]}, np.concatenate([np.arange(n)[None], drawn])


def _same_samples(labels: Mapping[str, np.ndarray]) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Group the labels by the samples on which they are defined; the speech kernel is the same for a group."""
    groups: dict[bytes, tuple[np.ndarray, dict[str, np.ndarray]]] = {}
    for name, z in labels.items():
        members = np.flatnonzero(~np.isnan(z[:, 0]))
        groups.setdefault(members.tobytes(), (members, {}))[1][name] = z[members]
    yield from groups.values()


def _summarise(tally: _Tally, values: np.ndarray, settings: KernelSettings) -> LabelScore:
    """Average the classes; the same average of each permutation is the null distribution."""
    estimator, bootstrap, seed = settings.estimator, settings.bootstrap, settings.seed
    undefined = int(np.isnan(values[:, 0]).sum())
    too_small, constant = tally.left_out[TOO_SMALL], tally.left_out[CONSTANT]
    if not tally.scores:
        reason = f"no class with {estimator.least_points} or more points where it is defined and varies"
        return LabelScore(
            score=None,
            points_undefined=undefined,
            classes_too_small=too_small,
            classes_constant=constant,
            reason=reason,
        )
    scores = np.array(list(tally.scores.values()))
    counts = np.array(list(tally.counts.values()), dtype=np.float64)
    weights = counts if settings.average == "count" else np.ones_like(counts)
    score = float(np.average(scores, weights=weights))
    effective_classes = float(weights.sum() ** 2 / (weights**2).sum())

    p = z = null_interval = interval = error = None
    null = np.average(np.array(tally.nulls), axis=0, weights=weights)
    if len(null):
        slack = 1e-10 * max(abs(score), float(np.abs(null).max()))  # ties are equal up to rounding
        p = least_p(int(np.count_nonzero(null >= score - slack)), len(null))
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
        floor=float(np.average(1 / counts, weights=weights)) if estimator.floor else None,
        per_class=tally.scores,
        units=0 if error is None else len(scores),
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
