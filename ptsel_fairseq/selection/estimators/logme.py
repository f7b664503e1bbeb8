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

import numpy as np

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
    spectrum = np.maximum(spectrum, 0.0)[:, None]
    inner = np.square(vectors.T @ products)
    d = len(gram)
    ratio = np.ones(products.shape[1])
    for _ in range(STEPS):
        alpha, beta, _, _ = _fixed_point(spectrum, inner, squares, n, ratio)
        new = np.minimum(alpha / beta, LARGEST_RATIO)
        if (np.abs(new - ratio) <= TOLERANCE * ratio).all():
            ratio = new
            break
        ratio = new
    alpha, beta, length, error = _fixed_point(spectrum, inner, squares, n, ratio)
    evidence = d / 2 * np.log(alpha) + n / 2 * np.log(beta) - n / 2 * np.log(2 * np.pi)
    evidence -= np.log(alpha + beta * spectrum).sum(axis=0) / 2 + beta / 2 * error + alpha / 2 * length
    return np.asarray(evidence / n)


def _fixed_point(
    spectrum: np.ndarray, inner: np.ndarray, squares: np.ndarray, n: int, ratio: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """α, β, |m|² and |y - F m|² [k] at α / β = `ratio`."""
    shrunk = 1 / (spectrum + ratio)
    weighted = inner * shrunk
    length = np.add.reduce(weighted * shrunk, axis=0)
    # y'y - 2 y'F m + |F m|², where σ / (σ + t)² = 1 / (σ + t) - t / (σ + t)².
    error = squares - np.add.reduce(weighted, axis=0) - ratio * length
    error = np.maximum(error, 1e-15 * squares)
    freedom = np.add.reduce(spectrum * shrunk, axis=0)
    # With as many columns as points, rounding can leave less than no freedom for the error.
    return freedom / np.maximum(length, TINY), np.maximum(n - freedom, 1e-12 * n) / error, length, error


def logme(task: Task, z: np.ndarray) -> float:
    """Score of one label, values z [n, d] of mean 0 and variance 1."""
    n = len(task)
    products = task.class_sums(z).T - task.constant * np.outer(z.sum(axis=0), task.shares)
    squares = task.counts * (1 - task.constant * task.shares)
    return float(log_evidence(z.T @ z, products, squares, n).mean())
