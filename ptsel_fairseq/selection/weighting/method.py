"""From scores to weights: every way gives one `Weights` record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.threads import few_threads
from ptsel_fairseq.selection.estimators import DEFAULT_ESTIMATOR, ESTIMATORS, Estimator
from ptsel_fairseq.selection.estimators.known import RELEVANCE
from ptsel_fairseq.selection.label_score import LabelScore
from ptsel_fairseq.selection.points import Points
from ptsel_fairseq.selection.score import score_labels
from ptsel_fairseq.selection.weighting import DEFAULT_METHOD, WAYS, Candidates, Options, Way
from ptsel_fairseq.selection.weighting.prepared import Prepared
from ptsel_fairseq.selection.weighting.screening import (
    EQUAL_NOISE,
    EQUAL_SCORES,
    NOT_BETTER,
    below_noise,
    relevance_told_apart,
    scores_told_apart,
)
from ptsel_fairseq.selection.weighting.way import MEMORY, check_options

Scores = Mapping[str, LabelScore]


@dataclass(frozen=True)
class Weights:
    """The outcome of a method.

    Attributes:
        projection: sparsemax, softmax or entmax15; empty where the method has none.
        weights: label -> λ, sorted by name, zeros too.
        details: what the method found on its way: objective, optimality, left-out labels with the reason.
        sum_to_one: whether the weights do; not those of `all`, and of `manual` as they are given.
        path: how λ changes along a setting of the method: ``labels``, ``along`` (the setting's values), its ``name``
            and ``weights`` [values][labels]; empty if it has none.
    """

    method: str
    projection: str
    weights: dict[str, float]
    details: dict[str, Any] = field(default_factory=dict)
    sum_to_one: bool = True
    path: dict[str, Any] = field(default_factory=dict)


def select_weights(
    source: Points | Scores,
    *,
    method: str | Way = DEFAULT_METHOD,
    estimator: str | Estimator = DEFAULT_ESTIMATOR,
    scores: Scores | None = None,
    projection: str = "sparsemax",
    tau: float | None = None,
    gamma: float | None = None,
    support: int | None = None,
    effective: float | None = None,
    dependence: str = "cka",
    given: Mapping[str, float] | None = None,
    reference_optimizer: bool = False,
    screen: bool = True,
    seed: int = 0,
    memory: float = MEMORY,
    progress: bool = False,
) -> Weights:
    """Weigh the labels.

    A method that recommends (`Way.recommends`) gives no weight to a label that is no better than noise, and equal
    weights to all others where their scores cannot be told apart and no setting says how far to trust them; its
    details say so.

    >>> from ptsel_fairseq.selection import LabelScore, select_weights
    >>> f0 = LabelScore(0.4, standard_error=0.01, units=20)
    >>> zcr = LabelScore(0.1, standard_error=0.01, units=20)
    >>> select_weights({"f0": f0, "zcr": zcr}, method="direct").weights
    {'f0': 1.0, 'zcr': 0.0}

    Args:
        source: points, which some methods need (`Way.on_points`), or the scores of `score_labels`, which suffice for
            the others.
        method: one of `weighting.WAYS`, or its name.
        estimator: of the scores; of points whose `scores` are not given, they are computed by it. The kernel score of
            `group` is by it too, or by cka if it is not one of kernels.
        scores: of the points, so that they need not be computed again.
        projection: of `group`: how λ is kept on the simplex.
        tau: of `direct`, in units of the scores; default, 2 sqrt(2) standard errors.
        gamma: of `redundancy`, in units of the scores (default, half of direct's τ), or the noise floor of `relevance`
            (default, 0.03 of the sum of the weights).
        support: of relevance, direct, naive, mrmr and rfe: how many labels to keep.
        effective: of relevance: as how many equal weights λ shall be concentrated, 1 / Σλ².
        dependence: of labels on each other, in redundancy and mrmr: ``cka`` given the class, or ``mi``, mutual
            information (scalar labels; the papers').
        given: the weights of `manual`, label -> λ.
        reference_optimizer: `group`: the papers' gradient descent with its ten restarts, on every label.
        screen: False to let a method that recommends weigh every label, whatever the scores say.
        seed: of restarts, of samples, and of `random`.
        memory: bytes that group and redundancy may take.
        progress: show a bar on stderr.

    Raises:
        PtselError: an unknown method or setting, an option that the method does not have, scores where
            points are needed, or no label that can be weighed.
    """
    way = WAYS.get(method) if isinstance(method, str) else method
    scored_by = ESTIMATORS.get(estimator) if isinstance(estimator, str) else estimator
    options = Options(
        projection,
        tau,
        gamma,
        support,
        effective,
        dependence,
        given,
        reference_optimizer,
        seed,
        memory,
        progress,
    )
    check_options(way, options)
    if not isinstance(source, Points):
        return weigh(None, source, scored_by, way, options, screen)
    known = scores or score_labels(
        source.x,
        source.labels,
        None if len(source.values) else source.classes,
        values=source.values if len(source.values) else None,
        groups=source.groups,
        estimator=scored_by,
        seed=seed,
        permutations=0,
        memory=memory,
    )
    return weigh(Prepared(source, scored_by, memory), known, scored_by, way, options, screen)


def weigh(
    prepared: Prepared | None,
    scores: Scores,
    estimator: Estimator,
    way: Way,
    options: Options,
    screen: bool = True,
) -> Weights:
    """`select_weights` for several methods on the same points."""
    with few_threads(_multiplications(prepared.points) if prepared else 0.0):
        return _weigh(prepared, scores, estimator, way, options, screen)


def _multiplications(points: Points) -> float:
    """Of the largest products: of the labels' covariance with itself, of the points of a class with each other."""
    columns = sum(z[0].size for z in points.labels.values())
    largest = float(np.unique(points.classes, return_counts=True)[1].max(initial=0))
    return max(float(columns) ** 3, largest**2 * columns)


def _weigh(
    prepared: Prepared | None,
    scores: Scores,
    estimator: Estimator,
    way: Way,
    options: Options,
    screen: bool,
) -> Weights:
    screened = way.recommends and screen and not options.reference_optimizer
    names = [name for name in sorted(scores) if scores[name].score is not None]
    if not names:
        reasons = "; ".join(f"{name} {scores[name].reason}" for name in sorted(scores))
        raise PtselError(f"no label has a score: {reasons}")
    left_out = {name: str(record.reason) for name, record in sorted(scores.items()) if record.score is None}
    noise = [name for name in below_noise(scores) if name in names] if screened else []
    equal = EQUAL_NOISE if len(noise) == len(names) else ""
    if noise and not equal:
        names = [name for name in names if name not in noise]
        left_out |= dict.fromkeys(noise, NOT_BETTER)
    candidates = Candidates(
        names,
        np.array([estimator.cost(float(scores[name].score or 0.0)) for name in names], dtype=np.float64),
        scores,
        estimator,
        prepared.only(names) if prepared else None,
    )
    if way.on_points:
        candidates.points(way.name)
    if screened and not equal and len(names) > 1 and not options.given_names():
        known = estimator.name == RELEVANCE.name and all(scores[name].units for name in names)
        if way.own_scores and not known:
            apart = relevance_told_apart(candidates.points(way.name), names, options.seed)
        else:
            apart = scores_told_apart(scores, names)
        equal = "" if apart else EQUAL_SCORES
    if equal:
        found, details = np.full(len(names), 1 / len(names)), dict[str, Any](finding=equal)
    else:
        found, details = way.run(candidates, options)
    path: dict[str, Any] = details.pop("path", {})
    if left_out:
        details = {"left_out": left_out | details.pop("left_out", {}), **details}
    of = dict(zip(names, found.tolist(), strict=True))
    return Weights(
        way.name,
        options.projection if "projection" in way.options else way.projected,
        {name: float(of.get(name, 0.0)) for name in sorted(scores)},
        details,
        bool(abs(found.sum() - 1) < 1e-9),
        path,
    )
