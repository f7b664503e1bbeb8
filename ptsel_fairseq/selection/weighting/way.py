"""What a way to λ is: one object that the command line, checks, comparison, report and docs read.

To add one, in a file outside the package:

    import numpy as np
    from ptsel_fairseq.selection.weighting import Way, register

    def by_rank(candidates, options):  # costs: lower is better, in the order of candidates.names
        found = 1.0 / (1 + np.argsort(np.argsort(candidates.costs)))
        return found / found.sum(), {"best": candidates.names[int(np.argmin(candidates.costs))]}

    register(Way("by_rank", help="one over the label's rank", run=by_rank))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.extensions import Registry

if TYPE_CHECKING:
    import numpy as np

    from ptsel_fairseq.selection.estimators import Estimator
    from ptsel_fairseq.selection.label_score import LabelScore
    from ptsel_fairseq.selection.weighting.prepared import Prepared

GROUP = "ptsel_fairseq.ways"  # entry points
DEFAULT_METHOD = "relevance"  # by the rule that the label study fixed beforehand, docs/study.md
MEMORY = 4_000_000_000  # bytes


@dataclass(frozen=True)
class Options:
    """Settings of `select_weights`; None where the way's default is meant."""

    projection: str = "sparsemax"
    tau: float | None = None
    gamma: float | None = None
    support: int | None = None
    effective: float | None = None
    dependence: str = "cka"
    given: Mapping[str, float] | None = None
    reference_optimizer: bool = False
    seed: int = 0
    memory: float = MEMORY
    progress: bool = False

    def given_names(self) -> list[str]:
        """The settings of single ways that are not left at their defaults."""
        return [
            each.name
            for each in fields(self)
            if each.name in SETTINGS and getattr(self, each.name) != each.default
        ]


SETTINGS = {
    "projection": "--projection other than sparsemax",
    "tau": "--tau",
    "gamma": "--gamma",
    "support": "--support",
    "effective": "--effective",
    "dependence": "--dependence other than cka",
    "given": "--weights",
    "reference_optimizer": "--reference-optimizer",
}  # those that belong to some ways only, as messages name them
ONE_OF = ("tau", "gamma", "support", "effective")  # at most one may be given: each sets the others


@dataclass(frozen=True)
class Candidates:
    """The labels that a way weighs: those with a score and, for a recommendation, better than noise.

    Attributes:
        names: sorted.
        costs: the labels' scores turned so that lower is better [k].
        records: what is known about the scores of all labels, also of others.
        estimator: of the scores.
        prepared: the points, of these labels, and what is computed from them; None where scores only are known.
    """

    names: list[str]
    costs: np.ndarray
    records: Mapping[str, LabelScore]
    estimator: Estimator
    prepared: Prepared | None

    def points(self, way: str) -> Prepared:
        """The points; raise PtselError if there are none."""
        if self.prepared is None:
            raise PtselError(
                f"{way}: expected points (of `ptsel score`), found scores only; {way} needs the points"
            )
        return self.prepared

    def support(self, options: Options, default: int) -> int:
        """The number of labels to keep: as asked for, or the default if there are as many."""
        k = len(self.names)
        support = min(default, k) if options.support is None else options.support
        if not 1 <= support <= k:
            raise PtselError(
                f"expected --support between 1 and {k}, the labels that can be weighed, found {support}"
            )
        return support


Run = Callable[[Candidates, Options], "tuple[np.ndarray, dict[str, Any]]"]


@dataclass(frozen=True)
class Way:
    """A way from scores to weights.

    Attributes:
        name: as on the command line.
        help: for the command line.
        run: candidates and options -> weights [k] in the candidates' order, and what was found on the way. An entry
            ``path`` of the latter (labels, along, name of along, weights) is drawn, not printed.
        options: the settings of `SETTINGS` that it has.
        recommends: whether its weights are a recommendation. Then labels that are no better than noise get none, and
            all others the same where their scores cannot be told apart.
        own_scores: whether it scores the labels itself, by relevance, whatever estimator did before.
        on_points: whether it needs points; else scores suffice.
        projected: how λ is kept on the simplex, if it has no choice.
        seconds: labels and classes -> about how long it takes on one core, said beforehand if that is long.
        compared: title -> settings, as which it stands in the comparison of all; none if empty.
        compared_for_papers: the same, in addition where scores are by the papers' code.
    """

    name: str
    help: str
    run: Run
    options: tuple[str, ...] = ()
    recommends: bool = False
    own_scores: bool = False
    on_points: bool = False
    projected: str = ""
    seconds: Callable[[Mapping[str, np.ndarray], np.ndarray], float] | None = None
    compared: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    compared_for_papers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.options) - set(SETTINGS))
        if unknown:
            raise PtselError(
                f"way {self.name}: expected options among {', '.join(SETTINGS)}, found {unknown[0]}"
            )


def _built_in() -> Iterable[Way]:
    from ptsel_fairseq.selection.weighting.known import BUILT_IN

    return BUILT_IN


WAYS: Registry[Way] = Registry("method", "methods", GROUP, _built_in)
register = WAYS.register


def check_options(way: Way, options: Options) -> None:
    """Raise PtselError for a setting that the way does not have, or that no way knows."""
    from ptsel_fairseq.selection.choices import DEPENDENCES, PROJECTIONS

    if options.projection not in PROJECTIONS:
        raise PtselError(
            f"expected a projection among {', '.join(PROJECTIONS)}, found {options.projection!r}"
        )
    if options.dependence not in DEPENDENCES:
        raise PtselError(
            f"expected a dependence among {', '.join(DEPENDENCES)}, found {options.dependence!r}"
        )
    given = options.given_names()
    for name in given:
        if name not in way.options:
            having = [each.name for each in WAYS.all() if name in each.options]
            raise PtselError(
                f"{SETTINGS[name]} belongs to {' and '.join(having)}, not to the method {way.name}; leave it out"
            )
    several = [SETTINGS[name] for name in given if name in ONE_OF]
    if len(several) > 1:
        raise PtselError(f"{' and '.join(several)}: give one of them; each sets the other")
