"""From the rows to what can be said: gains, effects of the factors with intervals, the best choice of each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from design import Cell, cells
from linear_model import Fit, Rows, Term, fit, resampled_weights, shares, terms_of
from settings import BASELINES, ENCODERS, FAMILIES, NONE, RELEVANCE, RULES, TASKS, WEIGHTINGS, WORKERS
from study_tools.tables import read

from ptsel_fairseq.downstream.metrics.bootstrap import holm, interval, paired_p

FACTORS = ("encoder", "weighting", "workers")
TERMS = tuple(terms_of(FACTORS))
LEVELS = {"encoder": ENCODERS, "weighting": WEIGHTINGS, "workers": WORKERS}


@dataclass(frozen=True)
class Row:
    """A row of the grid, in points.

    Attributes:
        gain: over the random encoder of the same shape and seed.
    """

    cell: Cell
    task: str
    score: float
    low: float
    high: float
    valid: float
    gain: float


def read_grid(file: Path) -> tuple[list[Row], dict[tuple[str, int, str], dict[str, str]]]:
    """The rows of trained encoders for which the random one is there, and the rows of the random ones by encoder, seed
    and task.
    """
    found = read(file) if file.is_file() else []
    random = {
        (row["encoder"], int(row["seed"]), row["task"]): row for row in found if row["weighting"] == NONE
    }
    return trained_of(found, random), random


def trained_of(
    found: Sequence[Mapping[str, str]], random: Mapping[tuple[str, int, str], Mapping[str, str]]
) -> list[Row]:
    """Rows of trained encoders with their gain over the random one, where that is there."""
    rows = []
    for row in found:
        key = (row["encoder"], int(row["seed"]), row["task"])
        if row["weighting"] != NONE and key in random:
            score, low, high, valid = (
                100 * float(row[name] or "nan") for name in ("score", "low", "high", "valid")
            )
            cell = Cell(row["encoder"], row["weighting"], row["workers"], int(row["seed"]))
            rows.append(
                Row(cell, row["task"], score, low, high, valid, score - 100 * float(random[key]["score"]))
            )
    return rows


def counted(rows: Sequence[Row], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """How much of the design is there: cells whose every task is there, cells begun, rows."""
    listed = []
    for seed in seeds:
        planned = set(cells(seed))
        there: dict[Cell, int] = {}
        for row in rows:
            if row.cell in planned:
                there[row.cell] = there.get(row.cell, 0) + 1
        listed.append(
            {
                "seed": seed, "cells": len(planned), "complete": sum(n == len(TASKS) for n in there.values()),
                "begun": sum(0 < n < len(TASKS) for n in there.values()), "rows": sum(there.values()),
                "of": len(planned) * len(TASKS),
            }
        )  # fmt: skip
    return listed


@dataclass(frozen=True)
class Model:
    """The fitted model, and its refits to resampled tasks and seeds.

    Attributes:
        terms: that could be told apart.
        left_out: interactions for which the rows do not suffice.
    """

    rows: Rows
    terms: tuple[Term, ...]
    left_out: tuple[Term, ...]
    fitted: Fit
    refits: list[Fit]
    weights: np.ndarray

    def effect(self, term: Term) -> tuple[np.ndarray, np.ndarray]:
        """Effects, and those of the refits [resamplings, ...]."""
        return self.fitted.effects[term], np.array([each.effects[term] for each in self.refits])


def model_of(rows: Sequence[Row], resamplings: int) -> Model | None:
    """Main effects, and the interactions of which every effect can be told; None if the main effects cannot."""
    if not rows:
        return None
    factors = {name: np.array([getattr(row.cell, name) for row in rows]) for name in FACTORS}
    tasks = np.array([row.task for row in rows])
    data = Rows(np.array([row.gain for row in rows]), {**factors, "task": tasks})
    if any(len(data.levels[name]) < len(LEVELS[name]) for name in FACTORS):
        return None
    terms: tuple[Term, ...] = TERMS[: len(FACTORS)]
    if not told_apart(data, terms):
        return None
    for term in TERMS[len(FACTORS) :]:
        if told_apart(data, (*terms, term)):
            terms = (*terms, term)
    names = np.array(["|".join(values) for values in zip(*(factors[name] for name in FACTORS), strict=True)])
    weights = resampled_weights(tasks, names, resamplings)
    return Model(
        data,
        terms,
        tuple(term for term in TERMS if term not in terms),
        fit(data, terms, blocks="task"),
        [fit(data, terms, blocks="task", weights=each) for each in weights],
        weights,
    )


def told_apart(data: Rows, terms: Sequence[Term]) -> bool:
    """Whether the rows determine every effect, with more rows than parameters."""
    found = fit(data, terms, blocks="task")
    return found.rank == found.parameters < len(data)


def effects(model: Model) -> list[dict[str, Any]]:
    """The effect of every level, in points from the mean of all levels, with its interval."""
    listed = []
    for name in FACTORS:
        values, refits = model.effect((name,))
        for k, level in enumerate(model.rows.levels[name]):
            low, high = bounds(refits[:, k])
            number = int((model.rows.factors[name] == level).sum())
            listed.append(
                {"factor": name, "level": level, "rows": number, "effect": values[k], "effect_low": low,
                 "effect_high": high}
            )  # fmt: skip
    return listed


def pairs(model: Model) -> list[dict[str, Any]]:
    """The interaction of every pair of levels with its interval, and the mean gain that the model has for the pair."""
    listed = []
    for term in model.terms:
        if len(term) == 2:
            a, b = term
            values, refits = model.effect(term)
            first, second = model.fitted.effects[(a,)], model.fitted.effects[(b,)]
            for i, one in enumerate(model.rows.levels[a]):
                for j, other in enumerate(model.rows.levels[b]):
                    low, high = bounds(refits[:, i, j])
                    listed.append(
                        {
                            "factors": " × ".join(term), "first": one, "second": other, "interaction": values[i, j],
                            "interaction_low": low, "interaction_high": high,
                            "gain": model.fitted.mean + first[i] + second[j] + values[i, j],
                        }
                    )  # fmt: skip
    return listed


def bounds(values: np.ndarray) -> tuple[float, float]:
    """Where 95 % of the resamplings lie; NaN for none."""
    return interval(values) or (np.nan, np.nan)


def explained(model: Model, resamplings: int) -> list[dict[str, Any]]:
    """How much of the variance each term explains (type II), with the interval of its partial η²."""
    found = shares(model.rows, model.terms, blocks="task")
    again = [
        [share.partial for share in shares(model.rows, model.terms, blocks="task", weights=weights)]
        for weights in model.weights[:resamplings]
    ]
    listed = []
    for k, share in enumerate(found):
        low, high = bounds(np.array([row[k] for row in again]))
        listed.append(
            {
                "term": " × ".join(share.term), "freedom": share.freedom, "squares": share.squares,
                "partial": share.partial, "partial_low": low, "partial_high": high, "chance": share.chance,
                "p": share.p,
            }
        )  # fmt: skip
    return listed


def questions(model: Model) -> list[dict[str, Any]]:
    """The differences of levels that were named beforehand, with intervals and p by Holm's rule."""
    asked: list[tuple[str, str, Mapping[str, float]]] = [
        *((f"{rule} over equal", "weighting", {rule: 1, "equal": -1}) for rule in (*RULES[1:], RELEVANCE)),
        ("all music workers over the mean family", "workers",
         {"music": 1, **dict.fromkeys(FAMILIES, -1 / len(FAMILIES))}),
        ("all music workers over the speech workers", "workers", {"music": 1, "speech": -1}),
        ("all music workers over a random pick", "workers", {"music": 1, "random": -1}),
        ("transformer over crdnn", "encoder", {"transformer": 1, "crdnn": -1}),
        ("transformer over cnn", "encoder", {"transformer": 1, "cnn": -1}),
        ("crdnn over cnn", "encoder", {"crdnn": 1, "cnn": -1}),
    ]  # fmt: skip
    number = len(set(model.rows.factors["task"].tolist()))
    listed, p = [], {}
    for name, factor, weights in asked:
        values, refits = model.effect((factor,))
        direction = np.array([weights.get(level, 0.0) for level in model.rows.levels[factor]])
        drawn = refits @ direction
        low, high = bounds(drawn)
        p[name, factor] = paired_p(drawn, np.zeros(len(drawn)), number)
        listed.append(
            {"difference": name, "points": float(values @ direction), "points_low": low, "points_high": high}
        )
    adjusted = holm(p)
    for row, key in zip(listed, p, strict=True):
        row["p"], row["p_holm"] = p[key], adjusted[key]
    return listed


def best_of_tasks(
    rows: Sequence[Row],
    random: Mapping[tuple[str, int, str], Mapping[str, str]],
    baselines: Mapping[tuple[str, str], Mapping[str, str]],
) -> list[dict[str, Any]]:
    """For each task the encoder that is best on the part to choose on, on the test part beside what needs no training.

    Of several seeds of the first seed's kind none is averaged: a row is one encoder with the interval of its test part.
    """
    listed = []
    for task, settings in TASKS.items():
        own = [row for row in rows if row.task == task]
        if not own:
            continue
        best = max(own, key=lambda row: row.valid)
        untrained = random[best.cell.encoder, best.cell.seed, task]
        entry = {
            "task": task, "metric": settings.metric, "encoder": best.cell.encoder,
            "weighting": best.cell.weighting, "workers": best.cell.workers, "seed": best.cell.seed,
            "score": best.score, "score_low": best.low, "score_high": best.high, "random": of(untrained, "score"),
            "random_low": of(untrained, "low"), "random_high": of(untrained, "high"),
            "median": float(np.median([row.score for row in own])), "trained": len(own),
        }  # fmt: skip
        for name in (*BASELINES, "labels: music"):
            row = baselines.get((name, task), {})
            for column, suffix in (("score", ""), ("low", "_low"), ("high", "_high")):
                entry[name + suffix] = of(row, column)
        listed.append(entry)
    return listed


def of(row: Mapping[str, str], column: str) -> float:
    """A number of a row in points; NaN where there is none."""
    return 100 * float(row.get(column) or "nan")


def mean_gains(rows: Sequence[Row], resamplings: int) -> list[dict[str, Any]]:
    """Mean gain over the random encoder of all trained encoders, by task and over tasks, with intervals."""
    listed = []
    rng = np.random.default_rng(0)
    means = {}
    for task in TASKS:
        own = np.array([row.gain for row in rows if row.task == task])
        if len(own):
            drawn = rng.choice(own, (resamplings, len(own))).mean(axis=1)
            low, high = bounds(drawn)
            means[task] = own.mean()
            listed.append(
                {"task": task, "encoders": len(own), "gain": own.mean(), "gain_low": low, "gain_high": high,
                 "ahead": float((own > 0).mean())}
            )  # fmt: skip
    if len(means) > 1:
        values = np.array(list(means.values()))
        low, high = bounds(rng.choice(values, (resamplings, len(values))).mean(axis=1))
        ahead = float(np.mean([row.gain > 0 for row in rows]))
        listed.append(
            {"task": "mean of tasks", "encoders": len({row.cell for row in rows}), "gain": values.mean(),
             "gain_low": low, "gain_high": high, "ahead": ahead}
        )  # fmt: skip
    return listed


def of_length(rows: Sequence[Row], longer: Sequence[Row], resamplings: int) -> list[dict[str, Any]]:
    """`mean_gains` of the encoders that were trained longer too, before and after."""
    both = {row.cell for row in longer}
    before = mean_gains([row for row in rows if row.cell in both], resamplings)
    after = {row["task"]: row for row in mean_gains(longer, resamplings)}
    names = ("gain", "gain_low", "gain_high", "ahead")
    return [
        row | {f"longer_{name}": after[row["task"]][name] for name in names}
        for row in before
        if row["task"] in after
    ]
