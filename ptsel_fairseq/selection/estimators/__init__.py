"""Estimators: what a label is worth for a task, before any training."""

from typing import TYPE_CHECKING, Any

from ptsel_fairseq.selection.estimators.estimator import (
    DEFAULT_ESTIMATOR,
    ESTIMATORS,
    Estimator,
    KernelEstimator,
    TaskEstimator,
    register,
)

if TYPE_CHECKING:
    from ptsel_fairseq.selection.estimators.task import Task

__all__ = [
    "DEFAULT_ESTIMATOR",
    "ESTIMATORS",
    "Estimator",
    "KernelEstimator",
    "Task",
    "TaskEstimator",
    "register",
]


def __getattr__(name: str) -> Any:
    if name == "Task":  # computes, so it needs numpy
        from ptsel_fairseq.selection.estimators.task import Task

        return Task
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
