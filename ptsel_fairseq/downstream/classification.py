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
    - ``map``: average precision (scikit-learn's, a step curve), averaged over classes.

    A class without a positive reference is left out of the means, in a resample too.

    Args:
        classes: of each labelled pair, [pairs].
        relevance: reference of each pair, 0 to 1, [pairs].
        scores: the system's, 0 to 1, [pairs].
    """

    def __init__(self, classes: Sequence[str], relevance: Sequence[float], scores: Sequence[float]) -> None:
        names, codes = np.unique(np.asarray(classes, dtype=str), return_inverse=True)
        self.pairs = [np.flatnonzero(codes == code) for code in range(len(names))]
        self.truth = np.asarray(relevance, dtype=np.float64) >= RELEVANT
        self.score = np.asarray(scores, dtype=np.float64)

    def __call__(self, weights: np.ndarray) -> dict[str, float]:
        rows = [self._one_class(pairs, weights[pairs]) for pairs in self.pairs]
        defined = [row for row in rows if row is not None]
        means = np.mean(defined, axis=0) if defined else np.full(3, np.nan)
        return dict(zip(("mean_f1", "mean_f1_both", "map"), means.tolist(), strict=True))

    def _one_class(self, pairs: np.ndarray, weights: np.ndarray) -> tuple[float, float, float] | None:
        from sklearn.metrics import average_precision_score

        truth, answer = self.truth[pairs], self.score[pairs] >= RELEVANT
        if not weights[truth].sum():
            return None
        there = f1(truth, answer, weights)
        both = (there + f1(~truth, ~answer, weights)) / 2
        return there, both, float(average_precision_score(truth, self.score[pairs], sample_weight=weights))


def f1(truth: np.ndarray, answer: np.ndarray, weights: np.ndarray) -> float:
    """Harmonic mean of precision and recall; 0 where neither side is ever true."""
    total = weights[truth].sum() + weights[answer].sum()
    return float(2 * weights[truth & answer].sum() / total) if total else 0.0
