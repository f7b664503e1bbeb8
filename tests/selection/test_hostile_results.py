"""Scores, points and pages: numbers that are none, names that are formulas or scripts."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from importlib import resources
from string import Template

import numpy as np
import pytest

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.pictures import save
from ptsel_fairseq.base.weights_file import check_weights, read_weights
from ptsel_fairseq.selection.estimators import ESTIMATORS
from ptsel_fairseq.selection.label_score import LabelScore, read_scores, write_scores
from ptsel_fairseq.selection.output.figures import scores_figure
from ptsel_fairseq.selection.points import Points

SCORE = LabelScore(0.1, (0.0, 0.2), 0.05, 0.5, 0.1, (-0.1, 0.1), 20, 0, 2, per_class={"a": 0.1})


def edited(tmp_path, **changes):
    write_scores(tmp_path / "scores.json", {"f0": SCORE, "zcr": SCORE}, {"estimator": "cka"})
    content = json.loads((tmp_path / "scores.json").read_text())
    content["scores"]["f0"].update(changes)
    (tmp_path / "scores.json").write_text(json.dumps(content))
    return tmp_path / "scores.json"


def test_scores_come_back(tmp_path):
    assert read_scores(edited(tmp_path))[0] == {"f0": SCORE, "zcr": SCORE}


@pytest.mark.parametrize(
    "changes",
    [
        {"score": float("nan")},
        {"score": float("inf")},
        {"score": "0.1"},
        {"score": True},
        {"score": [0.1]},
        {"p": float("-inf")},
        {"interval": [0.1]},
        {"interval": [0.1, float("nan")]},
        {"null_interval": ["a", "b"]},
        {"interval": 3},
        {"points": -1},
        {"points": 2.5},
        {"classes": "two"},
        {"per_class": {"a": float("nan")}},
        {"per_class": [1]},
        {"reason": 3},
        {"unknown": 1},
    ],
)
def test_scores_that_are_no_numbers_are_refused(tmp_path, changes):
    with pytest.raises(PtselError, match=r"scores\.json: the scores cannot be read"):
        read_scores(edited(tmp_path, **changes))


@pytest.mark.parametrize("name", ["$", "$x_{", "$\\frac{", "a$b$c", "\\alpha", "^_{}%#&", "$$$"])
def test_a_dollar_in_a_name_is_a_dollar(name, tmp_path):
    for kind in ("png", "svg", "pdf"):
        save(scores_figure({name: SCORE, "zcr": SCORE}, ESTIMATORS.get("cka")), tmp_path / f"a.{kind}")
        assert (tmp_path / f"a.{kind}").stat().st_size > 1000


def test_the_page_allows_its_own_script_and_no_other():
    template = resources.files("ptsel_fairseq.selection.output").joinpath("report.html").read_text("utf-8")
    assert "unsafe-inline" not in template.replace("style-src 'unsafe-inline'", "")
    script = re.search(r"<script>(.*?)</script>", template, re.S).group(1)
    assert Template(script).safe_substitute() == script  # nothing is put into it
    from ptsel_fairseq.selection.output import report

    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert report.script_hash(template) == f"sha256-{digest}"
    assert report.script_hash(template.replace("upwards", "downwards")) != report.script_hash(template)


def saved(tmp_path, **changes):
    arrays = {
        "x": np.ones((4, 3), np.float32),
        "classes": np.array(list("abab")),
        "label:f0": np.ones((4, 1)),
    }
    np.savez(tmp_path / "points.npz", **{**arrays, **changes})
    return tmp_path / "points.npz"


def test_points_come_back(tmp_path):
    assert len(Points.load(saved(tmp_path))) == 4


@pytest.mark.parametrize(
    "changes",
    [
        {"x": np.ones((3, 3), np.float32)},
        {"x": np.full((4, 3), np.nan, np.float32)},
        {"x": np.ones(4, np.float32)},
        {"x": np.ones((4, 3), int)},
        {"classes": np.ones(4)},
        {"classes": np.array(list("aba"))},
        {"label:f0": np.ones((5, 1))},
        {"label:f0": np.array(list("abcd"))},
        {"utterance": np.arange(3)},
        {"other": np.ones(3)},
    ],
)
def test_points_that_do_not_fit_each_other(tmp_path, changes):
    with pytest.raises(PtselError, match=r"points\.npz: the points cannot be read"):
        Points.load(saved(tmp_path, **changes))


def test_points_that_are_packed_to_be_larger_than_their_file(tmp_path):
    content = io.BytesIO()
    np.savez_compressed(content, x=np.zeros((4_000_000, 1), np.float32))
    (tmp_path / "points.npz").write_bytes(content.getvalue())
    with pytest.raises(PtselError, match="larger than the file"):
        Points.load(tmp_path / "points.npz")


def test_a_weight_of_zero_for_a_label_that_the_store_lacks_is_nothing():
    check_weights({"f0": 1.0, "gone": 0.0}, ["f0"], True)
    for weight in (0.5, float("nan"), -1.0):
        with pytest.raises(PtselError):
            check_weights({"f0": 0.5, "gone": weight}, ["f0"], True)


@pytest.mark.parametrize(
    "text",
    [
        "criterion: {pretext_weights: {f0: 1, f0: 2}}",
        "criterion: {pretext_weights: {f0: true}}",
        "criterion: {pretext_weights: {f0: 1}, pretext_sum_to_one: maybe}",
        f"criterion: {{pretext_weights: {{f0: {'9' * 400}}}}}",
        "criterion: [1]",
        "- 1",
    ],
)
def test_weights_that_are_none(tmp_path, text):
    (tmp_path / "w.yaml").write_text(text)
    with pytest.raises(PtselError, match=r"w\.yaml"):
        read_weights(tmp_path / "w.yaml")
