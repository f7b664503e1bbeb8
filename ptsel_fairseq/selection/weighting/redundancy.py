"""Weights from single scores, shared by labels that say the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.selection.weighting.dependence import dependence_of, semidefinite
from ptsel_fairseq.selection.weighting.direct import tau_of_candidates
from ptsel_fairseq.selection.weighting.simplex import Solution, projected_gradient
from ptsel_fairseq.selection.weighting.way import Candidates, Options


def weigh_by_redundancy(candidates: Candidates, options: Options) -> tuple[np.ndarray, dict[str, Any]]:
    """The way ``redundancy``."""
    gamma = tau_of_candidates(candidates) / 2 if options.gamma is None else options.gamma
    R, lowest = semidefinite(dependence_of(candidates, options, "redundancy"))
    solution = redundancy_weights(candidates.costs, R, gamma)
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


def redundancy_weights(scores: np.ndarray, R: np.ndarray, gamma: float) -> Solution:
    """The minimiser over the simplex of <λ, s> + γ λ' R λ: MRMR made continuous, a convex quadratic programme.

    Args:
        scores: s [k], lower is better.
        R: dependence of the labels on each other, positive semidefinite [k, k].
        gamma: in units of the scores. With R = I this is `direct_weights` with τ = 2 γ.

    Raises:
        PtselError: a gamma that is not above 0.
    """
    if not (np.isfinite(gamma) and gamma > 0):
        raise PtselError(f"redundancy: expected --gamma above 0, found {gamma}")
    lowest = float(scores.min())
    # On the simplex a constant added to the scores changes nothing; the scale makes gradients of order one.
    scale = max(gamma * float(np.abs(R).max()), float(scores.max()) - lowest)
    linear, quadratic = (scores - lowest) / scale, gamma / scale * R

    def objective(weights: np.ndarray) -> tuple[float, np.ndarray]:
        bent = quadratic @ weights
        return float(weights @ (linear + bent)), linear + 2 * bent

    found = projected_gradient(objective, np.full(len(scores), 1 / len(scores)))
    return Solution(
        found.weights, found.objective * scale + lowest, found.gap * scale, found.residual, found.steps
    )
