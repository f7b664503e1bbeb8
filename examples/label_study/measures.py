"""How well an order found before training agrees with the gains found after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import rankdata

TIES = 20  # random orders that ties of a score are broken by


def weighted_tau(scores: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Kendall's τ, pairs weighted by 1/r_i + 1/r_j with r the rank of the gain, 1 the largest (Vigna 2015).

    Args:
        scores: [estimators, labels]; a higher score promises a higher gain.
        gain: [labels].

    Returns:
        [estimators], between -1 and 1; NaN where either does not vary.
    """
    rank = np.empty(len(gain))
    rank[np.argsort(-gain, kind="stable")] = np.arange(1, len(gain) + 1)
    weights = 1 / rank[:, None] + 1 / rank[None, :]
    a = np.sign(scores[:, :, None] - scores[:, None, :])
    b = np.sign(gain[:, None] - gain[None, :])
    most = np.sqrt(np.einsum("eij,ij->e", np.abs(a), weights) * (weights * np.abs(b)).sum())
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(most > 0, np.einsum("eij,ij->e", a, weights * b) / most, np.nan)


def spearman(scores: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Spearman's ρ of scores [estimators, labels] with gains [labels]: [estimators], NaN where either does not vary."""
    a, b = rankdata(scores, axis=1), rankdata(gain)
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean()
    most = np.sqrt((a * a).sum(axis=1) * (b @ b))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(most > 0, a @ b / most, np.nan)


def regret(
    scores: np.ndarray, gain: np.ndarray, firsts: Sequence[int], rng: np.random.Generator, orders: int = TIES
) -> np.ndarray:
    """The largest gain less the largest among the first labels by the score, in the unit of the gain.

    Args:
        scores: [estimators, labels].
        gain: [labels].
        firsts: how many labels are first; of fewer labels, all.
        rng: breaks ties of a score.
        orders: over how many random orders of the labels the mean is taken.

    Returns:
        [estimators, firsts].
    """
    lost = np.zeros((len(scores), len(firsts)))
    for _ in range(orders):
        order = rng.permutation(len(gain))
        ranked = order[np.argsort(-scores[:, order], axis=1, kind="stable")[:, : max(firsts)]]
        best = np.maximum.accumulate(gain[ranked], axis=1)
        lost += gain.max() - best[:, [min(first, best.shape[1]) - 1 for first in firsts]]
    return lost / orders


def spearman_brown(correlation: float, parts: float) -> float:
    """Reliability of a mean of `parts` equal measurements of which two have this correlation."""
    return parts * correlation / (1 + (parts - 1) * correlation)


def noise_ceiling(gains: np.ndarray) -> tuple[float, float]:
    """Reliability of the mean of all seeds, and the highest correlation that can be expected with it.

    Args:
        gains: [seeds, labels], at least two seeds.

    Returns:
        The mean Spearman correlation of two seeds raised to all seeds by Spearman-Brown, and its root; 0 where it is
        negative.
    """
    seeds = len(gains)
    pairs = [spearman(gains[[i]], gains[j])[0] for i in range(seeds) for j in range(i)]
    reliability = spearman_brown(float(np.mean(pairs)), seeds)
    return reliability, float(np.sqrt(max(reliability, 0.0)))


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """p values adjusted for all comparisons by Holm's step-down procedure."""
    adjusted, highest = {}, 0.0
    for place, name in enumerate(sorted(p, key=lambda name: p[name])):
        highest = max(highest, min(1.0, (len(p) - place) * p[name]))
        adjusted[name] = highest
    return {name: adjusted[name] for name in p}


MEASURES = ("tau", "spearman", "regret1", "regret3")


def measured(
    scores: np.ndarray, gain: np.ndarray, rng: np.random.Generator, orders: int = TIES
) -> np.ndarray:
    """All of `MEASURES` [estimators, measures]; labels without a finite score come last."""
    known = np.isfinite(scores)
    lowest = np.where(known, scores, np.inf).min(axis=1, keepdims=True)
    scores = np.where(known, scores, np.where(np.isfinite(lowest), lowest - 1, 0.0))
    tau, rho = weighted_tau(scores, gain), spearman(scores, gain)
    return np.column_stack([tau, rho, regret(scores, gain, (1, 3), rng, orders)])


def bootstrap(
    scores: Mapping[str, Sequence[np.ndarray]], gains: Sequence[np.ndarray], resamplings: int, seed: int = 0
) -> dict[str, np.ndarray]:
    """Hierarchical resampling of tasks, of labels in tasks, and of seeds; the same for all scores.

    Args:
        scores: estimator -> for each task a score of each label [labels].
        gains: for each task the gains [seeds, labels].

    Returns:
        Estimator -> the measures' means over tasks, float64 [resamplings, measures].
    """
    rng = np.random.default_rng(seed)
    stacked = [np.array([scores[name][task] for name in scores]) for task in range(len(gains))]
    found = np.empty((resamplings, len(scores), len(MEASURES)))
    for number in range(resamplings):
        drawn = []
        for task in rng.integers(0, len(gains), len(gains)):
            seeds, labels = gains[task].shape
            some = rng.integers(0, labels, labels)
            gain = gains[task][rng.integers(0, seeds, seeds)].mean(axis=0)[some]
            drawn.append(measured(stacked[task][:, some], gain, rng, orders=1))
        found[number] = _mean(np.array(drawn))
    return {name: found[:, i] for i, name in enumerate(scores)}


def _mean(values: np.ndarray) -> np.ndarray:
    """Over the first axis, of what is known; NaN where nothing is."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return np.where(known.any(axis=0), total / known.sum(axis=0), np.nan)


def interval(values: np.ndarray) -> tuple[float, float]:
    """Where 95 % of the resamplings lie."""
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)


def two_sided_p(differences: np.ndarray) -> float:
    """Of no difference, from resampled differences: twice the smaller tail, never below 2 / (resamplings + 1)."""
    n = len(differences)
    tail = min(np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0))
    return float(min(1.0, 2 * (1 + tail) / (n + 1)))
