"""Probes of classes: logistic regression against scikit-learn, folds that do not leak, real speech."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import ASTERISK, run_command
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from stock_tools import save_stock

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.downstream.metrics.answer_files import read_class_table
from ptsel_fairseq.downstream.metrics.results import read_result
from ptsel_fairseq.downstream.probing.classifiers import Part, fit_and_answer
from ptsel_fairseq.downstream.probing.items import Items, make_folds
from ptsel_fairseq.downstream.probing.probe import probe, probe_command

PHONES, VOICES = (ASTERISK / "classes" / f"{name}.tsv" for name in ("phone", "voice"))


def parts(layers=1, informative=0, items=240, seed=0):
    """Three splits of normal noise in `layers` layers; one of them tells three classes apart."""
    draw = np.random.default_rng(seed)
    y = draw.integers(0, 3, items)
    x = draw.normal(size=(items, layers, 8)).astype(np.float32)
    x[np.arange(items), informative, y] += 2.5
    names = np.array(["a", "b", "c"])[y]
    return [
        Part(x[rows], names[rows])
        for rows in (slice(0, items // 2), slice(items // 2, -60), slice(-60, None))
    ]


def test_logistic_regression_is_scikit_learns_with_the_strength_that_is_best_on_valid():
    train, valid, test = parts()
    fitted = fit_and_answer("linear", train, valid, test, 0)
    both = np.concatenate([train.x, valid.x])[:, 0]
    scaler = StandardScaler().fit(both)
    peer = LogisticRegression(C=fitted.chosen["C"]).fit(
        scaler.transform(both), np.concatenate([train.y, valid.y])
    )
    np.testing.assert_array_equal(fitted.answers, peer.predict(scaler.transform(test.x[:, 0])))
    assert np.mean(fitted.answers == test.y) > 0.8


@pytest.mark.parametrize("model", ["linear", "mlp"])
def test_the_mix_finds_the_layer_that_knows(model):
    train, valid, test = parts(layers=3, informative=1)
    fitted = fit_and_answer(model, train, valid, test, 0)
    assert np.mean(fitted.answers == test.y) > 0.75
    weights = fitted.chosen["layer_weights"]
    assert sum(weights) == pytest.approx(1)
    assert np.argmax(weights) == 1
    again = fit_and_answer(model, train, valid, test, 0)
    np.testing.assert_array_equal(again.answers, fitted.answers)
    assert again.chosen == fitted.chosen
    assert fit_and_answer(model, train, valid, test, 1).chosen != fitted.chosen


def items_of(parts, speakers=None):
    x, y = (np.concatenate([getattr(part, name) for part in parts]) for name in ("x", "y"))
    split = np.repeat(["train", "valid", "test"], [len(part.y) for part in parts])
    paths = np.array([f"{i}.wav" for i in range(len(y))])
    return Items(x, paths, paths, y, split)


def test_classes_without_a_relation_to_the_features_are_guessed():
    found = parts(items=900)
    shuffled = [Part(part.x, np.random.default_rng(1).permutation(part.y)) for part in found]
    items = items_of(shuffled)
    result = probe(items, make_folds(items, ["train", "valid", "test"], None), "linear", 3, "noise")
    low, high = result.metrics["uar"].interval
    assert low < 1 / 3 < high
    assert len(result.answers.runs) == 1  # a logistic regression is the same for every seed


def test_parts_that_share_no_class_are_refused():
    train, valid, test = parts()
    alone, other = Part(train.x, np.full(len(train.y), "a")), Part(valid.x, np.full(len(valid.y), "z"))
    for divided, message in (
        ([alone, valid, test], "two classes or more to train on, found a"),
        ([train, other, test], r"\(a, b, c\.\.\.\), found only z"),
    ):
        items = items_of(divided)
        folds = make_folds(items, ["train", "valid", "test"], None)
        with pytest.raises(PtselError, match=message):
            probe(items, folds, "mlp", 1, "parts")


def test_folds_leave_a_group_out_and_test_every_item_once(tmp_path):
    items = items_of(parts(items=200))
    speakers = [f"s{i % 4}" for i in range(200)]
    lines = [f"{path}\t{speaker}" for path, speaker in zip(items.paths, speakers, strict=True)]
    (tmp_path / "speakers.tsv").write_text("\n".join(["path\tclass", *lines]) + "\n")
    folds = make_folds(items, ["train"], read_class_table(tmp_path / "speakers.tsv"))
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(200))
    for fold in folds:
        groups = [{speakers[i] for i in rows} for rows in (fold.train, fold.valid, fold.test)]
        assert [len(group) for group in groups] == [2, 1, 1]
        assert len(set.union(*groups)) == 4
    result = probe(items, folds, "linear", 1, "speakers")
    assert result.metrics["accuracy"].value > 0.8
    assert len(result.answers.ids) == 200


def test_utterances_without_a_class_are_counted(voices, tmp_path, capsys):
    lines = (voices / "train.tsv").read_text().splitlines()
    for i, split in enumerate(("train", "valid", "test")):
        (tmp_path / f"{split}.tsv").write_text("\n".join([lines[0], *lines[1 + 4 * i :][:4]]) + "\n")
    rows = [f"{line.split(chr(9))[0]}\t{'xy'[i % 2]}" for i, line in enumerate(lines[1:13])]
    for labelled, said in (
        (rows, "the most frequent class is 50.0 %"),
        (rows[:2] + rows[5:-1], "; 4 utterances without a class are left out"),
    ):
        (tmp_path / "classes.tsv").write_text("\n".join(["path\tclass", *labelled]) + "\n")
        probe_command(tmp_path, tmp_path / "classes.tsv", ["zcr"], tmp_path / "out")
        assert capsys.readouterr().out.splitlines()[0].endswith(said)


@pytest.mark.slow
def test_voices_from_the_command_line(voices, tmp_path):
    words = ("--classes", VOICES, "--features", "mfcc", "log_mel", "--out", tmp_path / "out")
    done = run_command("ptsel", "probe", voices, *words)
    assert done.returncode == 0, done.stderr
    result = read_result(tmp_path / "out" / "mfcc" / "result.json")
    assert result.metrics["accuracy"].value >= 30 / 32
    assert len(result.answers.ids) == 32
    assert result.provenance["command"].startswith("ptsel probe")
    assert list(result.provenance["files"]) == [
        *(str(voices / f"{split}.tsv") for split in ("train", "valid", "test")),
        str(VOICES),
    ]
    assert {"scikit-learn", "torch", "numpy"} <= result.provenance["versions"].keys()
    assert "the most frequent class is 43.8 %" in done.stdout
    table = (tmp_path / "out" / "comparison.md").read_text()
    assert "mfcc linear − log_mel linear" in table
    assert (tmp_path / "out" / "comparison.png").is_file()


@pytest.mark.slow
def test_a_checkpoint_with_several_seeds(voices, tmp_path):
    save_stock(tmp_path / "stock.pt")
    words = (
        "--classes",
        VOICES,
        "--features",
        tmp_path / "stock.pt",
        "mfcc",
        "--out",
        tmp_path / "out",
        "--seeds",
        2,
    )
    done = run_command("ptsel", "probe", voices, *words)
    assert done.returncode == 0, done.stderr
    for noise in ("DEBUG", "Warning"):  # of fairseq
        assert noise not in done.stderr
    content = json.loads((tmp_path / "out" / "stock" / "result.json").read_text())
    assert len(content["answers"]["runs"]) == 2
    assert len(content["chosen"][0][0]["layer_weights"]) == 3
    assert content["features"]["shape"] == [3, 32]
    assert len(content["features"]["checksum"]) == 64
    assert content["metrics"]["uar"]["value"] > 0.3  # of five voices; untrained layers know something


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"splits": ["train", "test"]}, "--splits: expected three"),
        ({"seeds": 0}, "--seeds: expected at least 1, found 0"),
        ({"splits": ["train", "train", "test"], "classes": PHONES, "groups": "few"}, "have none"),
        ({"splits": ["train", "other", "test"]}, "other.tsv: no such file"),
        ({"leave_out": "few"}, "have none .first: en/"),
    ],
)  # fmt: skip
def test_what_cannot_be_probed(voices, tmp_path, options, message):
    (tmp_path / "few").write_text("path\tclass\nx.ogg\tx\n")
    options = {key: tmp_path / value if value == "few" else value for key, value in options.items()}
    with pytest.raises(PtselError, match=message):
        probe_command(voices, **{"classes": VOICES, "features": ["mfcc"], "out": tmp_path / "out", **options})
