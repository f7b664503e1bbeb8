"""What an estimator is: one object that the command line, checks, tables, figures, report and docs read.

Two kinds. A `KernelEstimator` measures dependence of speech and label inside each class and averages the classes. A
`TaskEstimator` looks at all points of a task at once. To add one, in a file outside the package:

    from ptsel_fairseq.selection.estimators import TaskEstimator, register

    def eta(task, z):  # a `Task`, and the label's values [n, d], of mean 0 and variance 1
        means = task.class_sums(z) / task.counts[:, None]
        return float((task.shares @ means**2).sum())

    register(TaskEstimator("eta", function=eta, higher_is_better=True, title="correlation ratio",
             axis="share of variance between classes", better="tells the classes apart", help="correlation ratio"))
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.extensions import Registry

if TYPE_CHECKING:  # the command line lists estimators without computing anything
    import numpy as np

    from ptsel_fairseq.selection.estimators.audible import Audible
    from ptsel_fairseq.selection.estimators.task import Task

GROUP = "ptsel_fairseq.estimators"  # entry points
DEFAULT_ESTIMATOR = "probe"  # by the rule that the label study fixed beforehand, docs/study.md


@dataclass(frozen=True)
class Estimator:
    """An estimator of what a label is worth for a task.

    Attributes:
        name: as on the command line.
        higher_is_better: its direction.
        title: what it is, for headings.
        axis: of figures.
        better: what a good score means, in a few words.
        help: for the command line.
        least_points: of a class, fewer are left out.
        summary: of a label over a segment, unless another is asked for (see `points.SUMMARIES`).
        permutations: for p, unless another number is asked for.
        bounds: of the score; an interval ends there.
    """

    name: str
    title: str
    axis: str
    better: str
    help: str
    higher_is_better: bool = False
    least_points: int = 2
    summary: str = "mean"
    permutations: int = 1000
    bounds: tuple[float, float] = (-math.inf, math.inf)

    @property
    def direction(self) -> str:
        """Which scores are good, ``lower`` or ``higher``."""
        return "higher" if self.higher_is_better else "lower"

    @property
    def says(self) -> str:
        """The direction and what it means, for tables and figures."""
        return f"{self.direction} is better: {self.better}"

    def of_values(self) -> Estimator:
        """The estimator of tasks whose target is a number instead of a class; raise PtselError if there is none."""
        having = [each.name for each in ESTIMATORS.all() if each.has_values]
        raise PtselError(
            f"estimator {self.name}: it has no form for values; give classes, or an estimator among {', '.join(having)}"
        )

    @property
    def has_values(self) -> bool:
        """Whether there is a form for values."""
        return False

    def cost(self, score: float) -> float:
        """The score turned so that lower is better."""
        return -score if self.higher_is_better else score


@dataclass(frozen=True)
class KernelEstimator(Estimator):
    """Dependence of the kernels of speech and label inside each class, averaged over classes.

    Attributes:
        form: centring, see `hsic.hsic`.
        normalised: by the norms of both centred kernels.
        variance: squared bandwidth of the label's kernel; None for the squared median distance in the class.
        own_units: labels as they are, with openSMILE's value where they are undefined, rather than in standard
            deviations.
        average: of the classes, unless another is asked for: by ``count`` of points, or ``plain``.
        floor: whether 1/n bounds the score from below.
        divisor: of a form that is not unbiased, see `hsic.hsic`.
        zero_up_to: classes of at most as many points have the score 0 and count in the average.
    """

    form: str = "unbiased"
    normalised: bool = False
    variance: float | None = None
    own_units: bool = False
    average: str = "count"
    floor: bool = False
    divisor: str = "n2"
    zero_up_to: int = 0

    def __post_init__(self) -> None:
        if self.form not in ("unbiased", "reference") or (self.normalised and not self.unbiased):
            raise PtselError(
                f"estimator {self.name}: expected the form unbiased, or reference if it is not normalised; found "
                f"{self.form!r}"
            )
        if self.variance is not None and not self.variance > 0:
            raise PtselError(f"estimator {self.name}: expected a variance above 0, found {self.variance}")

    @property
    def has_values(self) -> bool:
        return True

    def of_values(self) -> KernelEstimator:
        """Itself: bins of the value are its classes, see `selection.bins`."""
        return self

    @property
    def unbiased(self) -> bool:
        """Whether the kernels are centred as Song et al. 2012 do, so that 0 is independence."""
        return self.form == "unbiased"


@dataclass(frozen=True)
class TaskEstimator(Estimator):
    """A score of all points of a task at once.

    Attributes:
        function: (task, z) -> score, z float64 [n, d] of mean 0 and variance 1 in each column.
        hearing: (task, audible, z) -> score instead: with the cross-fitted ridge regressions of the task.
        by_class: (task, z) -> what each class has of the score [k], for figures.
        audible: of an estimator with second moments of its own (`relevance`): whether of the audible part only; None
            for the others.
        values_form: the estimator for tasks of values; its function takes a `ValueTask`. None if there is none.
        is_values_form: whether this is such a form, as `of_values` gives it.
        work: of one permutation, over that of `relevance`: for the time that is told beforehand.
    """

    function: Callable[[Task, np.ndarray], float] | None = None
    hearing: Callable[[Task, Audible, np.ndarray], float] | None = None
    by_class: Callable[[Task, np.ndarray], np.ndarray] | None = None
    audible: bool | None = None
    values_form: TaskEstimator | None = None
    is_values_form: bool = False
    work: float = 1.0
    average: str = field(default="count", init=False)

    @property
    def has_values(self) -> bool:
        return self.is_values_form or self.values_form is not None

    def of_values(self) -> Estimator:
        """Its `values_form`."""
        if self.is_values_form:
            return self
        if self.values_form is None:
            return super().of_values()
        return replace(self.values_form, name=self.name, is_values_form=True)


def _built_in() -> Iterable[Estimator]:
    from ptsel_fairseq.selection.estimators.known import BUILT_IN

    return BUILT_IN


ESTIMATORS: Registry[Estimator] = Registry("estimator", "estimators", GROUP, _built_in)
register = ESTIMATORS.register
