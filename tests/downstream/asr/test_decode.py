"""Decoding: fairseq's own outputs, every path and every sentence of small problems, what the command writes."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import torch
from conftest import ASTERISK, run_command
from ctc_tools import save_ctc

from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.class_file import read_classes
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.downstream.alignment.align import align_command
from ptsel_fairseq.downstream.asr.decode import decode_command
from ptsel_fairseq.downstream.asr.search import BeamSearch, collapse, read_lexicon, text_of
from ptsel_fairseq.downstream.features.wav2vec import load_ctc
from ptsel_fairseq.downstream.metrics.error_rates import TranscriptScorer
from ptsel_fairseq.downstream.metrics.results import read_result

LETTERS = "| " + " ".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ'")
CLIP = ASTERISK / "audio" / "en" / "agent-pass.ogg"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    file = tmp_path_factory.mktemp("tiny-ctc") / "checkpoint_best.pt"
    save_ctc(file, LETTERS)
    return file


@pytest.fixture(scope="module")
def english(tmp_path_factory):
    folder = tmp_path_factory.mktemp("english")
    for name in ("valid.tsv", "valid.wrd"):
        lines = (ASTERISK / "english" / name).read_text().splitlines()
        head = [str((ASTERISK / "audio").resolve()), *lines[1:7]] if name.endswith("tsv") else lines[:6]
        (folder / name).write_text("\n".join(head) + "\n")
    return folder


@pytest.mark.parametrize("normalize", [False, True])
def test_probabilities_are_fairseqs(normalize, tmp_path):
    model = save_ctc(tmp_path / "a.pt", LETTERS, normalize=normalize, blank_weight=1.5)
    waveform = read_audio(CLIP, 16000)
    source = torch.from_numpy(waveform)[None]
    if normalize:
        source = torch.nn.functional.layer_norm(source, source.shape)
    with torch.no_grad():
        output = model(source=source, padding_mask=None)
        expected = model.get_normalized_probs(output, log_probs=True)[:, 0]
    ctc = load_ctc(tmp_path / "a.pt")
    found = ctc.log_probs(waveform)
    assert found.shape == (ctc.grid.num_frames(len(waveform)), len(ctc.symbols))
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)
    assert ctc.symbols[:6] == ("<s>", "<pad>", "</s>", "<unk>", "|", "A")


def test_checkpoints_that_are_no_ctc_models(tmp_path):
    torch.save({"cfg": {"model": {"_name": "wav2vec2"}, "task": {}}, "model": {}}, tmp_path / "pretrained.pt")
    with pytest.raises(
        PtselError,
        match=r"expected a checkpoint of one of the models .*wav2vec_ctc .* found the model 'wav2vec2'",
    ):
        load_ctc(tmp_path / "pretrained.pt")
    save_ctc(tmp_path / "bpe.pt", "▁THE", labels="bpe")
    with pytest.raises(PtselError, match=r"expected a model of letters .* found 'bpe'"):
        decode_command(tmp_path, tmp_path / "bpe.pt", tmp_path / "out")
    (tmp_path / "broken.pt").write_bytes(b"PK\x03\x04")
    with pytest.raises(PtselError, match="expected a checkpoint of fairseq"):
        load_ctc(tmp_path / "broken.pt")
    save_ctc(tmp_path / "other.pt", LETTERS)
    state = torch.load(tmp_path / "other.pt", weights_only=False)
    state["model"].pop("w2v_encoder.proj.bias")
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(PtselError, match="expected a projection onto the symbols"):
        load_ctc(tmp_path / "other.pt")


def test_the_best_path_is_collapsed():
    path = [0, 5, 5, 0, 5, 6, 6, 4, 0, 0, 4, 3]
    log_probs = np.full((len(path), 8), -5.0)
    log_probs[np.arange(len(path)), path] = -0.1
    assert collapse(log_probs) == [symbol for symbol, _ in itertools.groupby(path) if symbol]
    symbols = ["<s>", "<pad>", "</s>", "<unk>", "|", "A", "B", "C"]
    assert text_of([symbols[i] for i in collapse(log_probs)], "word") == "AAB"
    assert text_of(["|", "A", "|", "|", "B"], "word") == "A B"
    assert text_of(["AH", "N"], "phone") == "AH N"


ARPA = """\\data\\
ngram 1=6
ngram 2=3

\\1-grams:
-1.0\t<unk>
-99\t<s>\t-0.2
-0.9\t</s>
-0.7\tAB\t-0.1
-0.4\tA\t-0.3
-1.2\tBA\t-0.5

\\2-grams:
-0.1\t<s> AB
-0.2\tAB BA
-0.3\tBA </s>

\\end\\
"""
WORDS = ("AB", "A", "BA")


def literal_lm(words):
    """Log10 of a sentence by the definition of a back-off bigram."""
    one = {"<unk>": -1.0, "</s>": -0.9, "AB": -0.7, "A": -0.4, "BA": -1.2}
    back = {"<s>": -0.2, "AB": -0.1, "A": -0.3, "BA": -0.5}
    two = {("<s>", "AB"): -0.1, ("AB", "BA"): -0.2, ("BA", "</s>"): -0.3}
    pairs = itertools.pairwise(["<s>", *words, "</s>"])
    return sum(two.get(pair, back[pair[0]] + one[pair[1]]) for pair in pairs)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("with_lm", [False, True])
def test_the_beam_search_finds_the_best_of_all_paths(seed, with_lm, tmp_path):
    pytest.importorskip("flashlight.lib.text", reason="the beam search needs the extra [lm]")
    pytest.importorskip("kenlm")
    symbols = ("<s>", "|", "A", "B")
    scores = 2 * np.random.default_rng(seed).normal(size=(6, 4))
    log_probs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    (tmp_path / "lexicon.txt").write_text("\n".join([*WORDS, "AB\tA B |"]) + "\n")
    (tmp_path / "lm.arpa").write_text(ARPA)
    lm = tmp_path / "lm.arpa" if with_lm else None
    search = BeamSearch(tmp_path / "lexicon.txt", lm, lm_weight=1.3, word_score=0.4, beam=500, threshold=1e3)

    best: dict[
        tuple[str, ...], float
    ] = {}  # by sentence; its words end with |, of which more may stand between
    for path in itertools.product(range(4), repeat=6):
        letters = "".join(symbols[i] for i, _ in itertools.groupby(path) if i)
        words = tuple(letters.replace("|", " ").split())
        if letters.endswith("|") and set(words) <= set(WORDS):
            value = sum(log_probs[t, i] for t, i in enumerate(path))
            value += 0.4 * len(words) + (1.3 * literal_lm(words) if with_lm else 0)
            best[words] = max(best.get(words, -np.inf), value)
    found = tuple(search.text(log_probs, symbols).split())
    assert len(best) > 3
    assert best[found] == pytest.approx(max(best.values()), abs=1e-4)


def test_without_the_libraries_a_beam_search_says_what_to_install(monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "flashlight.lib.text", None)
    (tmp_path / "words").write_text("A\n")
    with pytest.raises(
        PtselError, match=r"needs flashlight-text and kenlm.*pip install 'ptsel_fairseq\[lm\]'"
    ):
        BeamSearch(tmp_path / "words").text(np.zeros((3, 3), np.float32), ("<s>", "|", "A"))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("AB\nAX\n", "line 2: expected a word, .* found 'AX' with X, which the model does not know"),
        ("AB\tA B\n", "line 1: expected a word, or a word and its spelling"),
        ("", "expected words such as"),
    ],
)
def test_lexicons_that_cannot_be_used(lines, message, tmp_path):
    (tmp_path / "words").write_text(lines)
    with pytest.raises(PtselError, match=message):
        read_lexicon(tmp_path / "words", {"<s>": 0, "|": 1, "A": 2, "B": 3})


@pytest.mark.slow
def test_decode_writes_texts_and_their_error_rates(checkpoint, english, tmp_path):
    words = ("--model", checkpoint, "--split", "valid", "--out", tmp_path / "out")
    done = run_command("ptsel", "decode", english, *words)
    assert done.returncode == 0, done.stderr
    heard = dict(line.split("\t") for line in (tmp_path / "out" / "hypothesis.txt").read_text().splitlines())
    ctc = load_ctc(checkpoint)
    manifest = read_manifest(english / "valid.tsv")
    for utterance in manifest:
        path = ctc.log_probs(read_audio(manifest.audio_path(utterance), 16000)).argmax(axis=1)
        said = [ctc.symbols[i] for i, _ in itertools.groupby(path) if i != 0]
        expected = "".join(s for s in said if s not in ("<pad>", "</s>", "<unk>")).replace("|", " ").split()
        assert heard[utterance.path].split() == expected
    result = read_result(tmp_path / "out" / "result.json")
    texts = (english / "valid.wrd").read_text().splitlines()
    literal = TranscriptScorer(texts, list(heard.values()))(np.ones(6))
    assert result.metrics["wer"].value == pytest.approx(literal["wer"])
    assert result.name == checkpoint.parent.name
    again = (
        "--reference",
        tmp_path / "out" / "reference.txt",
        "--hypothesis",
        tmp_path / "out" / "hypothesis.txt",
    )
    evaluated = run_command("ptsel", "evaluate", "asr", *again, "--out", tmp_path / "again.json")
    assert evaluated.returncode == 0, evaluated.stderr
    assert (
        json.loads((tmp_path / "again.json").read_text())["metrics"]["cer"]
        == json.loads((tmp_path / "out" / "result.json").read_text())["metrics"]["cer"]
    )


def test_decode_without_texts_and_with_options_that_contradict(checkpoint, english, tmp_path, capsys):
    (tmp_path / "valid.tsv").write_text((english / "valid.tsv").read_text())
    decode_command(tmp_path, checkpoint, tmp_path / "out")
    assert "no valid.wrd beside the manifest: no error rates" in capsys.readouterr().out
    assert not (tmp_path / "out" / "result.json").exists()
    with pytest.raises(PtselError, match="--lm: give --lexicon as well"):
        decode_command(english, checkpoint, tmp_path / "out", lm="x.arpa")
    with pytest.raises(PtselError, match="--beam: expected at least 1, found 0"):
        decode_command(english, checkpoint, tmp_path / "out", beam=0)
    with pytest.raises(PtselError, match=r"none\.txt: no such file"):
        decode_command(english, checkpoint, tmp_path / "out", lexicon=tmp_path / "none.txt")


def test_a_models_own_alignment(checkpoint, english, tmp_path):
    align_command(english, tmp_path, ["valid"], model=checkpoint)
    manifest = read_manifest(english / "valid.tsv")
    texts = (english / "valid.wrd").read_text().splitlines()
    words, letters = (
        read_classes(tmp_path / f"{kind}.tsv", manifest, 16000).segments for kind in ("word", "letter")
    )
    for i, text in enumerate(texts):
        for segments, names in ((words, text.split()), (letters, list(text.replace(" ", "")))):
            own = [segment for segment in segments if segment.utterance == i]
            assert [segment.name for segment in own] == names
            assert all(a.end <= b.start + 1e-9 for a, b in itertools.pairwise(own))
    assert not (tmp_path / "phone.tsv").exists()


def test_what_a_model_cannot_align_is_named(english, tmp_path):
    save_ctc(tmp_path / "phones.pt", "AH N T", labels="phn")
    for name in ("valid.tsv",):
        (tmp_path / name).write_text((english / name).read_text())
    lines = ["AH N T AH", "AH Q", "", "AH " * 900, "T T", "N"]
    (tmp_path / "valid.phn").write_text("\n".join(lines) + "\n")
    align_command(tmp_path, tmp_path / "out", ["valid"], model=tmp_path / "phones.pt")
    reasons = [line.split("\t")[1] for line in (tmp_path / "out" / "failed.txt").read_text().splitlines()[1:]]
    assert reasons[:2] == ["not in the model's dictionary: Q", "nothing in its transcript"]
    assert "frames are too few for 900 symbols" in reasons[2]
    manifest = read_manifest(tmp_path / "valid.tsv")
    names = [
        segment.name for segment in read_classes(tmp_path / "out" / "phone.tsv", manifest, 16000).segments
    ]
    assert names == ["AH", "N", "T", "AH", "T", "T", "N"]
