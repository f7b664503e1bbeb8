"""Weights that ask for no optimiser: from the scores alone, or from nothing."""

from __future__ import annotations

import numpy as np

from ptsel_fairseq.errors import PtselError
from ptsel_fairseq.selection.solve import sparsemax

# Two labels whose scores differ by tau share no weight: the worse one gets 0. So tau is the smallest
# difference that counts, here two standard errors of a difference between two scores.
ERRORS_OF_A_DIFFERENCE = 2 * np.sqrt(2)
DEFAULT_SUPPORT = 3  # labels that `naive` keeps; the papers' p on VoxCeleb1


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


def naive_weights(scores: np.ndarray, support: int) -> np.ndarray:
    """Equal weights, summing to one, for the `support` lowest scores (the papers give each the weight 1)."""
    if not 1 <= support <= len(scores):
        raise PtselError(
            f"naive: expected --support between 1 and {len(scores)}, the labels with a score, found {support}"
        )
    weights = np.zeros(len(scores))
    weights[np.argsort(scores, kind="stable")[:support]] = 1 / support
    return weights


def random_weights(count: int, seed: int) -> np.ndarray:
    """A seeded point of the simplex, all of them equally likely [count]."""
    return np.random.default_rng(seed).dirichlet(np.ones(count))
