"""Explicit features of both kernels, with which HSIC needs no n x n matrix.

Speech: the cosine kernel is the product of unit vectors, K = X X', and centring it is centring the rows of X.

A scalar label: the Gaussian kernel is the Fourier transform of a Gaussian (Bochner),

    exp(-t²/2v) = ∫ p(w) cos(w t) dw,    p(w) = s / sqrt(2 pi) exp(-(s w)²/2),    s² = v,

and the trapezoid rule on it converges faster than any power of its step. With step h and w_j = j h it equals
the kernel made periodic with period 2 pi / h. Take c = sqrt(2 ln(1/eps)), the period R + c s for values of
range R, and frequencies up to c / s. Then, for all |t| <= R,

* the nearest copies of the kernel are c s away or more: exp(-c²/2) = eps each, two of them;
* the tail that is cut off is at most erfc(c / sqrt 2) < eps;

so **each entry of the kernel is within 3 eps**, with about c (R/s + c) / pi columns. cos(w (z - z')) =
cos wz cos wz' + sin wz sin wz' gives the columns. What little of the spectrum a class does not use is
removed by an eigendecomposition of the columns, within 1e-14 n for each column removed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ptsel_fairseq.selection.estimators.kernels import unit_vectors

EPS = 1e-12
COMPRESSION = 1e-14
VALUES_AT_ONCE = 2_000_000


def feature_count(z: np.ndarray, variance: float, eps: float = EPS) -> int:
    """Columns that `gaussian_features` takes for the values z [n]."""
    cutoff = np.sqrt(2 * np.log(1 / eps))
    return 2 * int(np.ceil(cutoff * (np.ptp(z) / np.sqrt(variance) + cutoff) / (2 * np.pi))) + 1


def gaussian_features(z: np.ndarray, variance: float, eps: float = EPS) -> np.ndarray:
    """Features whose inner products are ``exp(-(z_i - z_j)² / (2 variance))`` within 3 eps.

    Args:
        z: values [n], finite.
        variance: square of the kernel's width, in the unit's square.

    Returns:
        float64 [n, columns], see `feature_count`.
    """
    width = np.sqrt(variance)
    cutoff = np.sqrt(2 * np.log(1 / eps))
    scaled = (z - (z.min() + z.max()) / 2) / width
    step = 2 * np.pi / (np.ptp(scaled) + cutoff)
    frequencies = step * np.arange(1, feature_count(z, variance, eps) // 2 + 1)
    density = step / np.sqrt(2 * np.pi)
    heights = np.sqrt(2 * density) * np.exp(-(frequencies**2) / 4)
    count = len(frequencies)
    # exp(i j w z) for j = 1, 2, ...: powers of the first, each of at most log2(count) products more.
    waves = np.empty((len(z), count), np.complex128)
    waves[:, 0] = np.exp(1j * step * scaled)
    done = 1
    while done < count:
        more = min(done, count - done)
        np.multiply(waves[:, :more], waves[:, done - 1 : done], out=waves[:, done : done + more])
        done += more
    features = np.empty((len(z), 1 + 2 * count))
    features[:, 0] = np.sqrt(density)
    np.multiply(waves.real, heights, out=features[:, 1 : 1 + count])
    np.multiply(waves.imag, heights, out=features[:, 1 + count :])
    return features


def compressed(features: np.ndarray) -> np.ndarray:
    """Fewer columns with the same inner products, within COMPRESSION * n for each column removed."""
    values, vectors = np.linalg.eigh(features.T @ features)
    kept = values > COMPRESSION * len(features)
    return features @ vectors[:, kept] if not kept.all() else features


def speech_features(x: np.ndarray, estimator: str) -> np.ndarray:
    """Rows [n, d] whose inner products are the cosine kernel of x [n, d], centred as `hsic.centred` says.

    For `unbiased` both sides are centred in full: U-centring forgets every a_i + a_j, hence the mean too.
    """
    rows = unit_vectors(x)
    rows -= rows.sum(axis=0) / (len(rows) ** 2 if estimator == "reference" else len(rows))
    return rows


def squared_lengths(rows: np.ndarray) -> np.ndarray:
    """Squared length of each row [n]: the diagonal of the kernel."""
    return np.einsum("ij,ij->i", rows, rows)


def unbiased_norm(rows: np.ndarray) -> tuple[float, float]:
    """Norm of the U-centred kernel (as `hsic.centred` scales it) of centred rows, and the digits it kept.

    With row sums 0, the sums without the diagonal are minus the diagonal a, so

        n² (n-3)² |U|² = |X'X|² - (1 + 2/(n-2)) sum a² + (sum a)² / ((n-1)(n-2)).

    Returns:
        The norm, and the share of the largest term that is left after subtraction.
    """
    n, lengths = len(rows), squared_lengths(rows)
    whole = float((np.square(rows.T @ rows if rows.shape[1] <= n else rows @ rows.T)).sum())
    total = lengths.sum() ** 2 / ((n - 1) * (n - 2))
    square = whole + total - (1 + 2 / (n - 2)) * float(lengths @ lengths)
    return np.sqrt(max(square, 0.0)) / (n * (n - 3)), square / max(whole, np.finfo(float).tiny)


def feature_inner_products(
    speech: np.ndarray, features: Sequence[np.ndarray], orders: np.ndarray, estimator: str, divisor: float
) -> np.ndarray:
    """HSIC of speech with several labels, for each reordering of its samples; as `hsic.inner_products`.

    Args:
        speech: `speech_features` [n, d].
        features: for each label [n, columns]; their means removed if the estimator is `unbiased`.
        orders: of the samples, int [P, n].
        divisor: what the sum over pairs is divided by.

    Returns:
        float64 [labels, P]: |X' Phi|², less the diagonal's terms for `unbiased` (see `unbiased_norm`).
        Costs 2 n d operations for each column and order.
    """
    n = len(speech)
    result = np.empty((len(features), len(orders)))
    lengths = squared_lengths(speech)
    for group in _groups([n * each.shape[1] for each in features]):
        columns = np.concatenate([features[label] for label in group], axis=1)
        starts = np.cumsum([0] + [features[label].shape[1] for label in group[:-1]])
        diagonals = np.array([squared_lengths(features[label]) for label in group])
        for number, order in enumerate(orders):
            inverse = np.empty(n, dtype=np.intp)
            inverse[order] = np.arange(n)
            inner = speech.T @ (columns if number == 0 and _sorted(order) else columns[inverse])
            sums = np.add.reduceat(np.einsum("ij,ij->j", inner, inner), starts)
            if estimator == "unbiased":
                sums -= (1 + 2 / (n - 2)) * (diagonals @ lengths[order])
                sums += diagonals.sum(axis=1) * lengths.sum() / ((n - 1) * (n - 2))
            result[group, number] = sums / divisor
    return result


def _sorted(order: np.ndarray) -> bool:
    return bool((order == np.arange(len(order))).all())


def _groups(sizes: Sequence[int]) -> list[list[int]]:
    """Labels taken together: as many as fit VALUES_AT_ONCE, at least one."""
    groups: list[list[int]] = []
    held = VALUES_AT_ONCE
    for label, size in enumerate(sizes):
        if held + size > VALUES_AT_ONCE:
            groups.append([])
            held = 0
        groups[-1].append(label)
        held += size
    return groups
