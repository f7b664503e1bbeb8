"""The last stage: rows to summary tables, pictures, and the tables of docs/music.md; no training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import analysis
import numpy as np
import pictures
from settings import BASELINES, TASKS, Settings
from study_tools.report import markdown, put_tables, write_csv
from study_tools.tables import read

COLUMNS: dict[str, Mapping[str, str]] = {
    "design": {
        "seed": "seed", "cells": "cells planned", "complete": "with all tasks", "begun": "begun", "rows": "rows",
        "of": "rows planned",
    },
    "gains": {
        "task": "task", "encoders": "trained encoders", "gain": "mean gain, points ±", "ahead": "share ahead",
    },
    "effects": {"factor": "factor", "level": "level", "rows": "rows", "effect": "points from the mean ±"},
    "explained": {
        "term": "term", "freedom": "degrees of freedom", "partial": "partial η² ±", "chance": "by chance", "p": "p (F)",
    },
    "questions": {"difference": "difference", "points": "points ±", "p": "p", "p_holm": "p (Holm)"},
    "largest": {
        "factors": "factors", "first": "level", "second": "level", "interaction": "interaction, points ±",
        "gain": "gain of the pair",
    },
    "longer": {
        "task": "task", "encoders": "trained encoders", "gain": "mean gain, points ±", "ahead": "share ahead",
        "longer_gain": "eight times as long ±", "longer_ahead": "share ahead then",
    },
    "tasks": {
        "task": "task", "metric": "metric", "encoder": "encoder", "weighting": "weighting", "workers": "workers",
        "score": "its test score ±", "random": "the same, random ±", "median": "median of all trained",
        **{name: f"{name} ±" for name in BASELINES}, "labels: music": "all music labels, no encoder ±",
    },
}  # fmt: skip
MARK = "music"  # before the names of marks, since the page has other tables


def conclude(settings: Settings, page: Path | None) -> None:
    """Write `results/summary/*.csv`; with a page, its tables and the pictures beside it too."""
    results = settings.results
    rows, random = analysis.read_grid(results / "grid.csv")
    baselines = {(row["features"], row["task"]): row for row in rows_of(results / "baselines.csv")}
    longer = rows_of(results / "longer.csv")
    model = analysis.model_of(rows, settings.resamplings)
    summary: dict[str, list[dict[str, Any]]] = {
        "design": analysis.counted(rows, settings.seeds),
        "gains": analysis.mean_gains(rows, settings.resamplings),
        "tasks": analysis.best_of_tasks(rows, random, baselines),
        "longer": analysis.of_length(rows, analysis.trained_of(longer, random), settings.resamplings),
        "effects": [], "explained": [], "questions": [], "pairs": [],
    }  # fmt: skip
    if model is not None:
        summary |= {
            "effects": analysis.effects(model),
            "explained": analysis.explained(model, min(500, settings.resamplings)),
            "questions": analysis.questions(model),
            "pairs": analysis.pairs(model),
        }
    for name, found in summary.items():
        write_csv(results / "summary" / f"{name}.csv", found)
    print(told(model), flush=True)
    if page is None:
        return
    largest = sorted(summary["pairs"], key=lambda row: -abs(row["interaction"]))[:8]
    shown = {**summary, "largest": largest}
    tables = {f"{MARK}_{name}": markdown(shown[name], columns) for name, columns in COLUMNS.items()}
    drawn = draw(page.parent, summary, rows, random, baselines)
    for mark, text in drawn.items():
        tables[f"{MARK}_{mark}"] = text + tables.get(f"{MARK}_{mark}", "")
    tables[f"{MARK}_model"] = told(model) + "\n"
    put_tables(page, tables)


def rows_of(file: Path) -> list[dict[str, str]]:
    """The rows of a table, none if it is not there."""
    return read(file) if file.is_file() else []


def draw(
    folder: Path,
    summary: Mapping[str, list[dict[str, Any]]],
    rows: Sequence[analysis.Row],
    random: Mapping[tuple[str, int, str], Mapping[str, str]],
    baselines: Mapping[tuple[str, str], Mapping[str, str]],
) -> dict[str, str]:
    """Draw the pictures for which there are rows; returns the mark before whose table each stands, and its link."""
    links = {}
    if summary["effects"]:
        pictures.effects(summary["effects"], folder / "music_effects.png")
        links["effects"] = "![effects of encoder, weighting and workers](music_effects.png)\n\n"
    if summary["pairs"]:
        pictures.interactions(summary["pairs"], folder / "music_interactions.png")
        links["largest"] = "![mean gain of every pair of levels](music_interactions.png)\n\n"
    scores = {task: own for task in TASKS if (own := [row.score for row in rows if row.task == task])}
    if scores:
        untrained = {
            task: float(np.mean([analysis.of(row, "score") for key, row in random.items() if key[2] == task]))
            for task in scores
        }
        known = {
            name: {
                task: analysis.of(baselines[name, task], "score")
                for task in scores
                if (name, task) in baselines
            }
            for name in (*BASELINES, "labels: music")
        }
        marks = {"random encoders": untrained, **{name: own for name, own in known.items() if own}}
        pictures.tasks(scores, marks, folder / "music_tasks.png")
        links["tasks"] = "![test scores of all trained encoders](music_tasks.png)\n\n"
    return links


def told(model: analysis.Model | None) -> str:
    """What was fitted, in a sentence."""
    if model is None:
        return "The rows do not tell the main effects apart yet: no model was fitted."
    inside = ", ".join(" × ".join(term) for term in model.terms if len(term) == 2) or "none"
    outside = ", ".join(" × ".join(term) for term in model.left_out)
    text = (
        f"Fitted to {len(model.rows)} rows with {model.fitted.parameters} parameters; mean gain of all combinations "
        f"{model.fitted.mean:.2f} points; interactions: {inside}."
    )
    return text + (f" Too few rows to tell apart: {outside}." if outside else "")
