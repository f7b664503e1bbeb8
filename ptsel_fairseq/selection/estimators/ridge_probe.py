"""The probe of a task of values: cross-validated R² of ridge regression from the label's own summaries.

The regression learns from all folds of whole groups but one (`Task.folds`) and is tested on that one, in turn. Its
penalty is the one that does best over the same folds without the tested one, so that no tested point has a say in it.

    R² = 1 - Σ (t - t̂)² / Σ (t - t̄)²     over all points, each predicted once

1 is perfect; a label that says nothing comes out at 0 or a little below. **Higher is better.**
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.selection.estimators.audible import PENALTIES
from ptsel_fairseq.selection.estimators.task import Task
from ptsel_fairseq.selection.estimators.value_task import ValueTask

TWO_FOLDS_PENALTY = 0.1  # where there is no third fold to choose on


class Sums:
    """What ridge regression needs of the points of each fold: their number, and sums of (z, t) and of its products."""

    def __init__(self, z: np.ndarray, t: np.ndarray, folds: np.ndarray) -> None:
        parts = [(z[rows], t[rows]) for rows in (folds == fold for fold in range(int(folds.max()) + 1))]
        self.n = np.array([float(len(target)) for _, target in parts])
        self.z = np.array([each.sum(axis=0) for each, _ in parts])
        self.t = np.array([target.sum() for _, target in parts])
        self.zz = np.array([each.T @ each for each, _ in parts])
        self.zt = np.array([each.T @ target for each, target in parts])
        self.tt = np.array([target @ target for _, target in parts])


class Ridge:
    """Ridge regressions with intercept, each from some of the folds, of several penalties.

    Args:
        sums: of the folds.
        learnt: folds that each learns from, 0 or 1 [m, folds].
        penalties: over the number of points it learns from, [m, p].
    """

    def __init__(self, sums: Sums, learnt: np.ndarray, penalties: np.ndarray) -> None:
        self.sums = sums
        n = learnt @ sums.n
        mean, target_mean = learnt @ sums.z / n[:, None], learnt @ sums.t / n
        outer = n[:, None, None] * mean[:, :, None] * mean[:, None]
        values, vectors = np.linalg.eigh(np.tensordot(learnt, sums.zz, axes=1) - outer)
        product = learnt @ sums.zt - (n * target_mean)[:, None] * mean
        product = np.einsum("mde,md->me", vectors, product)
        shrunk = np.maximum(values, 0.0)[:, :, None] + (n[:, None] * penalties)[:, None]
        self.b = vectors @ (product[:, :, None] / shrunk)
        self.a = target_mean[:, None] - np.einsum("md,mdp->mp", mean, self.b)

    def errors(self, models: np.ndarray, held: np.ndarray) -> np.ndarray:
        """Sums of squared errors of some models [e] on one fold each [e], by penalty, [e, p]."""
        sums, a, b = self.sums, self.a[models], self.b[models]
        found = sums.tt[held][:, None] - 2 * np.einsum("ed,edp->ep", sums.zt[held], b)
        found += np.einsum("edp,edp->ep", b, sums.zz[held] @ b)
        found -= 2 * a * (sums.t[held][:, None] - np.einsum("ed,edp->ep", sums.z[held], b))
        return np.asarray(found + sums.n[held][:, None] * np.square(a))


def ridge_probe(task: Task, z: np.ndarray) -> float:
    """Cross-validated R² of the task's value from a label's values z [n, d]."""
    if not isinstance(task, ValueTask):
        raise PtselError("ridge_probe: expected a task of values, found one of classes")
    sums = Sums(z, task.target, task.folds)
    count = len(sums.n)
    every = np.ones((count, count)) - np.eye(count)
    chosen = np.full(count, TWO_FOLDS_PENALTY)
    if count > 2:
        pairs = np.array(list(combinations(range(count), 2)))
        learnt = np.ones((len(pairs), count))
        np.put_along_axis(learnt, pairs, 0.0, axis=1)
        inner = Ridge(sums, learnt, np.tile(PENALTIES, (len(pairs), 1)))
        errors = np.zeros((count, len(PENALTIES)))  # on the other folds, without the tested one
        for tested, held in (pairs.T, pairs.T[::-1]):
            np.add.at(errors, tested, inner.errors(np.arange(len(pairs)), held))
        chosen = np.array(PENALTIES)[errors.argmin(axis=1)]
    folds = np.arange(count)
    missed = float(Ridge(sums, every, chosen[:, None]).errors(folds, folds).sum())
    return 1 - missed / float(sums.tt.sum() - sums.t.sum() ** 2 / sums.n.sum())
