"""Accuracy, unweighted average recall and macro-F1 of one class for each item; F1 and precision of several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RELEVANT = 0.5  # OpenMIC-2018: an instrument is there if its relevance, or a system's score, is at least this


class ClassScorer:
    """Metrics of one system's classes, from the table of confusions.

    - ``accuracy``: share of items with the right class.
    - ``uar``: recall averaged over the classes that the reference holds (balanced accuracy).
    - ``macro_f1``: F1 averaged over the classes that the reference or the system holds.

    Args:
        reference: name of each item's class.
        hypothesis: the system's.
    """

    def __init__(self, reference: Sequence[str], hypothesis: Sequence[str]) -> None:
        self.names, codes = np.unique([*reference, *hypothesis], return_inverse=True)
        self.cell = codes[: len(reference)] * len(self.names) + codes[len(reference) :]

    def __call__(self, weights: np.ndarray) -> dict[str, float]:
        confusion = self.confusion(weights)
        right, of_class, answered = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
        there, seen = of_class > 0, of_class + answered > 0
        return {
            "accuracy": float(right.sum() / confusion.sum()),
            "uar": float(np.mean(right[there] / of_class[there])),
            "macro_f1": float(np.mean(2 * right[seen] / (of_class + answered)[seen])),
        }

    def confusion(self, weights: np.ndarray) -> np.ndarray:
        """Items by class of the reference (row) and of the system (column), in the order of `names`."""
        size = len(self.names)
        return np.bincount(self.cell, weights, minlength=size * size).reshape(size, size)


class MultilabelScorer:
    """Metrics of one system where each item was asked about some of the classes, as in OpenMIC-2018.

    Every (item, class) pair that the reference lacks is unlabelled and does not count.

    - ``mean_f1``: F1 of "the class is there", averaged over classes.
    - ``mean_f1_both``: F1 of "is there" and of "is not there" averaged, then averaged over classes.
    - ``map``: average precision (precision times the recall gained, summed over thresholds), averaged over classes.

    A class without a positive reference is left out of the means, in a resample too.

    Args:
        classes: of each labelled pair, [pairs].
        relevance: reference of each pair, 0 to 1, [pairs].
        scores: the system's, 0 to 1, [pairs].
    """

    def __init__(self, classes: Sequence[str], relevance: Sequence[float], scores: Sequence[float]) -> None:
        names, codes = np.unique(np.asarray(classes, dtype=str), return_inverse=True)
        truth = np.asarray(relevance, dtype=np.float64) >= RELEVANT
        score = np.asarray(scores, dtype=np.float64)
        self.classes = [
            OneClass(rows, truth[rows], score[rows])
            for rows in (np.flatnonzero(codes == code) for code in range(len(names)))
        ]

    def __call__(self, weights: np.ndarray) -> dict[str, float]:
        rows = [found for one in self.classes if (found := one.metrics(weights)) is not None]
        means = np.mean(rows, axis=0) if rows else np.full(3, np.nan)
        return dict(zip(("mean_f1", "mean_f1_both", "map"), means.tolist(), strict=True))


class OneClass:
    """The pairs of one class in falling order of the system's scores.

    Sorted once: scikit-learn would sort again in each of the thousand resamples, which takes twenty times as long.
    """

    def __init__(self, rows: np.ndarray, truth: np.ndarray, score: np.ndarray) -> None:
        order = np.argsort(-score, kind="stable")
        self.rows, self.truth, self.answer = rows[order], truth[order], score[order] >= RELEVANT
        self.last_of_value = np.flatnonzero(np.append(np.diff(score[order]) < 0, True))

    def metrics(self, weights: np.ndarray) -> tuple[float, float, float] | None:
        """F1 of "is there", the mean of it and F1 of "is not there", average precision; None without a positive."""
        weight = weights[self.rows]
        if not weight[self.truth].sum():
            return None
        there = f1(self.truth, self.answer, weight)
        both = (there + f1(~self.truth, ~self.answer, weight)) / 2
        found = np.cumsum(weight * self.truth)[self.last_of_value]
        answered = np.cumsum(weight)[self.last_of_value]
        precision = np.divide(found, answered, out=np.zeros_like(found), where=answered > 0)
        recall_gained = np.diff(found, prepend=0.0) / found[-1]
        return there, both, float(precision @ recall_gained)


def f1(truth: np.ndarray, answer: np.ndarray, weights: np.ndarray) -> float:
    """Harmonic mean of precision and recall; 0 where neither side is ever true."""
    total = weights[truth].sum() + weights[answer].sum()
    return float(2 * weights[truth & answer].sum() / total) if total else 0.0
