"""From scores to weights: every method gives one `Weights` record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.weights_file import check_weights
from ptsel_fairseq.selection.estimators.one_class import MEMORY
from ptsel_fairseq.selection.label_score import LabelScore
from ptsel_fairseq.selection.points import Points
from ptsel_fairseq.selection.score import score_labels
from ptsel_fairseq.selection.weighting import baselines
from ptsel_fairseq.selection.weighting import simplex as solve
from ptsel_fairseq.selection.weighting.dependence import MEASURES, mutual_information, semidefinite
from ptsel_fairseq.selection.weighting.prepared import Prepared

METHODS = ("group", "direct", "redundancy", "all", "mrmr", "rfe", "naive", "random", "manual")
ON_POINTS = ("group", "redundancy", "mrmr", "rfe")  # need points; the others look at scores only
Scores = Mapping[str, LabelScore]


@dataclass(frozen=True)
class Weights:
    """The outcome of a method.

    Attributes:
        projection: sparsemax, softmax or entmax15; empty where the method has none.
        weights: label -> λ, sorted by name, zeros too.
        details: what the method found on its way: objective, optimality, left-out labels with the reason.
        sum_to_one: whether the weights do; not those of `all`, and of `manual` as they are given.
    """

    method: str
    projection: str
    weights: dict[str, float]
    details: dict[str, Any] = field(default_factory=dict)
    sum_to_one: bool = True


@dataclass(frozen=True)
class Options:
    """Settings of `select_weights`; None where the method's default is meant."""

    projection: str = "sparsemax"
    tau: float | None = None
    gamma: float | None = None
    support: int | None = None
    dependence: str = "cka"
    given: Mapping[str, float] | None = None
    seed: int = 0
    reference_optimizer: bool = False
    memory: float = MEMORY
    progress: bool = False


@dataclass(frozen=True)
class _Candidates:
    """The labels that can be weighed: those with a score, sorted."""

    names: list[str]
    scores: np.ndarray
    records: Scores
    prepared: Prepared | None


def select_weights(
    source: Points | Scores,
    method: str = "group",
    projection: str = "sparsemax",
    estimator: str = "cka",
    tau: float | None = None,
    support: int | None = None,
    seed: int = 0,
    reference_optimizer: bool = False,
    progress: bool = False,
    scores: Scores | None = None,
    gamma: float | None = None,
    dependence: str = "cka",
    given: Mapping[str, float] | None = None,
    memory: float = MEMORY,
) -> Weights:
    """Weigh the labels.

    Args:
        source: points, which group, redundancy, mrmr and rfe need, or the scores of `score_labels`, which suffice for
            the others.
        method: group (the papers: minimise the score of the weighted group), direct (sparsemax of -score/τ),
            redundancy (as direct, but labels that depend on each other share their weight), all (1 each), mrmr (the
            set of least score and redundancy), rfe (recursive feature elimination), naive (the lowest scores),
            random, manual.
        projection: of `group`: how λ is kept on the simplex.
        estimator: of the group's score, or of the scores where these must be computed from points.
        tau: of `direct`, in units of the scores; default, 2 sqrt(2) standard errors.
        support: of direct, naive, mrmr and rfe: how many labels to keep.
        seed: of restarts, of samples, and of `random`.
        reference_optimizer: `group`: the papers' gradient descent with its ten restarts.
        progress: show a bar on stderr.
        scores: of the points, so that they need not be computed again.
        gamma: of `redundancy`, in units of the scores; default, half of direct's τ.
        dependence: of labels on each other, in redundancy and mrmr: ``cka`` given the class, or ``mi``, mutual
            information (scalar labels; the papers').
        given: the weights of `manual`, label -> λ.
        memory: bytes that group and redundancy may take.

    Raises:
        PtselError: an unknown method or setting, an option that the method does not have, scores where
            points are needed, or no label that can be weighed.
    """
    options = Options(
        projection, tau, gamma, support, dependence, given, seed, reference_optimizer, memory, progress
    )
    _check_options(method, options)
    prepared = Prepared(source, estimator, memory) if isinstance(source, Points) else None
    if method == "group":
        return weigh(prepared, {}, method, options)
    if isinstance(source, Points):
        known = scores or score_labels(
            source.x, source.labels, source.classes, estimator, seed, permutations=0, memory=memory
        )
        return weigh(prepared, known, method, options)
    return weigh(prepared, source, method, options)


def weigh(prepared: Prepared | None, scores: Scores, method: str, options: Options) -> Weights:
    """`select_weights` for several methods on the same points; `scores` are not needed for `group`."""
    if method != "group":
        return _by_scores(_candidates(scores, prepared), method, options)
    prepared = _needed(prepared, method)
    found, details = prepared.minimum(
        options.projection, options.seed, options.reference_optimizer, options.progress
    )
    return _record("group", options.projection, found, prepared.points.labels, details)


def _needed(prepared: Prepared | None, method: str) -> Prepared:
    if prepared is not None:
        return prepared
    raise PtselError(
        f"{method}: expected points (of `ptsel score`), found scores only; {method} needs the points"
    )


def _candidates(scores: Scores, prepared: Prepared | None) -> _Candidates:
    names = [name for name in sorted(scores) if scores[name].score is not None]
    if not names:
        reasons = "; ".join(f"{name} {scores[name].reason}" for name in sorted(scores))
        raise PtselError(f"no label has a score: {reasons}")
    return _Candidates(
        names, np.array([scores[name].score for name in names], dtype=np.float64), scores, prepared
    )


def _by_scores(candidates: _Candidates, method: str, options: Options) -> Weights:
    """Every method but `group`; a label without a score gets the weight 0."""
    methods: dict[str, Callable[[_Candidates, Options], tuple[np.ndarray, dict[str, Any]]]] = {
        "direct": _direct,
        "redundancy": _redundancy,
        "mrmr": _mrmr,
        "rfe": _rfe,
        "naive": _naive,
        "random": lambda candidates, options: (
            baselines.random_weights(len(candidates.names), options.seed),
            {},
        ),
        "all": lambda candidates, options: (np.ones(len(candidates.names)), {}),
        "manual": _manual,
    }
    found, details = methods[method](candidates, options)
    left_out = {
        name: str(record.reason)
        for name, record in sorted(candidates.records.items())
        if record.score is None
    }
    if left_out:
        details = {"left_out": left_out, **details}
    return _record(
        method,
        "sparsemax" if method in ("direct", "redundancy") else "",
        dict(zip(candidates.names, found, strict=True)),
        candidates.records,
        details,
        sum_to_one=bool(abs(found.sum() - 1) < 1e-9),
    )


def _direct(candidates: _Candidates, options: Options) -> tuple[np.ndarray, dict[str, Any]]:
    tau = options.tau
    if options.support is not None:
        tau = baselines.tau_of_support(candidates.scores, options.support)
    elif tau is None:
        tau = _tau_of_errors(candidates)
    found = baselines.direct_weights(candidates.scores, tau)
    return found, {"tau": tau, "objective": float(found @ candidates.scores + tau / 2 * found @ found)}


def _tau_of_errors(candidates: _Candidates) -> float:
    errors = [candidates.records[name].standard_error for name in candidates.names]
    return baselines.tau_of_errors(np.array([error for error in errors if error is not None] or [0.0]))


def _redundancy(candidates: _Candidates, options: Options) -> tuple[np.ndarray, dict[str, Any]]:
    gamma = _tau_of_errors(candidates) / 2 if options.gamma is None else options.gamma
    R, lowest = semidefinite(_dependence(candidates, options, "redundancy"))
    solution = baselines.redundancy_weights(candidates.scores, R, gamma)
    details = {
        "gamma": gamma,
        "dependence": options.dependence,
        "objective": solution.objective,
        "gap": solution.gap,
        "residual": solution.residual,
    }
    if lowest:
        details["note"] = f"the dependence had an eigenvalue of {lowest:.2g}, taken as 0"
    return solution.weights, details


def _mrmr(candidates: _Candidates, options: Options) -> tuple[np.ndarray, dict[str, Any]]:
    support = _support(candidates, options, baselines.DEFAULT_SUPPORT)
    chosen, value, exact = baselines.mrmr_set(
        candidates.scores, _dependence(candidates, options, "mrmr"), support
    )
    details = {
        "value": value,
        "dependence": options.dependence,
        "search": "every set" if exact else "greedy",
        "papers": baselines.WEIGHT_ONE,
    }
    return baselines.equal_weights(chosen, len(candidates.names)), details


def _rfe(candidates: _Candidates, options: Options) -> tuple[np.ndarray, dict[str, Any]]:
    points = _needed(candidates.prepared, "rfe").points
    support = _support(candidates, options, baselines.RFE_SUPPORT)
    labels = {name: points.labels[name] for name in candidates.names}
    order, learned_from = baselines.rfe_order(labels, points.classes, options.seed)
    details = {
        "kept_longest_first": ", ".join(reversed(order)),
        "learned_from": learned_from,
        "papers": baselines.WEIGHT_ONE,
    }
    chosen = [candidates.names.index(name) for name in order[-support:]]
    return baselines.equal_weights(chosen, len(candidates.names)), details


def _naive(candidates: _Candidates, options: Options) -> tuple[np.ndarray, dict[str, Any]]:
    support = _support(candidates, options, baselines.DEFAULT_SUPPORT)
    return baselines.naive_weights(candidates.scores, support), {"papers": baselines.WEIGHT_ONE}


def _manual(candidates: _Candidates, options: Options) -> tuple[np.ndarray, dict[str, Any]]:
    given = dict(options.given or {})
    check_weights(given, candidates.records, sum_to_one=False)
    without = [name for name in given if given[name] > 0 and name not in candidates.names]
    if without:
        raise PtselError(
            f"manual: {without[0]} has no score ({candidates.records[without[0]].reason}); leave it out"
        )
    if not any(given.values()):
        raise PtselError("manual: expected --weights LABEL=WEIGHT with a weight above 0, found none")
    return np.array([float(given.get(name, 0.0)) for name in candidates.names]), {}


def _support(candidates: _Candidates, options: Options, default: int) -> int:
    """The number of labels to keep: as asked for, or the method's default if there are as many."""
    k = len(candidates.names)
    support = min(default, k) if options.support is None else options.support
    if not 1 <= support <= k:
        raise PtselError(f"expected --support between 1 and {k}, the labels with a score, found {support}")
    return support


def _dependence(candidates: _Candidates, options: Options, method: str) -> np.ndarray:
    """How the candidates depend on each other [k, k], in their order."""
    prepared = _needed(candidates.prepared, method)
    if options.dependence == "mi":
        labels = {name: prepared.points.labels[name] for name in candidates.names}
        return mutual_information(labels, options.seed)[1]
    names, R, left_out = prepared.dependence(candidates.names)
    if len(names) != len(candidates.names):
        raise PtselError(f"label dependence: no value for {left_out}; score without them")
    return R


def _record(
    method: str,
    projection: str,
    found: Mapping[str, float],
    labels: Mapping[str, object],
    details: dict[str, Any],
    sum_to_one: bool = True,
) -> Weights:
    weights = {name: float(found.get(name, 0.0)) for name in sorted(labels)}
    return Weights(method, projection, weights, details, sum_to_one)


def _check_options(method: str, options: Options) -> None:
    if method not in METHODS:
        raise PtselError(f"expected a method among {', '.join(METHODS)}, found {method!r}")
    if options.projection not in solve.PROJECTIONS:
        raise PtselError(
            f"expected a projection among {', '.join(solve.PROJECTIONS)}, found {options.projection!r}"
        )
    if options.dependence not in MEASURES:
        raise PtselError(f"expected a dependence among {', '.join(MEASURES)}, found {options.dependence!r}")
    for option, is_given, methods in (
        ("--tau", options.tau is not None, ("direct",)),
        ("--gamma", options.gamma is not None, ("redundancy",)),
        ("--support", options.support is not None, ("direct", "naive", "mrmr", "rfe")),
        ("--dependence other than cka", options.dependence != "cka", ("redundancy", "mrmr")),
        ("--weights", options.given is not None, ("manual",)),
        ("--reference-optimizer", options.reference_optimizer, ("group",)),
        ("--projection other than sparsemax", options.projection != "sparsemax", ("group",)),
    ):
        if is_given and method not in methods:
            raise PtselError(
                f"{option} belongs to {' and '.join(methods)}, not to the method {method}; leave it out"
            )
    if options.tau is not None and options.support is not None:
        raise PtselError("--tau and --support: give one of them; each sets the other")
