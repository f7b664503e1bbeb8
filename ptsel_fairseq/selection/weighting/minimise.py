"""The weights of the lowest group score: from which starts, and how it is established that they are the lowest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.selection.checks import all_defined, balanced_rows
from ptsel_fairseq.selection.points import Points
from ptsel_fairseq.selection.weighting import simplex as solve
from ptsel_fairseq.selection.weighting.group import GroupObjective
from ptsel_fairseq.selection.weighting.simplex import Objective, Solution
from ptsel_fairseq.selection.weighting.way import Candidates, Options

SEEDED_STARTS, RANDOM_CANDIDATES = 4, 200
REFERENCE_RESTARTS = 10
SAME_OPTIMUM = 1e-3  # of every weight
SAME_START = 1e-2  # optima of the sample this near lead to one of all points
POLISHED = 3  # optima of the sample that are tried on all points
WORTH_SAMPLING = 2e7  # pairs times labels
SAMPLED_POINTS, SAMPLED_CLASSES = 200, 100
SOFTMAX_NOTE = "softmax reaches no edge of the simplex; where the minimum lies on one, it is only approached"
PROJECTED_NOTE = "sparsemax and entmax15 reach every point of the simplex, so their minimum is the same"


def weigh_group(candidates: Candidates, options: Options) -> tuple[np.ndarray, dict[str, Any]]:
    """The way ``group``."""
    prepared = candidates.points("group")
    found, details = prepared.minimum(
        options.projection, options.seed, options.reference_optimizer, options.progress
    )
    if prepared.kernels is not candidates.estimator:
        details = {"group_estimator": prepared.kernels.name, **details}
    return np.array([found.get(name, 0.0) for name in candidates.names]), details


def minimise_group(
    points: Points,
    objective: GroupObjective,
    projection: str,
    seed: int = 0,
    reference_optimizer: bool = False,
    progress: bool = False,
) -> tuple[dict[str, float], dict[str, Any]]:
    """The λ of the lowest J found from several starts, and how that was established.

    By default to convergence, from equal weights, each label alone and seeded points of the simplex, on the
    objective divided by its largest value at these (else step sizes would depend on its unit). Where one value of the
    objective is dear, all starts are tried on a sample (at most 200 points of each of 100 classes), and the best
    optima found there, with equal weights, are the starts on all points. With `reference_optimizer` the papers'
    descent on the objective as it is, from ten seeded starts.

    Args:
        points: those of the objective.

    Returns:
        Label -> λ, and: objective, its value at equal weights, the optimality gap (absolute, and as a share
        of the objective at equal weights), the KKT residual, and how the restarts compare.
    """
    k = len(objective.labels)
    uniform = np.full(k, 1 / k)
    at_uniform = objective(uniform)[0]
    rng = np.random.default_rng(seed)
    sampled: dict[str, Any] = {}
    scale = 1.0
    if reference_optimizer:
        draws = rng.standard_normal((REFERENCE_RESTARTS, k))
        starts = draws if projection == "softmax" else 1 + 0.05 * draws
        runs = [solve.reference_descent(objective, start, projection) for start in _shown(starts, progress)]
    elif objective.pairs * k < WORTH_SAMPLING:
        scale = solve.scale_of(objective, k)
        runs = _descend(objective, _starts(objective, k, rng), projection, scale, progress)
    else:
        smaller = _sampled_objective(points, objective, rng)
        if smaller.labels != objective.labels:
            raise PtselError(
                "group: a label hardly varies ("
                f"{', '.join(sorted(set(objective.labels) - set(smaller.labels)))} not at all among {smaller.points} "
                "points); leave it out"
            )
        scale = solve.scale_of(smaller, k)
        tried = _descend(smaller, _starts(smaller, k, rng), projection, scale, progress)
        best = _distinct(tried)
        sampled = {
            "starts_tried_on_a_sample": f"{len(tried)} on {smaller.points} points, {len(best)} different optima"
        }
        starts = np.array([uniform, *(run.weights for run in best[:POLISHED])])
        runs = _descend(objective, starts, projection, scale, progress)
    best_run = min(runs, key=lambda run: run.objective)
    same = sum(bool(np.abs(run.weights - best_run.weights).max() <= SAME_OPTIMUM) for run in runs)
    values = np.array([run.objective for run in runs]) * scale
    optimizer = "L-BFGS on W" if projection == "softmax" else "projected gradient"
    details = {
        "optimizer": "the papers' gradient descent" if reference_optimizer else optimizer,
        "objective": best_run.objective * scale,
        "objective_at_equal_weights": at_uniform,
        "gap": best_run.gap * scale,
        "relative_gap": best_run.gap * scale / abs(at_uniform) if at_uniform else None,
        "residual": best_run.residual,
        "steps": best_run.steps,
        **sampled,
        "restarts": len(runs),
        "restarts_at_this_optimum": same,
        "lowest_median_highest_of_restarts": [
            float(values.min()),
            float(np.median(values)),
            float(values.max()),
        ],
        "points": f"{objective.points} of {objective.points_given}, those where all labels are defined",
        "classes": f"{objective.classes} of {objective.classes_given}",
    }
    if not reference_optimizer:
        details["note"] = SOFTMAX_NOTE if projection == "softmax" else PROJECTED_NOTE
    if np.count_nonzero(best_run.weights > SAME_OPTIMUM) == 1 and k > 1:
        details["finding"] = "all weight is on one label; for several take --method direct --support N"
    if objective.unusable:
        details["left_out"] = objective.unusable
    return dict(zip(objective.labels, best_run.weights.tolist(), strict=True)), details


def _starts(objective: Objective, k: int, rng: np.random.Generator) -> np.ndarray:
    """Equal weights, each of the k labels alone, and the best of many seeded points of the simplex."""
    drawn = rng.dirichlet(np.ones(k), RANDOM_CANDIDATES)
    order = np.argsort([objective(weights)[0] for weights in drawn], kind="stable")
    return np.concatenate([np.full((1, k), 1 / k), np.eye(k), drawn[order[:SEEDED_STARTS]]])


def _descend(
    objective: Objective, starts: np.ndarray, projection: str, scale: float, progress: bool
) -> list[Solution]:
    """From each start to a minimum of the objective over `scale`."""

    scaled = solve.scaled(objective, scale)
    if projection != "softmax":
        return [solve.projected_gradient(scaled, start) for start in _shown(starts, progress)]
    inside = np.log(0.9 * starts + 0.1 / starts.shape[1])
    return [solve.softmax_descent(scaled, start) for start in _shown(inside, progress)]


def _distinct(runs: Sequence[Solution]) -> list[Solution]:
    """The different minima, lowest first."""
    kept: list[Solution] = []
    for run in sorted(runs, key=lambda run: run.objective):
        if all(np.abs(run.weights - other.weights).max() > SAME_START for other in kept):
            kept.append(run)
    return kept


def _sampled_objective(points: Points, objective: GroupObjective, rng: np.random.Generator) -> GroupObjective:
    """The same objective on some points of some classes."""
    values = {name: points.labels[name] for name in objective.labels}
    defined = np.flatnonzero(all_defined(values))
    rows = balanced_rows(defined, points.classes, SAMPLED_CLASSES, SAMPLED_POINTS, rng)
    sampled = {name: z[rows] for name, z in values.items()}
    return GroupObjective(
        points.x[rows], sampled, points.classes[rows], objective.estimator, codes=points.codes.tolist()
    )


def _shown(starts: np.ndarray, progress: bool) -> Iterable[np.ndarray]:
    if not progress:
        return starts
    return progress_bar(starts, desc="minimising from each start", unit="start")
