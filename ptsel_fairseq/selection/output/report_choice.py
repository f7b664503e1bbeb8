"""The part of the report on one choice: its λ, the options that made it, and the training runs that used it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.weights_file import read_provenance, read_weights
from ptsel_fairseq.run_figures import run_figure
from ptsel_fairseq.runs import Run, quantities, read_run

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def weights_html(file: Path, scored: Mapping[str, object]) -> str:
    """The λ of a ``weights.yaml`` or a recipe, and how it was made, as HTML.

    Raises:
        PtselError: a file that cannot be read, or labels that the scores do not have.
    """
    weights, _ = read_weights(file)
    unknown = sorted(label for label, weight in weights.items() if weight > 0 and label not in scored)
    if unknown:
        raise PtselError(
            f"{file}: gives weight to {', '.join(unknown)}, which these scores do not hold; give the weights that were "
            "chosen from them"
        )
    positive = sorted((item for item in weights.items() if item[1] > 0), key=lambda item: (-item[1], item[0]))
    nothing = [label for label, weight in sorted(weights.items()) if weight == 0]
    most = max((weight for _, weight in positive), default=1.0)
    bars = "".join(
        f'<tr><td>{escape(label)}</td><td>{weight:.4f}</td><td class="bar"><span style="width:'
        f'{100 * weight / most:.1f}%"></span></td></tr>'
        for label, weight in positive
    )
    table = (
        f'<table class="weights"><tbody>{bars}</tbody></table>'
        if positive
        else "<p>No label has a weight.</p>"
    )
    left = f'<p class="note">λ = 0: {escape(", ".join(nothing))}.</p>' if nothing else ""
    made = read_provenance(file)
    entries = "".join(
        f"<dt>{escape(key.replace('_', ' '))}</dt><dd><code>{escape(value)}</code></dd>"
        for key, value in made.items()
    )
    how = (
        f"<h3>How it was chosen</h3><dl>{entries}</dl>"
        if made
        else '<p class="note">The file does not say how.</p>'
    )
    return f"<p>λ of <code>{escape(str(file))}</code>.</p>{table}{left}{how}"


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """The runs of some folders; raises PtselError for a folder that holds none."""
    return [read_run(folder) for folder in folders]


def run_html(run: Run) -> tuple[str, Figure]:
    """What a run ended with as HTML, and its losses as a figure."""
    updates, seconds = run.updates_and_seconds()
    last = {
        key: run.series("valid", key)[1][-1:] or run.series("train_inner", key)[1][-1:]
        for key in quantities([run])
    }
    entries = "".join(
        f"<dt>{escape(key)}</dt><dd>{values[0]:.4g}</dd>" for key, values in last.items() if values
    )
    text = (
        f"<p><code>{escape(str(run.folder))}</code>: {updates:,} updates in {seconds:,.0f} s of training steps. "
        f"Last validation, or training where there was none:</p><dl>{entries}</dl>"
    )
    return text, run_figure(run)
