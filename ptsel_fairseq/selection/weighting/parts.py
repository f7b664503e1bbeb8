"""What each label adds to the relevance of a weighted group: what is lost without it, and its Shapley value."""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial

import numpy as np

from ptsel_fairseq.selection.weighting.relevance import GroupRelevance

MOST_EXACT = 12  # labels with weight, up to which every set of them is looked at
ORDERS = 400  # drawn beyond, in pairs of an order and its reverse


@dataclass(frozen=True)
class Parts:
    """Of each label [k].

    Attributes:
        lost: V less V where the label's weight is taken away, the other weights staying as they are.
        shapley: the mean of what the label adds to the labels before it, over all orders; they add up to V.
        error: standard error of `shapley` where orders were drawn, else 0.
    """

    lost: np.ndarray
    shapley: np.ndarray
    error: np.ndarray


def parts(objective: GroupRelevance, weights: np.ndarray, seed: int = 0) -> Parts:
    """Parts of the labels with weight; 0 for the others."""
    k, used = len(weights), np.flatnonzero(weights > 0)
    cache: dict[frozenset[int], float] = {frozenset(): 0.0}

    def value(chosen: frozenset[int]) -> float:
        if chosen not in cache:
            kept = np.zeros(k)
            kept[list(chosen)] = weights[list(chosen)]
            cache[chosen] = objective.value(kept)
        return cache[chosen]

    every = frozenset(used.tolist())
    lost, shapley, error = np.zeros(k), np.zeros(k), np.zeros(k)
    for label in every:
        lost[label] = value(every) - value(every - {label})
    if len(used) <= MOST_EXACT:
        shapley[used] = _exact(value, used.tolist())
    else:
        shapley[used], error[used] = _sampled(value, used.tolist(), np.random.default_rng([seed, 4]))
    return Parts(lost, shapley, error)


def _exact(value, labels: list[int]) -> np.ndarray:
    m = len(labels)
    found = np.zeros(m)
    shares = [factorial(size) * factorial(m - 1 - size) / factorial(m) for size in range(m)]
    for bits in range(2**m):
        chosen = frozenset(labels[i] for i in range(m) if bits >> i & 1)
        for i in range(m):
            if not bits >> i & 1:
                found[i] += shares[len(chosen)] * (value(chosen | {labels[i]}) - value(chosen))
    return found


def _sampled(value, labels: list[int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    m = len(labels)
    drawn = np.zeros((ORDERS // 2, m))
    for row in drawn:
        order = rng.permutation(m)
        for turned in (order, order[::-1]):
            chosen: frozenset[int] = frozenset()
            for i in turned:
                larger = chosen | {labels[i]}
                row[i] += (value(larger) - value(chosen)) / 2
                chosen = larger
    return drawn.mean(axis=0), drawn.std(axis=0, ddof=1) / np.sqrt(len(drawn))
