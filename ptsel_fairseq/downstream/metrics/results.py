"""A system's answers on one test set, their metrics with intervals, and `result.json`, which keeps both.

The answers are kept with the metrics, so that two systems can be compared item by item later.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import write_text
from ptsel_fairseq.base.json_file import is_number, read_json
from ptsel_fairseq.base.provenance import NUMERICS, versions
from ptsel_fairseq.downstream.metrics.bootstrap import (
    Values,
    check_resamples,
    interval,
    mean_values,
    replicates,
)
from ptsel_fairseq.downstream.metrics.evaluations import EVALUATIONS
from ptsel_fairseq.downstream.metrics.measures import MEASURES

FORMAT = 1
RESULT = "result.json"
RESAMPLES = 1000
LIBRARIES = (
    "jiwer",
    "scikit-learn",
    "torch",
)  # what aligns texts and trains probes, as far as it is installed


@dataclass(frozen=True)
class Answers:
    """What a system said about each item of a test set.

    Attributes:
        task: one of `EVALUATIONS`.
        ids: the items' names, fields joined by tabs.
        reference: text, 1 or 0, class, or relevance of each item.
        runs: the system's answers, one sequence for each seed it was trained with.
        groups: what is resampled together: the item itself, its speaker, or its recording.
        unit: of ``asr``, ``word`` or ``phone``.
    """

    task: str
    ids: tuple[str, ...]
    reference: tuple[Any, ...]
    runs: tuple[tuple[Any, ...], ...]
    groups: tuple[str, ...]
    unit: str = "word"

    def scorers(self) -> list[Values]:
        """The metrics of each run as functions of the items' weights."""
        scorer = EVALUATIONS[self.task].scorer
        return [scorer(self.ids, self.reference, run, self.unit) for run in self.runs]


@dataclass(frozen=True)
class Metric:
    """A metric averaged over the runs, its 95 % interval over test items, and its value in each run."""

    value: float
    interval: tuple[float, float] | None
    runs: tuple[float, ...]


@dataclass(frozen=True)
class Result:
    """Answers, their metrics, and how they were made; ``result["wer"]`` is a metric, ``print`` shows all."""

    name: str
    answers: Answers
    metrics: dict[str, Metric]
    provenance: dict[str, Any]

    def __getitem__(self, metric: str) -> Metric:
        if metric not in self.metrics:
            raise KeyError(f"{metric}; the metrics of {self.name} are {', '.join(self.metrics)}")
        return self.metrics[metric]

    def __str__(self) -> str:
        return "\n".join([f"{self.name}:", *result_lines(self)])


def score(
    name: str,
    answers: Answers,
    provenance: Mapping[str, Any],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Result:
    """Compute every metric of a system with its interval."""
    check_resamples(resamples)
    runs = answers.scorers()
    everything = np.ones(len(answers.ids))
    single = [run(everything) for run in runs]
    drawn = replicates([runs], answers.groups, resamples, seed)[0]
    alone = len(set(answers.groups)) < 2
    metrics = {
        metric: Metric(
            value,
            None if alone else interval(drawn[metric]),
            tuple(values[metric] for values in single),
        )
        for metric, value in mean_values(runs, everything).items()
    }
    undefined = [metric for metric, found in metrics.items() if not np.isfinite(found.value)]
    if undefined:
        raise PtselError(
            f"{name}: {', '.join(undefined)} cannot be computed: the reference holds "
            f"{len(set(answers.reference))} distinct values in {len(answers.ids)} items; expected symbols to "
            "recognise, both kinds of trials, positives of a class, or numbers that differ"
        )
    counts = {"counts": [run.counts() for run in runs if hasattr(run, "counts")]}
    details = {
        "items": len(answers.ids),
        "resampling": {"groups": len(set(answers.groups)), "resamples": resamples, "seed": seed},
        **(counts if counts["counts"] else {}),
        "versions": versions(*NUMERICS, optional=LIBRARIES),
    }
    return Result(name, answers, metrics, {**provenance, **details})


def write_result(file: Path | str, result: Result) -> None:
    """Write a result; no dates, so that equal systems give equal files."""
    answers = result.answers
    content = {
        "format": FORMAT,
        "name": result.name,
        "task": answers.task,
        "unit": answers.unit,
        "metrics": {
            name: {"value": metric.value, "interval": metric.interval, "runs": metric.runs}
            for name, metric in result.metrics.items()
        },
        **result.provenance,
    }
    head = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    # The answers in one line each, so that the head stays readable.
    columns = {
        "ids": answers.ids,
        "groups": None if answers.groups == answers.ids else answers.groups,
        "reference": answers.reference,
        "runs": answers.runs,
    }
    lines = [f'  "{key}": {json.dumps(column, ensure_ascii=False)}' for key, column in columns.items()]
    tail = ",\n".join(lines)
    write_text(file, f'{head.removesuffix("}").rstrip()},\n "answers": {{\n{tail}\n }}\n}}\n')


def read_result(file: Path | str) -> Result:
    """What `write_result` wrote; raise PtselError if it cannot be read."""
    advice = "expected what `ptsel evaluate` or `ptsel probe` writes"
    try:
        content = read_json(file)
        if content.pop("format") != FORMAT:
            raise PtselError(f"{file}: a result of another format than {FORMAT}; {advice}; run it again")
        columns = content.pop("answers")
        ids = tuple(columns["ids"])
        answers = Answers(
            _known_task(content.pop("task"), file, advice),
            ids,
            tuple(columns["reference"]),
            tuple(tuple(run) for run in columns["runs"]),
            tuple(columns["groups"] or ids),
            content.pop("unit"),
        )
        metrics = {
            name: Metric(found["value"], found["interval"] and tuple(found["interval"]), tuple(found["runs"]))
            for name, found in content.pop("metrics").items()
        }
        result = Result(content.pop("name"), answers, metrics, content)
        _check(result)
        return result
    except FileNotFoundError:
        raise PtselError(f"{file}: no such file; {advice}") from None
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PtselError(f"{file}: the result cannot be read ({error!r}); {advice}") from None


def _check(result: Result) -> None:
    """Raise ValueError unless a result holds numbers, and answers of one kind for each item."""
    for name, metric in result.metrics.items():
        for number in (metric.value, *(metric.interval or ()), *metric.runs):
            if not is_number(number):
                raise ValueError(f"{name} is {number!r}, where a number was expected")
        if metric.interval is not None and len(metric.interval) != 2:
            raise ValueError(f"{name} has an interval of {len(metric.interval)} ends")
    answers = result.answers
    for column in (answers.ids, answers.groups):
        if len(column) != len(answers.ids) or not all(isinstance(entry, str) for entry in column):
            raise ValueError("the items or their groups are not a text each")
    for column in (answers.reference, *answers.runs):
        texts = sum(isinstance(entry, str) for entry in column)
        if len(column) != len(answers.ids) or texts not in (0, len(column)):
            raise ValueError("there is not an answer of one kind for each item")
        if not texts and not all(map(is_number, column)):
            raise ValueError("an answer is no number")
    if answers.unit not in ("word", "phone"):
        raise ValueError(f"the unit is {answers.unit!r}, where word or phone was expected")
    if not isinstance(result.name, str):
        raise ValueError(f"the name is {result.name!r}")


def _known_task(task: str, file: Path | str, advice: str) -> str:
    if task not in EVALUATIONS:
        raise PtselError(f"{file}: a result of the task {task!r}, which this version does not know; {advice}")
    return task


def shown(metric: str, value: float) -> str:
    """A metric for reading, in the unit of its title."""
    return f"{100 * value:.2f}" if MEASURES[metric].title.endswith("%") else f"{value:.4f}"


def shown_interval(metric: str, found: Metric) -> str:
    if found.interval is None:
        return "no interval"
    return "{}–{}".format(*(shown(metric, bound) for bound in found.interval))


def result_lines(result: Result) -> list[str]:
    """The metrics of one system for reading."""
    lines = []
    for name, metric in result.metrics.items():
        spread = f", runs {' '.join(shown(name, run) for run in metric.runs)}" if len(metric.runs) > 1 else ""
        lines.append(
            f"{MEASURES[name].title}: {shown(name, metric.value)} (95 %: {shown_interval(name, metric)}{spread})"
        )
    for run in result.provenance.get("counts", []):
        for rate, counts in run.items():
            errors = ", ".join(f"{count} {kind}" for kind, count in counts.items() if kind != "reference")
            lines.append(f"{rate.upper()}: {errors} in {counts['reference']}")
    return lines
