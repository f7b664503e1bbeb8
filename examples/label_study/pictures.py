"""Pictures of the study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.ticker

matplotlib.use("Agg")

import numpy as np
from estimator_names import STATIC
from matplotlib import pyplot as plt

from ptsel_fairseq.base.pictures import BLACK, BLUE, COLOURS, GREY, ORANGE, save


def estimators(rows: Sequence[Mapping[str, Any]], ceiling: float, file: Path) -> None:
    """Pooled weighted τ of each estimator with its interval; static rankings in another colour."""
    rows = sorted(rows, key=lambda row: row["tau"])
    figure, axes = plt.subplots(figsize=(7, 0.32 * len(rows) + 1.2), layout="constrained")
    for y, row in enumerate(rows):
        colour = ORANGE if row["estimator"] in STATIC else BLUE
        axes.plot(
            [row["tau_low"], row["tau_high"]], [y, y], color=colour, linewidth=2.2, solid_capstyle="round"
        )
        axes.plot(row["tau"], y, "o", color=colour)
    axes.axvline(0, color=BLACK, linewidth=0.8)
    if np.isfinite(ceiling):
        axes.axvline(ceiling, color=GREY, linestyle="--")
        axes.text(
            ceiling,
            -0.9,
            " what the seeds allow (Spearman)",
            color=GREY,
            fontsize="small",
            va="bottom",
            ha="right",
        )
    axes.set_yticks(range(len(rows)), [row["estimator"] for row in rows])
    axes.set_xlabel("weighted τ of score and gain, mean over tasks, 95 % interval")
    axes.set_title("Orange: rankings that know nothing of the task", fontsize="medium")
    save(figure, file)
    plt.close(figure)


def gains(tasks: Sequence[str], labels: Sequence[str], values: np.ndarray, file: Path) -> None:
    """Gain of each label in each task, a map in points; labels by their mean gain in standard deviations."""
    deviation = np.nanstd(values, axis=0)
    scaled = values / np.where(deviation > 0, deviation, 1.0)
    order = np.argsort(-np.nanmean(scaled, axis=1))
    figure, axes = plt.subplots(
        figsize=(1.2 + 0.75 * len(tasks), 0.27 * len(labels) + 1.4), layout="constrained"
    )
    most = float(np.nanquantile(np.abs(values), 0.97))
    shown = axes.imshow(values[order], cmap="RdBu", vmin=-most, vmax=most, aspect="auto")
    for i, row in enumerate(values[order]):
        for j, value in enumerate(row):
            if np.isfinite(value):
                colour = "white" if abs(value) > 0.7 * most else BLACK
                axes.text(j, i, f"{value:.1f}", ha="center", va="center", fontsize=6.5, color=colour)
    axes.set_xticks(range(len(tasks)), tasks, rotation=40, ha="right")
    axes.set_yticks(range(len(labels)), [labels[i] for i in order], fontsize="small")
    figure.colorbar(shown, label="gain over the random encoder, points", shrink=0.6)
    save(figure, file)
    plt.close(figure)


def scatter(
    tasks: Sequence[str], scores: Mapping[str, np.ndarray], gained: Mapping[str, np.ndarray],
    labels: Mapping[str, Sequence[str]], name: str, file: Path,
) -> None:  # fmt: skip
    """Score against gain in each task; the labels with the highest score and with the highest gain are named."""
    columns = min(4, len(tasks))
    lines = -(-len(tasks) // columns)
    figure, grid = plt.subplots(
        lines, columns, figsize=(3.1 * columns, 2.6 * lines), layout="constrained", squeeze=False
    )
    for axes, task in zip(grid.ravel(), tasks, strict=False):
        axes.plot(scores[task], gained[task], "o", color=BLUE, markersize=4)
        axes.margins(x=0.12, y=0.1)
        best, promised = int(np.argmax(gained[task])), int(np.nanargmax(scores[task]))
        # One above its point and the other below it, since they are often neighbours.
        for i, side in {promised: "top", best: "bottom"}.items():
            axes.annotate(labels[task][i], (scores[task][i], gained[task][i]), fontsize=7, ha="center", va=side,
                          xytext=(0, 4 if side == "bottom" else -4), textcoords="offset points")  # fmt: skip
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.set_title(task, fontsize="medium")
    for axes in grid.ravel()[len(tasks) :]:
        axes.set_axis_off()
    figure.supxlabel(f"{name}, more to the right promises more")
    figure.supylabel("gain over the random encoder, points")
    save(figure, file)
    plt.close(figure)


def ways(gained: Mapping[str, Mapping[str, float]], file: Path) -> None:
    """Gain of every way to λ in every task; one line of points a way."""
    tasks = sorted({task for of in gained.values() for task in of})
    figure, axes = plt.subplots(figsize=(9.5, 0.42 * len(gained) + 1.5), layout="constrained")
    names = sorted(gained, key=lambda way: np.mean(list(gained[way].values())))
    markers = "osD^v<>PX*h"
    for number, task in enumerate(tasks):
        known = [way for way in names if task in gained[way]]
        axes.plot([gained[way][task] for way in known], [names.index(way) for way in known], markers[number % 11],
                  color=COLOURS[number % len(COLOURS)], label=task, markersize=5, alpha=0.8)  # fmt: skip
    for y, way in enumerate(names):
        axes.plot(np.mean(list(gained[way].values())), y, "|", color=BLACK, markersize=16, markeredgewidth=2)
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("gain over the random encoder, points (bar: mean over tasks)")
    axes.legend(fontsize="x-small", ncols=1, loc="center left", bbox_to_anchor=(1, 0.5))
    save(figure, file)
    plt.close(figure)


def curves(series: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], file: Path) -> None:
    """Accuracy by the number of labelled examples, a panel a task.

    Args:
        series: task -> name of the features -> (examples a class, accuracy in points) pairs.
    """
    columns = min(4, len(series))
    lines = -(-len(series) // columns)
    figure, grid = plt.subplots(
        lines, columns, figsize=(3.1 * columns, 2.6 * lines), layout="constrained", squeeze=False
    )
    handles = {}
    for axes, (task, of) in zip(grid.ravel(), series.items(), strict=False):
        for number, (name, pairs) in enumerate(of.items()):
            (handles[name],) = axes.plot(*zip(*pairs, strict=True), "o-", markersize=3.5, linewidth=1.3,
                                         color=COLOURS[number % len(COLOURS)])  # fmt: skip
        axes.set_xscale("log")
        axes.set_xticks([5, 20, 100, 400], ["5", "20", "100", "all"])
        axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
        axes.set_title(task, fontsize="medium")
    for axes in grid.ravel()[len(series) :]:
        axes.set_axis_off()
    figure.supxlabel("labelled examples of each class")
    figure.supylabel("accuracy, %")
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=4, fontsize="small")
    save(figure, file)
    plt.close(figure)
