"""Weights that need no optimisation: baselines, and those given by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.weights_file import check_weights
from ptsel_fairseq.selection.weighting.way import Candidates, Options

DEFAULT_SUPPORT = 3  # labels that `naive` and `mrmr` keep; the papers' p on VoxCeleb1
WEIGHT_ONE = "give each of these labels the weight 1"


def weigh_all(candidates: Candidates, options: Options) -> tuple[np.ndarray, dict[str, Any]]:
    """The way ``all``."""
    return np.ones(len(candidates.names)), {}


def weigh_naively(candidates: Candidates, options: Options) -> tuple[np.ndarray, dict[str, Any]]:
    """The way ``naive``."""
    return naive_weights(candidates.costs, candidates.support(options, DEFAULT_SUPPORT)), {
        "papers": WEIGHT_ONE
    }


def weigh_at_random(candidates: Candidates, options: Options) -> tuple[np.ndarray, dict[str, Any]]:
    """The way ``random``."""
    return random_weights(len(candidates.names), options.seed), {}


def weigh_as_given(candidates: Candidates, options: Options) -> tuple[np.ndarray, dict[str, Any]]:
    """The way ``manual``."""
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


def naive_weights(scores: np.ndarray, support: int) -> np.ndarray:
    """Equal weights, summing to one, for the `support` lowest scores (the papers give each the weight 1)."""
    return equal_weights(np.argsort(scores, kind="stable")[:support], len(scores))


def equal_weights(chosen: np.ndarray | list[int], count: int) -> np.ndarray:
    """1 over their number for the labels `chosen` among `count`, 0 for the others."""
    weights = np.zeros(count)
    weights[chosen] = 1 / len(chosen)
    return weights


def random_weights(count: int, seed: int) -> np.ndarray:
    """A seeded point of the simplex, all of them equally likely [count]."""
    return np.random.default_rng(seed).dirichlet(np.ones(count))
