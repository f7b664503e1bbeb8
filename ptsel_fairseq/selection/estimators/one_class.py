"""Scores of the labels of one class, in the form that is cheapest for its size.

============  ===================================================================================
matrices      small classes: n x n kernels of all labels
features      scalar labels of larger ones: `features`; no n x n matrix, 2 n d operations for each column
tiles         other labels of larger ones: `tiles`; n x n kernels, a few rows at a time
============  ===================================================================================

All three give the same numbers within 1e-9. A class is small if `class_seconds` says so and its kernels fit
into the memory: without permutations from about 150 points on features are cheaper, with many of them from
about n = d * labels / 4 on, since a permutation costs n² by matrices and some 40 n d labels by features. With a GPU
every class takes the first form whose kernels fit into its memory; the other forms stay on the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.selection.estimators.estimator import KernelEstimator
from ptsel_fairseq.selection.estimators.features import (
    feature_count,
    feature_inner_products,
    gaussian_features,
    speech_features,
    squared_lengths,
    unbiased_norm,
)
from ptsel_fairseq.selection.estimators.gpu import device_inner_products, free_bytes
from ptsel_fairseq.selection.estimators.hsic import ROUNDING, centred, centred_norm, inner_products
from ptsel_fairseq.selection.estimators.kernels import (
    cosine_kernel,
    gaussian,
    median_variance,
    scalar_median_variance,
    squared_distances,
)
from ptsel_fairseq.selection.estimators.tiles import (
    tiled_inner_products,
    tiled_norm,
    tiled_speech_norm,
    vanishes,
)

# Seconds of one core, measured (docs/selection_speed.md).
CLASS, PAIR_LABEL, PAIR_ORDER = 1e-3, 14e-9, 3e-9
FEATURE_LABEL, FEATURE_ORDER = 2e-6, 0.8e-9
DRAWN_ORDER, LABEL_ORDER = 12e-6, 6e-8  # orders by group: of a class, and of a point of each label
BYTES_OF_PERMUTED = 64_000_000
MEMORY = 4_000_000_000  # bytes
DIGITS = 1e-4  # of a norm's terms that must be left, or it is computed from tiles
FEATURES_PER_POINT = 0.25  # more columns than this and tiles cost less


def score_class(
    x: np.ndarray,
    group: Mapping[str, np.ndarray],
    estimator: KernelEstimator,
    orders: np.ndarray,
    memory: float = MEMORY,
    device: str = "cpu",
) -> dict[str, np.ndarray]:
    """Scores of labels for each order of the samples.

    Args:
        x: speech [n, d].
        group: label -> values [n, dim].
        estimator: of kernels.
        orders: int [P, n].
        memory: bytes that this may take.
        device: of the products over orders.

    Returns:
        Label -> float64 [P]; labels that do not vary are missing.

    Raises:
        PtselError: the class does not fit into `memory`.
    """
    n, scalars = len(x), sum(z.shape[1] == 1 for z in group.values())
    matrices, blocks = class_seconds(n, x.shape[1], scalars, len(group) - scalars, len(orders))
    needed = matrix_bytes(n, len(group), len(orders))
    if needed < memory and (matrices <= blocks or (device != "cpu" and needed < free_bytes(device))):
        return _by_matrices(x, group, estimator, orders, device)
    needed = 8 * (2 * n * x.shape[1] + x.shape[1] ** 2 + 16 * n)
    if needed + 2**24 > memory:
        raise PtselError(
            f"memory: a class of {n} points of {x.shape[1]} values needs {(needed + 2**24) / 1e6:.0f} MB, found a "
            f"limit of {memory / 1e6:.0f} MB; raise --memory or use finer classes"
        )
    return _by_blocks(x, group, estimator, orders, memory - needed)


def class_seconds(n: int, d: int, scalars: int, vectors: int, orders: int) -> tuple[float, float]:
    """About how long a class takes by matrices, and by features and tiles: n points of d values, numbers of labels."""
    matrices = CLASS + n**2 * (PAIR_LABEL * (scalars + vectors) + PAIR_ORDER * orders)
    features = n * scalars * (FEATURE_LABEL + FEATURE_ORDER * d * orders)
    tiles = n**2 * (2 * PAIR_LABEL * vectors + 2 * PAIR_ORDER * orders) if vectors else 0.0
    return matrices, CLASS + features + tiles


def scoring_seconds(sizes: np.ndarray, d: int, dims: Sequence[int], orders: int, in_groups: bool) -> float:
    """About how long classes of the `sizes` [C] take on one core.

    Args:
        d: values of a speech vector.
        dims: values of each label.
        orders: of the samples.
        in_groups: whether points are permuted by group, each label by itself.
    """
    scalars = dims.count(1)
    if not in_groups:
        return sum(min(class_seconds(int(n), d, scalars, len(dims) - scalars, orders)) for n in sizes)
    drawn = orders * (DRAWN_ORDER * len(sizes) + LABEL_ORDER * len(dims) * float(np.sum(sizes)))
    alone = {
        vector: sum(min(class_seconds(int(n), d, 1 - vector, vector, orders)) for n in sizes)
        for vector in (0, 1)
    }
    return drawn + scalars * alone[0] + (len(dims) - scalars) * alone[1]


def matrix_bytes(n: int, labels: int, orders: int) -> int:
    """What `_by_matrices` takes at most."""
    return 8 * n**2 * (2 * labels + 6) + (BYTES_OF_PERMUTED if orders > 1 else 0)


def _by_matrices(
    x: np.ndarray,
    group: Mapping[str, np.ndarray],
    estimator: KernelEstimator,
    orders: np.ndarray,
    device: str = "cpu",
) -> dict[str, np.ndarray]:
    C = centred(cosine_kernel(x), estimator.form, estimator.divisor)
    speech = centred_norm(C) if estimator.unbiased else 1.0
    kept, kernels, lengths = [], [], []
    for name, z in group.items():
        kernel, length = class_kernel(z, estimator)
        if kernel is None or length * speech == 0:
            continue
        kept.append(name)
        kernels.append(kernel)
        lengths.append(length * speech if estimator.normalised else 1.0)
    if not kept:
        return {}
    products = inner_products if device == "cpu" else partial(device_inner_products, device=device)
    results = products(C, np.array(kernels), orders) / np.array(lengths)[:, None]
    return dict(zip(kept, results, strict=True))


def _by_blocks(
    x: np.ndarray,
    group: Mapping[str, np.ndarray],
    estimator: KernelEstimator,
    orders: np.ndarray,
    memory: float,
) -> dict[str, np.ndarray]:
    n, unbiased, form = len(x), estimator.unbiased, estimator.form
    pairs = float(n * (n - 3) if unbiased else n**2 if estimator.divisor == "n2" else (n - 1) ** 2)
    speech = speech_features(x, form)
    speech_length = 1.0 if not unbiased else speech_norm(speech, estimator, memory)
    if speech_length == 0:
        return {}
    features: dict[str, np.ndarray] = {}
    tiled: dict[str, tuple[np.ndarray, float]] = {}
    lengths: dict[str, float] = {}
    results: dict[str, np.ndarray] = {}

    def use_features() -> None:
        found = feature_inner_products(speech, list(features.values()), orders, form, pairs)
        results.update(zip(features, found, strict=True))
        features.clear()

    for name, z in group.items():
        variance = estimator.variance or large_variance(z, memory)
        if variance is None:
            continue
        if z.shape[1] == 1 and feature_count(z[:, 0], variance) <= FEATURES_PER_POINT * n:
            columns = gaussian_features(z[:, 0], variance)
            if unbiased:
                columns -= columns.mean(axis=0)
            length, digits = unbiased_norm(columns) if unbiased else (1.0, 1.0)
            if digits > DIGITS:
                features[name], lengths[name] = columns, length
                if sum(held.nbytes for held in features.values()) * 4 > min(memory, 2**27):
                    use_features()
                continue
        lengths[name] = tiled_norm(z, variance, memory) if unbiased else 1.0
        if not unbiased or not vanishes(lengths[name], n, ROUNDING):
            tiled[name] = z, variance
    if features:
        use_features()
    if tiled:
        found = tiled_inner_products(speech, list(tiled.values()), orders, form, pairs, memory)
        results.update(zip(tiled, found, strict=True))
    if estimator.normalised:
        scale = speech_length * pairs  # `centred_norm` has the divisor; one of the two must not
        results = {name: result / (lengths[name] * scale) for name, result in results.items()}
    return {name: results[name] for name in group if name in results}


def speech_norm(speech: np.ndarray, estimator: KernelEstimator, memory: float) -> float:
    """Norm of the U-centred speech kernel, 0 if it vanishes; where it is not needed anything above 0 will do."""
    n = len(speech)
    if not estimator.normalised:  # what vanishes vanishes in every subset of the samples
        part = speech[:: max(1, n // 100)]
        if centred_norm(centred(part @ part.T, "unbiased")) * squared_lengths(speech).max() > 0:
            return 1.0
    length, digits = unbiased_norm(speech)
    if digits <= DIGITS:
        length = tiled_speech_norm(speech, memory)
    return 0.0 if vanishes(length, n, ROUNDING) else length


def large_variance(z: np.ndarray, memory: float) -> float | None:
    """Squared median distance of the values z [n, dim], see `kernels.median_variance`."""
    if z.shape[1] == 1:
        return scalar_median_variance(z[:, 0])
    n = len(z)
    if 8 * n * n * 1.5 > memory:
        raise PtselError(
            f"memory: the median distance of {n} vectors needs {12 * n * n / 1e6:.0f} MB, {memory / 1e6:.0f} MB are "
            "left; raise --memory or use scalar labels"
        )
    return median_variance(squared_distances(z))


def label_norm(z: np.ndarray, variance: float, memory: float) -> float:
    """Norm of the U-centred Gaussian kernel of z [n, dim], 0 if it vanishes; see `hsic.centred_norm`."""
    n, length, digits = len(z), 0.0, 0.0
    if z.shape[1] == 1 and feature_count(z[:, 0], variance) <= FEATURES_PER_POINT * n:
        columns = gaussian_features(z[:, 0], variance)
        length, digits = unbiased_norm(columns - columns.mean(axis=0))
    if digits <= DIGITS:
        length = tiled_norm(z, variance, memory)
    return 0.0 if vanishes(length, n, ROUNDING) else length


def class_kernel(z: np.ndarray, estimator: KernelEstimator) -> tuple[np.ndarray | None, float]:
    """Label kernel of one class, and the length of its U-centred form scaled as cka needs it.

    (None, 0) if the label does not vary in the class, which `reference` does not mind.
    """
    distances = squared_distances(z)
    if not estimator.unbiased:
        return gaussian(distances, estimator.variance or median_variance(distances) or 1.0), 1.0
    variance = median_variance(distances) if estimator.variance is None else estimator.variance
    if variance is None:
        return None, 0.0
    kernel = gaussian(distances, variance)
    n = len(z)
    # <U(K), L> = <U(K), U(L)>, so the cosine needs |U(L)| without the divisor that `centred` puts on K.
    return kernel, centred_norm(centred(kernel, "unbiased")) * (n * (n - 3))
