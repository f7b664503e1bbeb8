"""What of a label can be heard: its cross-fitted ridge prediction from the speech vector, averaged over classes.

The prediction for a point comes from models that saw no point of its fold (see `Task.folds`), so of its utterance. It
is linear in the label, ẑ = H z, and so are its class means, M = G z with one matrix G [k, n] for all labels. The
penalty is the one with which the same speech predicts the *classes* (or the value) best; it does not look at labels,
so that G stays the same when labels are permuted and a permutation test is exact.

G is a product of small matrices. With X_f the standardised speech of fold f, C_f its class sums over the classes' sizes
[k, p] and A_f = sum over g ≠ f of X_g' X_g + α I,

    M = sum over f of C_f A_f⁻¹ sum over g ≠ f of X_g' z_g = sum over g of R_g X_g' z_g,
    R_g = sum over f ≠ g of C_f A_f⁻¹,

so a task of any size costs one pass over its points. Of fewer points than dimensions, the speech is turned into as
many dimensions as there are points, which changes no product.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from ptsel_fairseq.selection.estimators.task import ROWS_AT_ONCE, Task

PENALTIES = tuple(10.0 ** (np.arange(-8, 5) / 2))  # times the points a model learns from; x has variance 1


class Audible:
    """Cross-fitted ridge regressions of one task, for any label.

    Attributes:
        penalty: α over the number of points that a model learns from.
        weights: R_g for each fold g, [folds, k, p], centred over classes; p is the smaller of the dimensions of the
            speech and the points.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        k, folds = len(task.names), int(task.folds.max()) + 1
        self.folds = folds
        self._mean, self._scale = _mean_and_scale(task)
        self._turned = _turned((task.x - self._mean) / self._scale) if len(task) < task.x.shape[1] else None
        self._width = p = task.x.shape[1] if self._turned is None else self._turned.shape[1]
        self.grams = np.zeros((folds, p, p))
        sums = np.zeros((folds, k, p))
        for fold, points, x in self._by_fold():
            self.grams[fold] += x.T @ x
            sums[fold] += task.sums_of(points, x)
        self.class_sums = sums
        gram = self.grams.sum(axis=0)
        # X_f'Y_f of the target, such as the classes' indicators, centred as the whole task centres it
        targets = sums - task.constant * (sums.sum(axis=1)[:, None, :] * task.shares[:, None])
        total = targets.sum(axis=0)
        bases, errors = [], np.zeros(len(PENALTIES))
        learning = [len(task) - int(np.count_nonzero(task.folds == f)) for f in range(folds)]
        for f in range(folds):
            values, vectors = np.linalg.eigh(gram - self.grams[f])
            values = np.maximum(values, 0.0)
            bases.append((values, vectors))
            learnt, held = (total - targets[f]) @ vectors, targets[f] @ vectors
            inside = (vectors.T @ self.grams[f] @ vectors) * (learnt.T @ learnt)
            cross = (learnt * held).sum(axis=0)
            for number, share in enumerate(PENALTIES):
                shrunk = 1 / (values + share * learning[f])
                errors[number] += shrunk @ inside @ shrunk - 2 * float(cross @ shrunk)
        self.penalty = float(PENALTIES[int(np.argmin(errors))])
        self._inverses = [
            (vectors, 1 / (values + self.penalty * count))
            for (values, vectors), count in zip(bases, learning, strict=True)
        ]
        applied = np.array(
            [
                ((sums[f] / task.counts[:, None]) @ vectors) * shrunk @ vectors.T
                for f, (vectors, shrunk) in enumerate(self._inverses)
            ]
        )
        weights = applied.sum(axis=0) - applied
        self.weights = weights - task.constant * np.tensordot(task.shares, weights, axes=(0, 1))[:, None, :]

    def _speech(self, rows: slice | np.ndarray) -> np.ndarray:
        """Standardised speech of some points."""
        if self._turned is not None:
            return self._turned[rows]
        x = self.task.x[rows] - self._mean
        x /= self._scale
        return x

    def _by_fold(self) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Each fold's number, some thousands of its points, and their speech [m, p]."""
        for fold in range(self.folds):
            points = np.flatnonzero(self.task.folds == fold)
            for first in range(0, len(points), ROWS_AT_ONCE):
                some = points[first : first + ROWS_AT_ONCE]
                yield fold, some, self._speech(some)

    def products(self, values: np.ndarray) -> np.ndarray:
        """X_g' z_g of values [n, d] for each fold, [folds, p, d]."""
        found = np.zeros((self.folds, self._width, values.shape[1]))
        for fold, points, x in self._by_fold():
            found[fold] += x.T @ values[points]
        return found

    def class_means(self, products: np.ndarray) -> np.ndarray:
        """Class means [k, d] of the audible part of values, from their `products`, less their mean over all points."""
        return np.asarray(np.einsum("fkp,fpd->kd", self.weights, products, optimize=True))

    def coefficients(self, products: np.ndarray) -> np.ndarray:
        """What each fold is predicted with, [folds, p, d], from `products` of the label."""
        total = products.sum(axis=0)
        return np.array(
            [
                vectors @ (shrunk[:, None] * (vectors.T @ (total - products[f])))
                for f, (vectors, shrunk) in enumerate(self._inverses)
            ]
        )

    def predict(self, products: np.ndarray) -> np.ndarray:
        """The audible part ẑ [n, d] of values, from their `products`."""
        coefficients = self.coefficients(products)
        found = np.empty((len(self.task), products.shape[2]))
        for fold, points, x in self._by_fold():
            found[points] = x @ coefficients[fold]
        return found

    def squared_norm(self, products: np.ndarray) -> np.ndarray:
        """Sum of squares [d] of the predictions over all points, from `products` of the label."""
        coefficients = self.coefficients(products)
        return np.einsum("fpd,fpq,fqd->d", coefficients, self.grams, coefficients, optimize=True)

    @cached_property
    def matrix(self) -> np.ndarray:
        """G [k, n]."""
        found = np.empty((len(self.task.names), len(self.task)))
        for fold, points, x in self._by_fold():
            found[:, points] = self.weights[fold] @ x.T
        return found

    def gram_of_matrix(self, by_group: bool = False) -> np.ndarray:
        """G G' [k, k], without G; `by_group`, with the columns of each group added up first."""
        if not by_group:
            grams = self.grams
        else:
            sums = np.zeros((self.task.groups, self._width))
            for rows in self.task.rows():
                np.add.at(sums, self.task.group_of[rows], self._speech(rows))
            fold_of = np.zeros(self.task.groups, dtype=np.int64)
            fold_of[self.task.group_of] = self.task.folds
            grams = np.array([sums[fold_of == f].T @ sums[fold_of == f] for f in range(self.folds)])
        return np.asarray(np.einsum("fkp,fpq,flq->kl", self.weights, grams, self.weights, optimize=True))

    def product_with_plain(self, by_group: bool = False) -> np.ndarray:
        """G A' [k, k], A the matrix of `Plain`; `by_group`, with the columns of each group added up first in both."""
        task, p = self.task, self._width
        if not by_group:
            speech = self.class_sums
            totals = speech.sum(axis=1)
        else:
            speech = np.zeros((self.folds, len(task.names), p))
            totals = np.zeros((self.folds, p))
            sums = np.zeros((task.groups, p))
            for rows in task.rows():
                np.add.at(sums, task.group_of[rows], self._speech(rows))
            fold_of = np.zeros(task.groups, dtype=np.int64)
            fold_of[task.group_of] = task.folds
            members, sizes = task.members, np.bincount(task.group_of)
            for fold in range(self.folds):
                used = np.flatnonzero(fold_of == fold)
                speech[fold] = np.asarray(members[used].T @ sums[used])
                totals[fold] = sizes[used] @ sums[used]
        averaged = speech / task.counts[:, None] - task.constant * (totals[:, None, :] / len(task))
        return np.asarray(np.einsum("fkp,flp->kl", self.weights, averaged, optimize=True))


class Plain:
    """Class means of the labels themselves, in the form of `Audible`."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def class_means(self, values: np.ndarray) -> np.ndarray:
        """Class means [k, d] of values [n, d], less their mean over all points."""
        means = self.task.class_sums(values) / self.task.counts[:, None]
        return means - self.task.constant * (self.task.shares @ means)

    def gram_of_matrix(self, by_group: bool = False) -> np.ndarray:
        """G G' [k, k], G [k, n] the matrix that makes them; `by_group`, with the columns of each group added up."""
        constant = self.task.constant
        if not by_group:
            return np.diag(1 / self.task.counts) - constant / len(self.task)
        members = self.task.members
        members = np.asarray((members.T @ members).todense())
        sizes = np.bincount(self.task.group_of).astype(np.float64)
        n, counts = len(self.task), self.task.counts
        # columns: m_uc / n_c - size_u / n
        of_class = np.asarray(self.task.members.T @ sizes)
        cross = constant * ((of_class / counts) / n)
        own = constant * (float(sizes @ sizes) / n**2)
        return members / np.outer(counts, counts) - cross[:, None] - cross[None, :] + own


def _turned(x: np.ndarray) -> np.ndarray:
    """Coordinates [n, n] of points x [n, p] in an orthonormal basis of the space that they span: x x' is the same."""
    return np.asarray(np.linalg.qr(x.T, mode="r")).T


def _mean_and_scale(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Of each dimension of the speech [p]; the scale of one that does not vary is 1."""
    total, squares = np.zeros(task.x.shape[1]), np.zeros(task.x.shape[1])
    for rows in task.rows():
        total += task.x[rows].sum(axis=0, dtype=np.float64)
    mean = total / len(task)
    for rows in task.rows():
        squares += np.square(task.x[rows] - mean).sum(axis=0)
    deviation = np.sqrt(squares / len(task))
    return mean, np.where(deviation > 1e-12 * np.maximum(np.abs(mean), 1e-300), deviation, 1.0)
