"""Covariances of few points, shrunk so that they can be inverted."""

from __future__ import annotations

import numpy as np


def ledoit_wolf(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Covariance of values [n, d] of mean 0, shrunk towards a multiple of the identity, and by how much.

    Ledoit and Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices".
    """
    return shrunk(values.T @ values / len(values), np.einsum("ij,ij->i", values, values))


def shrunk(S: np.ndarray, squares: np.ndarray) -> tuple[np.ndarray, float]:
    """`ledoit_wolf` from the covariance [d, d] and the squared length of each value [n]."""
    n, d = len(squares), len(S)
    mean = float(np.trace(S)) / d
    distance = float(np.square(S).sum()) - d * mean**2
    spread = (float(np.square(squares).sum()) / n - float(np.square(S).sum())) / n
    share = float(np.clip(spread / distance, 0.0, 1.0)) if distance > 1e-14 * mean**2 else 0.0
    return (1 - share) * S + share * mean * np.eye(d), share
