"""Kernels between the samples of one class: cosine for speech, Gaussian for labels."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import pdist, squareform

from ptsel_fairseq.errors import PtselError

PAPER_VARIANCE = 0.05  # of the released code; the paper's text would make it 0.0025
LARGEST_EXPONENT = 10.0  # the released optimiser cuts log L to [-10, 0]


def cosine_kernel(x: np.ndarray) -> np.ndarray:
    """Cosine of the angle between each two samples.

    Args:
        x: [N, d] finite values.

    Returns:
        float64 [N, N].

    Raises:
        PtselError: a sample that is zero everywhere has no direction, or values are not finite.
    """
    unit = unit_vectors(x)
    return unit @ unit.T


def unit_vectors(x: np.ndarray) -> np.ndarray:
    """The samples [N, d] scaled to length one, float64; raises PtselError as `cosine_kernel` does."""
    x = np.asarray(x)
    if x.ndim != 2:
        raise PtselError(f"expected points of shape [N, d], found {x.shape}")
    check_finite(x, "x")
    x = x.astype(np.float64)
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    if not lengths.all():
        sample = int(np.flatnonzero(lengths == 0)[0])
        raise PtselError(
            f"x: sample {sample} is zero in every dimension, which has no direction; leave it out"
        )
    return x / lengths


def check_finite(values: np.ndarray, name: str) -> None:
    """Raise PtselError naming the first sample (row) of `values` that is not finite."""
    finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if not finite.all():
        sample = int(np.flatnonzero(~finite)[0])
        found = values[sample][~np.isfinite(values[sample])].flat[0] if values.ndim > 1 else values[sample]
        raise PtselError(
            f"{name}: expected finite values, found {found} in sample {sample} "
            f"({np.count_nonzero(~finite)} of {len(values)} samples are not finite)"
        )


def as_columns(z: np.ndarray) -> np.ndarray:
    """Label values as float64 [N, d]; [N] becomes [N, 1]."""
    z = np.asarray(z, dtype=np.float64)
    if z.ndim not in (1, 2):
        raise PtselError(f"expected label values of shape [N] or [N, d], found {z.shape}")
    return z.reshape(len(z), -1)


def squared_distances(z: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances of the pairs i < j of z [N] or [N, d], float64 [N (N - 1) / 2].

    Taken from differences: expanding the square would lose all digits of a label with a large mean.
    """
    return pdist(as_columns(z), "sqeuclidean")


def gaussian(distances: np.ndarray, variance: float) -> np.ndarray:
    """Pairs to kernel matrix: ``exp(-d² / (2 variance))``, ones on the diagonal."""
    kernel = squareform(np.exp(distances / (-2 * variance)))
    np.fill_diagonal(kernel, 1.0)
    return kernel


def label_kernel(z: np.ndarray, variance: float = PAPER_VARIANCE) -> np.ndarray:
    """Gaussian kernel of label values, ``exp(-|z_i - z_j|² / (2 variance))``.

    Args:
        z: [N] or [N, d], finite, in the label's unit.
        variance: square of the kernel's width, in the unit's square.

    Returns:
        float64 [N, N].
    """
    if not variance > 0:
        raise PtselError(f"label_kernel: expected a variance above 0, found {variance}")
    z = as_columns(z)
    check_finite(z, "z")
    return gaussian(squared_distances(z), variance)


def median_variance(distances: np.ndarray) -> float | None:
    """Square of the median distance of a class's pairs, the bandwidth that knows no unit.

    Where more than half of the pairs tie (a label that is mostly 0) the median is 0 and the kernel would
    be the identity; the median of the other pairs is taken instead. None if all pairs tie: the label does
    not vary in this class.

    Args:
        distances: squared distances of the pairs, as `squared_distances` gives them.
    """
    middle = float(np.median(distances)) if len(distances) else 0.0
    if middle > 0:
        return middle
    apart = distances[distances > 0]
    return float(np.median(apart)) if len(apart) else None


def standardise(z: np.ndarray) -> np.ndarray | None:
    """z [N, d] in standard deviations from the mean of each dimension; dimensions that do not vary are dropped.

    None if no dimension varies. What varies by no more than rounding does not vary.
    """
    mean, std = z.mean(axis=0), z.std(axis=0)
    varies = std > 1e-12 * np.abs(mean)
    return (z[:, varies] - mean[varies]) / std[varies] if varies.any() else None
