"""Answers of probes as `ptsel evaluate` reads them, and the page of all tasks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from files import lines, write

from ptsel_fairseq.base.weights_file import read_weights
from ptsel_fairseq.downstream.metrics.results import read_result

if TYPE_CHECKING:
    from settings import Settings


def write_answers(result: Path, out: Path, of_reference: bool = False) -> None:
    """The answers of a probe's (first) run, or what was right, as a class file."""
    answers = read_result(result).answers
    header = "path\tclass" if "\t" not in answers.ids[0] else "path\tstart\tend\tclass"
    given = answers.reference if of_reference else answers.runs[0]
    write(out, lines([header, *(f"{item}\t{name}" for item, name in zip(answers.ids, given, strict=True))]))


def combine(settings: Settings) -> None:
    """`OUT/table.md`: λ and results of every task."""
    parts = []
    for task in settings.tasks:
        parts.append(f"## {task.name}\n")
        for method in settings.methods:
            if method != "none":
                weights, _ = read_weights(settings.recipe(task, method))
                shown = ", ".join(f"{label} {weight:.3f}" for label, weight in weights.items() if weight > 0)
                parts.append(f"* λ of {method}: {shown}")
        table = settings.out / "results" / f"{task.name}.md"
        if table.is_file():
            parts.append("\n" + table.read_text())
    write(settings.out / "table.md", "\n".join(parts))
    print(f"\n{settings.out / 'table.md'}\n\n" + "\n".join(parts))
