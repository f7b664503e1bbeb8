"""Pictures of the grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot as plt

from ptsel_fairseq.base.pictures import BLACK, BLUE, COLOURS, GREY, save


def effects(rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    """The effect of every level with its interval, a panel a factor."""
    factors = list(dict.fromkeys(row["factor"] for row in rows))
    figure, panels = plt.subplots(
        1, len(factors), figsize=(10, 3.2), layout="constrained", sharex=True, squeeze=False
    )
    for axes, factor in zip(panels[0], factors, strict=True):
        own = sorted((row for row in rows if row["factor"] == factor), key=lambda row: row["effect"])
        for y, row in enumerate(own):
            axes.plot([row["effect_low"], row["effect_high"]], [y, y], color=BLUE, linewidth=2.2)
            axes.plot(row["effect"], y, "o", color=BLUE)
        axes.axvline(0, color=GREY, linewidth=0.8)
        axes.set_yticks(range(len(own)), [row["level"] for row in own])
        axes.set_title(factor, fontsize="medium")
    figure.supxlabel("points from the mean of all levels, 95 % interval", fontsize="medium")
    save(figure, file)
    plt.close(figure)


def interactions(rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Mean gain of every pair of levels as the model has it, a panel a pair of factors."""
    names = list(dict.fromkeys(row["factors"] for row in rows))
    figure, panels = plt.subplots(
        1, len(names), figsize=(5.2 * len(names), 3.8), layout="constrained", squeeze=False
    )
    most = max(abs(row["gain"]) for row in rows)
    for axes, name in zip(panels[0], names, strict=True):
        own = [row for row in rows if row["factors"] == name]
        first, second = (list(dict.fromkeys(row[side] for row in own)) for side in ("first", "second"))
        gains = np.array([row["gain"] for row in own]).reshape(len(first), len(second))
        shown = axes.imshow(gains, cmap="RdBu", vmin=-most, vmax=most, aspect="auto")
        for (i, j), gain in np.ndenumerate(gains):
            colour = "white" if abs(gain) > 0.7 * most else BLACK
            axes.text(j, i, f"{gain:.1f}", ha="center", va="center", fontsize=8, color=colour)
        axes.set_xticks(range(len(second)), second, rotation=40, ha="right")
        axes.set_yticks(range(len(first)), first)
        axes.set_title(name, fontsize="medium")
    figure.colorbar(shown, ax=panels[0].tolist(), label="gain over the random encoder, points", shrink=0.8)
    save(figure, file)
    plt.close(figure)


def tasks(
    scores: Mapping[str, Sequence[float]], marks: Mapping[str, Mapping[str, float]], file: Path
) -> None:
    """Every trained encoder as a dot, and what needs no training as a mark, a line a task.

    Args:
        scores: task -> scores of the trained encoders.
        marks: name -> task -> score.
    """
    figure, axes = plt.subplots(figsize=(8, 0.7 * len(scores) + 1.2), layout="constrained")
    rng = np.random.default_rng(0)
    for y, found in enumerate(scores.values()):
        axes.plot(found, y + rng.uniform(-0.25, 0.25, len(found)), ".", color=GREY, markersize=4, alpha=0.7,
                  label="trained encoders" if y == 0 else None)  # fmt: skip
    for number, (name, of) in enumerate(marks.items()):
        known = [(value, list(scores).index(task)) for task, value in of.items() if task in scores]
        axes.plot(*zip(*known, strict=True), "DsPvX^*"[number % 7], color=COLOURS[number % len(COLOURS)], label=name,
                  markersize=7, linestyle="none")  # fmt: skip
    axes.set_yticks(range(len(scores)), list(scores))
    axes.invert_yaxis()
    axes.set_xlabel("accuracy or mAP on the test part, %")
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    save(figure, file)
    plt.close(figure)
