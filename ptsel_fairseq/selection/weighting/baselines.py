"""Weights other than the group's: from scores, from how labels depend on each other or tell the classes, or given."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from math import comb

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.selection.checks import all_defined, balanced_rows
from ptsel_fairseq.selection.estimators.kernels import as_columns
from ptsel_fairseq.selection.weighting.simplex import Solution, projected_gradient, sparsemax

# Two labels whose scores differ by tau share no weight: the worse one gets 0. So tau is the smallest
# difference that counts, here two standard errors of a difference between two scores.
ERRORS_OF_A_DIFFERENCE = 2 * np.sqrt(2)
DEFAULT_SUPPORT = 3  # labels that `naive` and `mrmr` keep; the papers' p on VoxCeleb1
WEIGHT_ONE = "give each of these labels the weight 1"
RFE_SUPPORT = 4  # that `rfe` keeps, as in the papers
MOST_LABELS_IN_FULL = 20  # up to which `mrmr` looks at every set
RFE_CLASSES, RFE_POINTS = 50, 5000  # that `rfe` learns from at most, equally many of each class


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
    return equal_weights(np.argsort(scores, kind="stable")[:support], len(scores))


def equal_weights(chosen: np.ndarray | list[int], count: int) -> np.ndarray:
    """1 over their number for the labels `chosen` among `count`, 0 for the others."""
    weights = np.zeros(count)
    weights[chosen] = 1 / len(chosen)
    return weights


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


def rfe_order(labels: Mapping[str, np.ndarray], classes: np.ndarray, seed: int = 0) -> tuple[list[str], str]:
    """The labels in the order in which recursive feature elimination gives them up, the one kept longest last.

    A linear support vector machine tells the classes from the labels' values in standard deviations; the label
    whose coefficients have the smallest sum of squares goes, and the rest is learned anew (Guyon et al. 2002, as
    scikit-learn's RFE does for single columns). The papers keep 4 labels; they do not state the kernel.

    Args:
        labels: name -> [N] or [N, dim], NaN where undefined.
        classes: [N].

    Returns:
        Names, and what was learned from: samples on which all labels are defined, at most 100 of each of the 50
        largest classes, drawn with `seed`.

    Raises:
        PtselError: fewer than two classes are left.
    """
    from sklearn.svm import LinearSVC

    values, classes = {name: as_columns(labels[name]) for name in sorted(labels)}, np.asarray(classes)
    defined, rng = np.flatnonzero(all_defined(values)), np.random.default_rng(seed)
    rows = balanced_rows(defined, classes, RFE_CLASSES, RFE_POINTS // RFE_CLASSES, rng)
    names, target = np.unique(classes[rows], return_inverse=True)
    if len(names) < 2:
        raise PtselError(
            f"rfe: expected points of two classes or more where all labels are defined, found {len(names)}; leave out "
            "labels that are often undefined"
        )
    columns = {}
    for name, z in values.items():
        deviation = z[rows].std(axis=0)
        columns[name] = (z[rows] - z[rows].mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    given_up: list[str] = []
    left = list(columns)
    while len(left) > 1:
        machine = LinearSVC(dual=False, random_state=seed).fit(
            np.hstack([columns[name] for name in left]), target
        )
        squares = np.square(machine.coef_).sum(axis=0)
        ends = np.cumsum([columns[name].shape[1] for name in left])
        importance = np.diff(np.concatenate([[0.0], np.cumsum(squares)[ends - 1]]))
        given_up.append(left.pop(int(np.argmin(importance))))
    return given_up + left, f"{len(rows)} points of {len(names)} classes"


def random_weights(count: int, seed: int) -> np.ndarray:
    """A seeded point of the simplex, all of them equally likely [count]."""
    return np.random.default_rng(seed).dirichlet(np.ones(count))
