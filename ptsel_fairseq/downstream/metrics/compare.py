"""`ptsel compare`: several systems on the same test set, as a table and a picture."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import write_text
from ptsel_fairseq.downstream.metrics.bootstrap import check_resamples, holm, paired_p, replicates, smallest_p
from ptsel_fairseq.downstream.metrics.evaluations import MEASURES
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
) -> None:
    """Print the table, and write it and the picture.

    Args:
        results: what `ptsel evaluate` or `ptsel probe` wrote, of one test set.
        out: ``.md`` for the table, with the picture beside it; any other suffix for the picture alone.
        against: name of a system; pairs without it are not tested. Default: every pair is.
        resamples: of the paired bootstrap; default, `enough_resamples`.
        seed: of the paired bootstrap.

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
    pairs = pairs_of(names, against)
    resamples = enough_resamples(len(pairs)) if resamples is None else resamples
    p = paired_tests(systems, names, pairs, resamples, seed)
    text = table(systems, names, p, resamples)
    print(text)
    if out.suffix == ".md":
        write_text(out, text + "\n")
        print(out)
        out = out.with_suffix(".png")
    draw_comparison(systems, names, out)
    print(out)


def enough_resamples(pairs: int) -> int:
    """So many that the adjusted p of the clearest of so many pairs can be `CLEAR` or less."""
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


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table whose first row is the header; columns are padded so that it can be read as text."""
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*escaped, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in escaped
    ]
    return "\n".join([lines[0], "| " + " | ".join("-" * width for width in widths) + " |", *lines[1:]])
