"""The conditional-independence term of the theory, without a unit: ε_CI² / β².

Lee, Lei, Saunshi and Zhuo 2020 (arXiv 2008.01064), theorem 4.2: the excess risk of a linear probe on ψ(x) = E[Z
| X = x] is at most of the order of σ² d / n + ε_CI² / β² + ε_pre² / β², with

    ε_CI² = E | E[Z | X] - E[E[Z | Y] | X] |²,        1 / β = | Σ_Yφ Σ_Zφ⁺ |,    φ the classes' indicators,

Σ_Yφ their covariance [k, k] and Σ_Zφ that of label and indicators [d, k]. ε_CI² alone follows the label's unit,
and a label that has nothing to do with the classes has no β. Expectations given the speech are cross-fitted
ridge regressions (see `audible`). **Lower is better.**
"""

from __future__ import annotations

import numpy as np

from ptsel_fairseq.selection.estimators.audible import Audible
from ptsel_fairseq.selection.estimators.task import Task


def independence_error(task: Task, audible: Audible, z: np.ndarray) -> float:
    """ε_CI² of values z [n, d]: mean square of what the speech says of z beyond the mean of its class."""
    means = task.class_sums(z) / task.counts[:, None]
    products = audible.products(z - means[task.class_of])
    return float(audible.squared_norm(products).sum()) / len(task)


def inverse_beta(task: Task, z: np.ndarray) -> float:
    """1 / β of values z [n, d]; infinite if their class means do not differ at all."""
    means = task.class_sums(z) / task.counts[:, None] - z.mean(axis=0)
    covariance = (means * task.shares[:, None]).T
    if not np.abs(covariance).max() > 1e-14 * np.abs(z).max():
        return float("inf")
    indicators = np.diag(task.shares) - np.outer(task.shares, task.shares)
    return float(np.linalg.norm(indicators @ np.linalg.pinv(covariance), 2))


def lee(task: Task, audible: Audible, z: np.ndarray) -> float:
    """Score of one label, values z [n, d] of mean 0 and variance 1."""
    return independence_error(task, audible, z) * inverse_beta(task, z) ** 2
