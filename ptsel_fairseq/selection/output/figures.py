"""Pictures of scores and weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ptsel_fairseq.base.pictures import BLUE, COLOURS, GREY, ORANGE
from ptsel_fairseq.selection.estimators import Estimator, KernelEstimator
from ptsel_fairseq.selection.label_score import LabelScore, in_order
from ptsel_fairseq.selection.output.text import p_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ptsel_fairseq.selection.weighting.comparison import Comparison
    from ptsel_fairseq.selection.weighting.method import Weights

SIGNIFICANT = 0.05
MOST_CLASSES = 60  # columns of the picture of classes
MOST_NUMBERS = 20  # labels up to which a matrix has its numbers written in
SHOWN_WEIGHT = 0.005  # less has no number and no line
MOST_NAMED = 12  # lines that can be told apart
LINES = ("-", "--")  # where there are more labels than colours


def scores_figure(
    scores: Mapping[str, LabelScore],
    estimator: Estimator,
    controls: Mapping[str, LabelScore] | None = None,
    permutations: int = 0,
) -> Figure:
    """Score of each label with its interval, over the range that chance gives; best on top, controls below."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    rows = in_order(scores, estimator.higher_is_better)
    labels = len(rows)
    rows += in_order(controls or {}, estimator.higher_is_better)
    figure, axes = _rows_figure([name for name, _ in rows], f"Scores ({estimator.name}: {estimator.title})")
    if len(rows) > labels:
        axes.axhspan(labels - 0.5, len(rows) - 0.6, color=GREY, alpha=0.12, linewidth=0)
        axes.text(
            0.6,
            labels - 0.45,
            "controls",
            transform=axes.get_yaxis_transform(),
            ha="center",
            va="top",
            color=GREY,
        )
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
        colour = GREY if record.better_than_noise is False else BLUE
        axes.plot(
            record.score, y, "o", markersize=8, color=colour, markerfacecolor=colour if dependent else "white"
        )
        axes.text(
            1.01,
            y,
            _beside(record, permutations),
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize="small",
        )
    axes.use_sticky_edges = False  # else a band would end at the frame
    legend: list[Any] = [
        Line2D([], [], color=BLUE, marker="o", linewidth=2.4, label="score, 95 % interval"),
    ]
    if any(record.null_interval is not None for _, record in rows):
        legend.append(Patch(color=GREY, alpha=0.35, linewidth=0, label="95 % of permutations"))
    if any(record.p is not None and record.p >= SIGNIFICANT for _, record in rows):
        hollow: dict[str, Any] = {"color": BLUE, "marker": "o", "markerfacecolor": "white", "linewidth": 0}
        legend.append(Line2D([], [], **hollow, label=f"p ≥ {SIGNIFICANT}"))
    if any(record.better_than_noise is False for _, record in rows):
        legend.append(Line2D([], [], color=GREY, marker="o", linewidth=0, label="no better than noise"))
    if isinstance(estimator, KernelEstimator) and estimator.floor:
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
    arrow = f"better: {estimator.better} →" if estimator.higher_is_better else f"← better: {estimator.better}"
    axes.set_xlabel(f"{estimator.axis}\n{arrow}")
    figure.legend(
        handles=legend, loc="outside lower center", ncols=min(len(legend), 4), frameon=False, fontsize="small"
    )
    return figure


def weights_figure(found: Weights, estimator: Estimator) -> Figure:
    """λ by label, largest on top; beside it, if the method has one, λ along its setting."""
    rows = sorted(found.weights.items(), key=lambda item: (-item[1], item[0]))
    how = ", ".join(part for part in (found.method, found.projection) if part)
    names = [name for name, _ in rows]
    title = f"Weights λ ({how}; scores by {estimator.name})"
    beside = None
    if found.path:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(15, 1.9 + 0.36 * max(8, len(names))), layout="constrained")
        axes, beside = figure.subplots(1, 2, width_ratios=(3, 2))
        _shape_rows(axes, names, title)
    else:
        figure, axes = _rows_figure(names, title)
    axes.barh(range(len(rows)), [weight for _, weight in rows], color=BLUE, height=0.62)
    for y, (_, weight) in enumerate(rows):
        text = f" {weight:.3f}" if weight else " 0 (no head)"
        axes.text(weight, y, text, va="center", fontsize="small", color="black" if weight else GREY)
    axes.set_xlim(0, 1.12 * max(1e-9, *found.weights.values()))
    total = sum(found.weights.values())
    axes.set_xlabel(f"weight of the label's loss in pretraining (sum {total:.3g})")
    if beside is not None:
        path = found.path
        lines = _Lines(names, [(path["labels"], path["weights"])])
        lines.draw(beside, path["labels"], path["along"], path["weights"])
        beside.set(xscale="log", xlabel=path["name"], ylabel="weight λ")
        beside.set_title("λ along the setting", loc="left")
        if "gamma" in found.details:
            beside.axvline(found.details["gamma"], color="black", linewidth=0.8, linestyle=":")
        lines.explain(figure)
    return figure


class _Lines:
    """How each label's line looks in all panels of a figure: those of the most weight in colours, the others grey.

    Args:
        names: of all labels, in the order of the legend.
        paths: of each panel the labels, and λ [values, labels].
    """

    def __init__(self, names: Sequence[str], paths: Sequence[tuple[Sequence[str], Any]]) -> None:
        top: dict[str, float] = {}
        for labels, weights in paths:
            for name, most in zip(labels, np.max(weights, axis=0), strict=True):
                top[name] = max(float(most), top.get(name, 0.0))
        shown = sorted(
            (name for name in top if top[name] > SHOWN_WEIGHT), key=lambda name: (-top[name], name)
        )
        self.named = sorted(shown[:MOST_NAMED], key=list(names).index)
        self.others = {name: top[name] for name in shown[MOST_NAMED:]}

    def draw(self, axes: Axes, labels: Sequence[str], along: Sequence[float], weights: Any) -> None:
        """Draw λ [values, labels] along a setting."""
        for name, track in zip(labels, np.transpose(weights), strict=True):
            if name in self.named or name in self.others:
                axes.plot(along, track, marker="." if len(weights) < 20 else "", **self._look(name))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)

    def _look(self, name: str) -> dict[str, Any]:
        if name in self.others:
            return {"color": GREY, "linewidth": 0.8, "alpha": 0.6, "zorder": 1}
        number = self.named.index(name)
        return {
            "color": COLOURS[number % len(COLOURS)],
            "linestyle": LINES[number // len(COLOURS) % len(LINES)],
        }

    def explain(self, figure: Figure) -> None:
        """A legend beside the panels, where it hides nothing."""
        from matplotlib.lines import Line2D

        entries = [Line2D([], [], label=name, **self._look(name)) for name in self.named]
        if self.others:
            text = f"{len(self.others)} others, up to {max(self.others.values()):.2g}"
            entries.append(Line2D([], [], label=text, **self._look(next(iter(self.others)))))
        if entries:
            figure.legend(handles=entries, loc="outside right upper", frameon=False, fontsize="small")


def comparison_figure(compared: Comparison, estimator: Estimator) -> Figure:
    """λ over its sum, one row a method and one column a label, those with the most weight first."""
    rows = {title: row for title, row in compared.rows.items() if row.reason is None}
    names = compared.label_order()
    shares = np.array(
        [[row.weights[name] / sum(row.weights.values()) for name in names] for row in rows.values()]
    )
    figure, axes = _matrix_figure(len(names), len(rows), f"Weights λ by method (scores by {estimator.name})")
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    _name_axes(axes, names, list(rows))
    for (y, x), share in np.ndenumerate(shares):
        if share > SHOWN_WEIGHT:
            colour = "white" if share > 0.6 else "black"
            axes.text(
                x, y, f"{share:.2f}".lstrip("0") or "0", ha="center", va="center", fontsize=8, color=colour
            )
    figure.colorbar(image, ax=axes, label="share of the total weight", pad=0.02)
    return figure


def dependence_figure(labels: Sequence[str], R: np.ndarray) -> Figure:
    """Dependence of each two labels on each other given the class, similar labels beside each other."""
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    order = np.arange(len(labels))
    if len(labels) > 2:
        distance = np.clip(1 - R, 0, None)
        np.fill_diagonal(distance, 0.0)
        order = leaves_list(linkage(squareform(distance, checks=False), "average", optimal_ordering=True))
    names, shown = [labels[int(i)] for i in order], R[np.ix_(order, order)]
    figure, axes = _matrix_figure(len(names), len(names), "Dependence of labels, given the class")
    image = axes.imshow(shown, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    _name_axes(axes, names, names)
    if len(names) <= MOST_NUMBERS:
        for (y, x), value in np.ndenumerate(shown):
            colour = "white" if value > 0.6 else "black"
            axes.text(x, y, f"{value:.2f}", ha="center", va="center", fontsize=7, color=colour)
    figure.colorbar(image, ax=axes, label="CKA (debiased; 1 = the same)", pad=0.02)
    return figure


def classes_figure(scores: Mapping[str, LabelScore], estimator: Estimator) -> Figure:
    """Score of each label in each class, the largest classes first, labels as in `scores_figure`."""
    rows = [
        (name, record) for name, record in in_order(scores, estimator.higher_is_better) if record.per_class
    ]
    sizes: dict[str, int] = {}
    for _, record in rows:
        for name, count in record.points_per_class.items():
            sizes[name] = max(count, sizes.get(name, 0))
    classes = sorted(sizes, key=lambda name: (-sizes[name], name))[:MOST_CLASSES]
    values = np.array([[record.per_class.get(name, np.nan) for name in classes] for _, record in rows])
    title = f"Scores by class ({estimator.name})"
    if len(sizes) > len(classes):
        title += f", the {len(classes)} largest of {len(sizes)}"
    figure, axes = _matrix_figure(len(classes), len(rows), title)
    largest = float(np.nanquantile(np.abs(values), 0.98)) or 1.0
    axes.set_facecolor("#DDDDDD")
    signed = bool(np.nanmin(values) < 0)
    image = axes.imshow(
        values,
        cmap="RdBu_r" if signed else "Blues",
        vmin=-largest if signed else 0.0,
        vmax=largest,
        aspect="auto",
    )
    _name_axes(axes, [f"{name} ({sizes[name]})" for name in classes], [name for name, _ in rows])
    figure.colorbar(image, ax=axes, label="score (grey: none)", pad=0.02)
    axes.set_xlabel("class (points)")
    return figure


def paths_figure(compared: Comparison) -> Figure:
    """λ along the settings of the methods that have one: of `relevance`, of `direct`, and the steps of `group`."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    direct, group = compared.direct_path, compared.group_path
    taus, steps = direct["tau"], range(len(group["weights"]))
    drawn = [
        (direct["labels"], taus, direct["weights"], "τ (in units of the scores)", "direct"),
        (group["labels"], steps, group["weights"], "step", "group: descent from equal weights"),
    ]
    if compared.relevance_path:
        path = compared.relevance_path
        drawn.insert(0, (path["labels"], path["along"], path["weights"], path["name"], "relevance"))
    figure = Figure(figsize=(5.5 * len(drawn), 4.4), layout="constrained")
    look = _Lines(compared.label_order(), [(labels, weights) for labels, _, weights, _, _ in drawn])
    every = np.atleast_1d(figure.subplots(1, len(drawn), sharey=True))
    for axes, (labels, along, weights, name, title) in zip(every, drawn, strict=True):
        look.draw(axes, labels, along, weights)
        axes.set(xscale="linear" if name == "step" else "log", xlabel=name)
        if name == "step":
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_title(title)
    every[0].set_ylabel("weight λ")
    look.explain(figure)
    return figure


def _matrix_figure(columns: int, rows: int, title: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6 + 0.42 * columns, 1.8 + 0.36 * rows), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontweight="bold")
    return figure, axes


def _name_axes(axes: Axes, columns: Sequence[str], rows: Sequence[str]) -> None:
    axes.set_xticks(range(len(columns)), columns, rotation=90)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _beside(record: LabelScore, permutations: int) -> str:
    text = "" if record.p is None else p_text(record.p, permutations)
    p = f"p {text if text.startswith('≤') else f'= {text}'}   " if text else ""
    return f"{p}{record.points:,} points" + (f", {record.classes} classes" if record.classes else "")


def _rows_figure(names: list[str], title: str) -> tuple[Figure, Axes]:
    """A figure with one row a name, the first on top."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.9 + 0.36 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    _shape_rows(axes, names, title)
    return figure, axes


def _shape_rows(axes: Axes, names: Sequence[str], title: str) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_title(title, loc="left", fontweight="bold")
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
