"""Pictures of trainings: one run's losses and what it reached, or several runs side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.pictures import COLOURS, save
from ptsel_fairseq.runs import DRAWN, Run, quantities, read_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAINING, VALIDATION = "solid: training", "dashed: validation"
UNITS = {"wer": "word error rate, %", "uer": "letter error rate, %", "accuracy": "accuracy", "loss": "loss"}
REACHED = {"recognition": ("uer", "wer"), "classification": ("accuracy",)}
LETTERS = {"recognition": "bits per letter", "classification": "bits"}


def comparison_figure(runs: Mapping[str, Run]) -> Figure:
    """Several runs by name, one panel for each quantity, training solid and validation dashed."""
    from matplotlib.lines import Line2D

    keys = quantities(list(runs.values()))
    columns = min(3, len(keys))
    rows = -(-len(keys) // columns)
    figure = _figure(4.2 * columns, 3 * rows + 0.4)
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes, key in zip(panels.flat, keys, strict=False):
        for i, (name, run) in enumerate(runs.items()):
            _draw_both(axes, run, key, COLOURS[i % len(COLOURS)], name)
        bits = key == "loss" and all(map(_has_contrastive_loss, runs.values()))
        axes.set(title=key, xlabel="update", ylabel="bits" if bits else UNITS.get(key, ""))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels.flat[len(keys) :]:
        axes.set_visible(False)
    handles = [
        Line2D(
            [],
            [],
            color=COLOURS[i % len(COLOURS)],
            label=name if _logs(run, keys) else f"{name} (no reports)",
        )
        for i, (name, run) in enumerate(runs.items())
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(4, len(runs)), frameon=False)
    figure.supxlabel(_drawn(list(runs.values())), fontsize="small")
    return figure


def run_figure(run: Run) -> Figure:
    """One run: of a pretraining the contrastive and pretext losses, of a fine-tuning loss and what it reached."""
    figure = _pretraining(run) if run.kind == "pretraining" else _finetuning(run)
    figure.supxlabel(_drawn([run]), fontsize="small")
    return figure


def _finetuning(run: Run) -> Figure:
    figure = _figure(11, 4.4)
    loss, reached = figure.subplots(1, 2)
    _draw_both(loss, run, "loss", COLOURS[0], "loss")
    loss.set(xlabel="update", ylabel=LETTERS[run.kind], title="Loss")
    keys = [key for key in REACHED[run.kind] if key in quantities([run])]
    for i, key in enumerate(keys):
        _draw_both(reached, run, key, COLOURS[i], UNITS[key])
        _mark_best(reached, run, key, COLOURS[i])
    reached.set(
        xlabel="update",
        ylabel="%" if run.kind == "recognition" else "accuracy",
        title="Error rates" if run.kind == "recognition" else "Accuracy",
    )
    reached.set_ylim(bottom=0)
    if len(keys) > 1:
        reached.legend(frameon=False)
    _finish([loss, reached])
    return figure


def _mark_best(axes: Axes, run: Run, key: str, colour: str) -> None:
    updates, values = run.series("valid", key)
    if not values:
        return
    best = (max if key == "accuracy" else min)(range(len(values)), key=values.__getitem__)
    axes.annotate(
        f"{values[best]:.3g}",
        (updates[best], values[best]),
        textcoords="offset points",
        xytext=(0, 8),
        ha="center",
        color=colour,
        fontsize="small",
    )


def _pretraining(run: Run) -> Figure:
    labels = [key for key in quantities([run]) if key.startswith("pretext_") and key != "pretext_total"]
    skills = [key for key in quantities([run]) if key.startswith("skill_")]
    columns = 3 if skills else 2
    figure = _figure(6 * columns, 4.8)
    panels = figure.subplots(1, columns)
    contrastive, pretext = panels[:2]

    if _has_contrastive_loss(run):
        _draw_contrastive(contrastive, run)
    else:
        _draw_both(contrastive, run, "loss", COLOURS[0], "loss")
        contrastive.set(xlabel="update", ylabel="standard deviations", title="Loss: weighted pretext losses")

    for i, key in enumerate(labels):
        _draw_both(pretext, run, key, COLOURS[i % len(COLOURS)], key.removeprefix("pretext_"))
    pretext.set(xlabel="update", ylabel="loss (standard deviations)", title="Pretext losses")
    if labels:
        _legend_below(pretext, len(labels))
    else:
        pretext.text(0.5, 0.5, "no label has a positive weight", ha="center", transform=pretext.transAxes)
    if skills:
        for i, key in enumerate(skills):
            _draw_both(panels[2], run, key, COLOURS[i % len(COLOURS)], key.removeprefix("skill_"))
        panels[2].axhline(0, color="black", linewidth=0.8)
        panels[2].set(
            xlabel="update",
            ylabel="1 - loss / loss of a constant",
            title="Skill (0: no better than a constant)",
        )
        _legend_below(panels[2], len(skills))
    _finish(list(panels))
    return figure


def _has_contrastive_loss(run: Run) -> bool:
    """Without it no accuracy is logged, and the loss is not in bits."""
    return run.kind == "pretraining" and any("accuracy" in run.keys(kind) for kind in DRAWN)


def _draw_contrastive(axes: Axes, run: Run) -> None:
    _draw_both(axes, run, "loss", COLOURS[0], "contrastive loss with penalties")
    axes.set(xlabel="update", ylabel="bits", title="Contrastive loss and accuracy")
    accuracy = axes.twinx()
    _draw_both(accuracy, run, "accuracy", COLOURS[1], "accuracy")
    accuracy.set(ylabel="accuracy")
    accuracy.set_ylim(bottom=0)
    accuracy.spines[["top"]].set_visible(False)
    handles = axes.get_legend_handles_labels()[0] + accuracy.get_legend_handles_labels()[0]
    _legend_below(axes, len(handles), handles)


def _legend_below(axes: Axes, count: int, handles: list | None = None) -> None:
    """A legend under the axes, where it hides no curve."""
    handles = axes.get_legend_handles_labels()[0] if handles is None else handles
    axes.legend(
        handles,
        [str(handle.get_label()) for handle in handles],
        loc="upper center",
        bbox_to_anchor=(0.5, -0.16),
        ncols=min(4, count),
        frameon=False,
        fontsize="small",
    )


def _finish(panels: list[Axes]) -> None:
    for axes in panels:
        axes.grid(alpha=0.25)
        axes.spines[["top"]].set_visible(False)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _drawn(runs: list[Run]) -> str:
    """What the lines mean, of the kinds that are there."""
    keys = quantities(runs)
    kinds = {kind for run in runs for kind in DRAWN if _logs(run, keys, (kind,))}
    return ", ".join(
        text for kind, text in (("train_inner", TRAINING), ("valid", VALIDATION)) if kind in kinds
    )


def _logs(run: Run, keys: Sequence[str], kinds: Sequence[str] = DRAWN) -> bool:
    """Whether a run has reported any of these quantities."""
    return any(key in run.keys(kind) for kind in kinds for key in keys)


def _draw_both(axes: Axes, run: Run, key: str, colour: str, name: str) -> None:
    training, validation = run.series("train_inner", key), run.series("valid", key)
    if training[0]:
        alone = "s" if len(training[0]) == 1 else ""  # a line of one report is nothing to see
        axes.plot(*training, color=colour, marker=alone, label=name)
    if validation[0]:
        label = "_nolegend_" if training[0] else name
        axes.plot(*validation, color=colour, linestyle="--", marker="o", markersize=3, label=label)


def plot_command(folders: Sequence[Path | str], out: Path | str) -> None:
    """Draw one run, or compare several; print where each stands.

    Raises:
        PtselError: a folder without a log, two folders of one name, or runs that logged nothing in common.
    """
    runs = [read_run(folder) for folder in folders]
    names = [run.folder.resolve().name for run in runs]
    if len(set(names)) < len(names):
        raise PtselError(f"expected run folders of different names, found {', '.join(names)}")
    kinds = sorted({run.kind for run in runs})
    if len(kinds) > 1:
        listed = ", ".join(f"{name} ({run.kind})" for name, run in zip(names, runs, strict=True))
        raise PtselError(f"expected runs of one kind to compare, found {listed}; plot them apart")
    figure = run_figure(runs[0]) if len(runs) == 1 else comparison_figure(dict(zip(names, runs, strict=True)))
    save(figure, out)
    for name, run in zip(names, runs, strict=True):
        updates, seconds = run.updates_and_seconds()
        last = {key: run.series("valid", key)[1][-1:] for key in quantities([run])}
        shown = "  ".join(f"{key} {values[0]:g}" for key, values in last.items() if values)
        print(f"{name}: {run.kind}, {updates} updates, {seconds:.0f} s; last validation: {shown or 'none'}")
    print(out)
