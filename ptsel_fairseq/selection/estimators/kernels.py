"""Kernels between the samples of one class: cosine for speech, Gaussian for labels."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import pdist, squareform

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.selection.estimators.known import PAPER_VARIANCE

SAMPLED_VALUES, LISTED_PAIRS = 100, 8
MARGIN = 0.002  # of all pairs, on both sides of the guess
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
    lengths = np.sqrt(np.einsum("ij,ij->i", x, x))[:, None]  # np.linalg.norm takes several passes
    if not lengths.all():
        sample = int(np.flatnonzero(lengths == 0)[0])
        raise PtselError(
            f"x: sample {sample} is zero in every dimension, which has no direction; leave it out"
        )
    x /= lengths
    return x


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


def scalar_median_variance(z: np.ndarray) -> float | None:
    """`median_variance` of the values z [n] without the list of their n (n - 1) / 2 distances.

    The pairs up to a distance are counted by bisection in the sorted values; the few pairs around the
    median, which a sample of the values tells about, are then listed.
    """
    z = np.sort(z)
    n = len(z)
    ties = np.unique(z, return_counts=True)[1].astype(np.int64)
    tied, pairs = int((ties * (ties - 1) // 2).sum()), n * (n - 1) // 2
    if pairs == tied:
        return None
    low, high = _distances_of_ranks(z, (pairs - 1) // 2, pairs // 2)
    if low**2 + high**2 > 0:
        return (low**2 + high**2) / 2
    apart = pairs - tied
    low, high = _distances_of_ranks(z, tied + (apart - 1) // 2, tied + apart // 2)
    return (low**2 + high**2) / 2


def _distances_of_ranks(z: np.ndarray, first: int, second: int) -> tuple[float, float]:
    """The pair distances of two neighbouring ranks, counted from 0, of sorted values z [n]."""
    n = len(z)
    own = np.arange(1, n + 1)

    def ends(distance: float) -> np.ndarray:
        """For each value, where the values end that lie no further above it than `distance`."""
        return np.maximum(np.searchsorted(z, z + distance, side="right"), own)

    sample = pdist(z[:: max(1, n // SAMPLED_VALUES)][:, None], "cityblock")
    sample.sort()

    def guess(share: float) -> float:
        """The distance that this share of the sample does not reach."""
        return float(sample[min(max(0, int(share * len(sample))), len(sample) - 1)])

    share = 2 * first / (n * (n - 1))
    below, above = own, np.full(n, n)
    low, high = 0.0, float(z[-1] - z[0])
    untried, corrected = [guess(share)], False
    while (above - below).sum() > LISTED_PAIRS * n:
        some = above > below
        shortest, longest = float((z[below[some]] - z[some]).min()), float((z[above - 1] - z)[some].max())
        bisected = not untried
        middle = (low + high) / 2 if bisected else untried.pop()
        if shortest == longest or (bisected and not low < middle < high):
            return longest, longest
        if not low < middle < high:
            continue
        reached = ends(middle)
        count = int((reached - own).sum())
        if not corrected:  # by as much as the sample was wrong there
            aim = share + np.searchsorted(sample, middle) / len(sample) - 2 * count / (n * (n - 1))
            untried, corrected = [guess(aim - MARGIN), guess(aim + MARGIN)], True
        if count <= first:
            below, low = reached, middle
        elif count > second:
            above, high = reached, middle
        else:  # the two ranks lie on its two sides
            more = reached < n
            return float((z[reached - 1] - z).max()), float((z[reached[more]] - z[more]).min())
    lengths = above - below
    starts = np.repeat(below - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
    listed = z[starts + np.arange(len(starts))] - np.repeat(z, lengths)
    passed = int((below - own).sum())
    listed.partition([first - passed, second - passed])
    return float(listed[first - passed]), float(listed[second - passed])


def standardise(z: np.ndarray) -> np.ndarray | None:
    """z [N, d] in standard deviations from the mean of each dimension; dimensions that do not vary are dropped.

    None if no dimension varies. What varies by no more than rounding does not vary.
    """
    mean, std = z.mean(axis=0), z.std(axis=0)
    varies = std > 1e-12 * np.abs(mean)
    return (z[:, varies] - mean[varies]) / std[varies] if varies.any() else None
