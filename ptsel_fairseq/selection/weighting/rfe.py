"""Recursive feature elimination: the papers' baseline that looks at the classes only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.selection.checks import all_defined, balanced_rows
from ptsel_fairseq.selection.estimators.kernels import as_columns
from ptsel_fairseq.selection.weighting.simple import WEIGHT_ONE, equal_weights
from ptsel_fairseq.selection.weighting.way import Candidates, Options

RFE_SUPPORT = 4  # labels that are kept, as in the papers
RFE_CLASSES, RFE_POINTS = 50, 5000  # that it learns from at most, equally many of each class
SECONDS_AN_ENTRY = 5e-8  # of one core, for each point, class and column that one machine learns from


def weigh_by_rfe(candidates: Candidates, options: Options) -> tuple[np.ndarray, dict[str, Any]]:
    """The way ``rfe``."""
    points = candidates.points("rfe").points
    support = candidates.support(options, RFE_SUPPORT)
    labels = {name: points.labels[name] for name in candidates.names}
    order, learned_from = rfe_order(labels, points.classes, options.seed)
    details = {
        "kept_longest_first": ", ".join(reversed(order)),
        "learned_from": learned_from,
        "papers": WEIGHT_ONE,
    }
    chosen = [candidates.names.index(name) for name in order[-support:]]
    return equal_weights(chosen, len(candidates.names)), details


def rfe_seconds(labels: Mapping[str, np.ndarray], classes: np.ndarray) -> float:
    """About how long `rfe_order` takes on one core: it learns once for each label, from ever fewer columns."""
    sizes = np.sort(np.unique(classes, return_counts=True)[1])[-RFE_CLASSES:]
    points = np.minimum(sizes, RFE_POINTS // RFE_CLASSES).sum()
    columns = sum(as_columns(values).shape[1] for values in labels.values())
    return float(SECONDS_AN_ENTRY * points * len(sizes) * columns * len(labels))


def rfe_order(labels: Mapping[str, np.ndarray], classes: np.ndarray, seed: int = 0) -> tuple[list[str], str]:
    """The labels in the order in which recursive feature elimination gives them up, the one kept longest last.

    A linear support vector machine tells the classes from the labels' values in standard deviations; the label
    whose coefficients have the smallest sum of squares goes, and the rest is learned anew (Guyon et al. 2002, as
    scikit-learn's RFE does for single columns). The papers keep 4 labels; they do not state the kernel.

    Args:
        labels: name -> [N] or [N, dim], NaN where undefined.
        classes: [N].

    Returns:
        Names, and what was learned from: samples on which all labels are defined, at most 100 of each of the 50
        largest classes, drawn with `seed`.

    Raises:
        PtselError: fewer than two classes are left.
    """
    from sklearn.svm import LinearSVC

    values, classes = {name: as_columns(labels[name]) for name in sorted(labels)}, np.asarray(classes)
    defined, rng = np.flatnonzero(all_defined(values)), np.random.default_rng(seed)
    rows = balanced_rows(defined, classes, RFE_CLASSES, RFE_POINTS // RFE_CLASSES, rng)
    names, target = np.unique(classes[rows], return_inverse=True)
    if len(names) < 2:
        raise PtselError(
            f"rfe: expected points of two classes or more where all labels are defined, found {len(names)}; leave out "
            "labels that are often undefined"
        )
    columns = {}
    for name, z in values.items():
        deviation = z[rows].std(axis=0)
        columns[name] = (z[rows] - z[rows].mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    given_up: list[str] = []
    left = list(columns)
    for _ in progress_bar(range(len(left) - 1), desc="labels given up", unit="label", leave=False):
        machine = LinearSVC(dual=False, random_state=seed).fit(
            np.hstack([columns[name] for name in left]), target
        )
        squares = np.square(machine.coef_).sum(axis=0)
        ends = np.cumsum([columns[name].shape[1] for name in left])
        importance = np.diff(np.concatenate([[0.0], np.cumsum(squares)[ends - 1]]))
        given_up.append(left.pop(int(np.argmin(importance))))
    return given_up + left, f"{len(rows)} points of {len(names)} classes"
