"""From scores to weights: every method gives one `Weights` record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ptsel_fairseq.config import check_weights, write_into_recipe, write_weights
from ptsel_fairseq.errors import PtselError
from ptsel_fairseq.selection import baselines, solve
from ptsel_fairseq.selection.group import GroupObjective, minimise
from ptsel_fairseq.selection.points import Points
from ptsel_fairseq.selection.score import score_labels
from ptsel_fairseq.selection.scores_file import POINTS, SCORES, LabelScore, read_scores, versions

METHODS = ("group", "direct", "all", "naive", "random")


@dataclass(frozen=True)
class Weights:
    """The outcome of a method.

    Attributes:
        projection: sparsemax, softmax or entmax15; empty where the method has none.
        weights: label -> λ, sorted by name, zeros too. They sum to one for every method but `all`.
        details: what the method found on its way: objective, optimality, left-out labels with the reason.
    """

    method: str
    projection: str
    weights: dict[str, float]
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def sum_to_one(self) -> bool:
        return self.method != "all"


def select_weights(
    source: Points | Mapping[str, LabelScore],
    method: str = "group",
    projection: str = "sparsemax",
    estimator: str = "cka",
    tau: float | None = None,
    support: int | None = None,
    seed: int = 0,
    reference_optimizer: bool = False,
    progress: bool = False,
) -> Weights:
    """Weigh the labels.

    Args:
        source: points, which `group` needs, or the scores of `score_labels`, which suffice for the others.
        method: group (the papers: minimise the score of the weighted group), direct (sparsemax of -score/τ), all
            (1 each), naive (the lowest scores, equal weights), random.
        projection: of `group`: how λ is kept on the simplex.
        estimator: of the group's score, or of the scores where `source` is points.
        tau: of `direct`, in units of the scores; default, 2 sqrt(2) standard errors.
        support: of `direct` and `naive`: how many labels to keep.
        seed: of restarts, and of `random`.
        reference_optimizer: `group`: the papers' gradient descent with its ten restarts.

    Raises:
        PtselError: an unknown method or projection, an option that the method does not have, scores where
            points are needed, or no label that can be weighed.
    """
    _check_options(method, projection, tau, support, reference_optimizer)
    if method == "group":
        if not isinstance(source, Points):
            raise PtselError(
                "group: expected points (of `ptsel score`), found scores only; the group's score needs the points"
            )
        objective = GroupObjective(source.x, source.labels, source.classes, estimator)
        found, details = minimise(objective, projection, seed, reference_optimizer, progress)
        return _record("group", projection, found, source.labels, details)
    if isinstance(source, Points):
        source = score_labels(source.x, source.labels, source.classes, estimator, seed, permutations=0)
    return weights_of_scores(source, method, tau, support, seed)


def weights_of_scores(
    scores: Mapping[str, LabelScore],
    method: str,
    tau: float | None = None,
    support: int | None = None,
    seed: int = 0,
) -> Weights:
    """The methods that look at the labels' scores only; a label without a score gets the weight 0."""
    names = [name for name in sorted(scores) if scores[name].score is not None]
    details: dict[str, Any] = {}
    if len(names) < len(scores):
        details["left_out"] = {name: str(scores[name].reason) for name in sorted(scores) if name not in names}
    if not names:
        raise PtselError(
            f"no label has a score: {'; '.join(f'{name} {why}' for name, why in details['left_out'].items())}"
        )
    values = np.array([scores[name].score for name in names], dtype=np.float64)
    projection = ""
    if method == "direct":
        projection = "sparsemax"
        if support is not None:
            tau = baselines.tau_of_support(values, support)
        elif tau is None:
            errors = [scores[name].standard_error for name in names]
            tau = baselines.tau_of_errors(np.array([error for error in errors if error is not None] or [0.0]))
        found = baselines.direct_weights(values, tau)
        details |= {"tau": tau, "objective": float(found @ values + tau / 2 * found @ found)}
    elif method == "naive":
        kept = min(baselines.DEFAULT_SUPPORT, len(names)) if support is None else support
        found = baselines.naive_weights(values, kept)
        details["papers"] = "give each of these labels the weight 1"
    elif method == "random":
        found = baselines.random_weights(len(names), seed)
    else:
        found = np.ones(len(names))
    return _record(method, projection, dict(zip(names, found, strict=True)), scores, details)


def _record(
    method: str,
    projection: str,
    found: Mapping[str, float],
    labels: Mapping[str, object],
    details: dict[str, Any],
) -> Weights:
    return Weights(
        method, projection, {name: float(found.get(name, 0.0)) for name in sorted(labels)}, details
    )


def _check_options(
    method: str, projection: str, tau: float | None, support: int | None, reference_optimizer: bool
) -> None:
    if method not in METHODS:
        raise PtselError(f"expected a method among {', '.join(METHODS)}, found {method!r}")
    if projection not in solve.PROJECTIONS:
        raise PtselError(f"expected a projection among {', '.join(solve.PROJECTIONS)}, found {projection!r}")
    for option, given, methods in (
        ("--tau", tau is not None, ("direct",)),
        ("--support", support is not None, ("direct", "naive")),
        ("--reference-optimizer", reference_optimizer, ("group",)),
        ("--projection other than sparsemax", projection != "sparsemax", ("group",)),
    ):
        if given and method not in methods:
            raise PtselError(
                f"{option} belongs to {' and '.join(methods)}, not to the method {method}; leave it out"
            )
    if tau is not None and support is not None:
        raise PtselError("--tau and --support: give one of them; each sets the other")


def select_command(
    ci_dir: Path | str,
    method: str,
    projection: str,
    out: Path | str,
    config: Path | str | None = None,
    tau: float | None = None,
    support: int | None = None,
    seed: int = 0,
    reference_optimizer: bool = False,
    command_line: str = "",
) -> None:
    """Weigh the labels that `ptsel score` scored; write weights.yaml, its picture, and into a recipe if asked."""
    from ptsel_fairseq.selection.figures import draw_weights

    picture = Path(out).with_suffix(".png")
    if picture == Path(out):
        raise PtselError(f"--out: expected a name such as weights.yaml, found {out}, where the picture goes")
    scores, made = read_scores(Path(ci_dir) / SCORES)
    estimator = made["estimator"]
    source: Points | Mapping[str, LabelScore] = (
        Points.load(Path(ci_dir) / POINTS) if method == "group" else scores
    )
    if isinstance(source, Points) and set(source.labels) != set(scores):
        raise PtselError(f"{ci_dir}: {SCORES} and {POINTS} are of different labels; run `ptsel score` again")
    found = select_weights(
        source,
        method,
        projection,
        estimator,
        tau,
        support,
        seed,
        reference_optimizer,
        progress=method == "group",
    )
    check_weights(found.weights, scores, found.sum_to_one)
    provenance: dict[str, object] = {
        "scores": Path(ci_dir) / SCORES,
        "estimator": estimator,
        "method": method,
        **({"projection": found.projection} if found.projection else {}),
        **_readable(found.details),
        "seed": seed,
        "manifest_checksum": made["manifest_checksum"],
        "classes_checksum": made["classes_checksum"],
        "versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
        "command": command_line,
    }
    write_weights(out, found.weights, provenance, found.sum_to_one)
    draw_weights(found, estimator, picture)
    if config is not None:
        write_into_recipe(config, found.weights, provenance, found.sum_to_one)
    print(weights_table(found, scores, estimator))
    print(f"wrote {out} and {picture}" + (f"; wrote the weights into {config}" if config else ""))


def weights_table(found: Weights, scores: Mapping[str, LabelScore], estimator: str) -> str:
    """λ beside the scores, largest first, and what the method says about it."""
    width = max(12, *(len(name) for name in found.weights))
    lines = [f"{'label':{width}s} {'weight':>7s} {estimator:>10s}"]
    for name, weight in sorted(found.weights.items(), key=lambda item: (-item[1], item[0])):
        score = scores[name].score
        lines.append(f"{name:{width}s} {weight:7.4f} {'-' if score is None else f'{score:.4g}':>10s}")
    facts = [f"{key.replace('_', ' ')}: {value}" for key, value in _readable(found.details).items()]
    title = found.method + (f" ({found.projection})" if found.projection else "")
    return "\n".join(["", f"weights by {title}", *lines, "", *facts])


def _readable(details: Mapping[str, Any]) -> dict[str, str]:
    """Details as short texts."""

    def text(value: Any) -> str:
        if isinstance(value, float):
            return f"{value:.6g}"
        if isinstance(value, list):
            return ", ".join(text(entry) for entry in value)
        if isinstance(value, Mapping):
            return "; ".join(f"{key}: {text(entry)}" for key, entry in value.items())
        return str(value)

    return {key: text(value) for key, value in details.items()}
