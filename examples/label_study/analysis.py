"""From the rows to what can be said: estimators, groups, ways to λ, baselines, each with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from estimator_names import STATIC
from measures import (
    MEASURES,
    bootstrap,
    holm,
    interval,
    measured,
    noise_ceiling,
    two_sided_p,
)
from outcomes import Outcomes, Scores, rank_on_others
from settings import CONTROLS, NOISE_CONTROLS, SEEDS, TASKS

RESAMPLINGS = 2000


@dataclass(frozen=True)
class Ranked:
    """Scores and gains of the same labels, task by task.

    Attributes:
        tasks: those with gains of every label and with scores.
        labels: by task.
        gains: [seeds, labels] by task.
        scores: estimator -> [labels] by task.
    """

    tasks: tuple[str, ...]
    labels: dict[str, list[str]]
    gains: dict[str, np.ndarray]
    scores: dict[str, dict[str, np.ndarray]]

    def listed(self) -> tuple[dict[str, list[np.ndarray]], list[np.ndarray]]:
        """As `measures.bootstrap` takes them."""
        return (
            {name: [of[task] for task in self.tasks] for name, of in self.scores.items()},
            [self.gains[task] for task in self.tasks],
        )

    def measures(self, seed: int = 0) -> dict[str, np.ndarray]:
        """Estimator -> the measures of each task [tasks, measures]."""
        rng = np.random.default_rng(seed)
        by_task = [
            measured(np.array([of[t] for of in self.scores.values()]), self.gains[t].mean(axis=0), rng)
            for t in self.tasks
        ]
        return {name: np.array([found[i] for found in by_task]) for i, name in enumerate(self.scores)}


def ranked_closed_form(outcomes: Outcomes, scores: Scores) -> Ranked:
    """The same with the accuracies of tier 1, the probe on a label's prediction, in place of gains."""
    labels, gains = {}, {}
    for task in TASKS.values():
        singles = outcomes.models("single", task.pool, tier="1")
        rows = [
            [outcomes.accuracy(task.name, n, seed, tier="1", features="prediction") for n in singles]
            for seed in SEEDS
        ]
        complete = [row for row in rows if row and all(value is not None for value in row)]
        if complete and task.name in scores.values:
            labels[task.name], gains[task.name] = singles, np.array(complete, float)
    return with_scores(labels, gains, scores)


def ranked(
    outcomes: Outcomes, scores: Scores, head: str = "linear", examples: str = "all", controls: bool = False
) -> Ranked:
    """Single labels (and controls) of the tasks for which there are rows of all of them."""
    labels, gains = {}, {}
    for task in TASKS.values():
        singles = outcomes.models("single", task.pool)
        names = singles + (list(CONTROLS) if controls else [])
        found, _ = outcomes.gains(task.name, names, SEEDS, head, examples)
        if len(found) and task.name in scores.values:
            labels[task.name], gains[task.name] = names, found
    return with_scores(labels, gains, scores, others=not controls)


def with_scores(
    labels: dict[str, list[str]], gains: dict[str, np.ndarray], scores: Scores, others: bool = True
) -> Ranked:
    """Every estimator's scores of these labels, and the static rankings."""
    tasks = tuple(gains)
    estimators = [name for name in scores.estimators() if tasks]
    values = {name: {t: scores.array(t, name, labels[t]) for t in tasks} for name in estimators}
    if others and tasks and len({tuple(names) for names in labels.values()}) == 1 and len(tasks) > 1:
        means = {task: values_.mean(axis=0) for task, values_ in gains.items()}
        values["other_tasks"] = {task: rank_on_others(means, task) for task in tasks}
    rng = np.random.default_rng(0)
    values["random"] = {task: rng.random(len(labels[task])) for task in tasks}
    return Ranked(tasks, labels, gains, values)


def compare_estimators(data: Ranked, resamplings: int = RESAMPLINGS) -> list[dict[str, Any]]:
    """Each estimator's pooled measures with intervals, and its difference from the one with the highest τ."""
    if not data.tasks:
        return []
    means = {name: np.nanmean(values, axis=0) for name, values in data.measures().items()}
    drawn = bootstrap(*data.listed(), resamplings)
    best = max(
        (name for name in means if name not in STATIC), key=lambda name: means[name][0], default="random"
    )
    p = {name: two_sided_p(drawn[best][:, 0] - drawn[name][:, 0]) for name in drawn if name != best}
    adjusted = holm(p)
    rows = []
    for name in sorted(means, key=lambda name: -means[name][0]):
        row: dict[str, Any] = {"estimator": name}
        for number, measure in enumerate(MEASURES):
            low, high = interval(drawn[name][:, number])
            row |= {measure: means[name][number], f"{measure}_low": low, f"{measure}_high": high}
        row["p_holm"] = adjusted.get(name, np.nan)
        rows.append(row)
    return rows


def ceilings(data: Ranked) -> list[dict[str, Any]]:
    """How well the gains of each task repeat over seeds, and how far labels are apart."""
    rows = []
    for task in data.tasks:
        gains = data.gains[task]
        reliability, highest = noise_ceiling(gains) if len(gains) > 1 else (np.nan, np.nan)
        mean = gains.mean(axis=0)
        order = np.argsort(-mean)
        rows.append(
            {
                "task": task, "seeds": len(gains), "labels": gains.shape[1], "reliability": reliability,
                "ceiling": highest, "spread": float(mean.std()), "best": data.labels[task][order[0]],
                "best_gain": float(mean[order[0]]), "worst": data.labels[task][order[-1]],
                "worst_gain": float(mean[order[-1]]),
            }
        )  # fmt: skip
    return rows


def by_task(data: Ranked) -> list[dict[str, Any]]:
    """Weighted τ of each estimator in each task."""
    found = data.measures()
    return [
        {"estimator": name, **dict(zip(data.tasks, values[:, 0], strict=True))}
        for name, values in found.items()
    ]


def places_of_planted(scores: Scores) -> list[dict[str, Any]]:
    """Where each estimator puts noise and oracle among labels: what a score must get right."""
    rows = []
    for estimator in scores.estimators():
        noise_first = noise_places = oracle_first = tasks = 0
        places = []
        for values in scores.values.values():
            known = {name: score for name, score in values[estimator].items() if np.isfinite(score)}
            labels = [name for name in known if not name.startswith(("ctl_", "orc_"))]
            planted = [known[name] for name in NOISE_CONTROLS if name in known]
            if not labels or not planted:  # too few points for this estimator
                continue
            best, noise = max(known[name] for name in labels), max(planted)
            worse = np.mean([known[name] > noise for name in labels])
            oracle = [known[n] for n in known if n.startswith("orc_") and n.endswith("_0.25")]
            tasks += 1
            noise_first += noise > best
            places.append(worse)
            noise_places += worse == 1
            oracle_first += bool(oracle) and oracle[0] > best
        rows.append(
            {
                "estimator": estimator, "tasks": tasks, "noise_first": noise_first, "noise_last": noise_places,
                "labels_above_noise": float(np.mean(places)) if places else np.nan, "oracle_first": oracle_first,
            }
        )  # fmt: skip
    return rows


def main_effects(
    outcomes: Outcomes, weights: Mapping[tuple[str, str], Mapping[str, float]]
) -> list[dict[str, Any]]:
    """Of random groups: how their gains go with those of their labels alone, weighted by λ, and with their size."""
    from measures import spearman

    rows = []
    for task in TASKS.values():
        groups = [name for name in outcomes.models("group", task.pool) if (task.pool, name) in weights]
        gains = {name: outcomes.gain(task.name, name, SEEDS[0]) for name in groups}
        single = {
            name: outcomes.gain(task.name, name, SEEDS[0]) for name in outcomes.models("single", task.pool)
        }
        known = [
            name
            for name in groups
            if gains[name] is not None
            and all(single.get(label) is not None for label in weights[task.pool, name])
        ]
        if len(known) < 10:
            continue
        own = np.array([gains[name] for name in known])
        mixed = np.array(
            [sum(w * single[label] for label, w in weights[task.pool, name].items()) for name in known]
        )
        best = np.array([max(single[label] for label in weights[task.pool, name]) for name in known])
        size = np.array([len(weights[task.pool, name]) for name in known], float)
        rho = spearman(np.array([mixed, best, size]), own)
        rows.append(
            {
                "task": task.name,
                "groups": len(known),
                "mean_gain": own.mean(),
                "best_gain": own.max(),
                "rho_weighted_singles": rho[0],
                "rho_best_single": rho[1],
                "rho_size": rho[2],
                "mean_surplus": float((own - mixed).mean()),
                "above_best_single": float((own > best).mean()),
            }
        )
    return rows


def group_estimators(
    outcomes: Outcomes,
    scores: Scores,
    weights: Mapping[tuple[str, str], Mapping[str, float]],
    group_scores: Mapping[tuple[str, str], Mapping[str, float]],
) -> Ranked:
    """Random groups in place of labels: V_γ of the group, λ-weighted means of single scores, and sizes.

    Args:
        weights: (pool, group) -> λ.
        group_scores: (task, estimator) -> score of each group.
    """
    labels, gains, values = {}, {}, {}
    for task in TASKS.values():
        groups = [name for name in outcomes.models("group", task.pool) if (task.pool, name) in weights]
        found, _ = outcomes.gains(task.name, groups, SEEDS[:1])
        if not len(found) or task.name not in scores.values:
            continue
        labels[task.name], gains[task.name] = groups, found
        lambdas = [weights[task.pool, name] for name in groups]
        for (of, estimator), known in group_scores.items():
            if of == task.name:
                values.setdefault(f"group {estimator}", {})[task.name] = np.array(
                    [known[name] for name in groups]
                )
        for estimator, known in scores.values[task.name].items():
            mean = [sum(w * known.get(label, np.nan) for label, w in of.items()) for of in lambdas]
            values.setdefault(f"mean of {estimator}", {})[task.name] = np.array(mean)
        values.setdefault("number of labels", {})[task.name] = np.array([len(of) for of in lambdas], float)
        dims = scores.values[task.name].get("dimension", {})
        total = [sum(dims.get(label, np.nan) for label in of) for of in lambdas]
        values.setdefault("number of dimensions", {})[task.name] = np.array(total)
    tasks = tuple(gains)
    return Ranked(
        tasks, labels, gains, {name: of for name, of in values.items() if all(t in of for t in tasks)}
    )


def paired_ways(
    gains: Mapping[str, Mapping[str, np.ndarray]], against: str, resamplings: int = RESAMPLINGS
) -> list[dict[str, Any]]:
    """Mean gain of each way to λ over tasks, and its difference from one of them.

    Args:
        gains: way -> task -> gains of its encoder by seed [seeds]; all ways have the same tasks and seeds.
        against: the way that the others are compared with.
    """
    ways = list(gains)
    tasks = [task for task in gains[against] if all(task in gains[way] for way in ways)]
    seeds = min(len(gains[way][task]) for way in ways for task in tasks) if tasks else 0
    if not seeds:
        return []
    values = np.array([[gains[way][task][:seeds] for task in tasks] for way in ways])  # ways, tasks, seeds
    rng = np.random.default_rng(0)
    drawn = np.empty((resamplings, len(ways)))
    for number in range(resamplings):
        chosen = values[:, rng.integers(0, len(tasks), len(tasks))]
        drawn[number] = np.mean(
            [chosen[:, t][:, rng.integers(0, seeds, seeds)].mean(axis=1) for t in range(len(tasks))], axis=0
        )
    base = ways.index(against)
    p = {
        way: two_sided_p(drawn[:, number] - drawn[:, base])
        for number, way in enumerate(ways)
        if number != base
    }
    adjusted = holm(p)
    rows = []
    for number, way in enumerate(ways):
        low, high = interval(drawn[:, number])
        below, above = interval(drawn[:, number] - drawn[:, base])
        rows.append(
            {
                "way": way, "tasks": len(tasks), "seeds": seeds, "gain": float(values[number].mean()), "gain_low": low,
                "gain_high": high, "difference": float((values[number] - values[base]).mean()), "difference_low": below,
                "difference_high": above, "p_holm": adjusted.get(way, np.nan),
            }
        )  # fmt: skip
    return sorted(rows, key=lambda row: -row["gain"])
