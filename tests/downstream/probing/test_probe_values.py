"""Probes of values: ridge regression against scikit-learn, chance, folds, real speech, and bad input."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import run_command
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler

from ptsel_fairseq import downstream
from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.downstream.metrics.results import read_result
from ptsel_fairseq.downstream.probing.classifiers import Part
from ptsel_fairseq.downstream.probing.probe import probe_command
from ptsel_fairseq.downstream.probing.regression import PENALTIES, fit_and_predict

SPLITS = np.repeat(["train", "valid", "test"], [120, 60, 60])


def features(seed: int = 0, layers: int = 1, informative: int = 0):
    """Features [240, layers, 8] of unequal scale, one layer of which tells a value with noise."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(240, layers, 8)).astype(np.float32)
    y = 2 * x[:, informative, 0] - x[:, informative, 3] + 0.7 * draw.normal(size=240) + 5
    return x * np.geomspace(0.01, 100, 8, dtype=np.float32), y


def parts(x, y):
    return [Part(x[rows], y[rows]) for rows in (part == SPLITS for part in ("train", "valid", "test"))]


def test_ridge_is_scikit_learns_with_the_penalty_that_is_best_on_valid():
    x, y = features()
    train, valid, test = parts(x, y)
    fitted = fit_and_predict("linear", train, valid, test, 0)

    def peer(penalty, x, y, asked):
        scaler = StandardScaler().fit(x)
        return Ridge(alpha=penalty * len(y)).fit(scaler.transform(x), y).predict(scaler.transform(asked))

    errors = [
        np.mean((peer(penalty, train.x[:, 0], train.y, valid.x[:, 0]) - valid.y) ** 2)
        for penalty in PENALTIES
    ]
    assert fitted.chosen["penalty"] == PENALTIES[int(np.argmin(errors))]
    both = np.concatenate([train.x, valid.x])[:, 0], np.concatenate([train.y, valid.y])
    expected = peer(fitted.chosen["penalty"], *both, test.x[:, 0])
    np.testing.assert_allclose(fitted.answers, expected, rtol=1e-4)  # single precision of the features
    found = downstream.probe_values(x[:, 0], y, SPLITS)
    assert found["r2"].value == pytest.approx(r2_score(test.y, fitted.answers), rel=1e-9)
    assert found["r2"].value > 0.75
    assert found["ccc"].interval[0] < found["ccc"].value < found["ccc"].interval[1]
    assert len(found.answers.runs) == 1  # ridge is the same for every seed


@pytest.mark.parametrize(
    ("model", "least"), [pytest.param("linear", 0.6, marks=pytest.mark.slow), ("mlp", 0.25)]
)
def test_a_network_mixes_the_layers(model, least):
    train, valid, test = parts(*features(layers=3, informative=1))
    fitted = fit_and_predict(model, train, valid, test, 0)
    assert r2_score(test.y, fitted.answers) > least  # 120 items are few for 256 hidden units
    assert np.argmax(fitted.chosen["layer_weights"]) == 1
    np.testing.assert_array_equal(fit_and_predict(model, train, valid, test, 0).answers, fitted.answers)


def test_values_without_a_relation_to_the_features_are_not_predicted():
    inside = []
    for seed in range(12):
        x, y = features(seed)
        found = downstream.probe_values(x[:, 0], np.random.default_rng(seed).permutation(y), SPLITS)
        assert found["r2"].value < 0.15
        low, high = found["ccc"].interval
        inside.append(low <= 0 <= high)
    assert sum(inside) >= 9


def test_speakers_are_left_out_in_turn():
    x, y = features()
    speakers = np.array([f"s{i % 5}" for i in range(len(y))])
    found = downstream.probe_values(x[:, 0], y, leave_out=speakers, groups=speakers)
    assert len(found.answers.ids) == len(y)
    assert found.provenance["resampling"]["groups"] == 5
    assert found["r2"].value > 0.75


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": np.ones(240)}, "values that differ to train on, found 120 items of the value 1"),
        ({"values": np.where(SPLITS == "valid", 2.0, np.arange(240.0))}, "values that differ to choose on"),
        ({"values": np.arange(239.0)}, "values: expected one for each of 240 items"),
        (
            {"values": np.append(np.arange(239.0), np.nan)},
            "values: expected finite numbers, found nan for item 239",
        ),
        ({"values": ["high"] * 240}, "values: expected numbers, found <U4"),
        ({"splits": None}, "splits, leave_out: expected one of them"),
        ({"model": "svm"}, "model: expected linear or mlp, found 'svm'"),
    ],
)
def test_what_cannot_be_probed(change, message):
    x, y = features()
    with pytest.raises(PtselError, match=message):
        downstream.probe_values(**{"x": x[:, 0], "values": y, "splits": SPLITS, **change})


# Recorded speech: the level of a clip as its value


@pytest.fixture(scope="module")
def levels(voices, tmp_path_factory):
    """Mean level of each clip in dB, but for one of each split."""
    rows = []
    for split in ("train", "valid", "test"):
        manifest = read_manifest(voices / f"{split}.tsv")
        for utterance in manifest.utterances[1:]:
            waveform = read_audio(manifest.audio_path(utterance), 16000, "here").astype(np.float64)
            rows.append(f"{utterance.path}\t{10 * np.log10(np.mean(waveform**2)):.4f}")
    file = tmp_path_factory.mktemp("levels") / "level.tsv"
    file.write_text("\n".join(["path\tvalue", *rows]) + "\n")
    return file


def test_the_level_of_recorded_speech(voices, levels, tmp_path, capsys):
    probe_command(voices, None, ["rms_energy", "zcr"], tmp_path / "out", values=levels)
    said = capsys.readouterr().out
    assert "the mean of the others reaches an R² of -0." in said
    assert "; 3 utterances without a value are left out" in said
    energy, crossings = (
        read_result(tmp_path / "out" / name / "result.json") for name in ("rms_energy", "zcr")
    )
    assert energy["r2"].value > 0.8
    assert energy["ccc"].value > crossings["ccc"].value
    assert str(levels) in energy.provenance["files"]
    assert "R² ↑" in (tmp_path / "out" / "comparison.md").read_text()


def test_errors_of_the_command(voices, levels, tmp_path):
    words = ("ptsel", "probe", voices, "--features", "zcr", "--out", tmp_path)
    done = run_command(*words, "--values", levels, "--classes", levels)
    assert done.returncode == 2
    assert "not allowed with" in done.stderr
    with pytest.raises(PtselError, match="--classes, --values, --relevance: expected one of them"):
        probe_command(voices, levels, ["zcr"], tmp_path, values=levels)
    (tmp_path / "bad.tsv").write_text("path\tvalue\nx.wav\tloud\n")
    with pytest.raises(PtselError, match="line 2: expected a finite number"):
        probe_command(voices, None, ["zcr"], tmp_path, values=tmp_path / "bad.tsv")
