"""The ways to λ of this package, in the order in which help and tables list them.

Nothing is imported here that computes: the command line reads this list to answer `--help`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from ptsel_fairseq.selection.choices import PROJECTIONS
from ptsel_fairseq.selection.weighting.way import Way


def _from(module: str, function: str) -> Callable[..., Any]:
    """A function of a module of this folder, imported when it is first called."""

    def run(*arguments: Any) -> Any:
        return getattr(import_module(f"{__package__}.{module}"), function)(*arguments)

    return run


BUILT_IN: tuple[Way, ...] = (
    Way(
        "relevance",
        help="the weighted group that tells the classes best by what can be heard of it; one maximum, certified",
        run=_from("by_relevance", "weigh_by_relevance"),
        options=("gamma", "support", "effective"),
        recommends=True,
        own_scores=True,
        on_points=True,
        projected="sparsemax",
        compared={"relevance": {}},
    ),
    Way(
        "group",
        help="minimise the kernel score of the weighted group (the papers)",
        run=_from("minimise", "weigh_group"),
        options=("projection", "reference_optimizer"),
        recommends=True,
        on_points=True,
        compared={f"group, {projection}": {"projection": projection} for projection in PROJECTIONS},
        compared_for_papers={
            f"group, {projection}, papers' optimizer": {"projection": projection, "reference_optimizer": True}
            for projection in PROJECTIONS[:2]
        },
    ),
    Way(
        "direct",
        help="sparsemax of the single scores",
        run=_from("direct", "weigh_directly"),
        options=("tau", "support"),
        recommends=True,
        projected="sparsemax",
        compared={"direct": {}},
    ),
    Way(
        "redundancy",
        help="direct, but labels that say the same share their weight",
        run=_from("redundancy", "weigh_by_redundancy"),
        options=("gamma", "dependence"),
        recommends=True,
        on_points=True,
        projected="sparsemax",
        compared={"redundancy": {}},
    ),
    Way("all", help="weight 1 each", run=_from("simple", "weigh_all"), compared={"all": {}}),
    Way(
        "mrmr",
        help="the set of best score and least redundancy",
        run=_from("mrmr", "weigh_by_mrmr"),
        options=("support", "dependence"),
        on_points=True,
        compared={"mrmr": {}},
    ),
    Way(
        "rfe",
        help="recursive feature elimination",
        run=_from("rfe", "weigh_by_rfe"),
        options=("support",),
        on_points=True,
        seconds=_from("rfe", "rfe_seconds"),
        compared={"rfe": {}},
    ),
    Way(
        "naive",
        help="the best single scores, equal weights",
        run=_from("simple", "weigh_naively"),
        options=("support",),
        compared={"naive": {}},
    ),
    Way("random", help="a seeded draw", run=_from("simple", "weigh_at_random"), compared={"random": {}}),
    Way("manual", help="as given by --given", run=_from("simple", "weigh_as_given"), options=("given",)),
)
