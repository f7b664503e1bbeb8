"""What scores and groups ask of their arrays, and labels made ready for an estimator."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.selection.estimators import ESTIMATORS, Estimator, KernelEstimator
from ptsel_fairseq.selection.estimators.kernels import as_columns, check_finite, standardise
from ptsel_fairseq.selection.label_score import LabelScore


def check_arrays(
    x: np.ndarray,
    labels: Mapping[str, np.ndarray],
    classes: np.ndarray,
    groups: np.ndarray | None = None,
) -> None:
    """Raise PtselError unless there are points with a class, and a group, each, and at least one label."""
    if x.ndim != 2 or not len(x):
        raise PtselError(f"x: expected points of shape [N, d], found {x.shape}")
    if not labels:
        raise PtselError("labels: expected at least one label, found none")
    if classes.shape != (len(x),):
        raise PtselError(
            f"classes: expected one for each of {len(x)} points, found an array of shape {classes.shape}"
        )
    for name, z in sorted(labels.items()):
        if np.shape(z)[:1] != (len(x),):
            found = len(z) if np.ndim(z) else "a single number"
            raise PtselError(f"label {name}: expected a value for each of {len(x)} points, found {found}")
    check_finite(x, "x")
    if groups is not None and np.shape(groups) != classes.shape:
        raise PtselError(
            f"groups: expected one for each of {len(x)} points, found an array of shape {np.shape(groups)}"
        )


def prepare_labels(
    x: np.ndarray,
    labels: Mapping[str, np.ndarray],
    classes: np.ndarray,
    estimator: KernelEstimator,
    codes: Collection[str] = (),
) -> tuple[dict[str, np.ndarray], dict[str, LabelScore]]:
    """Check the arrays; labels ready for the estimator, float64 [N, d], and records of those without a score.

    In standard deviations, or as they are if the estimator says so. The shares of `codes` stay as they are: two samples
    of one code each then are equally far apart whichever codes these are, rare ones too, so that their Gaussian kernel
    is the discrete one (1 for the same code, 0 for another), but for a scale and a constant, which centring removes.
    """
    check_arrays(x, labels, classes)
    ready: dict[str, np.ndarray] = {}
    unscored: dict[str, LabelScore] = {}
    for name in sorted(labels):
        z = as_columns(labels[name])
        defined = ~np.isnan(z).any(axis=1)
        if not defined.any():
            unscored[name] = LabelScore(None, points_undefined=len(z), reason="undefined for every sample")
            continue
        check_finite(np.where(defined[:, None], z, 0.0), f"label {name}")
        scaled = standardise(z[defined])
        if scaled is None:
            undefined = int(np.count_nonzero(~defined))
            unscored[name] = LabelScore(
                None, points_undefined=undefined, reason="constant: the same for every sample"
            )
            continue
        as_it_is = estimator.own_units or name in codes
        ready[name] = np.full((len(z), z.shape[1] if as_it_is else scaled.shape[1]), np.nan)
        ready[name][defined] = z[defined] if as_it_is else scaled
    return ready, unscored


def estimator_of(made: Mapping[str, Any]) -> Estimator:
    """The estimator of a scores file's entries (see `label_score.read_scores`): its form for values, if of values."""
    found = ESTIMATORS.get(made["estimator"])
    return found.of_values() if "values" in made else found


def no_class_left(estimator: Estimator, classes: np.ndarray) -> str:
    """The message for data in which no class can be scored."""
    sizes = np.unique(classes, return_counts=True)[1]
    return (
        f"classes: expected at least one class with {estimator.least_points} or more points in which speech and "
        f"label vary, found {len(sizes)} classes of at most {sizes.max()} points and none that can be scored; score "
        "more data or coarser classes"
    )


def kernel_estimator(estimator: str | Estimator) -> KernelEstimator:
    """The estimator of that name; raise PtselError if it is not one of kernels."""
    found = ESTIMATORS.get(estimator) if isinstance(estimator, str) else estimator
    if not isinstance(found, KernelEstimator):
        of_kernels = [each.name for each in ESTIMATORS.all() if isinstance(each, KernelEstimator)]
        raise PtselError(
            f"a weighted group of kernels: expected an estimator among {', '.join(of_kernels)}, found {found.name!r}"
        )
    return found


def all_defined(labels: Mapping[str, np.ndarray]) -> np.ndarray:
    """Whether every label, of values [N] or [N, dim], is defined for a sample, bool [N]."""
    return ~np.any([np.isnan(as_columns(z)).any(axis=1) for z in labels.values()], axis=0)


def balanced_rows(
    rows: np.ndarray, classes: np.ndarray, most_classes: int, most_points: int, rng: np.random.Generator
) -> np.ndarray:
    """At most `most_points` random ones of the `rows` in each of the `most_classes` largest classes, sorted."""
    names, sizes = np.unique(classes[rows], return_counts=True)
    largest = names[np.argsort(-sizes, kind="stable")[:most_classes]]
    drawn = [rng.permutation(rows[classes[rows] == name])[:most_points] for name in largest]
    return np.sort(np.concatenate(drawn)) if drawn else rows
