"""Weights of the largest group relevance: which noise floor, and what is reported beside λ."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptsel_fairseq.selection.estimators.relevance import NOISE_FLOOR
from ptsel_fairseq.selection.weighting.parts import parts
from ptsel_fairseq.selection.weighting.relevance import (
    GroupRelevance,
    gamma_of_effective,
    gamma_of_support,
    maximise,
    relevance_path,
)
from ptsel_fairseq.selection.weighting.way import Candidates, Options

GAMMAS = np.geomspace(1e-4, 10, 51)  # of the drawn path


def weigh_by_relevance(candidates: Candidates, options: Options) -> tuple[np.ndarray, dict[str, Any]]:
    """The way ``relevance``."""
    made = candidates.points("relevance").relevance(options.seed)
    names = [name for name in candidates.names if name in made.names]
    S, F = made.adjusted_factor(tuple(names))
    dims = np.array([made.dims[made.names.index(name)] for name in names])
    gamma, rule = NOISE_FLOOR, f"{NOISE_FLOOR} of the sum of the weights"
    if options.gamma is not None:
        gamma, rule = options.gamma, "as given"
    objective = GroupRelevance(S, F, dims, gamma)
    if options.support is not None:
        gamma = gamma_of_support(objective, candidates.support(options, len(names)))
        rule = f"the largest that keeps {options.support} labels"
    elif options.effective is not None:
        gamma = gamma_of_effective(objective, options.effective)
        rule = f"as concentrated as {options.effective:g} equal weights"
    objective = objective.at(gamma)
    found = maximise(objective)
    weights = np.where(found.weights > 1e-12, found.weights, 0.0)
    weights /= weights.sum()
    shares = parts(objective, weights, options.seed)
    kept = np.argsort(-weights, kind="stable")[: np.count_nonzero(weights)]
    equal = np.full(len(names), 1 / len(names))
    details = {
        "gamma": gamma,
        "gamma_rule": rule,
        "relevance": found.value,
        "relevance_at_equal_weights": objective.value(equal),
        "gap": found.gap,
        "relative_gap": found.gap / found.value,
        "steps": found.steps,
        "lost_without": {names[i]: float(shares.lost[i]) for i in kept},
        "shapley": {names[i]: float(shares.shapley[i]) for i in kept},
        "penalty": made.audible.penalty if made.audible else None,
        "path": {
            "labels": names,
            "along": GAMMAS.tolist(),
            "name": "γ (noise floor)",
            "weights": relevance_path(objective, GAMMAS).tolist(),
        },
    }
    of = dict(zip(names, weights.tolist(), strict=True))
    return np.array([of.get(name, 0.0) for name in candidates.names]), details
