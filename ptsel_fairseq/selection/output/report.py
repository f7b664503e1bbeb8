"""`ptsel report`: scores, weights and how they were made as one page that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np

from ptsel_fairseq.base.files import write_text
from ptsel_fairseq.base.pictures import draw
from ptsel_fairseq.selection.checks import estimator_of
from ptsel_fairseq.selection.choices import ALL_METHODS
from ptsel_fairseq.selection.estimators import Estimator
from ptsel_fairseq.selection.estimators.one_class import MEMORY
from ptsel_fairseq.selection.label_score import SCORES, LabelScore, in_order, read_scores
from ptsel_fairseq.selection.output import figures
from ptsel_fairseq.selection.output.report_choice import read_runs, run_html, weights_html
from ptsel_fairseq.selection.output.text import indifferent_lines, noise_lines, p_text, readable_details
from ptsel_fairseq.selection.run_select import load_points
from ptsel_fairseq.selection.weighting.comparison import (
    METHODS_FILE,
    Comparison,
    read_comparison,
)
from ptsel_fairseq.selection.weighting.dependence import label_dependence

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CSS_INCH = 96  # pixels


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, and the number that it is sorted by (NaN last)."""

    text: str
    value: float | None = None


def report_command(
    ci_dir: Path | str,
    out: Path | str,
    memory: float = MEMORY,
    weights: Path | str | None = None,
    runs: Sequence[Path | str] = (),
    command_line: str = "",
) -> None:
    """Write the page of a folder that `ptsel score` wrote; with the weights by all methods if they are there.

    Args:
        weights: ``weights.yaml`` or a recipe whose λ was chosen from these scores, to be shown with its options.
        runs: folders of trainings, whose losses are to be shown.

    Raises:
        PtselError: scores, weights, runs, points or methods.json that cannot be read, or a page that cannot be written.
    """
    ci_dir = Path(ci_dir)
    scores, made = read_scores(ci_dir / SCORES)
    chosen = [] if weights is None else [_section("The chosen weights", weights_html(Path(weights), scores))]
    trained = read_runs([Path(folder) for folder in runs])
    compared = None
    if (ci_dir / METHODS_FILE).exists():
        compared, _ = read_comparison(ci_dir / METHODS_FILE)
        labels, R = compared.labels, np.array(compared.dependence)
    else:
        points = load_points(ci_dir, scores)
        names, R, _ = label_dependence(points.x, points.labels, points.classes, memory, points.codes.tolist())
        labels = list(names)
    estimator = estimator_of(made)
    values = "values" in made
    sections = [
        _scores_section(scores, estimator, made["controls"], made["settings"].get("permutations") or 0)
    ]
    if any(record.per_class for record in scores.values()):
        picture = _picture(
            figures.classes_figure(scores, estimator), "Heat map of scores by class", wide=True
        )
        sections.append(_section("Classes", picture))
    sections += [
        _section(
            "Redundancy",
            "<p>Two labels that depend on each other inside the classes say partly the same; the method "
            "<code>redundancy</code> lets them share their weight.</p>"
            + _picture(
                figures.dependence_figure(labels, R), "Heat map of the labels' dependence on each other"
            ),
        ),
        _weights_section(compared, estimator, ci_dir),
        _provenance_section(made, command_line),
    ]
    shown = []
    for run in trained:
        text, figure = run_html(run)
        shown.append(text + _picture(figure, f"Losses of {run.folder.name}", wide=True))
    sections = [*chosen, *sections]
    sections[-1:-1] = [_section("Training", "".join(shown))] if shown else []
    template = resources.files("ptsel_fairseq.selection.output").joinpath("report.html").read_text("utf-8")
    page = Template(template).substitute(
        script_hash=script_hash(template),
        title=f"Pretext labels for the {'values' if values else 'classes'} of "
        f"{escape(Path(made['values' if values else 'classes']).name)}",
        subtitle=f"{len(scores)} labels, {made['points']:,} points in {len(made['class_sizes']):,} "
        f"{'bins of the value' if values else 'classes'}; scores by "
        f"<code>{escape(estimator.name)}</code>, {escape(estimator.title)}",
        sections="\n".join(sections),
    )
    write_text(out, page)
    print(
        f"wrote {out}"
        + ("" if compared or chosen else f"; without weights, see `ptsel select --method {ALL_METHODS}`")
    )


def script_hash(template: str) -> str:
    """By which a browser knows the template's own script, so that the page's policy can forbid any other."""
    script = template.partition("<script>")[2].partition("</script>")[0]
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}"


def _scores_section(
    scores: Mapping[str, LabelScore],
    estimator: Estimator,
    controls: Mapping[str, LabelScore],
    permutations: int,
) -> str:
    heads = [
        "label",
        "score",
        "95 % low",
        "95 % high",
        "p",
        "z",
        "points",
        "undefined",
        "classes",
        "left out",
    ]
    rows, reasons = [], []
    ranked = in_order(scores, estimator.higher_is_better)
    ranked += [
        (f"{name} (control)", record) for name, record in in_order(controls, estimator.higher_is_better)
    ]
    for name, record in ranked:
        low, high = record.interval or (None, None)
        left_out = record.classes_too_small + record.classes_constant
        rows.append(
            [
                Cell(name),
                *(_number(value) for value in (record.score, low, high)),
                _p(record.p, permutations),
                _number(record.z, 1),
                *(_count(n) for n in (record.points, record.points_undefined, record.classes, left_out)),
            ]
        )
        if record.score is None:
            reasons.append(f"{name} has no score: {record.reason}")
    warnings = "".join(
        f'<p class="warn">{escape(line)}</p>'
        for line in [
            *reasons,
            *noise_lines(scores, controls, estimator),
            *indifferent_lines(scores, estimator),
        ]
    )
    return _section(
        "Scores",
        f"<p>{escape(estimator.title[0].upper() + estimator.title[1:])}. "
        f"<b>{estimator.direction.title()} is better</b>: {escape(estimator.better)}. The interval is of 95 %; "
        "p is the share of permutations of the label, by utterance or group, that reach the score, z its distance "
        "from their mean in their standard deviations. "
        + (
            "Controls are labels whose worth is known: noise is worth nothing, the oracle knows what is to be told.</p>"
            if controls
            else "</p>"
        )
        + warnings
        + _table(heads, rows)
        + '<p class="note">Left out: classes with too few points where the label is defined, or in which it does not '
        "vary.</p>"
        + _picture(
            figures.scores_figure(scores, estimator, controls, permutations),
            "Scores with intervals and null range",
        ),
    )


def _weights_section(compared: Comparison | None, estimator: Estimator, ci_dir: Path) -> str:
    if compared is None:
        return _section(
            "Weights",
            f"<p>None were computed for all methods. <code>ptsel select {escape(str(ci_dir))} --method {ALL_METHODS}"
            "</code> does, and this page will show them.</p>",
        )
    names = compared.label_order()
    heads = ["method", "labels", "effective", "relevance", "group score", "mean score", "redundancy", *names]
    rows: list[list[Cell]] = []
    notes: dict[str, list[str]] = {}
    for title, row in compared.rows.items():
        said = row.reason or row.details.get("finding")
        if said:
            notes.setdefault(said, []).append(title)
        if row.reason is not None:
            continue
        rows.append(
            [
                Cell(title),
                _count(row.labels),
                _number(row.effective_labels),
                *(
                    _number(value)
                    for value in (row.relevance, row.group_score, row.mean_score, row.redundancy)
                ),
                *(
                    Cell(f"{row.weights[name]:.3f}" if row.weights[name] else "0", row.weights[name])
                    for name in names
                ),
            ]
        )
    return _section(
        "Weights",
        "<p>λ by each method. Effective: how many equal weights would be as concentrated. Relevance: of the weighted "
        "group, higher is better; group score: its kernel score, lower is better; mean score: the weighted mean of the "
        f"labels' own scores, {estimator.direction} is better; redundancy: how much they depend on each other. All are "
        "of weights that sum to one.</p>"
        + _table(heads, rows)
        + "".join(
            f'<p class="note">{escape("; ".join(titles))}: {escape(said)}</p>'
            for said, titles in notes.items()
        )
        + _picture(figures.comparison_figure(compared, estimator), "Heat map of weights by method", wide=True)
        + _picture(figures.paths_figure(compared), "Weights along the settings of the methods", wide=True),
    )


def _provenance_section(made: Mapping[str, Any], command_line: str) -> str:
    shown = {
        key: value
        for key, value in made.items()
        if key not in ("format", "labels", "class_sizes", "controls")
    }
    facts = {**readable_details(shown), "page": command_line}
    labels = [
        [Cell(name), Cell(str(info["version"])), Cell(info["unit"])] for name, info in made["labels"].items()
    ]
    entries = "".join(
        f"<dt>{escape(key.replace('_', ' '))}</dt><dd><code>{escape(value)}</code></dd>"
        for key, value in facts.items()
    )
    return _section(
        "How this was made", f"<dl>{entries}</dl>{_table(['label', 'definition', 'unit'], labels)}"
    )


def _number(value: float | None, digits: int = 4) -> Cell:
    """A number with as many decimals as its neighbours in the column, so that they stand below each other."""
    if value is None:
        return Cell("–", float("nan"))
    fixed = 1e-3 <= abs(value) < 1e3 or value == 0
    return Cell(f"{value:.{digits}f}" if fixed else f"{value:.{digits}g}", value)


def _p(p: float | None, permutations: int) -> Cell:
    return Cell("–", float("nan")) if p is None else Cell(p_text(p, permutations), p)


def _count(value: int) -> Cell:
    return Cell(f"{value:,}", value)


def _table(heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """A table that sorts by a column when its head is pressed."""
    head = "".join(f'<th scope="col"><button type="button">{escape(name)}</button></th>' for name in heads)
    body = "".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(cell: Cell) -> str:
    if cell.value is None:
        return f'<td class="text">{escape(cell.text)}</td>'
    value = "" if np.isnan(cell.value) else repr(float(cell.value))
    return f'<td data-value="{value}">{escape(cell.text)}</td>'


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _picture(figure: Figure, description: str, wide: bool = False) -> str:
    """A figure in the page itself, the same bytes from the same data."""
    import matplotlib

    content = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "ptsel"}):
        draw(figure, content, format="svg", metadata={"Date": None})
    data = base64.b64encode(content.getvalue()).decode("ascii")
    kind, style = "", ""
    if wide:  # the page shrinks it as far as its words can be read, and scrolls from there on
        kind, style = ' class="wide"', f' style="--drawn: {figure.get_figwidth() * CSS_INCH:.0f}px"'
    source = f"data:image/svg+xml;base64,{data}"
    return f'<figure{kind}><img alt="{escape(description)}"{style} src="{source}"></figure>'
