"""The weighted group's score in a large class: the sums of `group` over pairs, a few rows at a time.

E_h holds squared differences, so with values a in widths (E_h[i, j] = (a_hi - a_hj)² / 2) the exponent of the
group is one matrix product, and so is the gradient. For u = a sqrt(λ),

    sum_h λ_h E_h[i, j] = |u_i|² / 2 + |u_j|² / 2 - u_i.u_j,
    sum_ij W_ij E_h[i, j] = sum_i a_hi² w_i - sum_ij W_ij a_hi a_hj,    w = W 1, W symmetric.

Values are centred in the class first, so that a large mean costs no digits. Only blocks on and above the diagonal
are made; the others are their mirror image. Nothing of size [labels, n, n] exists. Cut exponents
(`reference`) are no such product; there the pairs of a block are summed one after the other, see `cut_exponents`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ptsel_fairseq.labels.signal.compiled import compiled
from ptsel_fairseq.selection.estimators.estimator import KernelEstimator
from ptsel_fairseq.selection.estimators.kernels import LARGEST_EXPONENT
from ptsel_fairseq.selection.weighting.cut_exponents import negative_exponents, slopes

ROWS = 128


class TiledClass:
    """One class: its speech kernel in blocks of rows, its label values in kernel widths.

    Args:
        speech: `features.speech_features` [n, d].
        length: norm of the U-centred speech kernel.
        labels: for each label values [n, dim] over the kernel's width.
        estimator: of kernels.
        keep: whether the speech kernel is kept (4 n² bytes) or made again for each value.
    """

    def __init__(
        self,
        speech: np.ndarray,
        length: float,
        labels: Sequence[np.ndarray],
        estimator: KernelEstimator,
        keep: bool,
    ) -> None:
        self.points, self.length, self.estimator = len(speech), length, estimator
        n = self.points
        self._divisor = float(
            n * (n - 3) if estimator.unbiased else n**2 if estimator.divisor == "n2" else (n - 1) ** 2
        )
        dimensions = [z.shape[1] for z in labels]
        self.labels = len(labels)
        self._values = np.concatenate([z - z.mean(axis=0) for z in labels], axis=1)
        self._columns = np.ascontiguousarray(self._values.T)
        self._starts = np.cumsum([0, *dimensions])
        self._label_of = np.repeat(np.arange(self.labels), dimensions)
        self._diagonal = np.einsum("ij,ij->i", speech, speech)
        self._speech = speech
        self._blocks = [self._centred_block(first) for first in range(0, n, ROWS)] if keep else None
        if keep:
            self._speech = np.empty((0, 0))

    def _centred_block(self, first: int) -> np.ndarray:
        """Rows from `first`, columns from `first`, of the centred speech kernel (see `hsic.centred`)."""
        n, a = self.points, self._diagonal
        block = self._speech[first : first + ROWS] @ self._speech[first:].T
        if self.estimator.unbiased:
            block += (a[first : first + ROWS, None] + a[first:]) / (n - 2)
            block -= a.sum() / ((n - 1) * (n - 2))
            np.fill_diagonal(block, 0.0)
        block /= self._divisor
        return block

    def _speech_block(self, first: int) -> np.ndarray:
        return self._centred_block(first) if self._blocks is None else self._blocks[first // ROWS]

    def _kernel_block(self, first: int, weights: np.ndarray) -> np.ndarray:
        """The same block of L_λ."""
        if not self.estimator.unbiased:
            block = compiled(negative_exponents, any_order=True)(
                self._columns, self._starts, weights, LARGEST_EXPONENT, first, min(ROWS, self.points - first)
            )
            return np.exp(block, out=block)
        scaled = self._values[first:] * weights[self._label_of]
        block = scaled[:ROWS] @ self._values[first:].T
        half = np.einsum("ij,ij->i", scaled, self._values[first:]) / 2
        block -= half[:ROWS, None]
        block -= half
        return np.exp(block, out=block)

    def value(self, weights: np.ndarray) -> tuple[float, np.ndarray]:
        """J of this class and its gradient [labels] at the weights [labels]."""
        n, inner = self.points, 0.0
        if not self.estimator.normalised:
            slopes = _Slopes(self)
            for first in range(0, n, ROWS):
                slope = self._kernel_block(first, weights)
                slope *= self._speech_block(first)
                own = len(slope)
                inner += float(slope[:, :own].sum()) + 2 * float(slope[:, own:].sum())
                slopes.add(first, slope)
            return inner, slopes.total()
        kernels, sums, square = [], np.zeros(n), 0.0
        for first in range(0, n, ROWS):
            kernel = self._kernel_block(first, weights)
            np.fill_diagonal(kernel, 0.0)
            if self._blocks is not None:
                kernels.append(kernel)
            own = len(kernel)
            inner += _both_halves(self._speech_block(first), kernel)
            sums[first : first + own] += kernel.sum(axis=1)
            sums[first + own :] += kernel[:, own:].sum(axis=0)
        mean, shares = sums.sum() / ((n - 1) * (n - 2)), sums / (n - 2)
        aligned, bent = _Slopes(self), _Slopes(self)
        for number, first in enumerate(range(0, n, ROWS)):
            kernel = kernels[number] if kernels else self._kernel_block(first, weights)
            if not kernels:
                np.fill_diagonal(kernel, 0.0)
            U = kernel - shares[first : first + len(kernel), None]
            U -= shares[first:] - mean
            np.fill_diagonal(U, 0.0)
            square += _both_halves(U, U)
            U *= kernel
            bent.add(first, U)
            kernel *= self._speech_block(first)
            aligned.add(first, kernel)
        scale = 1 / (self.length * np.sqrt(square))
        return inner * scale, scale * (aligned.total() - inner / square * bent.total())


def _both_halves(a: np.ndarray, b: np.ndarray) -> float:
    """Sum of a * b over a block [rows, columns] from the diagonal on, and over its mirror image."""
    own = len(a)
    return 2 * float(np.vdot(a, b)) - float(np.vdot(a[:, :own], b[:, :own]))


class _Slopes:
    """-sum over all pairs of W_ij E_h[i, j], from blocks of W."""

    def __init__(self, entry: TiledClass) -> None:
        self.entry, self.labels = entry, entry.labels
        self.sums, self.products = np.zeros(entry.points), np.zeros(entry._values.shape[1])
        self.cut = np.zeros(self.labels)

    def add(self, first: int, W: np.ndarray) -> None:
        own, values = len(W), self.entry._values[first:]
        if not self.entry.estimator.unbiased:
            add = compiled(slopes, any_order=True)
            self.cut += add(self.entry._columns, self.entry._starts, W, LARGEST_EXPONENT, first)
            return
        self.sums[first : first + own] += W.sum(axis=1)
        self.sums[first + own :] += W[:, own:].sum(axis=0)
        W[:, own:] *= 2
        self.products += np.einsum("ij,ij->j", values[:own], W @ values)

    def total(self) -> np.ndarray:
        if not self.entry.estimator.unbiased:
            return -self.cut
        columns = self.sums @ np.square(self.entry._values) - self.products
        return -np.bincount(self.entry._label_of, columns, self.labels)
