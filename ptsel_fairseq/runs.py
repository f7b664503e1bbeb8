"""Reading what a fairseq run logged (``common.log_format: json``) and drawing it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.pictures import COLOURS, save

# [2026-01-31 12:00:00,123][train_inner][INFO] - {"epoch": 1, "update": 0.5, "loss": "6.6", ...}
LINE = re.compile(
    r"^\[(?P<time>[\d\- :,]+)\]\[(?P<kind>train|train_inner|valid|test)\]\[INFO\] - (?P<json>\{.*\})\s*$"
)


DASHES = "solid: training, dashed: validation"
# Okabe and Ito's palette, which readers of all kinds of colour vision can tell apart.


@dataclass(frozen=True)
class Record:
    """One report of a run: `kind` is fairseq's (train_inner, train, valid); values by fairseq's names."""

    time: datetime
    kind: str
    update: int
    values: dict[str, float]


@dataclass(frozen=True)
class Run:
    """The reports of one run folder in the order of their updates; a resumed run has each update once."""

    folder: Path
    records: tuple[Record, ...]

    def series(self, kind: str, key: str) -> tuple[list[int], list[float]]:
        """Updates and values of one logged quantity; empty lists if it was never logged."""
        found = [
            (record.update, record.values[key])
            for record in self.records
            if record.kind == kind and key in record.values
        ]
        return [update for update, _ in found], [value for _, value in found]

    def keys(self, kind: str) -> list[str]:
        return sorted({key for record in self.records if record.kind == kind for key in record.values})

    def updates_and_seconds(self) -> tuple[int, float]:
        """Updates done and the seconds spent in training steps, as fairseq's ``train_wall`` sums them."""
        steps = [
            record
            for record in self.records
            if record.kind == "train_inner" and "train_wall" in record.values
        ]
        if not steps:
            return 0, 0.0
        return steps[-1].update, sum(record.values["train_wall"] for record in steps)


def parse_line(line: str) -> Record | None:
    """A report, or None if the line is another message."""
    match = LINE.match(line)
    if match is None:
        return None
    try:
        logged = json.loads(match["json"])
    except json.JSONDecodeError:
        return None
    prefix = f"{match['kind']}_"
    values: dict[str, float] = {}
    for key, value in logged.items():
        try:
            # fairseq writes valid_loss, train_loss; one name for one quantity is enough.
            values[key.removeprefix(prefix) if key != "train_wall" else key] = float(value)
        except (TypeError, ValueError):
            continue
    update = values.get("num_updates")
    if update is None:
        return None
    time = datetime.strptime(match["time"], "%Y-%m-%d %H:%M:%S,%f")
    return Record(time, match["kind"], int(update), values)


def read_run(folder: Path | str) -> Run:
    """Read every ``*.log`` of a run folder; raise PtselError if none holds a report."""
    folder = Path(folder)
    records: dict[tuple[str, int], Record] = {}
    for file in sorted(folder.glob("*.log")):
        with file.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                record = parse_line(line)
                if record is not None:
                    records[record.kind, record.update] = record
    if not records:
        raise PtselError(
            f"{folder}: expected fairseq's log with JSON reports, found none; train with common.log_format=json and "
            "hydra.run.dir set to this folder"
        )
    return Run(folder, tuple(sorted(records.values(), key=lambda record: record.update)))


def plot_command(folders: Sequence[Path | str], out: Path | str) -> None:
    """Draw one run, or compare several; print where each stands.

    Raises:
        PtselError: a folder without a log, or two folders of one name.
    """
    runs = [read_run(folder) for folder in folders]
    names = [run.folder.resolve().name for run in runs]
    if len(set(names)) < len(names):
        raise PtselError(f"expected run folders of different names, found {', '.join(names)}")
    if len(runs) == 1:
        draw_run(runs[0], out)
    else:
        draw_comparison(dict(zip(names, runs, strict=True)), out)
    for name, run in zip(names, runs, strict=True):
        updates, seconds = run.updates_and_seconds()
        last = {key: run.series("valid", key)[1][-1:] for key in quantities([run])}
        shown = "  ".join(f"{key} {values[0]:g}" for key, values in last.items() if values)
        print(f"{name}: {updates} updates, {seconds:.0f} s; last validation: {shown or 'none'}")
    print(out)


def quantities(runs: Sequence[Run]) -> list[str]:
    """What is worth drawing of some runs: loss, accuracy, perplexity, each pretext loss, skill and cosine."""
    logged = {key for run in runs for kind in ("train_inner", "valid") for key in run.keys(kind)}
    always = [key for key in ("loss", "accuracy", "code_perplexity") if key in logged]
    return always + sorted(key for key in logged if key.startswith(("pretext_", "skill_", "cosine_")))


def draw_comparison(runs: Mapping[str, Run], out: Path | str) -> None:
    """Draw several runs by name, one panel for each quantity, training solid and validation dashed."""
    plt = _pyplot()
    keys = quantities(list(runs.values()))
    columns = min(3, len(keys))
    rows = -(-len(keys) // columns)
    figure, panels = plt.subplots(
        rows, columns, figsize=(4.2 * columns, 3 * rows), layout="constrained", squeeze=False
    )
    for axes, key in zip(panels.flat, keys, strict=False):
        for i, (name, run) in enumerate(runs.items()):
            _draw_both(axes, run, key, COLOURS[i % len(COLOURS)], name)
        bits = key == "loss" and all(map(_has_contrastive_loss, runs.values()))
        axes.set(title=key, xlabel="update", ylabel="bits" if bits else "")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels.flat[len(keys) :]:
        axes.set_visible(False)
    handles, names = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=min(4, len(names)), frameon=False)
    figure.supxlabel(DASHES, fontsize="small")
    save(figure, out)
    plt.close(figure)


def draw_run(run: Run, out: Path | str) -> None:
    """Draw contrastive loss and accuracy beside the pretext losses, training and validation."""
    plt = _pyplot()

    labels = [key for key in quantities([run]) if key.startswith("pretext_") and key != "pretext_total"]
    skills = [key for key in quantities([run]) if key.startswith("skill_")]
    columns = 3 if skills else 2
    figure, panels = plt.subplots(1, columns, figsize=(6 * columns, 4.6), layout="constrained")
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
        pretext.legend(frameon=False)
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
        panels[2].legend(frameon=False)
    for axes in panels:
        axes.grid(alpha=0.25)
        axes.spines[["top"]].set_visible(False)
    figure.supxlabel(DASHES, fontsize="small")
    save(figure, out)
    plt.close(figure)


def _has_contrastive_loss(run: Run) -> bool:
    """Without it no accuracy is logged, and the loss is not in bits."""
    return any("accuracy" in run.keys(kind) for kind in ("train_inner", "valid"))


def _draw_contrastive(axes, run: Run) -> None:
    _draw_both(axes, run, "loss", COLOURS[0], "contrastive loss with penalties")
    axes.set(xlabel="update", ylabel="bits", title="Contrastive loss and accuracy")
    accuracy = axes.twinx()
    _draw_both(accuracy, run, "accuracy", COLOURS[1], "accuracy")
    accuracy.set(ylabel="accuracy")
    accuracy.set_ylim(bottom=0)
    handles = axes.get_legend_handles_labels()[0] + accuracy.get_legend_handles_labels()[0]
    axes.legend(handles, [handle.get_label() for handle in handles], frameon=False)


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def _draw_both(axes, run: Run, key: str, colour, name: str) -> None:
    axes.plot(*run.series("train_inner", key), color=colour, label=name)
    axes.plot(*run.series("valid", key), color=colour, linestyle="--", marker="o", markersize=3)
