"""Pictures of scores and weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptsel_fairseq.pictures import BLUE, GREY, ORANGE, save
from ptsel_fairseq.selection.scores_file import LabelScore, in_order

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ptsel_fairseq.selection.weights import Weights

SIGNIFICANT = 0.05
AXIS = {
    "cka": "CKA of speech and label given the class (debiased; at most 1, 0 = independent)",
    "hsic": "HSIC of speech and label given the class (unbiased; 0 = independent)",
    "reference": "score of the papers' released code, labels in their own units",
}


def draw_scores(scores: Mapping[str, LabelScore], estimator: str, file: Path | str) -> None:
    """Score of each label with its interval, over the range of scores that chance gives; lowest on top."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    rows = in_order(scores)
    figure, axes = _rows_figure([name for name, _ in rows], f"Conditional independence scores ({estimator})")
    for y, (_, record) in enumerate(rows):
        if record.score is None:
            axes.text(
                0.01,
                y,
                f"no score: {record.reason}",
                transform=axes.get_yaxis_transform(),
                va="center",
                color=GREY,
            )
            continue
        if record.null_interval:
            low, high = record.null_interval
            axes.barh(y, high - low, left=low, height=0.62, color=GREY, alpha=0.35, linewidth=0)
        if record.interval:
            axes.plot(record.interval, [y, y], color=BLUE, linewidth=2.4, solid_capstyle="round")
        dependent = record.p is not None and record.p < SIGNIFICANT
        axes.plot(
            record.score, y, "o", markersize=8, color=BLUE, markerfacecolor=BLUE if dependent else "white"
        )
        axes.text(
            1.01, y, _beside(record), transform=axes.get_yaxis_transform(), va="center", fontsize="small"
        )
    axes.use_sticky_edges = False  # else a band would end at the frame
    legend = [
        Line2D([], [], color=BLUE, marker="o", linewidth=2.4, label="score, 95 % interval over classes"),
        Patch(color=GREY, alpha=0.35, linewidth=0, label="95 % of within-class permutations"),
        Line2D(
            [], [], color=BLUE, marker="o", markerfacecolor="white", linewidth=0, label=f"p ≥ {SIGNIFICANT}"
        ),
    ]
    if estimator == "reference":
        floor: dict[str, Any] = {
            "color": ORANGE,
            "marker": "|",
            "markersize": 16,
            "markeredgewidth": 2,
            "linewidth": 0,
        }
        for y, (_, record) in enumerate(rows):
            if record.floor is not None:
                axes.plot(record.floor, y, **floor)
        legend.append(Line2D([], [], **floor, label="floor 1/n"))
    else:
        axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel(f"{AXIS[estimator]}\n← better: closer to conditional independence")
    figure.legend(
        handles=legend, loc="outside lower center", ncols=len(legend), frameon=False, fontsize="small"
    )
    save(figure, file)


def draw_weights(found: Weights, estimator: str, file: Path | str) -> None:
    """λ by label, largest on top."""
    rows = sorted(found.weights.items(), key=lambda item: (-item[1], item[0]))
    how = ", ".join(part for part in (found.method, found.projection) if part)
    figure, axes = _rows_figure([name for name, _ in rows], f"Weights λ ({how}; scores by {estimator})")
    axes.barh(range(len(rows)), [weight for _, weight in rows], color=BLUE, height=0.62)
    for y, (_, weight) in enumerate(rows):
        text = f" {weight:.3f}" if weight else " 0 (no head)"
        axes.text(weight, y, text, va="center", fontsize="small", color="black" if weight else GREY)
    axes.set_xlim(0, 1.12 * max(1e-9, *found.weights.values()))
    total = sum(found.weights.values())
    axes.set_xlabel(f"weight of the label's loss in pretraining (sum {total:.3g})")
    save(figure, file)


def _beside(record: LabelScore) -> str:
    p = "" if record.p is None else f"p = {record.p:.2g}   "
    return f"{p}{record.points:,} points, {record.classes} classes"


def _rows_figure(names: list[str], title: str) -> tuple[Figure, Axes]:
    """A figure with one row a name, the first on top."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.9 + 0.36 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_title(title, loc="left", fontweight="bold")
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return figure, axes
