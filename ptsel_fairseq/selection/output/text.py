"""What the commands print: what will be done, what came out, what was left out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ptsel_fairseq.selection.controls import ORACLES
from ptsel_fairseq.selection.estimators import Estimator, KernelEstimator
from ptsel_fairseq.selection.estimators.known import REFERENCE
from ptsel_fairseq.selection.label_score import LabelScore, in_order

if TYPE_CHECKING:
    from ptsel_fairseq.selection.points import Points
    from ptsel_fairseq.selection.weighting.comparison import Comparison
    from ptsel_fairseq.selection.weighting.method import Weights


def score_table(
    scores: Mapping[str, LabelScore],
    estimator: Estimator,
    controls: Mapping[str, LabelScore] | None = None,
    permutations: int = 0,
) -> str:
    """The scores for reading, best first, labels without a score at the end with the reason; controls apart."""
    controls = controls or {}
    width = max(12, *(len(name) for name in [*scores, *controls]))
    lines = [
        f"{'label':{width}s} {'score':>9s} {'95 % interval':>19s} {'p':>7s} {'z':>7s} {'points':>7s} {'classes':>7s}"
    ]
    rows: list[tuple[str, LabelScore | None]] = [*in_order(scores, estimator.higher_is_better)]
    if controls:
        rows += [("controls", None), *in_order(controls, estimator.higher_is_better)]
    for name, record in rows:
        if record is None:
            lines.append(f"{name}, whose worth is known:")
            continue
        if record.score is None:
            lines.append(f"{name:{width}s} {'-':>9s} no score: {record.reason}")
            continue
        interval = "-" if record.interval is None else interval_text(*record.interval)
        p = "-" if record.p is None else p_text(record.p, permutations)
        z = "-" if record.z is None else f"{record.z:.1f}"
        lines.append(
            f"{name:{width}s} {record.score:9.4g} {interval:>19s} {p:>7s} {z:>7s} {record.points:7d} "
            f"{record.classes or '-':>7}"
        )
    return "\n".join(lines)


def interval_text(low: float, high: float) -> str:
    """Two bounds with equally many decimals, three digits of the larger one."""
    largest = max(abs(low), abs(high))
    if largest and not 1e-4 <= largest < 1e4:
        return f"{low:.1e} .. {high:.1e}"
    decimals = max(0, 2 - math.floor(math.log10(largest))) if largest else 2
    return f"{low:.{decimals}f} .. {high:.{decimals}f}"


def p_text(p: float, permutations: int) -> str:
    """p with two digits; ``≤`` where none of the permutations reaches the score: more of them might say less."""
    return f"{'≤ ' if permutations > 0 and p * (permutations + 1) < 1.5 else ''}{p:.2g}"


def noise_lines(
    scores: Mapping[str, LabelScore], controls: Mapping[str, LabelScore], estimator: Estimator
) -> list[str]:
    """Which labels are no better than noise, and whether the controls are where they belong."""
    noise = [name for name, record in scores.items() if record.better_than_noise is False]
    lines = []
    if noise:
        lines.append(
            f"no better than noise: {', '.join(noise)}: so much relevance comes by chance; methods that recommend "
            "weights give them none"
        )
    ranked = in_order({**scores, **controls}, estimator.higher_is_better)
    of_noise = [place for place, (name, _) in enumerate(ranked) if name in controls and name not in ORACLES]
    better = [name for name, record in scores.items() if record.better_than_noise]
    above = [name for name, _ in ranked[: min(of_noise)] if name in better] if of_noise else better
    if of_noise and len(above) < len(better):
        lines.append(
            f"beware: {estimator.name} scores a control that is worth nothing or next to nothing above "
            f"{len(better) - len(above)} of the {len(better)} labels that are better than noise"
        )
    return lines


def left_out_lines(scores: Mapping[str, LabelScore], estimator: Estimator, points: Points) -> list[str]:
    """What was not used, by label; empty if everything was."""
    lines = []
    small = [name for name, size in zip(*class_sizes(points), strict=True) if size < estimator.least_points]
    if small:
        lines.append(
            f"left out: {len(small)} classes of fewer than {estimator.least_points} points: {', '.join(small)}"
        )
    for name, record in scores.items():
        too_small = record.classes_too_small - len(small) if record.classes_too_small else 0
        parts = [
            (record.points_undefined, "points where it is undefined"),
            (too_small, f"classes with fewer than {estimator.least_points} points where it is defined"),
            (record.classes_constant, "classes in which it does not vary"),
        ]
        said = [f"{count} {what}" for count, what in parts if count > 0]
        if said and record.score is not None:
            lines.append(f"left out for {name}: {', '.join(said)}")
    return lines


def indifferent_lines(scores: Mapping[str, LabelScore], estimator: Estimator) -> list[str]:
    """A warning about scores that every order of the label's values gives; they say nothing about the speech."""
    names = [name for name, record in scores.items() if record.null_interval and record.z is None]
    if not names or not isinstance(estimator, KernelEstimator):
        return []
    return [
        f"no information: {', '.join(names)}: every order of the values inside the classes gives this score; for "
        f"`{REFERENCE.name}` the values lie too far apart, in their unit, for the papers' kernel"
    ]


def class_sizes(points: Points) -> tuple[list[str], list[int]]:
    """Names of the classes and how many points each has."""
    names, sizes = np.unique(points.classes, return_counts=True)
    return names.tolist(), sizes.tolist()


def weights_table(found: Weights, scores: Mapping[str, LabelScore], estimator: Estimator) -> str:
    """λ beside the scores, largest first, and what the method says about it."""
    width = max(12, *(len(name) for name in found.weights))
    lines = [f"{'label':{width}s} {'weight':>7s} {estimator.name:>10s}"]
    for name, weight in sorted(found.weights.items(), key=lambda item: (-item[1], item[0])):
        score = scores[name].score
        lines.append(f"{name:{width}s} {weight:7.4f} {'-' if score is None else f'{score:.4g}':>10s}")
    facts = [f"{key.replace('_', ' ')}: {value}" for key, value in readable_details(found.details).items()]
    title = found.method + (f" ({found.projection})" if found.projection else "")
    return "\n".join(["", f"weights by {title}", *lines, "", *facts])


def readable_details(details: Mapping[str, Any]) -> dict[str, str]:
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


def comparison_table(compared: Comparison, estimator: Estimator) -> str:
    """One line a method, with its weights above a thousandth, those of the labels liked by all first."""
    from ptsel_fairseq.selection.weighting.comparison import NEGLIGIBLE

    names = compared.label_order()
    width = max(len(title) for title in compared.rows)
    head = f"{'method':{width}s} {'labels':>6s} {'relev.':>8s} {'group':>8s} {'mean':>8s} {'redund.':>8s}  "
    lines = [
        "",
        "weights by each method, labels in the order of their shares: " + ", ".join(names),
        "",
        head + "weights",
    ]
    for title, row in compared.rows.items():
        if row.reason is not None:
            lines.append(f"{title:{width}s} - {row.reason}")
            continue
        numbers = " ".join(
            f"{'-' if value is None else f'{value:.4g}':>8s}"
            for value in (row.relevance, row.group_score, row.mean_score, row.redundancy)
        )
        kept = ", ".join(
            f"{name} {row.weights[name]:.3g}" for name in names if row.weights[name] > NEGLIGIBLE
        )
        lines.append(f"{title:{width}s} {row.labels:6d} {numbers}  {kept}")
    return "\n".join(
        [
            *lines,
            "",
            "relev.: relevance of the weighted group (higher is better); group: its kernel score (lower is better);",
            f"mean: weighted mean of the scores by {estimator.name} ({estimator.direction} is better); redund.:",
            "weighted dependence of the labels on each other; each at weights that sum to one",
        ]
    )
