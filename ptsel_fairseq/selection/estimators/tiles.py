"""HSIC of labels whose kernels have no short list of features: vectors, or kernels far narrower than the range.

Kernels are made a few rows at a time, from column `first row` on: the rest is their mirror image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.spatial.distance import cdist

MATRICES_IN_A_TILE = 4  # of one label: distances, kernel, and two intermediate results
TILE_BYTES = 16 * 2**20


def row_blocks(n: int, bytes_at_once: float, matrices: int) -> Iterator[tuple[int, int]]:
    """First and last row + 1 of blocks, so that `matrices` arrays [rows, n] of float64 fit."""
    rows = max(1, int(bytes_at_once / (8 * n * matrices)))
    for first in range(0, n, rows):
        yield first, min(n, first + rows)


def kernel_block(z: np.ndarray, variance: float, first: int, last: int) -> np.ndarray:
    """Rows first:last, columns first: of the Gaussian kernel of z [n, dim]."""
    block = cdist(z[first:last], z[first:], "sqeuclidean")
    block /= -2 * variance
    return np.exp(block, out=block)


def tiled_inner_products(
    speech: np.ndarray,
    labels: Sequence[tuple[np.ndarray, float]],
    orders: np.ndarray,
    estimator: str,
    divisor: float,
    memory: float,
) -> np.ndarray:
    """HSIC of speech with several labels, for each reordering of its samples; as `hsic.inner_products`.

    Args:
        speech: `features.speech_features` [n, d].
        labels: values [n, dim] and variance of each.
        orders: of the samples, int [P, n].
        divisor: what the sum over pairs is divided by.
        memory: bytes. The speech kernel is kept if it takes less than half of them, else it is made
            again for each block and order.

    Returns:
        float64 [labels, P].
    """
    n, k = len(speech), len(labels)
    kernel = speech @ speech.T if 8 * n * n < memory / 2 and len(orders) > 1 else None
    left = memory - (0 if kernel is None else kernel.nbytes)
    result, sums = np.zeros((k, len(orders))), np.zeros((k, n))
    for first, last in row_blocks(n, min(left / 2, k * TILE_BYTES), k + MATRICES_IN_A_TILE):
        own = last - first
        blocks = np.empty((k, own, n - first))
        for block, (z, variance), total in zip(blocks, labels, sums, strict=True):
            block[:] = kernel_block(z, variance, first, last)
            if estimator == "unbiased":
                np.fill_diagonal(block, 0.0)
            total[first:last] += block.sum(axis=1)
            total[last:] += block[:, own:].sum(axis=0)
            block[:, own:] *= 2  # and their mirror image
        flat = blocks.reshape(k, -1)
        for number, order in enumerate(orders):
            rows, columns = order[first:last], order[first:]
            turned = (
                speech[rows] @ speech[columns].T if kernel is None else np.take(kernel[rows], columns, axis=1)
            )
            result[:, number] += flat @ turned.ravel()
    if estimator == "unbiased":  # U-centring, as for features
        lengths = np.einsum("ij,ij->i", speech, speech)
        for number, order in enumerate(orders):
            result[:, number] += 2 / (n - 2) * (sums @ lengths[order])
            result[:, number] -= lengths.sum() * sums.sum(axis=1) / ((n - 1) * (n - 2))
    return result / divisor


def tiled_norm(z: np.ndarray, variance: float, memory: float) -> float:
    """Norm of the U-centred kernel of z [n, dim], as `hsic.centred_norm` has it, from differences."""
    n = len(z)
    limits = min(memory / 2, TILE_BYTES), MATRICES_IN_A_TILE
    sums, square = np.zeros(n), 0.0
    for again in (False, True):
        whole = sums.sum() / ((n - 1) * (n - 2))
        for first, last in row_blocks(n, *limits):
            own = last - first
            block = kernel_block(z, variance, first, last)
            np.fill_diagonal(block, 0.0)
            if not again:
                sums[first:last] += block.sum(axis=1)
                sums[last:] += block[:, own:].sum(axis=0)
                continue
            block -= (sums[first:last, None] + sums[first:]) / (n - 2)
            block += whole
            np.fill_diagonal(block, 0.0)
            square += float(np.vdot(block[:, :own], block[:, :own]))
            square += 2 * float(np.square(block[:, own:]).sum())
    return float(np.sqrt(square)) / (n * (n - 3))


def tiled_speech_norm(speech: np.ndarray, memory: float) -> float:
    """The same of the kernel of centred speech rows [n, d], whose sums are minus its diagonal."""
    n, lengths = len(speech), np.einsum("ij,ij->i", speech, speech)
    whole, square = lengths.sum() / ((n - 1) * (n - 2)), 0.0
    for first, last in row_blocks(n, min(memory / 2, TILE_BYTES), MATRICES_IN_A_TILE):
        own = last - first
        block = speech[first:last] @ speech[first:].T
        block += (lengths[first:last, None] + lengths[first:]) / (n - 2)
        block -= whole
        np.fill_diagonal(block, 0.0)
        square += float(np.vdot(block[:, :own], block[:, :own])) + 2 * float(np.square(block[:, own:]).sum())
    return float(np.sqrt(square)) / (n * (n - 3))


def vanishes(norm: float, n: int, rounding: float) -> bool:
    """Whether nothing but rounding is left of a U-centred kernel; see `hsic.centred_norm`."""
    return norm * (n * (n - 3)) <= rounding * n
