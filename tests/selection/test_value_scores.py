"""Scores and weights of tasks whose target is a number: bins, controls, screening, files and commands."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import run_command
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import utterance_noise
from test_value_task import value_arrays

from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.base.value_file import read_values
from ptsel_fairseq.labels.store.reader import LabelStore
from ptsel_fairseq.selection import Points, build_points, score_labels, select_weights
from ptsel_fairseq.selection.bins import value_bins
from ptsel_fairseq.selection.checks import estimator_of
from ptsel_fairseq.selection.controls import ORACLE_OF_VALUE, value_code
from ptsel_fairseq.selection.label_score import read_scores
from ptsel_fairseq.selection.run import ScoreSettings, score_command
from ptsel_fairseq.selection.run_select import select_command
from ptsel_fairseq.selection.score import score_with_controls

FINITE = st.floats(-1e6, 1e6, allow_subnormal=False)


@settings(max_examples=60)
@given(st.lists(FINITE, min_size=4, max_size=300).filter(lambda v: np.ptp(v) > 1e-9 * max(map(abs, v))))
def test_bins_keep_the_order_and_equal_values_together(values):
    values = np.array(values)
    bins = value_bins(values)
    order = np.argsort(values, kind="stable")
    assert (bins[order][:-1] <= bins[order][1:]).all()  # names sort as the values
    for value in np.unique(values):
        assert len(set(bins[values == value])) == 1
    assert 2 <= len(set(bins)) <= min(10, max(2, len(values) // 20))


@pytest.mark.parametrize(("points", "bins"), [(10, 2), (59, 2), (60, 3), (199, 9), (200, 10), (5000, 10)])
def test_a_bin_for_each_twenty_points_of_equally_many(points, bins):
    sizes = np.unique(value_bins(np.random.default_rng(0).normal(size=points)), return_counts=True)[1]
    assert len(sizes) == bins
    assert np.ptp(sizes) <= 1


def test_few_levels_are_few_bins_and_their_names_say_the_range():
    values = np.repeat([1.0, 2.0, 3.5], [150, 10, 90])
    assert set(value_bins(values)) == {"01 (1 to 1)", "02 (2 to 2)", "03 (3.5 to 3.5)"}
    ratings = np.repeat(np.arange(1.0, 6.0), 100)
    assert len(set(value_bins(ratings))) == 5
    assert set(value_bins(np.repeat([1.0, 2.0], [99, 1]))) == {"01 (1 to 1)", "02 (2 to 2)"}
    with pytest.raises(PtselError, match="expected numbers that differ"):
        value_bins(np.ones(30))


@pytest.mark.parametrize("estimator", ["cka", "hsic", "reference"])
def test_kernels_take_the_bins_as_classes(estimator):
    x, value, group, hidden = value_arrays()
    options = {"estimator": estimator, "groups": group, "permutations": 20}
    found = score_labels(x, {"h": hidden}, values=value, **options)["h"]
    bins = score_labels(x, {"h": hidden}, value_bins(value), **options)["h"]
    assert found.score == bins.score
    assert found.per_class == bins.per_class
    assert (found.p, found.classes) == (bins.p, 10)


def test_neither_unit_nor_mean_of_the_value_matters():
    x, value, group, hidden = value_arrays()
    for estimator in ("probe", "relevance", "logme", "cka"):
        one, other = (
            score_labels(x, {"h": hidden}, values=v, groups=group, estimator=estimator, permutations=20)["h"]
            for v in (value, 1e4 * value - 3e4)
        )
        assert other.score == pytest.approx(one.score, rel=1e-6)
        assert other.interval == pytest.approx(one.interval, rel=1e-6)
        assert other.p == one.p


@pytest.mark.parametrize("estimator", ["probe", "relevance", "pillai", "logme"])
def test_oracle_first_and_noise_last(estimator):
    for seed in range(5):
        x, value, group, hidden = value_arrays(seed)
        noise = utterance_noise(np.random.default_rng(seed), group)
        scores, controls = score_with_controls(
            *(x, {"noise": noise, "some": hidden[:, 0], "useless": hidden[:, 4] + 9 * noise}),
            {ORACLE_OF_VALUE: value_code(value, seed)},
            values=value,
            estimator=estimator,
            groups=group,
            permutations=30,
        )
        assert controls[ORACLE_OF_VALUE].score > scores["some"].score > scores["noise"].score
        assert scores["some"].better_than_noise
        assert scores["noise"].better_than_noise is False
        assert scores["some"].p == pytest.approx(1 / 31)
        assert (scores["some"].classes, scores["some"].per_class) == (0, {})


@pytest.mark.parametrize("method", ["relevance", "direct", "redundancy", "group"])
def test_no_weight_for_noise(method):
    for seed in range(3):
        x, value, group, hidden = value_arrays(seed)
        labels = {
            "tells": hidden[:, :1],
            "tells less": hidden[:, 1:2],
            "noise": utterance_noise(np.random.default_rng(seed), group)[:, None],
        }
        points = Points(x, labels, value_bins(value), utterance=group, values=value)
        found = select_weights(points, method=method)
        assert found.weights["noise"] == 0
        assert found.details["left_out"] == {"noise": "no better than noise"}
        assert sum(found.weights.values()) == pytest.approx(1)


def test_the_default_weights_are_those_of_the_value_not_of_its_bins():
    x, value, group, hidden = value_arrays()
    labels = {name: hidden[:, i : i + 1] for i, name in enumerate("abc")}
    points = Points(x, labels, value_bins(value), utterance=group, values=value)
    of_value = select_weights(points, screen=False)
    of_bins = select_weights(Points(x, labels, points.classes, utterance=group), screen=False)
    assert of_value.details["relevance"] < 1 < of_bins.details["relevance"] + 1
    assert of_value.weights != of_bins.weights


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "classes, values: expected one of them"),
        ({"classes": np.array(["a", "b"] * 150), "values": np.arange(300.0)}, "expected one of them"),
        ({"values": np.arange(299.0)}, "values: expected one for each of 300 points"),
        ({"values": np.full(300, 2.0)}, "values: expected numbers that differ"),
        ({"values": np.append(np.arange(299.0), np.inf)}, "values: expected finite values, found inf"),
        ({"values": np.arange(300.0), "estimator": "lee"}, "estimator lee: it has no form for values"),
    ],
)
def test_what_cannot_be_scored(options, message):
    x, _, group, hidden = value_arrays()
    with pytest.raises(PtselError, match=message):
        score_labels(x, {"h": hidden}, groups=group, **options)


def test_points_keep_their_values(tmp_path):
    x, value, group, hidden = value_arrays()
    points = Points(x, {"h": hidden}, value_bins(value), utterance=group, values=value)
    points.save(tmp_path / "points.npz")
    found = Points.load(tmp_path / "points.npz")
    np.testing.assert_array_equal(found.values, value)
    np.testing.assert_array_equal(found.classes, points.classes)
    value[7] = np.nan
    points.save(tmp_path / "points.npz")
    with pytest.raises(PtselError, match="values are not finite numbers"):
        Points.load(tmp_path / "points.npz")


# Recorded speech: the level of a clip as its value


@pytest.fixture(scope="module")
def levels(data_dir, tmp_path_factory):
    """Mean level of each bundled clip in dB, but for two; and a clip that is nowhere."""
    manifest = read_manifest(data_dir / "train.tsv")
    rows = []
    for utterance in manifest.utterances[2:]:
        waveform = read_audio(manifest.audio_path(utterance), 16000, "here")
        rows.append(f"{utterance.path}\t{10 * np.log10(np.mean(np.square(waveform, dtype=np.float64))):.4f}")
    file = tmp_path_factory.mktemp("levels") / "level.tsv"
    file.write_text("\n".join(["path\tvalue", *rows[::-1], "nowhere.flac\t-3"]) + "\n")
    return file


def test_points_of_values(levels, data_dir, store_dir):
    manifest = read_manifest(data_dir / "train.tsv")
    found = read_values(levels, manifest, 16000)
    points = build_points(manifest, LabelStore(store_dir, "train"), found, ["zcr"], jobs=1)
    assert points.x.shape == (len(manifest) - 2, 30 * 40)
    for row, utterance in enumerate(points.utterance):
        waveform = read_audio(manifest.audio_path(manifest.utterances[utterance]), 16000, "here")
        assert points.values[row] == pytest.approx(20 * np.log10(np.sqrt(np.mean(waveform**2))), abs=1e-3)
    np.testing.assert_array_equal(points.classes, value_bins(points.values))


def test_scores_and_weights_of_recorded_speech(levels, data_dir, store_dir, tmp_path, capsys):
    score_command(
        data_dir,
        "train",
        store_dir,
        None,
        tmp_path / "ci",
        ScoreSettings("probe", permutations=50),
        values=levels,
    )
    said = capsys.readouterr().out
    assert "left out: 2 utterances of the manifest without a value, 1 lines of the value file" in said
    assert "2 bins of it" in said
    scores, made = read_scores(tmp_path / "ci" / "scores.json")
    assert made["values"] == str(levels)
    assert len(made["values_checksum"]) == 64
    assert "classes" not in made
    assert estimator_of(made).title.startswith("R²")
    assert made["controls"][ORACLE_OF_VALUE].score > 0.8
    assert made["controls"][ORACLE_OF_VALUE].score > max(record.score for record in scores.values())
    assert made["controls"]["white noise"].better_than_noise is False
    for method in ("relevance", "group"):
        select_command(tmp_path / "ci", method, tmp_path / f"{method}.yaml", screen=False)
        assert "values_checksum" in (tmp_path / f"{method}.yaml").read_text()


def test_a_file_of_one_value_is_named(levels, data_dir, store_dir, tmp_path):
    file = tmp_path / "same.tsv"
    lines = levels.read_text().splitlines()[1:]
    file.write_text("\n".join(["path\tvalue", *(line.split("\t")[0] + "\t2" for line in lines)]) + "\n")
    with pytest.raises(
        PtselError, match=r"same.tsv: expected values that differ, found 2 for all \d+ points"
    ):
        score_command(data_dir, "train", store_dir, None, tmp_path, ScoreSettings("probe"), values=file)


@pytest.mark.slow
def test_the_commands(levels, data_dir, store_dir, tmp_path):
    words = (data_dir, "--store", store_dir, "--values", levels, "--permutations", 30)
    for estimator in ("probe", "cka"):
        out = tmp_path / estimator
        done = run_command("ptsel", "score", *words, "--estimator", estimator, "--out", out)
        assert done.returncode == 0, done.stderr
        assert json.loads((out / "scores.json").read_text())["controls"].keys() >= {ORACLE_OF_VALUE}
        done = run_command("ptsel", "select", out, "--method", "all-methods")
        assert done.returncode == 0, done.stderr
        done = run_command("ptsel", "report", out, "--out", tmp_path / "page.html")
        assert done.returncode == 0, done.stderr
        assert "labels for the values of level.tsv" in (tmp_path / "page.html").read_text()


def test_errors_of_the_command(levels, data_dir, store_dir, tmp_path):
    words = ("ptsel", "score", data_dir, "--store", store_dir, "--out", tmp_path / "ci")
    for more, message in (
        (("--values", levels, "--classes", levels), "not allowed with"),
        ((), "one of the arguments --classes --values is required"),
        (("--values", levels, "--estimator", "lee"), "lee: it has no form for values"),
        (("--classes", levels), "expected the header 'path<TAB>class'"),
    ):
        done = run_command(*words, *more)
        assert done.returncode == 2
        assert message in done.stderr
        assert "Traceback" not in done.stderr
