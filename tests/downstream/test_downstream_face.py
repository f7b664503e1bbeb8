"""What a notebook sees of `ptsel_fairseq.downstream`: values as the commands give them, and clear errors."""

from __future__ import annotations

import doctest
import importlib
import inspect
import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score

from ptsel_fairseq import downstream
from ptsel_fairseq.base.errors import PtselError

DRAW = np.random.default_rng(3)


@pytest.mark.parametrize(
    "module",
    ["", ".metrics.functions", ".metrics.compare", ".probing.functions"],
    ids=lambda name: name or "face",
)
def test_the_examples_of_the_docstrings(module):
    found = doctest.testmod(importlib.import_module(f"ptsel_fairseq.downstream{module}"))
    assert found.attempted > 0
    assert found.failed == 0


def test_importing_it_imports_nothing_heavy():
    code = (
        "import sys; from ptsel_fairseq import downstream; names = dir(downstream); "
        "print(sorted({'numpy', 'torch', 'scipy', 'sklearn', 'fairseq'} & sys.modules.keys()), 'evaluate_asr' in names)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] True"
    with pytest.raises(AttributeError, match="no attribute 'evaluate_everything'"):
        _ = downstream.evaluate_everything


def test_every_name_is_there_and_settings_have_names():
    for name in downstream.__all__:
        found = getattr(downstream, name)
        assert found.__doc__, name
        if inspect.isfunction(found) and name.startswith(("evaluate", "probe", "verify", "compare")):
            given = [
                p for p in inspect.signature(found).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD
            ]
            assert len(given) <= 3, name
            assert all("seed" not in p.name for p in given), name


def test_metrics_of_classes_equal_scikit_learns():
    names = np.array(["a", "b", "c"])
    right, said = names[DRAW.integers(3, size=60)], names[DRAW.integers(3, size=60)]
    result = downstream.evaluate_classification(right, said, resamples=200)
    assert result["accuracy"].value == pytest.approx((right == said).mean())
    assert result["uar"].value == pytest.approx(balanced_accuracy_score(right, said))
    assert result["macro_f1"].value == pytest.approx(f1_score(right, said, average="macro"))
    low, high = result["accuracy"].interval
    assert low < result["accuracy"].value < high
    again = downstream.evaluate_classification(list(right), list(said), more_runs=[right], resamples=200)
    assert again["accuracy"].value == pytest.approx((result["accuracy"].value + 1) / 2)
    assert again["accuracy"].runs == (result["accuracy"].value, 1.0)


def test_several_classes_at_once_equal_scikit_learns():
    relevance = DRAW.integers(2, size=(40, 3)).astype(float)
    scores = DRAW.uniform(size=(40, 3))
    known = DRAW.uniform(size=(40, 3)) < 0.7
    result = downstream.evaluate_multilabel(
        np.where(known, relevance, np.nan), scores, classes=["x", "y", "z"], resamples=100
    )
    expected = [average_precision_score(relevance[known[:, k], k], scores[known[:, k], k]) for k in range(3)]
    assert result["map"].value == pytest.approx(np.mean(expected))
    assert len(result.answers.ids) == known.sum()
    assert len(set(result.answers.groups)) <= 40


def test_functions_and_command_give_the_same_result(tmp_path):
    reference = {"u1": "PRESS ZERO", "u2": "FOR HELP", "u3": "GOODBYE"}
    heard = {"u3": "GOODBYE", "u1": "PRESS HERO", "u2": "FOR"}
    speakers = {"u1": "s1", "u2": "s1", "u3": "s2"}
    found = downstream.evaluate_asr(reference, heard, groups=speakers, seed=4)
    from ptsel_fairseq.downstream.metrics.evaluate import evaluate_command

    for name, table in (("reference", reference), ("hypothesis", heard)):
        (tmp_path / name).write_text("".join(f"{item}\t{text}\n" for item, text in table.items()))
    lines = "".join(f"{item}\t{speaker}\n" for item, speaker in speakers.items())
    (tmp_path / "groups").write_text("path\tclass\n" + lines)
    evaluate_command(
        "asr",
        tmp_path / "reference",
        [tmp_path / "hypothesis"],
        tmp_path / "r.json",
        tmp_path / "groups",
        seed=4,
    )
    assert downstream.read_result(tmp_path / "r.json").metrics == found.metrics
    downstream.write_result(tmp_path / "again.json", found)
    assert downstream.read_result(tmp_path / "again.json").metrics == found.metrics
    assert str(found).startswith("system:\nWER %: 40.00")


def test_systems_are_compared_as_the_command_compares_them(tmp_path, capsys):
    right = list("abcabcabcabcabcabcab")
    systems = {
        "best": downstream.evaluate_classification(right, right, name="best"),
        "half": downstream.evaluate_classification(right, right[:10] + ["a"] * 10, name="half"),
        "none": downstream.evaluate_classification(right, ["x"] * 20, name="none"),
    }
    found = downstream.compare_systems(systems, against="half", seed=1)
    assert list(found.differences) == [("best", "half"), ("half", "none")]
    difference = found.differences["best", "half"]["accuracy"]
    assert difference.value == pytest.approx(
        systems["best"]["accuracy"].value - systems["half"]["accuracy"].value
    )
    assert 0 < difference.p <= 1
    from ptsel_fairseq.downstream.metrics.compare import compare_command

    files = [tmp_path / f"{name}.json" for name in systems]
    for file, system in zip(files, systems.values(), strict=True):
        downstream.write_result(file, system)
    compare_command(files, tmp_path / "c.md", against="half", seed=1)
    assert found.text in capsys.readouterr().out
    with pytest.raises(PtselError, match="two or more with different names, found best"):
        downstream.compare_systems([systems["best"], systems["best"]])
    with pytest.raises(KeyError, match="wer; the metrics of best are accuracy, uar, macro_f1"):
        _ = systems["best"]["wer"]


@pytest.mark.slow
def test_probes_of_layers_and_of_speakers_left_out():
    classes = np.array(["a", "b"] * 60)
    layers = DRAW.normal(size=(120, 2, 4)).astype(np.float32)
    layers[:, 1] += np.where(classes == "a", 2, -2)[:, None]
    speakers = np.repeat(["s1", "s2", "s3"], 40)
    result = downstream.probe_features(
        layers, classes, leave_out=speakers, model="mlp", seeds=1, groups=speakers
    )
    assert result["accuracy"].value > 0.9
    assert len(result.answers.ids) == 120
    (chosen,) = result.provenance["chosen"]
    assert all(fold["layer_weights"][1] > 0.5 for fold in chosen)


@pytest.mark.slow
def test_relevance_and_transcripts_from_arrays():
    x = DRAW.normal(size=(90, 3)).astype(np.float32)
    relevance = np.stack([x[:, 0] > 0, x[:, 1] > 0], axis=1).astype(float)
    relevance[::7, 1] = np.nan
    splits = np.tile(["train", "train", "valid", "test", "train"], 18)
    result = downstream.probe_relevance(x, relevance, splits, classes=["first", "second"])
    assert result["map"].value > 0.9
    tokens = {letter: DRAW.normal(size=6) * 3 for letter in "AB|"}
    texts = [" ".join(DRAW.choice(["AB", "BA", "ABA"], size=2)) for _ in range(40)]
    frames = [
        np.concatenate([np.tile(tokens[c], (3, 1)) for c in text.replace(" ", "|") + "|"]) for text in texts
    ]
    parts = ["train"] * 28 + ["valid"] * 6 + ["test"] * 6
    heard = downstream.probe_transcripts(
        frames, texts, parts, head="linear", epochs=60, learning_rate=0.05, batch=4, name="made"
    )
    assert heard["wer"].value < 0.3
    assert heard.name == "made linear"


def test_plda_tells_speakers_apart_and_needs_training():
    draw = np.random.default_rng(5)
    centres = draw.normal(size=(30, 6)) * 3

    def recording(speaker):
        return centres[speaker] + draw.normal(size=6)

    train = {f"t{s}-{i}": recording(s) for s in range(20) for i in range(4)}
    speakers = {name: name.split("-")[0] for name in train}
    x = {f"{s}-{i}": recording(s) for s in range(20, 30) for i in range(2)}
    trials = [(int(a.split("-")[0] == b.split("-")[0]), a, b) for a in x for b in x if a < b]
    result = downstream.verify_trials(x, trials, backend="plda", train=train, speakers=speakers, dimensions=4)
    assert result["eer"].value < 0.1
    cosine = downstream.verify_trials(x, trials, train=train)
    assert len(cosine.answers.runs[0]) == len(trials)
    with pytest.raises(PtselError, match="backend plda: expected `train` and `speakers`"):
        downstream.verify_trials(x, trials, backend="plda")


X = np.zeros((6, 2))
SPLITS = ["train", "train", "valid", "valid", "test", "test"]
NAN = np.where(np.arange(6)[:, None] == 3, np.nan, X)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: downstream.evaluate_asr(["a"], ["a", "b"]), "expected 1 values, one for each item, found 2"),
        (lambda: downstream.evaluate_asr({"u": "a"}, {"v": "a"}), r"1 are missing; .*\(first: u\)"),
        (lambda: downstream.evaluate_asr({"u": "a"}, ["a"]), "two mappings or two sequences"),
        (lambda: downstream.evaluate_asr("text", "text"), "a mapping or a sequence of values, found str"),
        (lambda: downstream.evaluate_asr([], []), "expected at least one item"),
        (
            lambda: downstream.evaluate_asr(["a"], ["a"], unit="letter"),
            "expected word or phone, found 'letter'",
        ),
        (lambda: downstream.evaluate_asr(["a"], ["a"], resamples=5), "expected at least 100, found 5"),
        (
            lambda: downstream.evaluate_verification([1, 2], [0.1, 0.2]),
            "reference: expected 1 or 0, found 2 for 1",
        ),
        (
            lambda: downstream.evaluate_verification([1, 0], [0.1, np.nan]),
            "hypothesis: expected a number, found nan",
        ),
        (lambda: downstream.evaluate_verification([1, 1], [0.1, 0.2]), "eer.* cannot be computed"),
        (lambda: downstream.evaluate_classification(["a"], ["a"], groups=["x", "y"]), "groups: expected 1"),
        (
            lambda: downstream.evaluate_classification({"u": "a"}, {"u": "a"}, groups={}),
            r"have none \(first: u\)",
        ),
        (lambda: downstream.evaluate_multilabel(X[0], X[0]), r"an array \[items, classes\]"),
        (lambda: downstream.evaluate_multilabel(X, X[:3]), r"expected the shape \(6, 2\)"),
        (lambda: downstream.evaluate_multilabel(X + 3, X), "from 0 to 1, found 3.0 for 0 0"),
        (lambda: downstream.evaluate_multilabel(X, X, classes=["a", "a"]), "expected 2 different names"),
        (lambda: downstream.probe_features(X[0], ["a"], ["train"]), r"features \[items, dim\]"),
        (lambda: downstream.probe_features(NAN, ["a"] * 6, SPLITS), "finite numbers, found others in item 3"),
        (lambda: downstream.probe_features(X, ["a"] * 5, SPLITS), "one for each of 6 items"),
        (lambda: downstream.probe_features(X, ["a"] * 6), "splits, leave_out: expected one of them"),
        (
            lambda: downstream.probe_features(X, ["a"] * 6, ["train"] * 6),
            "expected train, valid, test, each of some",
        ),
        (
            lambda: downstream.probe_features(X, ["a"] * 6, SPLITS, model="tree"),
            "expected linear or mlp, found 'tree'",
        ),
        (lambda: downstream.probe_features(X, ["a"] * 6, SPLITS, seeds=0), "a whole number from 1, found 0"),
        (lambda: downstream.probe_features(X, ["a"] * 6, SPLITS), "two classes or more to train on, found a"),
        (lambda: downstream.probe_relevance(X, X - 1, SPLITS), "numbers from 0 to 1"),
        (lambda: downstream.verify_trials({}, [(1, "a", "b")]), r"2 have none \(first: a; b\)"),
        (lambda: downstream.verify_trials({"a": X[0], "b": X}, [(1, "a", "b")]), "vectors of one size"),
        (lambda: downstream.verify_trials({"a": X[0], "b": X[0]}, [(1, "a", "b")]), "both kinds of trials"),
        (lambda: downstream.probe_transcripts([X[0]], ["A"], ["train"]), "expected train, valid, test"),
        (lambda: downstream.front_end("no such label"), "expected a label or a pool"),
    ],
    ids=range(30),
)
def test_what_cannot_be_used_is_told_in_one_line(call, message):
    with pytest.raises(PtselError, match=message):
        call()


def test_a_front_end_gives_vectors_and_frames():
    waveform = (0.1 * DRAW.normal(size=16000)).astype(np.float32)
    front_end = downstream.front_end("mfcc")
    (vector,) = front_end.vectors(waveform, [(0.0, 1.0)])
    frames = front_end.frames(waveform)
    assert vector.shape == (1, 2 * frames.shape[2])
    np.testing.assert_allclose(vector[0, : frames.shape[2]], frames[0].mean(axis=0), rtol=1e-4, atol=1e-4)
