"""Points, and what several methods need of them, each computed once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ptsel_fairseq.selection.estimators.one_class import MEMORY
from ptsel_fairseq.selection.points import Points
from ptsel_fairseq.selection.weighting.dependence import label_dependence
from ptsel_fairseq.selection.weighting.group import GroupObjective
from ptsel_fairseq.selection.weighting.minimise import minimise_group


class Prepared:
    """The group's objective, its minima and the labels' dependence on each other, made when first asked for.

    Args:
        points: of one task.
        estimator: of the group's score.
        memory: bytes that the computations may take.
    """

    def __init__(self, points: Points, estimator: str, memory: float = MEMORY) -> None:
        self.points, self.estimator, self.memory = points, estimator, memory
        self._dependence: dict[tuple[str, ...], tuple[tuple[str, ...], np.ndarray, dict[str, str]]] = {}
        self._minima: dict[tuple[str, int, bool], tuple[dict[str, float], dict[str, Any]]] = {}

    @cached_property
    def objective(self) -> GroupObjective:
        return GroupObjective(
            self.points.x, self.points.labels, self.points.classes, self.estimator, self.memory
        )

    def dependence(self, names: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray, dict[str, str]]:
        """`label_dependence` of some of the labels."""
        key = tuple(names)
        if key not in self._dependence:
            labels = {name: self.points.labels[name] for name in names}
            self._dependence[key] = label_dependence(self.points.x, labels, self.points.classes, self.memory)
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
