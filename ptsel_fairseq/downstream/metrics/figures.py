"""The picture of several systems on one test set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ptsel_fairseq.base.pictures import COLOURS, GREY, save
from ptsel_fairseq.downstream.metrics.measures import MEASURES
from ptsel_fairseq.downstream.metrics.results import Result, shown


def draw_comparison(systems: Sequence[Result], names: Sequence[str], file: Path | str) -> None:
    """One panel a metric, one row a system: the mean over runs, its interval, and each run as a small dot."""
    from matplotlib.figure import Figure

    metrics = list(systems[0].metrics)
    figure = Figure(figsize=(2 + 3.2 * len(metrics), 1.4 + 0.45 * len(names)), layout="constrained")
    panels = figure.subplots(1, len(metrics), squeeze=False, sharey=True)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        scale = 100 if MEASURES[metric].title.endswith("%") else 1
        for y, system in enumerate(systems):
            found = system.metrics[metric]
            colour = COLOURS[y % len(COLOURS)]
            if found.interval is not None:
                bounds = [scale * bound for bound in found.interval]
                axes.plot(bounds, [y, y], color=colour, linewidth=2.4, solid_capstyle="round")
            if len(found.runs) > 1:
                axes.plot(
                    [scale * run for run in found.runs], [y] * len(found.runs), ".", color=GREY, zorder=3
                )
            axes.plot(scale * found.value, y, "o", markersize=8, color=colour)
            axes.annotate(
                shown(metric, found.value),
                (scale * found.value, y),
                xytext=(0, 7),
                textcoords="offset points",
                ha="center",
                fontsize="small",
            )
        better = "lower" if MEASURES[metric].lower_is_better else "higher"
        axes.set_title(f"{MEASURES[metric].title} ({better} is better)", fontsize="medium")
        axes.grid(axis="x", alpha=0.25)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    runs = ", grey: runs" if any(len(system.answers.runs) > 1 for system in systems) else ""
    figure.supxlabel(f"lines: 95 % of bootstrap resamples of the test items{runs}", fontsize="small")
    save(figure, file)
