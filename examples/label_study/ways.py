"""The ways to λ: what each chooses for a task from its training part, and the encoders to be trained for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from models import Model, random_groups
from scores import TrainingPart, kind_of, training_part
from settings import GAMMAS, NOISE_CONTROLS, PAPERS, SEEDS, TASKS, TIER3_DEFAULT
from study_tools.tables import Table, read
from tiers import Study

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.selection import Points, score_labels, select_weights
from ptsel_fairseq.selection.estimators.audible import Audible
from ptsel_fairseq.selection.estimators.relevance import Relevance
from ptsel_fairseq.selection.estimators.task import Task
from ptsel_fairseq.selection.weighting.relevance import GroupRelevance, maximise

GROUP_SCORES = ("pool", "task", "model", "estimator", "score")
WAYS = ("task", "way", "model", "label", "weight", "noise_weight")
SMALLEST = 1e-3  # of λ: less is left out, and the rest made to sum to one
DIGITS = 3  # to which λ are compared
Weights = Mapping[str, float]


def papers(part: TrainingPart, labels: Mapping[str, np.ndarray]) -> Weights:
    """The papers' seven, by the score of their code, kept on the simplex by sparsemax."""
    raw = {name: part.raw[name] for name in labels if name in (*PAPERS, *NOISE_CONTROLS)}
    points = Points(part.x, raw, part.classes)
    return select_weights(
        points, method="group", projection="sparsemax", estimator="reference", screen=False
    ).weights


def cka_direct(part: TrainingPart, labels: Mapping[str, np.ndarray]) -> Weights:
    """Sparsemax of the cka scores over their standard errors."""
    scores = score_labels(part.x, labels, part.classes, estimator="cka", permutations=0)
    return select_weights(scores, estimator="cka", method="direct", screen=False).weights


def group_relevance(
    part: TrainingPart, labels: Mapping[str, np.ndarray], gamma: float
) -> tuple[tuple[str, ...], GroupRelevance]:
    """V_γ of groups of these labels, and their order; the noise floor is `gamma` over the number of labels."""
    task = part.shared("task", lambda: Task(part.x, part.classes, part.groups))
    operator = part.shared("audible", lambda: Audible(task))
    made = part.shared(f"group of {len(labels)}", lambda: Relevance(task, labels, True, operator))
    S, F = part.shared(f"factor of {len(labels)}", made.adjusted_factor)
    return made.names, GroupRelevance(S, F, made.dims, gamma / len(labels))


def relevance(gamma: float) -> Callable[[TrainingPart, Mapping[str, np.ndarray]], Weights]:
    """The largest V_γ of the group."""

    def choose(part: TrainingPart, labels: Mapping[str, np.ndarray]) -> Weights:
        names, objective = group_relevance(part, labels, gamma)
        return dict(zip(names, maximise(objective).weights, strict=True))

    return choose


WAY = {
    "papers_sparsemax": papers,
    "cka_direct": cka_direct,
    **{f"v_{gamma:g}": relevance(gamma) for gamma in GAMMAS},
}
FIRST_WAYS = ("papers_sparsemax", "cka_direct", TIER3_DEFAULT)  # what matters most, for every task


def score_groups(study: Study, tasks: tuple[str, ...], parts: dict[str, TrainingPart]) -> None:
    """Add to `group_scores.csv` V_γ of every random group for every task of its pool."""
    table = Table(study.settings.results / "group_scores.csv", GROUP_SCORES, GROUP_SCORES[:-1])
    for task in tasks:
        pool = study.points[task].task.pool
        groups = random_groups(study.labels, pool, study.settings.num_groups, SEEDS[0])
        key = {"pool": pool, "task": task}
        if all(
            {**key, "model": group.name, "estimator": f"v_{gamma:g}"} in table
            for group in groups
            for gamma in GAMMAS
        ):
            continue
        part = parts.get(task) or parts.setdefault(task, training_part(study, task))
        for gamma in GAMMAS:
            try:
                names, objective = group_relevance(part, part.of_catalogue(part.labels), gamma)
            except PtselError as error:
                print(f"groups {task}: none, {error}", flush=True)
                break
            for group in groups:
                weights = np.array([group.weights.get(name, 0.0) for name in names])
                table.add(
                    {
                        **key,
                        "model": group.name,
                        "estimator": f"v_{gamma:g}",
                        "score": objective.value(weights),
                    }
                )
        print(f"groups {task}: {len(groups)} at {len(GAMMAS)} noise floors", flush=True)


def choose(
    study: Study, tasks: tuple[str, ...], parts: dict[str, TrainingPart], ways: tuple[str, ...]
) -> None:
    """Add to `ways.csv` the λ that each way finds for each task, and what it would give to planted noise."""
    table = Table(study.settings.results / "ways.csv", WAYS, ("task", "way", "label"))
    done = {(row["task"], row["way"]) for row in read(table.file)}
    for way in ways:
        choose_by = WAY[way]
        for task in tasks:
            if (task, way) in done:
                continue
            part = parts.get(task) or parts.setdefault(task, training_part(study, task))
            labels = part.of_catalogue(part.labels)
            begun = time.monotonic()
            try:
                weights = tidied(choose_by(part, labels))
                with_noise = choose_by(part, labels | {name: part.labels[name] for name in NOISE_CONTROLS})
            except PtselError as error:
                print(f"λ {task} {way}: none, {error}", flush=True)
                continue
            noise = float(sum(with_noise.get(name, 0.0) for name in NOISE_CONTROLS))
            model = next(iter(weights)) if len(weights) == 1 else f"way_{task}_{way}"
            for label, weight in weights.items():
                table.add(
                    {
                        "task": task, "way": way, "model": model, "label": label, "weight": weight,
                        "noise_weight": noise,
                    }
                )  # fmt: skip
            seconds = time.monotonic() - begun
            print(f"λ {task} {way}: {len(weights)} labels, noise {noise:.3f}, {seconds:.0f} s", flush=True)


def tidied(weights: Weights) -> dict[str, float]:
    """Without labels of next to no weight, summing to one."""
    kept = {
        name: float(w) for name, w in sorted(weights.items()) if w >= SMALLEST and kind_of(name) == "single"
    }
    total = sum(kept.values())
    return {name: weight / total for name, weight in kept.items()}


def chosen_models(study: Study) -> Iterator[Model]:
    """The groups of `ways.csv` to train, the package's own way first; a single label is trained anyway."""
    file = study.settings.results / "ways.csv"
    found: dict[str, dict[str, float]] = {}
    pools: dict[str, str] = {}
    rows = read(file) if file.is_file() else []
    for row in sorted(rows, key=lambda row: row["way"] != TIER3_DEFAULT):
        if row["model"].startswith("way_"):
            found.setdefault(row["model"], {})[row["label"]] = float(row["weight"])
            pools[row["model"]] = TASKS[row["task"]].pool
    for name, weights in found.items():
        yield Model(name, "chosen", pools[name], SEEDS[0], weights)
