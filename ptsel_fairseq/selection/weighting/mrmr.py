"""Minimum redundancy, maximum relevance: the papers' baseline."""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import Any

import numpy as np

from ptsel_fairseq.selection.weighting.dependence import dependence_of
from ptsel_fairseq.selection.weighting.simple import DEFAULT_SUPPORT, WEIGHT_ONE, equal_weights
from ptsel_fairseq.selection.weighting.way import Candidates, Options

MOST_LABELS_IN_FULL = 20  # up to which every set is looked at


def weigh_by_mrmr(candidates: Candidates, options: Options) -> tuple[np.ndarray, dict[str, Any]]:
    """The way ``mrmr``."""
    support = candidates.support(options, DEFAULT_SUPPORT)
    R = dependence_of(candidates, options, "mrmr")
    chosen, value, exact = mrmr_set(candidates.costs, R, support)
    details = {
        "value": value,
        "dependence": options.dependence,
        "search": "every set" if exact else "greedy",
        "papers": WEIGHT_ONE,
    }
    return equal_weights(chosen, len(candidates.names)), details


def mrmr_set(scores: np.ndarray, R: np.ndarray, support: int) -> tuple[list[int], float, bool]:
    """The `support` labels of least score and redundancy (the papers' minimum redundancy, maximum relevance).

    Maximises ``-mean of s_i - mean of R_ij over pairs i < j`` (arXiv 2107.00594, section 5.1): over every set of up to
    20 labels, beyond that by adding one label at a time.

    Args:
        scores: [k], lower is better.
        R: [k, k], in the papers mutual information.

    Returns:
        Numbers of the labels, in order; the value of the set; whether every set was looked at.
    """
    k = len(scores)
    exact = k <= MOST_LABELS_IN_FULL
    if exact:
        chosen = max(combinations(range(k), support), key=lambda each: mrmr_value(scores, R, each))
        return list(chosen), mrmr_value(scores, R, chosen), True
    greedy: list[int] = []
    for _ in range(support):
        rest = [label for label in range(k) if label not in greedy]
        greedy.append(max(rest, key=lambda label: mrmr_value(scores, R, [*greedy, label])))
    return sorted(greedy), mrmr_value(scores, R, sorted(greedy)), False


def mrmr_value(scores: np.ndarray, R: np.ndarray, chosen: tuple[int, ...] | list[int]) -> float:
    """What `mrmr_set` maximises, for one set."""
    relevance = -float(scores[list(chosen)].mean())
    if len(chosen) < 2:
        return relevance
    pairs = R[np.ix_(chosen, chosen)]
    return relevance - float(np.triu(pairs, 1).sum()) / comb(len(chosen), 2)
