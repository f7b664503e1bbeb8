"""Weights from single scores: their projection onto the simplex."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.selection.weighting.simplex import sparsemax
from ptsel_fairseq.selection.weighting.way import Candidates, Options

# Two labels whose scores differ by tau share no weight: the worse one gets 0. So tau is the smallest
# difference that counts, here two standard errors of a difference between two scores.
ERRORS_OF_A_DIFFERENCE = 2 * np.sqrt(2)


def weigh_directly(candidates: Candidates, options: Options) -> tuple[np.ndarray, dict[str, Any]]:
    """The way ``direct``."""
    tau = options.tau
    if options.support is not None:
        tau = tau_of_support(candidates.costs, options.support)
    elif tau is None:
        tau = tau_of_candidates(candidates)
    found = direct_weights(candidates.costs, tau)
    return found, {"tau": tau, "objective": float(found @ candidates.costs + tau / 2 * found @ found)}


def tau_of_candidates(candidates: Candidates) -> float:
    """τ from the standard errors of the candidates' scores."""
    errors = [candidates.records[name].standard_error for name in candidates.names]
    return tau_of_errors(np.array([error for error in errors if error is not None] or [0.0]))


def direct_weights(scores: np.ndarray, tau: float) -> np.ndarray:
    """λ = sparsemax(-s / τ): the minimiser over the simplex of <λ, s> + τ/2 |λ|².

    Args:
        scores: [k], lower is better.
        tau: in units of the scores; towards 0 only the best label remains, large gives equal weights.
    """
    if not (np.isfinite(tau) and tau > 0):
        raise PtselError(f"direct: expected tau above 0, found {tau}")
    return sparsemax((scores.min() - scores) / tau)


def tau_of_errors(errors: np.ndarray) -> float:
    """τ from the standard errors of the scores: 2 sqrt(2) times their median."""
    tau = ERRORS_OF_A_DIFFERENCE * float(np.median(errors))
    if not tau > 0:
        raise PtselError(
            "direct: the scores have no standard errors to set tau from; give --tau or --support"
        )
    return tau


def tau_of_support(scores: np.ndarray, support: int) -> float:
    """τ for which `direct_weights` keeps `support` labels.

    With scores sorted upwards the r-th label has weight above 0 when τ > t_r = sum over j < r of (s_r - s_j),
    so exactly r labels remain for t_r < τ <= t_{r+1}; the middle is taken.

    Raises:
        PtselError: as many labels are not to be had, or ties make that very number impossible.
    """
    if not 1 <= support <= len(scores):
        raise PtselError(
            f"direct: expected --support between 1 and {len(scores)}, the labels with a score, found {support}"
        )
    ordered = np.sort(scores)
    entries = np.arange(len(ordered)) * ordered - np.concatenate([[0.0], np.cumsum(ordered)[:-1]])
    low = entries[support - 1]
    if support == len(ordered):
        return 2 * low if low > 0 else 1.0
    high = entries[support]
    if not high > low:
        raise PtselError(
            f"direct: labels number {support} and {support + 1} tie; no tau keeps exactly {support}, give --tau"
        )
    return float((low + high) / 2)
