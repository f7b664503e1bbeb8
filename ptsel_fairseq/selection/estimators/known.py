"""The estimators of this package, in the order in which help and tables list them.

Nothing is imported here that computes: the command line reads this list to answer `--help`.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from ptsel_fairseq.selection.estimators.estimator import Estimator, KernelEstimator, TaskEstimator

if TYPE_CHECKING:
    import numpy as np

    from ptsel_fairseq.selection.estimators.audible import Audible
    from ptsel_fairseq.selection.estimators.task import Task

PAPER_VARIANCE = 0.05  # of the label's Gaussian kernel in the papers' code; their text has its square


def _logme(task: Task, z: np.ndarray) -> float:
    from ptsel_fairseq.selection.estimators.logme import logme

    return logme(task, z)


def _lee(task: Task, audible: Audible, z: np.ndarray) -> float:
    from ptsel_fairseq.selection.estimators.lee import lee

    return lee(task, audible, z)


def _probe(task: Task, z: np.ndarray) -> float:
    from ptsel_fairseq.selection.estimators.probe import probe

    return probe(task, z)


def _recall(task: Task, z: np.ndarray) -> np.ndarray:
    from ptsel_fairseq.selection.estimators.probe import recall

    return recall(task, z)


def _ridge_probe(task: Task, z: np.ndarray) -> float:
    from ptsel_fairseq.selection.estimators.ridge_probe import ridge_probe

    return ridge_probe(task, z)


RELEVANCE = TaskEstimator(
    "relevance",
    title="relevance of what can be heard of a label",
    axis="relevance: directions of the classes that the label's audible part tells (0 = none)",
    better="the audible part of the label tells the classes apart",
    help="how much of a label can be heard and tells the classes apart, beyond chance",
    higher_is_better=True,
    audible=True,
)
RELEVANCE = replace(
    RELEVANCE,
    values_form=replace(
        RELEVANCE,
        axis="relevance: share of the value's variance that the label's audible part tells (0 = none)",
        better="the audible part of the label tells the value",
    ),
)
PILLAI = TaskEstimator(
    "pillai",
    title="relevance of all of a label",
    axis="adjusted Pillai trace: directions of the classes that the label tells (0 = none)",
    better="the label tells the classes apart",
    help="the same of all of the label, heard or not",
    higher_is_better=True,
    audible=False,
)
PILLAI = replace(
    PILLAI,
    values_form=replace(
        PILLAI,
        axis="adjusted R²: share of the value's variance that the label tells (0 = none)",
        better="the label tells the value",
    ),
)
KERNEL_BETTER = "closer to independent of the speech given the class"
CKA = KernelEstimator(
    "cka",
    title="debiased centred kernel alignment given the class",
    axis="CKA of speech and label given the class (debiased; at most 1, 0 = independent)",
    better=KERNEL_BETTER,
    help="dependence of label and speech given the class, normalised, comparable between labels",
    least_points=4,
    normalised=True,
)
HSIC = KernelEstimator(
    "hsic",
    title="unbiased HSIC given the class",
    axis="HSIC of speech and label given the class (unbiased; 0 = independent)",
    better=KERNEL_BETTER,
    help="the same, unbiased and not normalised",
    least_points=4,
)
REFERENCE = KernelEstimator(
    "reference",
    title="score of the papers' released code",
    axis="score of the papers' released code, labels in their own units",
    better=KERNEL_BETTER,
    help="the papers' released code, whose ranking follows the labels' units",
    form="reference",
    variance=PAPER_VARIANCE,
    own_units=True,
    average="plain",
    floor=True,
)
REFERENCE_FIRST = replace(
    REFERENCE,
    name="reference_first",
    title="score of the first paper's released code",
    help="the same by the first paper's rule: divisor (n - 1)², classes of up to 3 points are 0 and count",
    divisor="(n-1)2",
    zero_up_to=3,
    least_points=1,
)
LOGME = TaskEstimator(
    "logme",
    title="LogME",
    axis="log evidence of the classes given the label, per point",
    better="a linear model of the label explains the classes",
    help="log evidence of the classes given the label (You et al. 2021)",
    higher_is_better=True,
    permutations=200,
    function=_logme,
    work=2.0,
)
LOGME = replace(
    LOGME,
    values_form=replace(
        LOGME,
        axis="log evidence of the value given the label, per point",
        better="a linear model of the label explains the value",
    ),
)
LEE = TaskEstimator(
    "lee",
    title="ε_CI² / β²",
    axis="ε_CI² / β² (0 = conditionally independent)",
    better="what the speech says of the label goes through the class, and the label depends on the class",
    help="the conditional-independence term of Lee et al. 2020, without a unit",
    permutations=100,
    hearing=_lee,
    work=4.0,
)
PROBE = TaskEstimator(
    "probe",
    title="accuracy of a linear probe on the label itself",
    axis="cross-validated accuracy of a linear probe on the label's own summaries",
    better="the label alone tells the classes",
    help="cross-validated accuracy of a linear probe on the label's own summaries",
    higher_is_better=True,
    permutations=200,
    function=_probe,
    work=5.0,
    by_class=_recall,
    bounds=(0.0, 1.0),
)
PROBE = replace(
    PROBE,
    values_form=replace(
        PROBE,
        title="R² of ridge regression from the label itself",
        axis="cross-validated R² of ridge regression from the label's own summaries (0 = none)",
        better="the label alone tells the value",
        function=_ridge_probe,
        by_class=None,
        bounds=(-math.inf, 1.0),
    ),
)
BUILT_IN: tuple[Estimator, ...] = (
    RELEVANCE,
    PILLAI,
    CKA,
    HSIC,
    REFERENCE,
    REFERENCE_FIRST,
    LOGME,
    LEE,
    PROBE,
)
