"""The weights by every method side by side, and how they change along a method's setting."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import write_text
from ptsel_fairseq.base.json_file import is_number, read_json
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.selection.estimators import DEFAULT_ESTIMATOR, ESTIMATORS, Estimator, KernelEstimator
from ptsel_fairseq.selection.estimators.one_class import MEMORY
from ptsel_fairseq.selection.estimators.relevance import NOISE_FLOOR
from ptsel_fairseq.selection.label_score import LabelScore
from ptsel_fairseq.selection.points import Points
from ptsel_fairseq.selection.weighting import WAYS, Options, Way
from ptsel_fairseq.selection.weighting import simplex as solve
from ptsel_fairseq.selection.weighting.direct import direct_weights
from ptsel_fairseq.selection.weighting.group import GroupObjective
from ptsel_fairseq.selection.weighting.method import Weights, weigh
from ptsel_fairseq.selection.weighting.prepared import Prepared
from ptsel_fairseq.selection.weighting.relevance import GroupRelevance

METHODS_FILE = "methods.json"
FORMAT = 1
NEGLIGIBLE = 1e-3  # of the weight
TAUS = 60  # points of the path over τ


@dataclass(frozen=True)
class Row:
    """One method.

    Attributes:
        weights: label -> λ, as the method gives it.
        sum_to_one: whether it sums to one.
        labels: how many have more than a thousandth of the weight.
        effective_labels: 1 / Σ λ², of λ over its sum: the number of equal weights that would be as concentrated.
        group_score: of the weighted group (see `group`), at λ over its sum; None without an objective.
        mean_score: <λ, s> of λ over its sum.
        relevance: of the weighted group (see `relevance`), at λ over its sum; None if it cannot be computed.
        redundancy: λ' R λ of λ over its sum, R the labels' dependence on each other; None if that is undefined.
        reason: why the method gave nothing; then the rest is empty.
    """

    weights: dict[str, float] = field(default_factory=dict)
    sum_to_one: bool = True
    labels: int = 0
    effective_labels: float = 0.0
    group_score: float | None = None
    mean_score: float = 0.0
    redundancy: float | None = None
    details: dict[str, Any] = field(default_factory=dict)
    reason: str | None = None
    relevance: float | None = None


@dataclass(frozen=True)
class Comparison:
    """What `ptsel select --method all-methods` found.

    Attributes:
        rows: method -> what it gave.
        labels: names of the labels that depend on each other as `dependence` [k][k] says.
        direct_path: λ of `direct` [TAUS][label] over `taus`, and the names of these labels.
        group_path: λ of `group` from equal weights after each step [steps][label], the objective, and the names.
        relevance_path: λ of `relevance` [values][label] over its noise floor, and the names.
    """

    rows: dict[str, Row]
    labels: list[str]
    dependence: list[list[float]]
    direct_path: dict[str, Any]
    group_path: dict[str, Any]
    relevance_path: dict[str, Any] = field(default_factory=dict)

    def label_order(self) -> list[str]:
        """The labels, those first that get the largest shares from all methods together."""
        total: dict[str, float] = {}
        for row in self.rows.values():
            for name, weight in row.weights.items():
                total[name] = total.get(name, 0.0) + weight / sum(row.weights.values())
        return sorted(total, key=lambda name: (-total[name], name))


def compare_methods(
    points: Points,
    scores: Mapping[str, LabelScore],
    *,
    estimator: str | Estimator = DEFAULT_ESTIMATOR,
    seed: int = 0,
    memory: float = MEMORY,
    screen: bool = True,
    **options: Any,
) -> Comparison:
    """Weigh the labels by every method, each with its own default settings.

    Args:
        points, scores: of the same labels.
        estimator: of the scores.
        screen: see `select_weights`.

    Raises:
        PtselError: an option that belongs to one method, or no label that can be weighed.
    """
    scored_by = ESTIMATORS.get(estimator) if isinstance(estimator, str) else estimator
    given = sorted(name for name, value in options.items() if value != getattr(Options(), name))
    if given:
        raise PtselError(
            f"--{given[0].replace('_', '-')} belongs to one method; all-methods takes each with its defaults"
        )
    names = [name for name in sorted(scores) if scores[name].score is not None]
    costs = np.array([scored_by.cost(float(scores[name].score or 0.0)) for name in names], dtype=np.float64)
    if not names:
        raise PtselError("no label has a score, so there is nothing to compare")
    prepared = Prepared(points, scored_by, memory)
    labels, R, _ = prepared.dependence(sorted(points.labels))
    judge = _judge(prepared, seed)
    rows, path = {}, {}
    bar = progress_bar(_compared(scored_by).items(), desc="methods", unit="method")
    for title, (way, settings) in bar:
        bar.set_postfix_str(title)
        try:
            found = weigh(
                prepared, scores, scored_by, way, Options(seed=seed, memory=memory, **settings), screen
            )
        except PtselError as error:  # for instance direct, where a single class gives no standard errors
            rows[title] = Row(reason=str(error))
            continue
        rows[title] = _row(found, scores, prepared.objective, labels, R, judge)
        if way.name == "relevance":
            path = found.path
    return Comparison(
        rows,
        list(labels),
        R.tolist(),
        _direct_path(names, costs),
        _group_path(prepared.objective),
        path,
    )


def _compared(estimator: Estimator) -> dict[str, tuple[Way, Mapping[str, Any]]]:
    """Title -> way and its settings."""
    papers = isinstance(estimator, KernelEstimator) and estimator.own_units
    return {
        title: (way, settings)
        for way in WAYS.all()
        for title, settings in {**way.compared, **(way.compared_for_papers if papers else {})}.items()
    }


def _judge(prepared: Prepared, seed: int) -> tuple[tuple[str, ...], GroupRelevance] | None:
    """The labels' group relevance, by which all weights are compared; None where it cannot be computed."""
    try:
        made = prepared.relevance(seed)
        return made.names, GroupRelevance(*made.adjusted_factor(), made.dims, NOISE_FLOOR)
    except PtselError:  # one class, or too few points for the labels' columns
        return None


def _row(
    found: Weights,
    scores: Mapping[str, LabelScore],
    objective: GroupObjective,
    labels: tuple[str, ...],
    R: np.ndarray,
    judge: tuple[tuple[str, ...], GroupRelevance] | None,
) -> Row:
    weights = found.weights
    total = sum(weights.values())
    shares = {name: weight / total for name, weight in weights.items()}
    kept = [name for name in weights if shares[name] > NEGLIGIBLE]
    in_group = np.array([shares[name] for name in objective.labels])
    dependent = np.array([shares[name] for name in labels])
    relevance = None
    if judge is not None and set(kept) <= set(judge[0]):
        relevance = judge[1].value(np.array([shares[name] for name in judge[0]]))
    return Row(
        weights=weights,
        sum_to_one=found.sum_to_one,
        labels=len(kept),
        effective_labels=1 / sum(share**2 for share in shares.values()),
        group_score=objective(in_group)[0] if set(kept) <= set(objective.labels) else None,
        mean_score=float(sum(share * float(scores[name].score or 0.0) for name, share in shares.items())),
        redundancy=float(dependent @ R @ dependent) if set(kept) <= set(labels) else None,
        details=found.details,
        relevance=relevance,
    )


def _direct_path(names: list[str], scores: np.ndarray) -> dict[str, Any]:
    """λ of `direct` from one label alone to nearly equal weights; its corners are where another label comes in."""
    spread = float(np.ptp(scores)) or 1.0
    taus = np.geomspace(spread / 50, spread * 2 * len(names), TAUS)
    weights = np.array([direct_weights(scores, tau) for tau in taus])
    return {"labels": names, "tau": taus.tolist(), "weights": weights.tolist()}


def _group_path(objective: GroupObjective) -> dict[str, Any]:
    """λ of `group` at each step of the descent from equal weights."""
    k = len(objective.labels)
    uniform = np.full(k, 1 / k)
    scale = solve.scale_of(objective, k)
    visited: list[tuple[np.ndarray, float]] = []

    solve.projected_gradient(
        solve.scaled(objective, scale), uniform, visit=lambda weights, value: visited.append((weights, value))
    )
    return {
        "labels": list(objective.labels),
        "weights": [weights.tolist() for weights, _ in visited],
        "objective": [value * scale for _, value in visited],
    }


def write_comparison(file: Path, compared: Comparison, provenance: Mapping[str, object]) -> None:
    """Write methods.json by renaming."""
    content = {"format": FORMAT, **provenance, **asdict(compared)}
    write_text(file, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_comparison(file: Path) -> tuple[Comparison, dict[str, Any]]:
    """What `write_comparison` wrote, and the rest of the file; raise PtselError if it cannot be read."""
    advice = "expected what `ptsel select --method all-methods` writes; run it again"
    try:
        content = read_json(file)
        if content["format"] != FORMAT:
            raise PtselError(f"{file}: of format {content['format']}, this version reads {FORMAT}; {advice}")
        parts = {name: content.pop(name) for name in Comparison.__dataclass_fields__}
        parts["rows"] = {name: Row(**row) for name, row in parts["rows"].items()}
        compared = Comparison(**parts)
        _check(compared)
        return compared, content
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PtselError(f"{file}: cannot be read ({error!r}); {advice}") from None


def _check(compared: Comparison) -> None:
    """Raise ValueError unless weights, dependence and paths are numbers of names."""
    for title, row in compared.rows.items():
        for number in (*row.weights.values(), row.effective_labels, row.mean_score):
            if not is_number(number):
                raise ValueError(f"{title}: {number!r} where a number was expected")
        for value in (row.group_score, row.redundancy, row.relevance):
            if value is not None and not is_number(value):
                raise ValueError(f"{title}: {value!r} where a number was expected")
        if row.reason is None and not sum(row.weights.values()) > 0:
            raise ValueError(f"{title}: no weights, and no reason")
        if not isinstance(row.labels, int) or not isinstance(row.details, dict):
            raise ValueError(f"{title}: a count or details of another type")
    size = len(compared.labels)
    if [len(column) for column in compared.dependence] != [size] * size:
        raise ValueError(f"a dependence that is not of {size} labels on each other")
    numbers = [number for column in compared.dependence for number in column]
    if not all(map(is_number, numbers)) or not all(isinstance(name, str) for name in compared.labels):
        raise ValueError("a dependence of no numbers")
    for path in (compared.direct_path, compared.group_path, compared.relevance_path):
        if not isinstance(path, dict):
            raise ValueError(f"a path of λ that is {path!r:.80}")
