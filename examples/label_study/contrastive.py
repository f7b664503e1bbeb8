"""What the contrastive models of tier 3 say: each way to λ against no labels and against every label equal."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import analysis
import numpy as np
from settings import PAPERS_WAY, SEEDS, TIER3_DEFAULT, TIER3_TASKS
from study_tools.tables import read

SHARED = ("none", "equal", "random")  # one model for all tasks
OF_A_TASK = (PAPERS_WAY, "cka_direct", TIER3_DEFAULT)
SINGLE, EQUAL, NONE = "best single by relevance", "equal", "none"
Accuracies = dict[str, dict[str, dict[int, float]]]  # way -> task -> seed -> accuracy in points


def accuracies(results: Path, single_of: dict[str, str], head: str = "linear") -> Accuracies:
    """Of every way, from the rows that are there.

    Args:
        single_of: task -> label that is the best by its relevance.
    """
    file = results / "tier3.csv"
    measured = {
        (row["task"], row["model"], int(row["seed"])): 100 * float(row["accuracy"])
        for row in (read(file) if file.is_file() else ())
        if row["head"] == head and row["examples"] == "all"
    }
    found: Accuracies = {}
    for task in TIER3_TASKS:
        models = {name: name for name in SHARED} | {way: f"{way}_{task}" for way in OF_A_TASK}
        if task in single_of:
            models[SINGLE] = f"single_{single_of[task]}"
        for way, model in models.items():
            for seed in SEEDS:
                if (task, model, seed) in measured:
                    found.setdefault(way, {}).setdefault(task, {})[seed] = measured[task, model, seed]
    return found


def complete_seeds(found: Accuracies, ways: Iterable[str]) -> list[int]:
    """The seeds that all of these ways have in every task."""
    return [
        seed
        for seed in SEEDS
        if all(seed in found.get(way, {}).get(task, {}) for way in ways for task in TIER3_TASKS)
    ]


def by_task(found: Accuracies) -> list[dict[str, Any]]:
    """Mean accuracy over seeds, a row a way, a column a task."""
    return [
        {
            "λ": way,
            "seeds": min(len(of) for of in tasks.values()),
            **{task: float(np.mean(list(tasks[task].values()))) if task in tasks else np.nan for task in TIER3_TASKS},
        }
        for way, tasks in found.items()
    ]  # fmt: skip


def compared(found: Accuracies, resamplings: int) -> list[dict[str, Any]]:
    """Gain of each way over no labels at all, and its difference from every label equal, of complete seeds."""
    ways = [way for way in found if len(found[way]) == len(TIER3_TASKS)]
    seeds = complete_seeds(found, ways)
    if not seeds or NONE not in ways or EQUAL not in ways:
        return []
    gains = {
        way: {
            task: np.array([found[way][task][seed] - found[NONE][task][seed] for seed in seeds])
            for task in TIER3_TASKS
        }
        for way in ways
    }
    return analysis.paired_ways(gains, EQUAL, resamplings)
