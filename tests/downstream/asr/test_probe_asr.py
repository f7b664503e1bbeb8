"""The small recogniser: its loss and edits against literal ones, that it learns, and what the command writes."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import torch
from conftest import ASTERISK, run_command
from hypothesis import given, settings
from hypothesis import strategies as st

from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.downstream.asr.probe import Frames, Task, probe, probe_asr_command, read_task
from ptsel_fairseq.downstream.asr.recogniser import (
    Blstm,
    Recogniser,
    Settings,
    batches,
    ctc_loss,
    edit_distance,
    moments,
    on_valid,
    padded,
    recognise,
)
from ptsel_fairseq.downstream.features.front_end import front_ends
from ptsel_fairseq.downstream.metrics.results import read_result
from ptsel_fairseq.labels.signal.analysis import Analysis


@pytest.fixture(scope="module")
def english(tmp_path_factory):
    """The eight shortest English clips, as train, and again as test; three of them as valid."""
    folder = tmp_path_factory.mktemp("english")
    root, *lines = (ASTERISK / "english" / "train.tsv").read_text().splitlines()
    texts = (ASTERISK / "english" / "train.wrd").read_text().splitlines()
    rows = sorted(zip(lines, texts, strict=True), key=lambda row: int(row[0].split("\t")[1]))[:8]
    for split, chosen in (("train", rows), ("valid", rows[:3]), ("test", rows)):
        audio = str((ASTERISK / "english" / root).resolve())
        (folder / f"{split}.tsv").write_text("\n".join([audio, *(line for line, _ in chosen)]) + "\n")
        (folder / f"{split}.wrd").write_text("\n".join(text for _, text in chosen) + "\n")
    return folder


@pytest.fixture(scope="module")
def task(english):
    return read_task(english, ("train", "train", "train"), "word")


@pytest.fixture(scope="module")
def frames(task):
    return Frames(front_ends(["log_mel"])[0], task.spoken, 10**9, 1)


def test_features_are_the_labels_frames(task, frames):
    waveform = read_audio(task.spoken[0].file, 16000)
    expected = Analysis(waveform, FrameGrid()).log_mel
    assert frames(0).shape == (1, *expected.shape)
    np.testing.assert_allclose(frames(0)[0], expected, rtol=2e-3, atol=2e-2)  # kept in float16
    again = Frames(front_ends(["log_mel"])[0], task.spoken, 10, 1)  # too little memory
    assert not again.kept
    np.testing.assert_allclose(again(0)[0], expected, rtol=1e-5)
    assert again.lengths == frames.lengths == [frames(i).shape[1] for i in range(len(task.spoken))]
    mean, deviation = moments(frames, range(8))
    every = np.concatenate([frames(i)[0] for i in range(8)]).astype(np.float64)
    np.testing.assert_allclose(mean[0], every.mean(axis=0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(deviation[0], every.std(axis=0), rtol=1e-3)


def test_undefined_frames_are_zero(task):
    f0 = Frames(front_ends(["f0"])[0], task.spoken[:1], 10**9, 1)(0)
    assert (f0 == 0).any()
    assert (f0 > 50).any()


def test_symbols_are_of_the_training_texts(english, tmp_path):
    for name in ("train", "valid"):
        for suffix in (".tsv", ".wrd"):
            (tmp_path / f"{name}{suffix}").write_text((english / f"{name}{suffix}").read_text())
    text = (tmp_path / "valid.wrd").read_text().splitlines()
    (tmp_path / "valid.wrd").write_text("\n".join(["ЖAB", *text[1:]]) + "\n")
    task = read_task(tmp_path, ("train", "valid", "valid"), "word")
    assert task.symbols[0] == "<blank>"
    assert "Ж" not in task.symbols
    assert task.targets[task.parts[1][0]][0] == -1
    assert [task.symbols[i] for i in task.targets[0]] == [
        *"|".join(task.spoken[0].text.split()),
        "|",
    ]


@settings(deadline=None)
@given(*[st.lists(st.integers(1, 3), max_size=7)] * 2)
def test_edits_are_the_literal_distance(heard, right):
    row = list(range(len(right) + 1))
    for i, x in enumerate(heard, start=1):
        corner, row[0] = row[0], i
        for j, y in enumerate(right, start=1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (x != y))
    assert edit_distance(heard, right) == row[-1]


@pytest.mark.parametrize("head", ["blstm", "linear"])
def test_padding_changes_nothing_and_the_loss_is_that_of_all_paths(head):
    draw = np.random.default_rng(0)
    values = [draw.normal(size=(2, n, 5)).astype(np.float32) for n in (5, 3, 4)]
    torch.manual_seed(0)
    model = Recogniser(*moments(values.__getitem__, range(3)), 3, Settings(head=head, size=6)).eval()
    together = recognise(model, values.__getitem__, range(3), 3, "cpu")
    for i, alone in enumerate(recognise(model, values.__getitem__, range(3), 1, "cpu")):
        assert len(alone) == values[i].shape[1]
        np.testing.assert_allclose(together[i], alone, atol=1e-5)
    targets = [[1, 2], [2], [1, 1]]

    def literal(log_probs, target):
        paths = itertools.product(range(3), repeat=len(log_probs))
        fitting = [p for p in paths if [s for s, _ in itertools.groupby(p) if s] == target]
        return -np.log(sum(np.exp(sum(log_probs[t, s] for t, s in enumerate(p))) for p in fitting))

    expected = [
        literal(log_probs, target) / len(target) for log_probs, target in zip(together, targets, strict=True)
    ]
    found = ctc_loss(model, values.__getitem__, targets, range(3), "cpu").item()
    assert found == pytest.approx(np.mean(expected), rel=1e-4)
    assert on_valid(together, targets)[1] == pytest.approx(np.mean(expected), rel=1e-4)
    features, lengths = padded(values.__getitem__, [1, 0])
    assert lengths.tolist() == [3, 5]
    assert not features[0, :, 3:].any()


def test_its_lstm_is_that_of_packed_sequences():
    torch.manual_seed(0)
    ours, theirs = Blstm(6, 2, 0.2).eval(), torch.nn.LSTM(6, 6, 2, batch_first=True, bidirectional=True)
    with torch.no_grad():
        for layer in range(2):
            for part, ending in ((ours.onward, ""), (ours.back, "_reverse")):
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                    getattr(theirs, f"{name}_l{layer}{ending}").copy_(getattr(part[layer], f"{name}_l0"))
    features, lengths = torch.randn(3, 9, 6), torch.tensor([5, 9, 1])
    packed = torch.nn.utils.rnn.pack_padded_sequence(features, lengths, True, enforce_sorted=False)
    expected, _ = torch.nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], True)
    known = torch.arange(9) < lengths[:, None]
    found = ours(features, lengths)
    torch.testing.assert_close(found[known], expected[known])
    found[known].square().sum().backward()
    expected[known].square().sum().backward()
    torch.testing.assert_close(ours.back[0].weight_ih_l0.grad, theirs.weight_ih_l0_reverse.grad)
    torch.testing.assert_close(ours.onward[1].weight_hh_l0.grad, theirs.weight_hh_l1.grad)


def test_batches_hold_each_utterance_once_and_like_lengths():
    draw = np.random.default_rng(0)
    lengths = draw.integers(50, 500, 103).tolist()
    found = batches(lengths, range(103), 8, draw)
    assert sorted(itertools.chain(*found)) == list(range(103))
    waste = sum(max(lengths[i] for i in rows) * len(rows) - sum(lengths[i] for i in rows) for rows in found)
    assert waste < 0.15 * sum(lengths)


@pytest.mark.parametrize(
    ("chosen", "most"),
    [
        (Settings("linear", learning_rate=3e-2, batch=4, epochs=40), 0.35),
        pytest.param(Settings("blstm", 64, 1e-2, 4, 40), 0.35, marks=pytest.mark.slow),
    ],
)
def test_it_learns_to_hear_what_it_was_trained_on(task, frames, chosen, most):
    before = torch.get_rng_state()
    result = probe(task, frames, chosen, 1, "log_mel")
    assert result.metrics["cer"].value < most
    assert torch.equal(torch.get_rng_state(), before)
    details = result.provenance["chosen"][0]
    assert details["valid_error"] < most
    assert details["layer_weights"] == [1.0]
    silent = Task(task.spoken, task.parts, task.symbols, [target[::-1] for target in task.targets], "word")
    untrained = probe(silent, frames, Settings("linear", epochs=1), 1, "x")
    assert untrained.metrics["cer"].value > 0.8


@pytest.mark.slow
def test_the_command_writes_results_that_repeat(english, tmp_path):
    words = ("--features", "log_mel", "mfcc", "--head", "linear", "--epochs", "3", "--seeds", "2")
    done = run_command("ptsel", "probe-asr", english, *words, "--out", tmp_path / "a")
    assert done.returncode == 0, done.stderr
    probe_asr_command(english, ["log_mel"], tmp_path / "b", settings=Settings("linear", epochs=3), seeds=2)
    assert (
        "8 utterances to train (train), 3 utterances to choose (valid), 8 utterances to test (test)"
        in done.stdout
    )
    assert (tmp_path / "a" / "comparison.md").is_file()
    results = [read_result(tmp_path / out / "log_mel" / "result.json") for out in "ab"]
    assert results[0].answers == results[1].answers
    assert len(results[0].answers.runs) == 2
    content = json.loads((tmp_path / "a" / "mfcc" / "result.json").read_text())
    assert content["settings"]["head"] == "linear"
    assert len(content["files"]) == 6


def test_a_checkpoints_layers_are_mixed(english, tmp_path):
    pytest.importorskip("fairseq")
    from test_probe import save_stock

    save_stock(tmp_path / "stock.pt")
    chosen = Settings("linear", epochs=2)
    probe_asr_command(english, [str(tmp_path / "stock.pt")], tmp_path, settings=chosen)
    weights = json.loads((tmp_path / "stock" / "result.json").read_text())["chosen"][0]["layer_weights"]
    assert len(weights) == 3
    assert sum(weights) == pytest.approx(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"splits": ("train", "valid")}, "--splits: expected three"),
        ({"settings": Settings(size=0)}, "--size: expected at least 1, found 0"),
        ({"settings": Settings(learning_rate=2)}, "--learning-rate: expected between 0 and 1"),
        ({"settings": Settings(device="tpu")}, "--device: expected cpu, cuda"),
        ({"unit": "phone"}, "train.phn: no such file; expected the text of each utterance"),
        ({"features": ["none"]}, "expected a label or a pool"),
    ],
)
def test_options_that_cannot_be_used(options, message, english, tmp_path):
    words = {"features": ["mfcc"], **options}
    with pytest.raises(PtselError, match=message):
        probe_asr_command(english, words.pop("features"), tmp_path / "out", **words)
    assert not (tmp_path / "out").exists()
