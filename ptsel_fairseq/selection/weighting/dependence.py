"""How much labels say the same: the dependence of each two of them on each other, inside the classes."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from scipy.spatial.distance import cdist

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.selection.checks import all_defined, kernel_estimator, prepare_labels
from ptsel_fairseq.selection.estimators.hsic import MINIMUM_SAMPLES, ROUNDING
from ptsel_fairseq.selection.estimators.kernels import as_columns
from ptsel_fairseq.selection.estimators.one_class import MEMORY, large_variance
from ptsel_fairseq.selection.estimators.tiles import row_blocks
from ptsel_fairseq.selection.weighting.way import Candidates, Options

BLOCK_BYTES = 64 * 2**20  # kernel rows of all labels held together
CLIPPED = 1e-12  # eigenvalues above minus this are rounding
LEAST_POINTS = MINIMUM_SAMPLES["unbiased"]
NEIGHBOURS = 3  # of the mutual information's estimator (scikit-learn's default)
MOST_POINTS = 5000  # that the mutual information is estimated from


def label_dependence(
    x: np.ndarray,
    labels: Mapping[str, np.ndarray],
    classes: np.ndarray,
    memory: float = MEMORY,
    codes: Collection[str] = (),
) -> tuple[tuple[str, ...], np.ndarray, dict[str, str]]:
    """Debiased CKA of the kernels of each two labels given the class, averaged by the classes' points.

    Labels are in standard deviations with the in-class median bandwidth, whatever estimator scored them. Two labels
    are compared on the samples where all labels are defined. The U-centred kernels of one class are vectors
    and their alignments cosines (see `hsic.centred`), so each class's matrix is positive semidefinite, and
    so is their average unless a label is constant in some classes only.

    Args:
        x: [N, d], only checked.
        labels: name -> [N] or [N, dim], NaN where undefined.
        classes: [N].
        memory: bytes that this may take.
        codes: those of the labels that are of codes, see `score_labels`.

    Returns:
        Sorted names of the k labels that vary, float64 [k, k] with ones on the diagonal, and
        label -> why it was left out.

    Raises:
        PtselError: as `score_labels`, or two labels that vary together in no class with 4 points.
    """
    classes = np.asarray(classes)
    values, unscored = prepare_labels(np.asarray(x), labels, classes, kernel_estimator("cka"), codes)
    left_out = {name: str(record.reason) for name, record in unscored.items()}
    if not values:
        raise PtselError("labels: none of them varies, so none depends on another")
    defined = all_defined(values)
    k = len(values)
    total, counts = np.zeros((k, k)), np.zeros((k, k))
    for name in np.unique(classes):
        rows = np.flatnonzero(defined & (classes == name))
        n = len(rows)
        if n < LEAST_POINTS:
            continue
        products = _centred_products([z[rows] for z in values.values()], memory)
        lengths = np.sqrt(np.diag(products))
        varies = lengths > ROUNDING * n
        lengths[~varies] = 1.0
        used = np.outer(varies, varies)
        total += np.where(used, n * products / np.outer(lengths, lengths), 0.0)
        counts += n * used
    names = tuple(values)
    if not counts.all():
        first, second = (names[entry] for entry in np.argwhere(counts == 0)[0])
        raise PtselError(
            f"label dependence: expected a class with at least 4 points on which all labels are defined and "
            f"{first} and {second} vary, found none among {np.count_nonzero(defined)} of {len(defined)} such "
            "points; leave out labels that are often undefined"
        )
    R = total / counts
    np.fill_diagonal(R, 1.0)
    return names, (R + R.T) / 2, left_out


def _centred_products(values: list[np.ndarray], memory: float) -> np.ndarray:
    """<U_h, U_g> [k, k] of the labels' U-centred kernels, `values` being [n, dim] each, in blocks of rows."""
    k, n = len(values), len(values[0])
    # Where all pairs tie the kernel is constant whatever its width, and centring leaves nothing of it.
    variances = [large_variance(z, memory) or 1.0 for z in values]
    blocks = list(row_blocks(n, min(memory / 2, BLOCK_BYTES), k + 2))

    def rows_of(label: int, first: int, last: int) -> np.ndarray:
        kernel = cdist(values[label][first:last], values[label], "sqeuclidean")
        kernel /= -2 * variances[label]
        np.exp(kernel, out=kernel)
        kernel[np.arange(last - first), np.arange(first, last)] = 0.0
        return kernel

    sums = np.zeros((k, n))
    for first, last in blocks:
        for label in range(k):
            sums[label, first:last] = rows_of(label, first, last).sum(axis=1)
    products = np.zeros((k, k))
    for first, last in blocks:
        stacked = np.empty((k, last - first, n))
        for label, total in enumerate(sums):
            kernel = rows_of(label, first, last)
            kernel += total.sum() / ((n - 1) * (n - 2)) - (total[first:last, None] + total) / (n - 2)
            kernel[np.arange(last - first), np.arange(first, last)] = 0.0
            stacked[label] = kernel
        flat = stacked.reshape(k, -1)
        products += flat @ flat.T
    return products


def dependence_of(candidates: Candidates, options: Options, way: str) -> np.ndarray:
    """How the candidates depend on each other [k, k], in their order."""
    prepared = candidates.points(way)
    if options.dependence == "mi":
        labels = {name: prepared.points.labels[name] for name in candidates.names}
        return mutual_information(labels, options.seed)[1]
    names, R, left_out = prepared.dependence(candidates.names)
    if len(names) != len(candidates.names):
        raise PtselError(f"label dependence: no value for {left_out}; score without them")
    return R


def mutual_information(labels: Mapping[str, np.ndarray], seed: int = 0) -> tuple[tuple[str, ...], np.ndarray]:
    """Mutual information of each two scalar labels over all samples, in nats, as the papers' MRMR baseline uses it.

    By scikit-learn's nearest-neighbour estimator, which we take to be the papers' (it is not stated), on at most
    `MOST_POINTS` samples on which all labels are defined, drawn with `seed`.

    Args:
        labels: name -> [N] or [N, 1], NaN where undefined.

    Returns:
        Sorted names, and float64 [k, k], symmetric; on the diagonal that of a label with itself.

    Raises:
        PtselError: a label of several dimensions, or too few samples.
    """
    from sklearn.feature_selection import mutual_info_regression

    values = {name: as_columns(labels[name]) for name in sorted(labels)}
    vectors = [name for name, z in values.items() if z.shape[1] > 1]
    if vectors:
        raise PtselError(
            f"mutual information: expected labels of one dimension, found {', '.join(vectors)}; take --dependence cka, "
            "or score without them"
        )
    rows = np.flatnonzero(all_defined(values))
    if len(rows) <= NEIGHBOURS:
        raise PtselError(
            f"mutual information: expected more than {NEIGHBOURS} points where all labels are defined, found "
            f"{len(rows)}"
        )
    if len(rows) > MOST_POINTS:
        rows = np.random.default_rng(seed).choice(rows, MOST_POINTS, replace=False)
    columns = np.column_stack([z[rows, 0] for z in values.values()])
    found = [
        mutual_info_regression(columns, column, n_neighbors=NEIGHBOURS, random_state=seed)
        for column in columns.T
    ]
    return tuple(values), (np.array(found) + np.array(found).T) / 2


def semidefinite(R: np.ndarray) -> tuple[np.ndarray, float]:
    """R [k, k] without its negative eigenvalues, and the lowest of them (0 if there is none)."""
    eigenvalues, vectors = np.linalg.eigh(R)
    lowest = float(eigenvalues[0])
    if lowest >= -CLIPPED:
        return R, 0.0
    return (vectors * np.maximum(eigenvalues, 0.0)) @ vectors.T, lowest
