"""Lines of λ along a setting: ticks that can be read, and a legend that hides nothing and names what is in colour."""

from __future__ import annotations

import re

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ptsel_fairseq.base.pictures import GREY, save
from ptsel_fairseq.selection.estimators import ESTIMATORS
from ptsel_fairseq.selection.output.figures import MOST_NAMED, weights_figure
from ptsel_fairseq.selection.weighting.method import Weights


def test_powers_of_ten_are_written_as_numbers(tmp_path):
    """Formulas are switched off, for labels with a dollar in their names; ticks of a logarithmic axis are some."""
    figure = Figure()
    axes = figure.subplots()
    axes.loglog([1e-4, 10], [0.1, 100], label="$x$")
    axes.legend()
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        save(figure, tmp_path / "a.svg")
    words = set(re.findall(r"<text[^>]*>([^<]*)</text>", (tmp_path / "a.svg").read_text()))
    assert {"0.0001", "0.001", "0.01", "0.1", "1", "10", "100", "$x$"} <= words
    assert not [word for word in words if "mathdefault" in word]


def found(labels: int) -> Weights:
    """Label i has at most 1 / (i + 2) along the path."""
    names = [f"label{i:02d}" for i in range(labels)]
    along = np.geomspace(0.01, 10, 30)
    weights = np.outer(np.linspace(1, 0, 30), 1 / (np.arange(labels) + 2))
    path = {"labels": names, "along": along.tolist(), "weights": weights.tolist(), "name": "γ"}
    return Weights("relevance", "sparsemax", dict.fromkeys(names, 1 / labels), {"gamma": 1.0}, path=path)


def test_the_legend_names_the_lines_in_colour_and_lies_beside_the_panels():
    figure = weights_figure(found(20), ESTIMATORS.get("probe"))
    FigureCanvasAgg(figure).draw()
    _, beside = figure.axes
    coloured = [line for line in beside.lines if line.get_color() not in (GREY, "black")]
    looks = {(line.get_color(), line.get_linestyle()) for line in coloured}
    assert len(looks) == len(coloured) >= MOST_NAMED - 2  # black is a colour too
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == [
        *(f"label{i:02d}" for i in range(MOST_NAMED)),
        f"8 others, up to {1 / (MOST_NAMED + 2):.2g}",
    ]
    boxes = [legend.get_window_extent(), beside.get_window_extent()]
    assert boxes[0].x0 > boxes[1].x1
    assert sum(line.get_color() == GREY for line in beside.lines) == 8


def test_few_labels_have_no_others():
    (legend,) = weights_figure(found(3), ESTIMATORS.get("probe")).legends
    assert [text.get_text() for text in legend.get_texts()] == ["label00", "label01", "label02"]


def test_a_wide_picture_tells_the_page_how_wide_it_was_drawn():
    """By which the page shrinks it no further than its words can be read."""
    from importlib import resources

    from ptsel_fairseq.selection.output.report import _picture

    figure = Figure(figsize=(20, 2))
    assert 'style="--drawn: 1920px"' in _picture(figure, "wide", wide=True)
    assert "style" not in _picture(figure, "narrow").partition("src=")[0]
    page = resources.files("ptsel_fairseq.selection.output").joinpath("report.html").read_text("utf-8")
    assert page.count("* var(--drawn))") == 2  # on a narrow screen it is larger


def test_classes_have_one_colour_where_no_score_is_negative():
    from ptsel_fairseq.selection.label_score import LabelScore
    from ptsel_fairseq.selection.output.figures import classes_figure

    def drawn(low):
        record = LabelScore(0.5, 20, 2, per_class={"a": low, "b": 0.8}, points_per_class={"a": 10, "b": 10})
        (image,) = classes_figure({"f0": record}, ESTIMATORS.get("probe")).axes[0].images
        return image.get_cmap().name, image.get_clim()

    assert drawn(0.1)[0] == "Blues"
    assert drawn(0.1)[1][0] == 0
    name, (low, high) = drawn(-0.3)
    assert name == "RdBu_r"
    assert low == -high
