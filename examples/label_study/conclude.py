"""The last stage: rows to summary tables, pictures, and the tables of docs/study.md; no training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import analysis
import contrastive
import numpy as np
import pictures
from models import RANDOM
from outcomes import Outcomes, Scores, best_by_relevance
from rules import default_by_rule, default_way_by_rule
from settings import CONTROLS, HERE, NOISE_CONTROLS, POOLS, SEEDS, TASKS, Settings
from study_tools.report import markdown, put_tables, write_csv
from study_tools.tables import read

PAGE = HERE.parents[1] / "docs" / "study.md"
ESTIMATOR_COLUMNS = {
    "estimator": "estimator", "tau": "weighted τ ±", "spearman": "Spearman ρ ±", "regret1": "regret@1 ±",
    "regret3": "regret@3 ±", "p_holm": "p against the first score (Holm)",
}  # fmt: skip
BASELINES = {
    "log mel": ("baseline", "summaries", "log_mel"),
    "MFCC": ("baseline", "summaries", "mfcc"),
    "all labels, no encoder": ("baseline", "summaries", "all_labels"),
    "random encoder": ("2", "encoder", RANDOM),
    "all labels, equal λ": ("2", "encoder", "grp_equal"),
    "papers' seven, equal λ": ("2", "encoder", "grp_papers_equal"),
    "random encoder + all labels": ("2", "joined", RANDOM),
    "equal λ + all labels": ("2", "joined", "grp_equal"),
}


def conclude(settings: Settings, page: Path | None) -> None:
    """Write `results/summary/*.csv`; with a page, its tables and the pictures beside it too."""
    results = settings.results
    outcomes = Outcomes.of(results / f"{name}.csv" for name in ("baselines", "tier1", "tier2", "tier3"))
    scores = Scores.of(results / "scores.csv")
    tables: dict[str, str] = {"rows": markdown(*counted(outcomes))}
    summary: dict[str, list[dict[str, Any]]] = {}

    data = analysis.ranked(outcomes, scores)
    summary["estimators"] = analysis.compare_estimators(data, settings.resamplings)
    summary["ceiling"] = analysis.ceilings(data)
    summary["tau_by_task"] = analysis.by_task(data)
    summary["planted"] = analysis.places_of_planted(scores)
    summary["rule"] = default_by_rule(data, summary["planted"])
    for name, head, controls in (("estimators_mlp", "mlp", False), ("estimators_controls", "linear", True)):
        other = analysis.ranked(outcomes, scores, head=head, controls=controls)
        summary[name] = analysis.compare_estimators(other, settings.resamplings)
    first = analysis.ranked_closed_form(outcomes, scores)
    summary["estimators_tier1"] = analysis.compare_estimators(first, settings.resamplings)
    grouped = analysis.group_estimators(outcomes, scores, group_weights(results), group_scores(results))
    summary["group_estimators"] = analysis.compare_estimators(grouped, settings.resamplings)
    summary["groups"] = analysis.main_effects(outcomes, group_weights(results))
    summary["gains"] = gains_of_labels(outcomes)
    summary["baselines"] = accuracies(outcomes)
    gained = gains_of_ways(outcomes, scores, results)
    summary["ways"] = [row for of in of_seeds(gained) for row in of]
    summary["ways_by_task"] = [
        {"way": way, **{task: float(np.mean(of[task])) if task in of else np.nan for task in TASKS}}
        for way, of in gained.items()
    ]
    summary["noise_weight"] = noise_weights(results)
    noisy = [row["λ"] for row in summary["noise_weight"] if row["tasks with λ on noise"]]
    noisy += [f"best by {row['estimator']}" for row in summary["planted"] if row["noise_first"]]
    noisy += [f"best by {name}" for name in analysis.STATIC] + ["mean of random groups"]
    singles = {task: best for task in TASKS if (best := best_by_relevance(scores, task))}
    trained = contrastive.accuracies(results, singles)
    summary["contrastive_by_task"] = contrastive.by_task(trained)
    summary["contrastive"] = contrastive.compared(trained, settings.resamplings)
    other_head = contrastive.accuracies(results, singles, "mlp")
    summary["contrastive_mlp"] = contrastive.compared(other_head, settings.resamplings)
    summary["way_rule"] = default_way_by_rule(gained, noisy, list(TASKS))
    for name, rows in summary.items():
        write_csv(results / "summary" / f"{name}.csv", rows)
    if page is None:
        return
    for name in (
        "estimators",
        "estimators_mlp",
        "estimators_controls",
        "estimators_tier1",
        "group_estimators",
    ):
        tables[name] = markdown(summary[name], ESTIMATOR_COLUMNS)
    for name, columns in COLUMNS.items():
        tables[name] = markdown(summary[name], columns or {c: c for c in (summary[name] or [{}])[0]})
    put_tables(page, tables)
    draw(page.parent, data, summary, gained, outcomes)


CONTRASTIVE_COLUMNS = {
    "seeds": "seeds", "way": "λ", "tasks": "tasks", "gain": "gain over no labels ±",
    "difference": "over every label equal ±", "p_holm": "p (Holm)",
}  # fmt: skip
COLUMNS: dict[str, Mapping[str, str]] = {
    "ceiling": {
        "task": "task", "seeds": "seeds", "reliability": "reliability", "ceiling": "highest ρ to expect",
        "spread": "deviation of labels, points", "best": "best label", "best_gain": "its gain", "worst": "worst",
        "worst_gain": "its gain",
    },
    "planted": {
        "estimator": "estimator", "tasks": "tasks", "noise_first": "noise first", "noise_last": "noise last",
        "labels_above_noise": "share of labels above noise", "oracle_first": "oracle first",
    },
    "rule": {"left_out": "task left out", "winner": "taken", "tau_there": "its τ there"},
    "way_rule": {"left_out": "task left out", "winner": "taken", "regret_there": "its regret there, points"},
    "tau_by_task": {},
    "groups": {
        "task": "task", "groups": "groups", "mean_gain": "mean gain", "best_gain": "best",
        "rho_weighted_singles": "ρ with λ-weighted singles", "rho_best_single": "ρ with best member",
        "rho_size": "ρ with size", "mean_surplus": "gain over λ-weighted singles",
        "above_best_single": "share above its best member",
    },
    "baselines": {},
    "ways": {
        "seeds": "seeds", "way": "λ", "tasks": "tasks", "gain": "gain ±", "difference": "over every label equal ±",
        "p_holm": "p (Holm)",
    },
    "ways_by_task": {},
    "noise_weight": {},
    "contrastive_by_task": {},
    "contrastive": CONTRASTIVE_COLUMNS,
    "contrastive_mlp": CONTRASTIVE_COLUMNS,
}  # fmt: skip


def counted(outcomes: Outcomes) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """How many encoders there are, by tier, kind and pool; rows of every head and task."""
    found: dict[tuple[str, str, str], set[tuple[str, int]]] = {}
    rows: dict[tuple[str, str, str], int] = {}
    for tier, features, task, _, _, model, seed in outcomes.rows:
        key = (tier, outcomes.kinds[model] if model != "all_labels" else "baseline", TASKS[task].pool)
        found.setdefault(key, set()).add((f"{model} {features}" if tier == "baseline" else model, seed))
        rows[key] = rows.get(key, 0) + 1
    listed = []
    for tier, kind, pool in sorted(found):
        seeds = [seed for _, seed in found[tier, kind, pool]]
        by_seed = ", ".join(str(seeds.count(seed)) for seed in sorted(set(seeds)))
        listed.append(
            {"tier": tier, "kind": kind, "pool": pool, "models": by_seed, "rows": rows[tier, kind, pool]}
        )
    return listed, {
        "tier": "tier",
        "kind": "kind",
        "pool": "pool",
        "models": "models by seed",
        "rows": "rows",
    }


def gains_of_labels(outcomes: Outcomes) -> list[dict[str, Any]]:
    """Mean gain of every label and control in every task, over the seeds that all labels have."""
    rows = []
    names = sorted(
        {name for pool in POOLS for kind in ("single", "control") for name in outcomes.models(kind, pool)}
    )
    for name in names:
        row: dict[str, Any] = {"label": name}
        for task in TASKS.values():
            known = [g for seed in SEEDS if (g := outcomes.gain(task.name, name, seed)) is not None]
            row[task.name] = float(np.mean(known)) if known else np.nan
        rows.append(row)
    return rows


def accuracies(outcomes: Outcomes) -> list[dict[str, Any]]:
    """Accuracy of the baselines and of some encoders in every task: linear head, all examples, first seed."""
    rows = []
    for name, (tier, features, model) in BASELINES.items():
        row: dict[str, Any] = {"features": name}
        for task in TASKS:
            value = outcomes.accuracy(task, model, SEEDS[0], tier=tier, features=features)
            row[task] = np.nan if value is None else value
        rows.append(row)
    for name, features in (("λ by V_γ (v_1)", "encoder"), ("λ by V_γ (v_1) + all labels", "joined")):
        row = {"features": name}
        for task in TASKS:
            value = outcomes.accuracy(task, f"way_{task}_v_1", SEEDS[0], features=features)
            row[task] = np.nan if value is None else value
        rows.append(row)
    best = "best single label's encoder"
    rows.insert(4, {"features": best, **best_singles(outcomes, "encoder")})
    rows.append({"features": f"{best} + all labels", **best_singles(outcomes, "joined")})
    return rows


def best_singles(outcomes: Outcomes, features: str) -> dict[str, float]:
    """By task the highest accuracy of an encoder of one label, first seed; NaN where there is none."""
    found = {}
    for task in TASKS.values():
        known = [
            value
            for name in outcomes.models("single", task.pool)
            if (value := outcomes.accuracy(task.name, name, SEEDS[0], features=features)) is not None
        ]
        found[task.name] = max(known, default=np.nan)
    return found


def group_weights(results: Path) -> dict[tuple[str, str], dict[str, float]]:
    """λ of every trained group, by pool and name."""
    file = results / "lambda.csv"
    found: dict[tuple[str, str], dict[str, float]] = {}
    for row in read(file) if file.is_file() else ():
        found.setdefault((row["pool"], row["model"]), {})[row["label"]] = float(row["weight"])
    return found


def group_scores(results: Path) -> dict[tuple[str, str], dict[str, float]]:
    """(task, estimator) -> score of each random group."""
    file = results / "group_scores.csv"
    found: dict[tuple[str, str], dict[str, float]] = {}
    for row in read(file) if file.is_file() else ():
        found.setdefault((row["task"], row["estimator"]), {})[row["model"]] = float(row["score"])
    return found


def gains_of_ways(outcomes: Outcomes, scores: Scores, results: Path) -> dict[str, dict[str, np.ndarray]]:
    """Way to λ -> task -> gains of the encoder it leads to, by seed, of the seeds that are there."""
    chosen: dict[str, dict[str, str]] = {"every label equal": dict.fromkeys(TASKS, "grp_equal")}
    chosen["the papers' seven, equal"] = dict.fromkeys(TASKS, "grp_papers_equal")
    file = results / "ways.csv"
    for row in read(file) if file.is_file() else ():
        chosen.setdefault(row["way"], {})[row["task"]] = row["model"]
    for estimator in scores.estimators():
        name = f"best by {estimator}"
        for task in scores.values:
            labels = outcomes.models("single", TASKS[task].pool)
            values = scores.array(task, estimator, labels)
            if len(labels) and np.isfinite(values).any():
                chosen.setdefault(name, {})[task] = labels[int(np.nanargmax(values))]
    gained: dict[str, dict[str, np.ndarray]] = {}
    for way, of in chosen.items():
        for task, model in of.items():
            known = [g for seed in SEEDS if (g := outcomes.gain(task, model, seed)) is not None]
            if known:
                gained.setdefault(way, {})[task] = np.array(known)
    gained["mean of random groups"] = {
        task.name: np.array([np.mean(known)])
        for task in TASKS.values()
        if (known := [g for m in outcomes.models("group", task.pool)
                      if (g := outcomes.gain(task.name, m, SEEDS[0])) is not None])
    }  # fmt: skip
    return {way: of for way, of in gained.items() if of}


def of_seeds(gained: Mapping[str, Mapping[str, np.ndarray]]) -> list[list[dict[str, Any]]]:
    """Comparisons with every label equal: of all ways by the first seed, of those with several seeds by all."""
    base = "every label equal"
    if base not in gained:
        return []
    full = max((len(of) for of in gained.values()), default=0)
    complete = {way: of for way, of in gained.items() if len(of) == full}
    if base not in complete:
        return []
    found = [analysis.paired_ways({w: {t: v[:1] for t, v in of.items()} for w, of in complete.items()}, base)]
    several = {way: of for way, of in complete.items() if min(len(values) for values in of.values()) > 1}
    if base in several and len(several) > 1:
        found.append(analysis.paired_ways(several, base))
    return found


def noise_weights(results: Path) -> list[dict[str, Any]]:
    """λ that each way gives to planted noise offered among the labels: largest over tasks, and tasks with any."""
    file = results / "ways.csv"
    found: dict[str, dict[str, float]] = {}
    for row in read(file) if file.is_file() else ():
        found.setdefault(row["way"], {})[row["task"]] = float(row["noise_weight"])
    return [
        {
            "λ": way, "tasks": len(of), "tasks with λ on noise": sum(w > 1e-3 for w in of.values()),
            "largest λ on noise": max(of.values()),
        }
        for way, of in found.items()
    ]  # fmt: skip


def draw(
    folder: Path, data: analysis.Ranked, summary: Mapping[str, list[dict[str, Any]]],
    gained: Mapping[str, Mapping[str, np.ndarray]], outcomes: Outcomes,
) -> None:  # fmt: skip
    """The pictures of the page, those for which there are rows."""
    if summary["estimators"]:
        known = [row["ceiling"] for row in summary["ceiling"] if np.isfinite(row["ceiling"])]
        ceiling = float(np.mean(known)) if known else np.nan
        pictures.estimators(summary["estimators"], ceiling, folder / "study_estimators.png")
        best = next(r["estimator"] for r in summary["estimators"] if r["estimator"] not in analysis.STATIC)
        means = {task: data.gains[task].mean(axis=0) for task in data.tasks}
        pictures.scatter(
            data.tasks, data.scores[best], means, data.labels, best, folder / "study_scatter.png"
        )
    rows = [row for row in summary["gains"] if all(np.isfinite(row[task]) for task in TASKS)]
    if rows:
        values = np.array([[row[task] for task in TASKS] for row in rows])
        pictures.gains(list(TASKS), [row["label"] for row in rows], values, folder / "study_gains.png")
    if len(gained) > 1:
        full = max(len(of) for of in gained.values())
        means_of = {
            way: {task: float(np.mean(v)) for task, v in of.items()}
            for way, of in gained.items()
            if len(of) == full
        }
        pictures.ways(means_of, folder / "study_ways.png")
    series = learning_curves(outcomes)
    if series:
        pictures.curves(series, folder / "study_curves.png")


def learning_curves(outcomes: Outcomes) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Task -> features -> (examples a class, accuracy) pairs; all examples are drawn at 400."""
    places = {"5": 5.0, "20": 20.0, "100": 100.0, "all": 400.0}
    shown = {name: key for name, key in BASELINES.items() if key[1] != "joined"}
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for task in TASKS:
        for name, (tier, features, model) in shown.items():
            pairs = [
                (place, value)
                for examples, place in places.items()
                if (
                    value := outcomes.accuracy(
                        task, model, SEEDS[0], tier=tier, features=features, examples=examples
                    )
                )
                is not None
            ]
            if len(pairs) > 1:
                found.setdefault(task, {})[name] = pairs
    return found


__all__ = ["CONTROLS", "NOISE_CONTROLS", "PAGE", "conclude"]
