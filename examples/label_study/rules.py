"""The rule for the defaults, as PREREGISTRATION.md has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from analysis import Ranked
from estimator_names import STATIC

EQUAL = 0.01  # estimators whose τ differ by less are told apart by their regret


def default_by_rule(data: Ranked, planted: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The default that the rule takes with each task left out: highest mean τ of those that rank no noise first."""
    fit = [row["estimator"] for row in planted if row["noise_first"] == 0 and row["estimator"] not in STATIC]
    found = data.measures()
    rows = []
    for left_out in range(len(data.tasks)):
        others = [t for t in range(len(data.tasks)) if t != left_out]
        means = {name: np.nanmean(found[name][others], axis=0) for name in fit if name in found}
        if not means or not others:
            continue
        top = max(values[0] for values in means.values())
        close = [name for name in means if means[name][0] >= top - EQUAL]
        winner = min(close, key=lambda name: means[name][2])
        rows.append(
            {"left_out": data.tasks[left_out], "winner": winner, "tau_there": found[winner][left_out, 0]}
        )
    return rows


def default_way_by_rule(
    gained: Mapping[str, Mapping[str, np.ndarray]], with_noise: Sequence[str], tasks: Sequence[str]
) -> list[dict[str, Any]]:
    """The way to λ that the rule takes with each task left out: least mean regret, so highest mean gain, on the others.

    Args:
        gained: way -> task -> gains by seed.
        with_noise: ways that give weight to planted noise for some task.
        tasks: on which a way must have gains.
    """
    means = {
        way: {task: float(np.mean(of[task])) for task in tasks}
        for way, of in gained.items()
        if all(task in of for task in tasks) and way not in with_noise
    }
    best = {task: max(float(np.mean(of[task])) for of in gained.values() if task in of) for task in tasks}
    rows = []
    for left_out in tasks if means else ():
        others = [task for task in tasks if task != left_out]
        winner = max(means, key=lambda way: np.mean([means[way][task] for task in others]))
        rows.append(
            {"left_out": left_out, "winner": winner, "regret_there": best[left_out] - means[winner][left_out]}
        )
    return rows
