"""`ptsel compare`: several systems on the same test set, as a table and a picture."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from json import dumps
from pathlib import Path

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import write_text
from ptsel_fairseq.base.tables import markdown
from ptsel_fairseq.downstream.metrics.bootstrap import check_resamples, holm, paired_p, replicates, smallest_p
from ptsel_fairseq.downstream.metrics.measures import MEASURES
from ptsel_fairseq.downstream.metrics.results import (
    RESAMPLES,
    Result,
    read_result,
    shown,
    shown_interval,
)

Pair = tuple[str, str]
CLEAR = 0.01


def compare_command(
    results: Sequence[Path | str],
    out: Path | str,
    against: str | None = None,
    resamples: int | None = None,
    seed: int = 0,
    json: bool = False,
) -> None:
    """Print the table, and write it and the picture.

    Args:
        results: what `ptsel evaluate` or `ptsel probe` wrote, of one test set.
        out: ``.md`` for the table, with the picture beside it; any other suffix for the picture alone.
        against: name of a system; pairs without it are not tested. Default: every pair is.
        resamples: of the paired bootstrap; default, `enough_resamples`.
        seed: of the paired bootstrap.
        json: print metrics and differences for a program in place of the table, and nothing else.

    Raises:
        PtselError: results that cannot be read, or of other items, references or tasks, or none of the name `against`.
    """
    from ptsel_fairseq.downstream.metrics.figures import draw_comparison

    if resamples is not None:
        check_resamples(resamples)
    out = Path(out)
    systems = [read_result(file) for file in results]
    check_same_items(systems, results)
    names = distinct_names(systems, results)
    if len(systems) == 1:
        pairs_of(names, against)
        found = Comparison({names[0]: systems[0]}, {}, table(systems, names, {}, 0))
    else:
        found = compare_systems(
            dict(zip(names, systems, strict=True)), against=against, resamples=resamples, seed=seed
        )
    made = [out]
    if out.suffix == ".md":
        write_text(out, found.text + "\n")
        made.append(out.with_suffix(".png"))
    draw_comparison(systems, names, made[-1])
    print(as_json(found) if json else "\n".join(map(str, [found, *made])))


@dataclass(frozen=True)
class Difference:
    """A metric of one system less that of another, and the two-sided p of "both are equally good"."""

    value: float
    p: float


@dataclass(frozen=True)
class Comparison:
    """Several systems on the same items.

    Attributes:
        systems: results by name.
        differences: by pair of names, then by metric; p is of the paired bootstrap, adjusted by Holm's method for the
            number of pairs.
        text: a table of all, in Markdown; what ``print`` shows.
    """

    systems: dict[str, Result]
    differences: dict[Pair, dict[str, Difference]]
    text: str

    def __str__(self) -> str:
        return self.text


def as_json(comparison: Comparison) -> str:
    """Metrics of each system with their intervals, and differences of pairs with their p, for a program."""
    differences = [
        {"systems": pair, "metric": metric, **asdict(difference)}
        for pair, found in comparison.differences.items()
        for metric, difference in found.items()
    ]
    systems = {
        name: {metric: asdict(value) for metric, value in result.metrics.items()}
        for name, result in comparison.systems.items()
    }
    return dumps({"systems": systems, "differences": differences}, indent=1)


def compare_systems(
    systems: Mapping[str, Result] | Sequence[Result],
    *,
    against: str | None = None,
    resamples: int | None = None,
    seed: int = 0,
) -> Comparison:
    """Compare systems that answered for the same items, by the paired bootstrap (Koehn 2004).

    Args:
        systems: results by name, or results with different names.
        against: name of a system; only pairs with it are tested. Default: every pair.
        resamples: at least 100; default, `enough_resamples`.
        seed: of the bootstrap.

    Raises:
        PtselError: fewer than two systems, two of one name, or other items, references, groups or metrics.

    Examples:
        >>> from ptsel_fairseq import downstream
        >>> right = ["a", "b", "b", "a", "b", "a"]
        >>> one = downstream.evaluate_classification(right, right, name="one")
        >>> two = downstream.evaluate_classification(right, ["a"] * 6, name="two")
        >>> round(downstream.compare_systems([one, two]).differences["one", "two"]["accuracy"].value, 2)
        0.5
    """
    named = dict(systems) if isinstance(systems, Mapping) else {system.name: system for system in systems}
    if len(named) < 2 or len(named) < len(systems):
        raise PtselError(
            f"systems: expected two or more with different names, found {', '.join(named) or 'none'}; give a mapping "
            "from names to results"
        )
    if resamples is not None:
        check_resamples(resamples)
    names, results = list(named), list(named.values())
    check_same_items(results, names)
    pairs = pairs_of(names, against)
    resamples = enough_resamples(len(pairs)) if resamples is None else resamples
    p = paired_tests(results, names, pairs, resamples, seed)
    differences = {
        (a, b): {
            metric: Difference(named[a][metric].value - named[b][metric].value, found[a, b])
            for metric, found in p.items()
        }
        for a, b in pairs
    }
    return Comparison(named, differences, table(results, names, p, resamples))


def enough_resamples(pairs: int) -> int:
    """The number of resamples with which the smallest adjusted p of `pairs` comparisons can reach `CLEAR`."""
    return max(RESAMPLES, math.ceil(2 * pairs / CLEAR))


def check_same_items(systems: Sequence[Result], files: Sequence[Path | str]) -> None:
    """Raise PtselError unless all systems answered for the same items, with the same truth about them."""
    first = systems[0].answers
    for system, file in zip(systems[1:], files[1:], strict=True):
        answers = system.answers
        for field in ("task", "unit"):
            found, expected = getattr(answers, field), getattr(first, field)
            if found != expected:
                raise PtselError(f"{file}: expected the {field} {expected!r} of {files[0]}, found {found!r}")
        for field, what in (("ids", "items"), ("reference", "references"), ("groups", "groups")):
            if dict(zip(answers.ids, getattr(answers, field), strict=True)) != dict(
                zip(first.ids, getattr(first, field), strict=True)
            ):
                raise PtselError(
                    f"{file}: expected the {what} of {files[0]}; only systems tested on the same {what} can be "
                    "compared; evaluate both with the same --reference and --groups"
                )


def distinct_names(systems: Sequence[Result], files: Sequence[Path | str]) -> list[str]:
    """The systems' names, or their files where two have the same name."""
    names = [system.name for system in systems]
    if len(set(names)) == len(names):
        return names
    paths = [str(file) for file in files]
    if len(set(paths)) < len(paths):
        raise PtselError(f"expected different results, found {', '.join(paths)}")
    return paths


def pairs_of(names: Sequence[str], against: str | None) -> list[Pair]:
    """The pairs of systems that are tested; raise PtselError if there is no system `against`."""
    if against is not None and against not in names:
        raise PtselError(f"--against: expected one of {', '.join(names)}, found {against!r}")
    return [pair for pair in itertools.combinations(names, 2) if against is None or against in pair]


def paired_tests(
    systems: Sequence[Result], names: Sequence[str], pairs: Sequence[Pair], resamples: int, seed: int
) -> dict[str, dict[Pair, float]]:
    """p of each pair of systems by metric, adjusted for the number of pairs."""
    if not pairs:
        return {}
    first = systems[0].answers
    place = {item: i for i, item in enumerate(first.ids)}
    aligned = []
    for system in systems:
        order = np.array([place[item] for item in system.answers.ids])
        # Weights come in the order of the first system's items.
        aligned.append([lambda w, run=run, order=order: run(w[order]) for run in system.answers.scorers()])
    drawn = dict(zip(names, replicates(aligned, first.groups, resamples, seed), strict=True))
    groups = len(set(first.groups))
    return {
        metric: holm({(a, b): paired_p(drawn[a][metric], drawn[b][metric], groups) for a, b in pairs})
        for metric in drawn[names[0]]
    }


def table(
    systems: Sequence[Result], names: Sequence[str], p: dict[str, dict[Pair, float]], resamples: int
) -> str:
    """Markdown: systems by metrics with intervals, then the pairs with their differences and p."""
    metrics = list(systems[0].metrics)
    first = metrics[0]
    rows = [
        [
            "system",
            *(f"{MEASURES[metric].title} {arrow(metric)}" for metric in metrics),
            f"runs: {MEASURES[first].title}",
        ]
    ]
    for name, system in zip(names, systems, strict=True):
        cells = [
            f"{shown(metric, found.value)} ({shown_interval(metric, found)})"
            for metric, found in system.metrics.items()
        ]
        rows.append([name, *cells, ", ".join(shown(first, run) for run in system.metrics[first].runs)])
    groups = len(set(systems[0].answers.groups))
    sections = [
        markdown(rows),
        f"In brackets: 95 % of bootstrap resamples of the {groups} test items or groups; a mean where there are runs.",
    ]
    values = dict(zip(names, systems, strict=True))
    if p:
        rows = [["pair", *(f"{MEASURES[metric].title}: difference, p" for metric in metrics)]]
        for a, b in p[first]:
            cells = []
            for metric in metrics:
                difference = values[a].metrics[metric].value - values[b].metrics[metric].value
                sign = "" if difference < 0 else "+"
                cells.append(f"{sign}{shown(metric, difference)}, {p[metric][a, b]:.2g}")
            rows.append([f"{a} − {b}", *cells])
        sections += [
            markdown(rows),
            f"p: paired bootstrap on the same {resamples} resamples, two-sided, Holm's adjustment by metric; the least "
            f"that can come out is {smallest_p(resamples, len(p[first]), groups):.2g}.",
        ]
    return "\n\n".join(sections)


def arrow(metric: str) -> str:
    return "↓" if MEASURES[metric].lower_is_better else "↑"
