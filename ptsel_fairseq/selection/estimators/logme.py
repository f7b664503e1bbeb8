"""LogME: how well a linear model of the labels explains the classes, as the logarithm of its evidence.

You, Liu, Wang and Long 2021, "LogME: practical assessment of pre-trained models for transfer learning" (arXiv
2102.11005), algorithm 1, with the labels' summaries F [n, d] as features. For each class the indicator y is
modelled as F m + noise, m ~ N(0, I / α), noise ~ N(0, I / β); α and β of the largest evidence are a fixed point:

    t = α / β,   m = (F'F + t I)⁻¹ F'y,   g = Σ_i σ_i / (σ_i + t)   (σ: eigenvalues of F'F),
    α = g / |m|²,   β = (n - g) / |y - F m|².

The score is log evidence over n, averaged over classes. Labels are in standard deviations and indicators
without their mean, so that neither unit nor mean of a label matters. Of a task of values y is the value in standard
deviations. **Higher is better.**
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ptsel_fairseq.labels.signal.compiled import compiled
from ptsel_fairseq.selection.estimators.task import Task

STEPS, TOLERANCE = 200, 1e-8
TINY = 1e-300
LARGEST_RATIO = 1e12  # α / β at which a class has nothing to do with the label


def log_evidence(gram: np.ndarray, products: np.ndarray, squares: np.ndarray, n: int) -> np.ndarray:
    """Largest log evidence over n of each of k targets.

    Args:
        gram: F'F [d, d].
        products: F'y of each target [d, k].
        squares: y'y [k].
        n: points.

    Returns:
        float64 [k].
    """
    spectrum, vectors = np.linalg.eigh(gram)
    inner = np.square(products.T @ vectors)
    return np.asarray(compiled(largest_evidence)(np.maximum(spectrum, 0.0), inner, squares, n) / n)


def largest_evidence(spectrum: Any, inner: Any, squares: Any, n: int) -> Any:
    """Log evidence at the fixed point of each target, where the iteration from α / β = 1 settles; compiled by numba.

    Args:
        spectrum: eigenvalues of F'F, at least 0: float64 [d].
        inner: squared products of the targets with its eigenvectors, float64 [k, d].
        squares: y'y, float64 [k].

    Returns:
        float64 [k].
    """
    d = len(spectrum)
    found = np.empty(len(inner))
    for target in range(len(inner)):
        ratio, settled = 1.0, False
        for step in range(STEPS + 1):
            freedom = length = explained = 0.0
            for i in range(d):
                shrunk = 1 / (spectrum[i] + ratio)
                weighted = inner[target, i] * shrunk
                freedom += spectrum[i] * shrunk
                length += weighted * shrunk
                explained += weighted
            # y'y - 2 y'F m + |F m|², where σ / (σ + t)² = 1 / (σ + t) - t / (σ + t)².
            error = max(squares[target] - explained - ratio * length, 1e-15 * squares[target])
            alpha = freedom / max(length, TINY)
            # With as many columns as points, rounding can leave less than no freedom for the error.
            beta = max(n - freedom, 1e-12 * n) / error
            if settled or step == STEPS:
                break
            new = min(alpha / beta, LARGEST_RATIO)
            settled = abs(new - ratio) <= TOLERANCE * ratio
            ratio = new
        evidence = d / 2 * np.log(alpha) + n / 2 * np.log(beta) - n / 2 * np.log(2 * np.pi)
        for i in range(d):
            evidence -= np.log(alpha + beta * spectrum[i]) / 2
        found[target] = evidence - beta / 2 * error - alpha / 2 * length
    return found


def logme(task: Task, z: np.ndarray) -> float:
    """Score of one label, values z [n, d] of mean 0 and variance 1."""
    n = len(task)
    products = task.class_sums(z).T - task.constant * np.outer(z.sum(axis=0), task.shares)
    squares = task.counts * (1 - task.constant * task.shares)
    return float(log_evidence(z.T @ z, products, squares, n).mean())
