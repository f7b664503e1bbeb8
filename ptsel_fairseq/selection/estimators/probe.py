"""Accuracy of a linear probe on the labels' own summaries: what they would give without any pretraining.

Linear discriminant analysis, its covariance shrunk by Ledoit and Wolf's share, learned from four fifths of the
groups and tested on the rest, in turn (`Task.folds`). **Higher is better.**
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError
from scipy.linalg.lapack import dposv

from ptsel_fairseq.selection.estimators.shrinkage import shrunk
from ptsel_fairseq.selection.estimators.task import Task, sums_by

SCORES_AT_ONCE = 4_000_000
NUGGET = 1e-10  # of the variance, added to the covariance so that it can be inverted


def probe(task: Task, z: np.ndarray) -> float:
    """Share of points whose class is told from values z [n, d] by a model that saw no point of their fold."""
    return float(np.count_nonzero(told(task, z))) / len(task)


def recall(task: Task, z: np.ndarray) -> np.ndarray:
    """The same share among the points of each class [k]."""
    return np.bincount(task.class_of, weights=told(task, z), minlength=len(task.names)) / task.counts


def told(task: Task, z: np.ndarray) -> np.ndarray:
    """Whether each point's class is told from values z [n, d] by a model that saw no point of its fold, bool [n]."""
    k = len(task.names)
    of_folds = [moments_of(z[held], task.class_of[held], k) for _, held in task.learnt_and_held]
    sums = np.sum([own.sums for own in of_folds], axis=0)
    products = np.sum([own.products for own in of_folds], axis=0)
    right = np.zeros(len(task), dtype=bool)
    rows = max(1, SCORES_AT_ONCE // k)
    for (learnt, held), own in zip(task.learnt_and_held, of_folds, strict=True):
        others = Moments(sums - own.sums, products - own.products)
        coefficients, intercepts = discriminant(z[learnt], task.class_of[learnt], k, others)
        for first in range(0, len(held), rows):
            some = held[first : first + rows]
            right[some] = np.argmax(z[some] @ coefficients.T + intercepts, axis=1) == task.class_of[some]
    return right


@dataclass(frozen=True)
class Moments:
    """Sums over the points of each class [k, d], and products over all points [d, d]."""

    sums: np.ndarray
    products: np.ndarray


def moments_of(z: np.ndarray, classes: np.ndarray, k: int) -> Moments:
    """Moments of values z [n, d] with class numbers below k."""
    return Moments(sums_by(classes, z, k), z.T @ z)


def discriminant(
    z: np.ndarray, classes: np.ndarray, k: int, moments: Moments | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Linear discriminant of values z [n, d] and class numbers below k, and their moments if they are known.

    Returns:
        Coefficients [k, d] and intercepts [k]; -inf for a class without a point.
    """
    moments = moments or moments_of(z, classes, k)
    counts = np.bincount(classes, minlength=k).astype(np.float64)
    means = moments.sums / np.maximum(counts, 1)[:, None]
    S = (moments.products - means.T @ moments.sums) / len(z)
    if len(S) > 1:  # one variance is what it would be shrunk towards
        # Squared distances to the mean of the class, without a copy of z less that mean.
        squares = np.einsum("nd,nd->n", z, z) - 2 * np.einsum("nd,nd->n", z, means[classes])
        squares += np.einsum("kd,kd->k", means, means)[classes]
        S, _ = shrunk(S, squares)
    S.flat[:: len(S) + 1] += NUGGET * float(np.trace(moments.products)) / z.size
    _, solved, failed = dposv(S, means.T, lower=True)
    if failed:
        raise LinAlgError("expected a covariance that can be inverted")
    coefficients = solved.T
    with np.errstate(divide="ignore"):
        intercepts = np.log(counts / counts.sum()) - np.einsum("kd,kd->k", means, coefficients) / 2
    return coefficients, intercepts
