"""Explicit features of both kernels, with which HSIC needs no n x n matrix.

Speech: the cosine kernel is the product of unit vectors, K = X X', and centring it is centring the rows of X.

A scalar label: the Gaussian kernel L of n values is L = G G' within EPS, G of a few columns, by Cholesky's
decomposition with pivots (Fine and Scheinberg 2001; Bach and Jordan 2002). Each step adds the column of the value
whose diagonal entry is worst approximated so far. What is left, L - G G', is positive semidefinite, so that no
entry of it exceeds the largest on its diagonal: **each entry of the kernel is within EPS** when that is. r columns
cost about n r² operations.

How many columns that takes can be told beforehand. The Gaussian kernel is the Fourier transform of a Gaussian
(Bochner), and the trapezoid rule on it converges faster than any power of its step: for values of range R and
variance s², with c = sqrt(2 ln(1/EPS)), cosines and sines of about c (R/s + c) / (2 pi) frequencies give each entry
within 3 EPS, and greedy pivots do better.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ptsel_fairseq.selection.estimators.kernels import unit_vectors

EPS = 1e-12
COLUMNS_AT_FIRST = 32
VALUES_AT_ONCE = 2_000_000


def feature_count(z: np.ndarray, variance: float) -> int:
    """The columns that `gaussian_features` takes at most, about, for the values z [n]."""
    cutoff = np.sqrt(2 * np.log(1 / EPS))
    return 2 * int(np.ceil(cutoff * (np.ptp(z) / np.sqrt(variance) + cutoff) / (2 * np.pi))) + 1


def gaussian_features(z: np.ndarray, variance: float) -> np.ndarray:
    """Features whose inner products are ``exp(-(z_i - z_j)² / (2 variance))`` within EPS.

    Args:
        z: values [n], finite.
        variance: square of the kernel's width, in the unit's square.

    Returns:
        float64 [n, columns], a column's values side by side in memory; about the fewest columns that do.
    """
    scaled = (z - (z.min() + z.max()) / 2) / np.sqrt(2 * variance)
    columns = np.empty((COLUMNS_AT_FIRST, len(z)))
    left = np.ones(len(z))  # of the diagonal
    count = 0
    while count < len(z) and left[pivot := int(left.argmax())] > EPS:
        if count == len(columns):
            columns = np.concatenate([columns, np.empty_like(columns)])
        column = columns[count]
        np.subtract(scaled, scaled[pivot], out=column)
        np.multiply(column, -column, out=column)
        np.exp(column, out=column)
        column -= columns[:count, pivot] @ columns[:count]
        column /= np.sqrt(left[pivot])
        left -= np.square(column)
        count += 1
    return columns[:count].T


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
        if len(orders) > 1:  # rows are taken in other orders
            columns = np.ascontiguousarray(columns)
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
