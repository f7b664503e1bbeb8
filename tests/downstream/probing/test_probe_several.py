"""`ptsel probe --relevance`: masks, scikit-learn's classifiers, and recordings of two instruments at once."""

from __future__ import annotations

import math

import numpy as np
import pytest
import soundfile
from conftest import run_command
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score
from sklearn.preprocessing import StandardScaler

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.downstream.corpora.splits import fold_of
from ptsel_fairseq.downstream.metrics.results import read_result
from ptsel_fairseq.downstream.probing.multilabel import Rated, fit_and_score
from ptsel_fairseq.downstream.probing.probe import probe_command

NAMES = ("flute", "organ")


def rated(seed, items=120, layers=1, informative=0, labelled=0.6):
    """Two classes, each in half the recordings; features of one layer know of them."""
    draw = np.random.default_rng(seed)
    truth = draw.integers(2, size=(items, 2))
    x = draw.normal(size=(items, layers, 5)).astype(np.float32)
    x[:, informative, :2] += 2 * truth
    relevance = np.where(truth, draw.uniform(0.5, 1, truth.shape), draw.uniform(0, 0.49, truth.shape))
    relevance[draw.random(truth.shape) > labelled] = math.nan
    relevance[:2] = [[0.9, 0.1], [0.1, 0.9]]
    return Rated(x, relevance, np.array([f"{i}.wav" for i in range(items)]))


def test_each_class_is_scikit_learns_regression_on_what_is_labelled_for_it():
    train, valid, test = (rated(seed) for seed in range(3))
    scores, chosen = fit_and_score("linear", train, valid, test.x, 0)
    for k in range(2):
        x, y = (
            np.concatenate(
                [getattr(part, name)[np.isfinite(part.relevance[:, k])] for part in (train, valid)]
            )
            for name in ("x", "relevance")
        )
        scaler = StandardScaler().fit(x[:, 0])
        peer = LogisticRegression(C=chosen["C"]).fit(scaler.transform(x[:, 0]), y[:, k] >= 0.5)
        expected = peer.predict_proba(scaler.transform(test.x[:, 0]))[:, 1]
        np.testing.assert_allclose(scores[:, k], expected, atol=1e-3)


@pytest.mark.parametrize(("model", "layers"), [("linear", 1), ("linear", 2), ("mlp", 1)])
def test_classes_are_found_and_what_is_not_labelled_is_no_negative(model, layers):
    train, valid, test = (rated(seed, 400, layers, layers - 1, labelled=0.4) for seed in range(3))
    scores, chosen = fit_and_score(model, train, valid, test.x, 0)
    for k in range(2):
        rows = np.isfinite(test.relevance[:, k])
        assert average_precision_score(test.relevance[rows, k] >= 0.5, scores[rows, k]) > 0.85
        assert scores[:, k].mean() == pytest.approx(0.5, abs=0.1)  # else 0.2, as two of five are labelled
    if layers > 1:
        assert np.argmax(chosen["layer_weights"]) == 1
    again, _ = fit_and_score(model, train, valid, test.x, 0)
    np.testing.assert_array_equal(again, scores)


def test_a_class_that_nothing_is_known_of():
    train, valid, test = (rated(seed) for seed in range(3))
    train.relevance[:, 1] = valid.relevance[:, 1] = math.nan
    assert not fit_and_score("linear", train, valid, test.x, 0)[0][:, 1].any()
    valid.relevance[0, 1] = 0.7
    assert (fit_and_score("linear", train, valid, test.x, 0)[0][:, 1] == 1).all()


@pytest.fixture
def chords(tmp_path):
    """Recordings of a low tone, a high one, both, or noise alone; half the pairs are labelled."""
    draw = np.random.default_rng(0)
    times = np.arange(6400) / 16000
    for split, count in (("train", 60), ("test", 24)):
        lines, pairs = [str(tmp_path)], ["path\tclass\trelevance"]
        for i in range(count):
            there = (i % 2, i // 2 % 2)
            tones = [
                on * np.sin(2 * np.pi * hertz * times) for on, hertz in zip(there, (220, 2500), strict=True)
            ]
            soundfile.write(
                tmp_path / f"{split}{i}.wav", 0.2 * sum(tones) + 0.02 * draw.normal(size=len(times)), 16000
            )
            lines.append(f"{split}{i}.wav\t6400")
            asked = [k for k in range(2) if (i // 4 + k) % 2]
            pairs += [f"{split}{i}.wav\t{NAMES[k]}\t{0.8 * there[k] + 0.1:g}" for k in asked if i < count - 2]
        (tmp_path / f"{split}.tsv").write_text("\n".join(lines) + "\n")
        (tmp_path / "labels").mkdir(exist_ok=True)
        (tmp_path / "labels" / f"{split}.tsv").write_text("\n".join(pairs) + "\n")
    return tmp_path


def test_from_the_command_line(chords):
    words = (
        "--relevance",
        chords / "labels",
        "--splits",
        "train",
        "test",
        "--out",
        chords / "out",
        "--jobs",
        1,
    )
    done = run_command("ptsel", "probe", chords, *words, "--features", "log_mel")
    assert done.returncode == 0, done.stderr
    result = read_result(chords / "out" / "log_mel" / "result.json")
    rows = [line.split("\t") for line in (chords / "labels" / "test.tsv").read_text().splitlines()[1:]]
    assert sorted(result.answers.ids) == sorted(f"{path}\t{name}" for path, name, _ in rows)
    scores = dict(zip(result.answers.ids, result.answers.runs[0], strict=True))
    f1 = [
        f1_score(
            [float(number) >= 0.5 for _, name, number in rows if name == wanted],
            [scores[f"{path}\t{name}"] >= 0.5 for path, name, _ in rows if name == wanted],
        )
        for wanted in NAMES
    ]
    assert result.metrics["mean_f1"].value == pytest.approx(np.mean(f1))
    assert np.mean(f1) > 0.9
    chosen_on = sum(fold_of(f"train{i}.wav") == "fold1" for i in range(58))
    assert (
        f"{58 - chosen_on} recordings to train, {chosen_on} to choose, 22 to test on with 22 labelled"
        in done.stdout
    )
    assert "yes to all is a mean F1 of 66.7 %; 4 recordings without a label are left out" in done.stdout
    assert str(chords / "labels" / "train.tsv") in result.provenance["files"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": "x.tsv"}, "--classes, --values, --relevance: expected one of them"),
        ({"leave_out": "x.tsv"}, "--leave-out: not with --relevance"),
        ({"splits": ["train"]}, "--splits: expected two .* or three .* found train"),
        ({"splits": ["train", "valid", "test"]}, r"valid.tsv: no such file"),
        ({"test": "gone.wav\tflute\t1\n"}, r"test.tsv: 1 paths are not in .*test.tsv \(first: gone.wav\)"),
        ({"test": "test0.wav\tdrum\t1\n"}, r"test.tsv: 1 classes are not among those to train on \(first: drum\)"),
        ({"test": "test0.wav\tflute\t7\n"}, r"expected a number from 0 to 1, found '7' for test0.wav flute"),
        ({split: f"{split}0.wav\tflute\t1\n" for split in ("train", "test")}, r"expected relevances on .* to train on"),
    ],
)  # fmt: skip
def test_what_cannot_be_probed(chords, options, message):
    words = {"classes": None, "relevance": chords / "labels", "splits": ["train", "test"], **options}
    for split in {"train", "test"} & words.keys():
        (chords / "labels" / f"{split}.tsv").write_text(f"path\tclass\trelevance\n{words.pop(split)}")
    with pytest.raises(PtselError, match=message):
        probe_command(chords, features=["zcr"], out=chords / "out", jobs=1, **words)
    assert not list((chords / "out").rglob("result.json"))
