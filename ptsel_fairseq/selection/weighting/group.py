"""The score of a weighted group of labels, as a function of the weights λ, with its gradient.

The group of labels Z_λ has the kernel of the papers (arXiv 2107.00594, section 4),

    L_λ[i, j] = exp(-sum_h λ_h E_h[i, j]) = prod_h L_h[i, j]^λ_h,    E_h = |z_hi - z_hj|² / (2 variance_h),

a product of kernels with exponents λ. For a centred speech kernel C (see `hsic.centred`),

    J_c(λ) = <C, L_λ>,        dJ_c/dλ_h = -<C * L_λ, E_h>,

which is the papers' appendix .1 with log L_h = -E_h. For `cka` with the U-centred U = U(L_λ),

    J_c = <C, L_λ> / (|C| |U|),    d(|U|²)/dλ_h = -2 <U * L_λ, E_h>.

All matrices are symmetric and E has a zero diagonal, so only pairs i < j are kept.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import squareform

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.threads import few_threads
from ptsel_fairseq.base.workers import available_cores
from ptsel_fairseq.selection.checks import all_defined, kernel_estimator, no_class_left, prepare_labels
from ptsel_fairseq.selection.estimators.estimator import KernelEstimator
from ptsel_fairseq.selection.estimators.features import speech_features
from ptsel_fairseq.selection.estimators.hsic import centred, centred_norm
from ptsel_fairseq.selection.estimators.kernels import (
    LARGEST_EXPONENT,
    cosine_kernel,
    gaussian,
    median_variance,
    squared_distances,
)
from ptsel_fairseq.selection.estimators.one_class import MEMORY, label_norm, large_variance, speech_norm
from ptsel_fairseq.selection.weighting.group_large import TiledClass

WORTH_THREADS = 1e7  # pairs times labels; with less, threads take longer to start than they save
LARGE = 500  # points from which a class is computed in blocks, see `group_tiles`
SHARE_OF_EXPONENTS = 0.25  # of the memory: smaller classes are somewhat faster with their exponents kept
MEMORY_OF_A_BLOCK = 64 * 2**20


@dataclass(frozen=True)
class _Class:
    """One class: `pairs` are the values 2 C_ij, `diagonal` the sum of C_ii, `exponents` E [labels, pairs]."""

    points: int
    pairs: np.ndarray
    diagonal: float
    length: float
    exponents: np.ndarray


class GroupObjective:
    """J(λ), averaged over the classes.

    Uses the samples on which all labels are defined, since a group has a value only there: with F0 among
    the labels, these are the samples with a voiced frame. For cka and hsic classes are weighted by
    their number of points, and those in which a label does not vary are left out; for `reference` the mean
    is plain and exponents are cut at 10, as in the released code.

    Attributes:
        labels: sorted names; λ follows this order.
        unusable: label -> why it has no part in the group (constant, or undefined everywhere).
        points: samples used, of `points_given`.
        pairs: of samples in one class.
        classes: classes used, of `classes_given`.

    Args:
        memory: bytes that the classes may take (default 4e9). Large classes are held as half of their
            speech kernel, or if that does not fit as their points, for several times the work.
        codes: those of the labels that are of codes, see `score.score_labels`.

    Raises:
        PtselError: as `score.score_labels`, or no class that has enough samples where all labels are defined.
    """

    def __init__(
        self,
        x: np.ndarray,
        labels: Mapping[str, np.ndarray],
        classes: np.ndarray,
        estimator: str | KernelEstimator = "cka",
        memory: float = MEMORY,
        codes: Collection[str] = (),
    ) -> None:
        x, classes = np.asarray(x), np.asarray(classes)
        estimator = kernel_estimator(estimator)
        values, unusable = prepare_labels(x, labels, classes, estimator, codes)
        self.estimator = estimator
        self._memory_left = memory - 3 * MEMORY_OF_A_BLOCK
        self._exponents_left = SHARE_OF_EXPONENTS * memory
        self.labels = tuple(values)
        self.unusable = {name: str(record.reason) for name, record in unusable.items()}
        if not values:
            raise PtselError("labels: none of them varies, so there is nothing to weigh")
        defined = all_defined(values)
        names = np.unique(classes)
        found = [self._class(x, values, np.flatnonzero(defined & (classes == name))) for name in names]
        self._classes = [entry for entry in found if entry is not None]
        if not self._classes:
            raise PtselError(
                f"{no_class_left(estimator, classes)} (all of {', '.join(self.labels)} are defined in "
                f"{np.count_nonzero(defined)} of {len(x)} samples; leave out labels that are often undefined)"
            )
        counts = np.array([entry.points for entry in self._classes], dtype=np.float64)
        self.points, self.points_given = int(counts.sum()), len(x)
        self.pairs = int((counts * (counts - 1)).sum() // 2)
        self.classes, self.classes_given = len(counts), len(names)
        self._weights = (
            counts / counts.sum() if estimator.average == "count" else np.full(len(counts), 1 / len(counts))
        )

    def _class(
        self, x: np.ndarray, values: Mapping[str, np.ndarray], rows: np.ndarray
    ) -> _Class | TiledClass | None:
        n = len(rows)
        if n < self.estimator.least_points:
            return None
        pairs = n * (n - 1) // 2
        stored = 8 * pairs * (len(values) + 1)
        if n >= LARGE or stored > self._exponents_left:
            return self._large_class(x[rows], {name: z[rows] for name, z in values.items()})
        self._exponents_left -= stored
        self._memory_left -= stored
        unbiased = self.estimator.unbiased
        C = centred(cosine_kernel(x[rows]), self.estimator.form, self.estimator.divisor)
        length = centred_norm(C) if unbiased else 1.0
        exponents = np.empty((len(values), pairs))
        for row, z in zip(exponents, values.values(), strict=True):
            distances = squared_distances(z[rows])
            variance = self.estimator.variance or median_variance(distances)
            if variance is None or length == 0:
                return None
            if unbiased and _is_flat(gaussian(distances, variance)):
                return None
            np.divide(distances, 2 * variance, out=row)
        if not unbiased:
            np.minimum(exponents, LARGEST_EXPONENT, out=exponents)
        return _Class(n, 2 * squareform(C, checks=False), float(np.trace(C)), length, exponents)

    def _large_class(self, x: np.ndarray, values: Mapping[str, np.ndarray]) -> TiledClass | None:
        n, unbiased = len(x), self.estimator.unbiased
        speech = speech_features(x, self.estimator.form)
        block = min(MEMORY_OF_A_BLOCK, max(0.0, self._memory_left))
        length = speech_norm(speech, self.estimator, block) if unbiased else 1.0
        scaled = []
        for z in values.values():
            variance = self.estimator.variance or large_variance(z, max(self._memory_left, MEMORY_OF_A_BLOCK))
            if variance is None or length == 0:
                return None
            if unbiased and label_norm(z, variance, MEMORY_OF_A_BLOCK) == 0:
                return None
            scaled.append(z / np.sqrt(variance))
        keep = 5 * n**2 < self._memory_left - 10 * n**2  # half a matrix, and the kernel of one evaluation
        entry = TiledClass(speech, length, scaled, self.estimator, keep)
        self._memory_left -= 5 * n**2 if keep else speech.nbytes
        if self._memory_left < 0:
            raise PtselError(
                f"memory: the limit does not hold the points of all classes, here one of {n} points; raise it, or use "
                "fewer points"
            )
        return entry

    def __call__(self, weights: np.ndarray) -> tuple[float, np.ndarray]:
        """J and its gradient [labels] at λ [labels], which need not lie on the simplex."""
        if self.pairs * len(self.labels) < WORTH_THREADS or len(self._classes) == 1:
            found = [self._class_value(entry, weights) for entry in self._classes]
        else:
            with few_threads(), ThreadPoolExecutor(available_cores()) as pool:
                found = list(pool.map(lambda entry: self._class_value(entry, weights), self._classes))
        value, gradient = 0.0, np.zeros(len(self.labels))
        for share, (inner, slope) in zip(self._weights, found, strict=True):
            value, gradient = value + share * inner, gradient + share * slope
        return value, gradient

    def _class_value(self, entry: _Class | TiledClass, weights: np.ndarray) -> tuple[float, np.ndarray]:
        if isinstance(entry, TiledClass):
            return entry.value(weights)
        kernel = np.exp(-(weights @ entry.exponents))
        inner = entry.diagonal + float(entry.pairs @ kernel)
        slope = entry.pairs * kernel  # of J with respect to -E
        if self.estimator.normalised:
            scale, bend = self._alignment(kernel, entry)
            slope = (slope - inner * bend * kernel) * scale
            inner *= scale
        return inner, -(entry.exponents @ slope)

    @staticmethod
    def _alignment(kernel: np.ndarray, entry: _Class) -> tuple[float, np.ndarray]:
        """1 / (|C| |U|), and 2 U / |U|² for each pair, which its derivative needs.

        With row sums r of L without its diagonal, and S their sum, the entries of U are
        L_ij - (r_i + r_j) / (n - 2) + S / ((n - 1)(n - 2)).
        """
        n = entry.points
        sums = squareform(kernel, checks=False).sum(axis=0)
        centred = kernel - squareform(np.add.outer(sums, sums), checks=False) / (n - 2)
        centred += sums.sum() / ((n - 1) * (n - 2))
        square = 2 * float(centred @ centred)
        return 1 / (entry.length * np.sqrt(square)), 2 * centred / square


def _is_flat(kernel: np.ndarray) -> bool:
    """Whether nothing is left of a kernel once it is centred, so that it cannot align with anything."""
    return centred_norm(centred(kernel, "unbiased")) == 0
