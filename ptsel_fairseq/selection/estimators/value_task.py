"""The points of one downstream task whose target is a number: valence, a mean opinion score, an age.

In place of the indicators of classes the target is one column, the value in standard deviations, t. Its "class mean"
of a label is then their covariance m = t'z / n, and what follows from class means follows for it: with one target
Pillai's trace is the squared multiple correlation of label and value.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.selection.estimators.kernels import check_finite
from ptsel_fairseq.selection.estimators.task import Task, sums_by

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

VALUE = "value"  # in place of the name of a class


class ValueTask(Task):
    """Speech, values and groups of the points of one task, in the form of `Task` with one column as its target.

    Attributes:
        values: as they were given, float64 [n].
        target: the same of mean 0 and variance 1.

    Args:
        x: speech vectors [n, p], finite.
        values: downstream value of each point [n], finite.
        groups, seed: as of `Task`.

    Raises:
        PtselError: arrays of different length, values that are not finite or all the same, or fewer than two groups.
    """

    constant = 0.0

    def __init__(
        self, x: np.ndarray, values: np.ndarray, groups: np.ndarray | None = None, seed: int = 0
    ) -> None:
        x = np.asarray(x)
        self.values = checked_values(values, len(x))
        if x.ndim != 2:
            raise PtselError(f"x: expected points of shape [N, d], found {x.shape}")
        self._set_points(x, groups, seed)
        self.target = standard(self.values)
        self.names = np.array([VALUE])
        self.counts = np.array([float(len(x))])
        self.shares = np.ones(1)
        self.directions = 1
        self._check_groups()

    @property
    def of_classes(self) -> bool:
        return False

    def can_be_told(self, rows: np.ndarray) -> bool:
        """Whether the values of some points differ."""
        return varies(self.values[rows])

    def only(self, rows: np.ndarray) -> ValueTask:
        return ValueTask(self.x[rows], self.values[rows], self.group_of[rows], self.seed)

    def class_sums(self, values: np.ndarray) -> np.ndarray:
        return self.target[None] @ values

    def sums_of(self, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
        return self.target[rows][None] @ values

    def without_blocks(self, *values: np.ndarray) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
        for block in range(int(self.blocks.max()) + 1):
            rows = np.flatnonzero(self.blocks != block)
            left = self.values[rows]
            t = standard(left) if varies(left) else np.zeros(len(left))  # nothing is left to tell
            yield np.ones(1), [t[None] @ each[rows] / len(rows) for each in values]

    @cached_property
    def members(self) -> csr_matrix:
        from scipy.sparse import csr_matrix

        return csr_matrix(sums_by(self.group_of, self.target[:, None], self.groups))


def task_of(
    x: np.ndarray,
    classes: np.ndarray,
    values: np.ndarray | None,
    groups: np.ndarray | None,
    seed: int,
    rows: np.ndarray | slice,
) -> Task:
    """The task of some points of arrays: of their values if there are any, else of their classes."""
    groups = None if groups is None else np.asarray(groups)[rows]
    if values is None:
        return Task(x[rows], classes[rows], groups, seed)
    return ValueTask(x[rows], values[rows], groups, seed)


def checked_values(values: np.ndarray, points: int) -> np.ndarray:
    """Values as float64 [points]; raise PtselError unless they are finite numbers that are not all the same."""
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise PtselError(f"values: expected numbers, found {np.asarray(values).dtype}") from None
    if found.shape != (points,):
        raise PtselError(
            f"values: expected one for each of {points} points, found an array of shape {found.shape}"
        )
    check_finite(found, "values")
    if not varies(found):
        raise PtselError(f"values: expected numbers that differ, found the same for all {points} points")
    return found


def varies(values: np.ndarray) -> bool:
    """Whether values [n] differ by more than rounding."""
    return bool(len(values) and np.ptp(values) > 1e-12 * np.abs(values).max())


def standard(values: np.ndarray) -> np.ndarray:
    """Values [n] with mean 0 and variance 1."""
    centred = values - values.mean()
    return np.asarray(centred / centred.std())
