"""How well an order found before training agrees with the gains found after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import rankdata

TIES = 20  # random orders that ties of a score are broken by


def weighted_tau(score: np.ndarray, gain: np.ndarray) -> float:
    """Kendall's τ, pairs weighted by 1/r_i + 1/r_j with r the rank of the gain, 1 the largest (Vigna 2015).

    Args:
        score, gain: [labels]; a higher score promises a higher gain.

    Returns:
        Between -1 and 1; NaN where either does not vary.
    """
    rank = np.empty(len(gain))
    rank[np.argsort(-gain, kind="stable")] = np.arange(1, len(gain) + 1)
    weights = 1 / rank[:, None] + 1 / rank[None, :]
    a, b = np.sign(score[:, None] - score[None, :]), np.sign(gain[:, None] - gain[None, :])
    most = np.sqrt((weights * a * a).sum() * (weights * b * b).sum())
    return float((weights * a * b).sum() / most) if most > 0 else np.nan


def spearman(score: np.ndarray, gain: np.ndarray) -> float:
    """Spearman's ρ; NaN where either does not vary."""
    a, b = rankdata(score), rankdata(gain)
    a, b = a - a.mean(), b - b.mean()
    most = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / most) if most > 0 else np.nan


def regret(score: np.ndarray, gain: np.ndarray, first: int, rng: np.random.Generator) -> float:
    """The largest gain less the largest among the `first` labels by the score; ties are averaged over orders."""
    tied = len(np.unique(score)) < len(score)
    lost = []
    for _ in range(TIES if tied else 1):
        order = np.lexsort((rng.random(len(score)), -score))
        lost.append(gain.max() - gain[order[:first]].max())
    return float(np.mean(lost))


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
    pairs = [spearman(gains[i], gains[j]) for i in range(seeds) for j in range(i)]
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


def measured(score: np.ndarray, gain: np.ndarray, rng: np.random.Generator) -> tuple[float, ...]:
    """All of `MEASURES`; labels without a finite score come last."""
    known = np.isfinite(score)
    score = np.where(known, score, score[known].min() - 1 if known.any() else 0.0)
    return (
        weighted_tau(score, gain),
        spearman(score, gain),
        regret(score, gain, 1, rng),
        regret(score, gain, 3, rng),
    )


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
    found = {name: np.empty((resamplings, len(MEASURES))) for name in scores}
    for number in range(resamplings):
        sums = {name: [] for name in scores}
        for task in rng.integers(0, len(gains), len(gains)):
            seeds, labels = gains[task].shape
            drawn = rng.integers(0, labels, labels)
            gain = gains[task][rng.integers(0, seeds, seeds)].mean(axis=0)[drawn]
            for name in scores:
                sums[name].append(measured(scores[name][task][drawn], gain, rng))
        for name, values in sums.items():
            found[name][number] = np.nanmean(values, axis=0)
    return found


def interval(values: np.ndarray) -> tuple[float, float]:
    """Where 95 % of the resamplings lie."""
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)


def two_sided_p(differences: np.ndarray) -> float:
    """Of no difference, from resampled differences: twice the smaller tail, never below 2 / (resamplings + 1)."""
    n = len(differences)
    tail = min(np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0))
    return float(min(1.0, 2 * (1 + tail) / (n + 1)))
