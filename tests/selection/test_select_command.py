"""`ptsel select` on recorded speech: its files, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml
from conftest import ASTERISK, ROOT, run_command

from ptsel_fairseq.base.weights_file import read_weights
from ptsel_fairseq.selection.run_select import select_command
from ptsel_fairseq.selection.weighting.rfe import SECONDS_AN_ENTRY, rfe_seconds


@pytest.fixture(scope="module")
def ci_dir(data_dir, store_dir, tmp_path_factory):
    out = tmp_path_factory.mktemp("ci")
    classes = ASTERISK / "classes" / "phone.tsv"
    done = run_command(
        "ptsel", "score", data_dir, "--store", store_dir, "--classes", classes, "--out", out,
        "--permutations", 9, "--bootstrap", 200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize("method", ["group", "direct", "all", "naive", "random"])
def test_the_command_writes_weights_with_their_origin(ci_dir, tmp_path, method):
    out = tmp_path / "weights.yaml"
    done = run_command("ptsel", "select", ci_dir, "--method", method, "--out", out)
    assert done.returncode == 0, done.stderr
    weights, sum_to_one = read_weights(out)
    scores = json.loads((ci_dir / "scores.json").read_text())
    assert list(weights) == sorted(scores["scores"])
    assert sum_to_one is (method != "all")
    if sum_to_one:
        assert sum(weights.values()) == pytest.approx(1, abs=1e-4)
    text = out.read_text()
    assert text.startswith("# @package _global_\n")
    for said in (
        str(ci_dir),
        "cka",
        f"method: {method}",
        scores["manifest_checksum"],
        "ptsel select",
        "numpy",
    ):
        assert said in text
    if method == "group":
        assert "objective: " in text
        assert "gap: " in text
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["weights.png", "weights.yaml"]
    for label in weights:
        assert label in done.stdout


def test_the_command_writes_into_a_recipe(ci_dir, tmp_path):
    original = next((ROOT / "configs" / "pretraining").glob("*tiny*.yaml")).read_text()
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(original)
    done = run_command(
        "ptsel", "select", ci_dir, "--method", "direct", "--out", tmp_path / "w.yaml", "--config", recipe
    )
    assert done.returncode == 0, done.stderr
    assert read_weights(recipe) == read_weights(tmp_path / "w.yaml")
    ours = ("pretext_weights", "pretext_sum_to_one")
    before, after = yaml.safe_load(original), yaml.safe_load(recipe.read_text())
    for content in (before, after):
        for setting in ours:
            content["criterion"].pop(setting, None)
    assert after == before


@pytest.mark.slow
@pytest.mark.parametrize("projection", ["sparsemax", "softmax"])
def test_the_command_with_the_papers_optimiser(ci_dir, tmp_path, projection):
    out = tmp_path / "w.yaml"
    done = run_command(
        "ptsel", "select", ci_dir, "--method", "group", "--projection", projection, "--reference-optimizer",
        "--out", out,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sum(read_weights(out)[0].values()) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent"], "scores.json: no such file"),
        (["CI", "--method", "all", "--tau", "1"], "--tau belongs to direct"),
        (["CI", "--method", "naive", "--support", "0"], "between 1 and"),
        (["CI", "--method", "all", "--config", "absent.yaml"], "absent.yaml: the recipe cannot be read"),
    ],
)
def test_the_command_refuses_in_one_line(ci_dir, tmp_path, arguments, message):
    arguments = [ci_dir if word == "CI" else word for word in arguments]
    done = run_command("ptsel", "select", *arguments, "--out", tmp_path / "w.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_method_that_can_take_minutes_says_so_beforehand(ci_dir, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("ptsel_fairseq.selection.run_select.WORTH_SAYING", 0.0)
    for method, times in (("relevance", 0), ("rfe", 1), ("all-methods", 1)):
        select_command(ci_dir, method, tmp_path / ("m.json" if method == "all-methods" else "w.yaml"))
        assert capsys.readouterr().out.count("rfe will take about") == times


def test_elimination_takes_longer_with_more_labels_columns_and_points():
    rng = np.random.default_rng(0)
    labels = {"a": rng.normal(size=(200, 2)), "b": rng.normal(size=200)}
    classes = np.repeat(["x", "y"], 100)
    few = rfe_seconds(labels, classes)
    assert few == pytest.approx(SECONDS_AN_ENTRY * 200 * 2 * 3 * 2)
    more = {name: np.concatenate([values] * 9) for name, values in labels.items()}
    # At most 100 points of a class are learned from.
    assert rfe_seconds(more, np.tile(classes, 9)) == pytest.approx(few)
    assert rfe_seconds({**labels, "c": rng.normal(size=(200, 3))}, classes) == pytest.approx(3 * few)
