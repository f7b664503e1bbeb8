"""Accuracy of a linear probe on the labels' own summaries: what they would give without any pretraining.

Linear discriminant analysis, its covariance shrunk by Ledoit and Wolf's share, learned from four fifths of the
groups and tested on the rest, in turn (`Task.folds`). **Higher is better.**
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from ptsel_fairseq.selection.estimators.task import Task, sums_by

SCORES_AT_ONCE = 4_000_000


def probe(task: Task, z: np.ndarray) -> float:
    """Share of points whose class is told from values z [n, d] by a model that saw no point of their fold."""
    right = sum(int(np.count_nonzero(_told(task, z, fold))) for fold in range(int(task.folds.max()) + 1))
    return right / len(task)


def _told(task: Task, z: np.ndarray, fold: int) -> np.ndarray:
    """Whether each point of a fold is told right by the model of the others, bool."""
    learnt, held = np.flatnonzero(task.folds != fold), np.flatnonzero(task.folds == fold)
    coefficients, intercepts = discriminant(z[learnt], task.class_of[learnt], len(task.names))
    rows = max(1, SCORES_AT_ONCE // len(task.names))
    told = [
        np.argmax(z[part] @ coefficients.T + intercepts, axis=1) == task.class_of[part]
        for part in np.split(held, range(rows, len(held), rows))
    ]
    return np.concatenate(told)


def discriminant(z: np.ndarray, classes: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Linear discriminant of values z [n, d] and class numbers below k.

    Returns:
        Coefficients [k, d] and intercepts [k]; -inf for a class without a point.
    """
    from ptsel_fairseq.selection.estimators.relevance import ledoit_wolf

    counts = np.bincount(classes, minlength=k).astype(np.float64)
    means = sums_by(classes, z, k) / np.maximum(counts, 1)[:, None]
    S, _ = ledoit_wolf(z - means[classes])
    S[np.diag_indices_from(S)] += 1e-10 * max(float(np.trace(S)) / len(S), 1e-300)
    coefficients = cho_solve(cho_factor(S, lower=True), means.T).T
    with np.errstate(divide="ignore"):
        intercepts = np.log(counts / counts.sum()) - np.einsum("kd,kd->k", means, coefficients) / 2
    return coefficients, intercepts
