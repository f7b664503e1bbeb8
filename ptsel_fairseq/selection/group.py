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

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.distance import squareform

from ptsel_fairseq.errors import PtselError
from ptsel_fairseq.selection import solve
from ptsel_fairseq.selection.class_scores import MEMORY, large_variance, speech_norm
from ptsel_fairseq.selection.features import speech_features
from ptsel_fairseq.selection.group_tiles import TiledClass
from ptsel_fairseq.selection.hsic import ROUNDING, centred, centred_norm
from ptsel_fairseq.selection.inputs import minimum_points, no_class_left, prepare_labels
from ptsel_fairseq.selection.kernels import (
    LARGEST_EXPONENT,
    PAPER_VARIANCE,
    cosine_kernel,
    gaussian,
    median_variance,
    squared_distances,
)
from ptsel_fairseq.selection.tiles import tiled_norm

LARGE = 500  # points from which a class is computed in blocks, see `group_tiles`
MEMORY_OF_A_BLOCK = 64 * 2**20
SEEDED_STARTS, RANDOM_CANDIDATES = 4, 200
REFERENCE_RESTARTS = 10
SAME_OPTIMUM = 1e-3  # of every weight
SOFTMAX_NOTE = "softmax reaches no edge of the simplex; where the minimum lies on one, it is only approached"
PROJECTED_NOTE = "sparsemax and entmax15 reach every point of the simplex, so their minimum is the same"


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
        classes: classes used, of `classes_given`.

    Args:
        memory: bytes that the classes may take (default 4e9). Large classes are held as half of their
            speech kernel, or if that does not fit as their points, for several times the work.

    Raises:
        PtselError: as `score.score_labels`, or no class that has enough samples where all labels are defined.
    """

    def __init__(
        self,
        x: np.ndarray,
        labels: Mapping[str, np.ndarray],
        classes: np.ndarray,
        estimator: str = "cka",
        memory: float = MEMORY,
    ) -> None:
        x, classes = np.asarray(x), np.asarray(classes)
        values, unusable = prepare_labels(x, labels, classes, estimator)
        self.estimator = estimator
        self._memory_left = memory - 3 * MEMORY_OF_A_BLOCK
        self.labels = tuple(values)
        self.unusable = {name: str(record.reason) for name, record in unusable.items()}
        if not values:
            raise PtselError("labels: none of them varies, so there is nothing to weigh")
        defined = ~np.any([np.isnan(z[:, 0]) for z in values.values()], axis=0)
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
        self.classes, self.classes_given = len(counts), len(names)
        self._weights = (
            np.full(len(counts), 1 / len(counts)) if estimator == "reference" else counts / counts.sum()
        )

    def _class(
        self, x: np.ndarray, values: Mapping[str, np.ndarray], rows: np.ndarray
    ) -> _Class | TiledClass | None:
        n = len(rows)
        if n < minimum_points(self.estimator):
            return None
        pairs = n * (n - 1) // 2
        stored = 8 * pairs * (len(values) + 1)
        if n >= LARGE or stored > self._memory_left:
            return self._large_class(x[rows], {name: z[rows] for name, z in values.items()})
        self._memory_left -= stored
        reference = self.estimator == "reference"
        C = centred(cosine_kernel(x[rows]), "reference" if reference else "unbiased")
        length = 1.0 if reference else centred_norm(C)
        exponents = np.empty((len(values), pairs))
        for row, z in zip(exponents, values.values(), strict=True):
            distances = squared_distances(z[rows])
            variance = PAPER_VARIANCE if reference else median_variance(distances)
            if variance is None or length == 0:
                return None
            if not reference and _is_flat(gaussian(distances, variance)):
                return None
            np.divide(distances, 2 * variance, out=row)
        if reference:
            np.minimum(exponents, LARGEST_EXPONENT, out=exponents)
        return _Class(n, 2 * squareform(C, checks=False), float(np.trace(C)), length, exponents)

    def _large_class(self, x: np.ndarray, values: Mapping[str, np.ndarray]) -> TiledClass | None:
        n, reference = len(x), self.estimator == "reference"
        speech = speech_features(x, "reference" if reference else "unbiased")
        block = min(MEMORY_OF_A_BLOCK, max(0.0, self._memory_left))
        length = 1.0 if reference else speech_norm(speech, "cka", block)
        scaled = []
        for z in values.values():
            variance = PAPER_VARIANCE if reference else large_variance(z, MEMORY)
            if variance is None or length == 0:
                return None
            if not reference and tiled_norm(z, variance, MEMORY_OF_A_BLOCK) * (n - 3) <= ROUNDING:
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
        value, gradient = 0.0, np.zeros(len(self.labels))
        for share, entry in zip(self._weights, self._classes, strict=True):
            if isinstance(entry, TiledClass):
                inner, slope = entry.value(weights)
                value, gradient = value + share * inner, gradient + share * slope
                continue
            kernel = np.exp(-(weights @ entry.exponents))
            inner = entry.diagonal + float(entry.pairs @ kernel)
            slope = entry.pairs * kernel  # of J with respect to -E
            if self.estimator == "cka":
                scale, bend = self._alignment(kernel, entry)
                slope = (slope - inner * bend * kernel) * scale
                inner *= scale
            value += share * inner
            gradient -= share * (entry.exponents @ slope)
        return value, gradient

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


def minimise(
    objective: GroupObjective,
    projection: str,
    seed: int = 0,
    reference_optimizer: bool = False,
    progress: bool = False,
) -> tuple[dict[str, float], dict[str, Any]]:
    """The λ of the lowest J found from several starts, and how that was established.

    By default to convergence, from equal weights, each label alone and seeded points of the simplex, on the
    objective divided by its largest value at these (else step sizes would depend on its unit). With
    `reference_optimizer` the papers' descent on the objective as it is, from ten seeded starts.

    Returns:
        Label -> λ, and: objective, its value at equal weights, the optimality gap (absolute, and as a share
        of the objective at equal weights), the KKT residual, and how the restarts compare.
    """
    k = len(objective.labels)
    uniform = np.full(k, 1 / k)
    at_uniform = objective(uniform)[0]
    rng = np.random.default_rng(seed)
    if reference_optimizer:
        scale = 1.0
        draws = rng.standard_normal((REFERENCE_RESTARTS, k))
        starts = draws if projection == "softmax" else 1 + 0.05 * draws
        runs = [solve.reference_descent(objective, start, projection) for start in _shown(starts, progress)]
    else:
        scale = _scale(objective, at_uniform)

        def scaled(weights: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = objective(weights)
            return value / scale, gradient / scale

        drawn = rng.dirichlet(np.ones(k), RANDOM_CANDIDATES)
        order = np.argsort([scaled(weights)[0] for weights in drawn], kind="stable")
        starts = np.concatenate([uniform[None], np.eye(k), drawn[order[:SEEDED_STARTS]]])
        if projection == "softmax":
            inside = np.log(0.9 * starts + 0.1 * uniform)
            runs = [solve.softmax_descent(scaled, start) for start in _shown(inside, progress)]
        else:
            runs = [solve.projected_gradient(scaled, start) for start in _shown(starts, progress)]
    best = min(runs, key=lambda run: run.objective)
    same = sum(bool(np.abs(run.weights - best.weights).max() <= SAME_OPTIMUM) for run in runs)
    values = np.array([run.objective for run in runs]) * scale
    optimizer = "L-BFGS on W" if projection == "softmax" else "projected gradient"
    details = {
        "optimizer": "the papers' gradient descent" if reference_optimizer else optimizer,
        "objective": best.objective * scale,
        "objective_at_equal_weights": at_uniform,
        "gap": best.gap * scale,
        "relative_gap": best.gap * scale / abs(at_uniform) if at_uniform else None,
        "residual": best.residual,
        "steps": best.steps,
        "restarts": len(runs),
        "restarts_at_this_optimum": same,
        "lowest_median_highest_of_restarts": [
            float(values.min()),
            float(np.median(values)),
            float(values.max()),
        ],
        "points": f"{objective.points} of {objective.points_given}, those where all labels are defined",
        "classes": f"{objective.classes} of {objective.classes_given}",
    }
    if not reference_optimizer:
        details["note"] = SOFTMAX_NOTE if projection == "softmax" else PROJECTED_NOTE
    if np.count_nonzero(best.weights > SAME_OPTIMUM) == 1 and k > 1:
        details["finding"] = "all weight is on one label; for several take --method direct --support N"
    if objective.unusable:
        details["left_out"] = objective.unusable
    return dict(zip(objective.labels, best.weights.tolist(), strict=True)), details


def _scale(objective: GroupObjective, at_uniform: float) -> float:
    """The largest of |J| at equal weights and at single labels.

    Not its value at equal weights alone: debiased scores may be next to 0 there.
    """
    values = [at_uniform, *(objective(vertex)[0] for vertex in np.eye(len(objective.labels)))]
    return max(abs(value) for value in values) or 1.0


def _shown(starts: np.ndarray, progress: bool) -> Iterable[np.ndarray]:
    if not progress:
        return starts
    from tqdm import tqdm

    return tqdm(starts, desc="minimising from each start", unit="start", file=sys.stderr)
