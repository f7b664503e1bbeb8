"""Points, and what several methods need of them, each computed once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ptsel_fairseq.selection.estimators import Estimator, KernelEstimator
from ptsel_fairseq.selection.estimators.known import CKA
from ptsel_fairseq.selection.estimators.one_class import MEMORY
from ptsel_fairseq.selection.estimators.relevance import Relevance
from ptsel_fairseq.selection.estimators.task import large_classes
from ptsel_fairseq.selection.estimators.value_task import task_of
from ptsel_fairseq.selection.points import Points
from ptsel_fairseq.selection.weighting.dependence import label_dependence
from ptsel_fairseq.selection.weighting.group import GroupObjective
from ptsel_fairseq.selection.weighting.minimise import minimise_group


class Prepared:
    """The group's objective, its minima and the labels' dependence on each other, made when first asked for.

    Args:
        points: of one task.
        estimator: of the scores. The group's kernel score is by it, or by cka if it is not one of kernels.
        memory: bytes that the computations may take.
    """

    def __init__(self, points: Points, estimator: Estimator, memory: float = MEMORY) -> None:
        self.points, self.estimator, self.memory = points, estimator, memory
        self.kernels: KernelEstimator = estimator if isinstance(estimator, KernelEstimator) else CKA
        self._subsets: dict[tuple[str, ...], Prepared] = {}
        self._relevance: dict[int, Relevance] = {}
        self._dependence: dict[tuple[str, ...], tuple[tuple[str, ...], np.ndarray, dict[str, str]]] = {}
        self._minima: dict[tuple[str, int, bool], tuple[dict[str, float], dict[str, Any]]] = {}

    @cached_property
    def objective(self) -> GroupObjective:
        return GroupObjective(
            self.points.x,
            self.points.labels,
            self.points.classes,
            self.kernels,
            self.memory,
            self.points.codes.tolist(),
        )

    def only(self, names: Sequence[str]) -> Prepared:
        """The same points with these labels only."""
        key = tuple(names)
        if set(key) == set(self.points.labels):
            return self
        if key not in self._subsets:
            self._subsets[key] = Prepared(self.points.only(names), self.estimator, self.memory)
        return self._subsets[key]

    def relevance(self, seed: int = 0) -> Relevance:
        """The labels' relevance for the value, or for the classes of two points or more.

        It has no other estimator's settings.
        """
        if seed not in self._relevance:
            points = self.points
            values = points.values if len(points.values) else None
            rows = slice(None) if values is not None else large_classes(points.classes, 2)
            task = task_of(points.x, points.classes, values, points.groups, seed, rows)
            self._relevance[seed] = Relevance(task, {name: z[rows] for name, z in points.labels.items()})
        return self._relevance[seed]

    def dependence(self, names: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray, dict[str, str]]:
        """`label_dependence` of some of the labels."""
        key = tuple(names)
        if key not in self._dependence:
            labels = {name: self.points.labels[name] for name in names}
            self._dependence[key] = label_dependence(
                self.points.x, labels, self.points.classes, self.memory, self.points.codes.tolist()
            )
        return self._dependence[key]

    def minimum(
        self, projection: str, seed: int, reference_optimizer: bool, progress: bool = False
    ) -> tuple[dict[str, float], dict[str, Any]]:
        """`minimise_group`; sparsemax and entmax15 reach the same points, so that they share their minimum."""
        exact = reference_optimizer or projection == "softmax"
        key = (projection if exact else "simplex", seed, reference_optimizer)
        if key not in self._minima:
            self._minima[key] = minimise_group(
                self.points, self.objective, projection, seed, reference_optimizer, progress
            )
        return self._minima[key]
