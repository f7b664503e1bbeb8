"""Alignment by pocketsphinx against recordings put together; what cannot be aligned is named and counted."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
from alignment_tools import ENGLISH, segments_of
from conftest import run_command

from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.downstream.alignment.align import align_command
from ptsel_fairseq.downstream.speech import utterances as spoken_module
from ptsel_fairseq.downstream.speech.utterances import Spoken, read_spoken

FAINT = 1e-4


def speech_only(waveform):
    """Cut to the 10 ms that are louder than -35 dB of the peak."""
    frames = waveform[: len(waveform) // 160 * 160].reshape(-1, 160)
    loud = np.flatnonzero(np.sqrt((frames**2).mean(axis=1)) > 10 ** (-35 / 20) * np.abs(waveform).max())
    return waveform[loud[0] * 160 : (loud[-1] + 1) * 160]


def test_pocketsphinx_finds_where_recordings_were_put_together(tmp_path):
    pytest.importorskip("pocketsphinx")
    from ptsel_fairseq.downstream.alignment.sphinx import SphinxAligner

    noise = np.random.default_rng(0)
    manifest = read_manifest(ENGLISH / "valid.tsv")
    texts = (ENGLISH / "valid.wrd").read_text().splitlines()
    errors = []
    for chosen in (range(i, i + 3) for i in (0, 3, 6, 9)):
        pieces, limits, position = [], [], 0
        for i in chosen:
            pause = noise.normal(0, FAINT, 4000).astype(np.float32)
            speech = speech_only(read_audio(manifest.audio_path(manifest.utterances[i]), 16000))
            limits.append(((position + 4000) / 16000, (position + 4000 + len(speech)) / 16000))
            position += 4000 + len(speech)
            pieces += [pause, speech]
        soundfile.write(tmp_path / "all.wav", np.concatenate(pieces), 16000, subtype="FLOAT")
        spoken = Spoken("all.wav", tmp_path / "all.wav", position, "all", " ".join(texts[i] for i in chosen))
        words = SphinxAligner().align(spoken)["word"]
        lengths = np.cumsum([0, *(len(texts[i].split()) for i in chosen)])
        for (start, end), first, last in zip(limits, lengths[:-1], lengths[1:], strict=True):
            errors += [words[first].start - start, words[last - 1].end - end]
    assert np.median(np.abs(errors)) < 0.03
    assert np.max(np.abs(errors)) < 0.15


@pytest.fixture
def few(tmp_path):
    """Five English clips as FLAC with their texts."""
    manifest = read_manifest(ENGLISH / "valid.tsv")
    texts = (ENGLISH / "valid.wrd").read_text().splitlines()
    folder = tmp_path / "data"
    folder.mkdir()
    lines = []
    for utterance in manifest.utterances[:5]:
        waveform = read_audio(manifest.audio_path(utterance), 16000)
        soundfile.write(folder / f"{utterance.index}.flac", waveform, 16000)
        lines.append(f"{utterance.index}.flac\t{utterance.samples}")
    (folder / "train.tsv").write_text("\n".join([str(folder), *lines]) + "\n")
    (folder / "train.wrd").write_text("\n".join(texts[:5]) + "\n")
    return folder


def test_words_that_fail_are_named_and_the_rest_is_aligned(few, tmp_path):
    pytest.importorskip("pocketsphinx")
    texts = (few / "train.wrd").read_text().splitlines()
    texts[0] += " ZAIEM"
    texts[1] = ""
    texts[3] = texts[3].lower()
    (few / "train.wrd").write_text("\n".join(texts) + "\n")
    (few / "2.flac").write_bytes(b"damaged")
    out = tmp_path / "out"
    done = run_command("ptsel", "align", few, "--splits", "train", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "2 of 5 utterances aligned" in done.stdout
    assert "words that --dictionary could add: ZAIEM (1)" in done.stdout
    reasons = dict(row.split("\t") for row in (out / "failed.txt").read_text().splitlines()[1:])
    assert reasons["0.flac"] == "not in the dictionary: ZAIEM"
    assert reasons["1.flac"] == "no words in its transcript"
    assert "cannot be decoded" in reasons["2.flac"]
    words = segments_of(out / "word.tsv")
    assert [name for _, _, name in words["3.flac"]] == texts[3].split()
    assert set(words) == set(segments_of(out / "phone.tsv")) == {"3.flac", "4.flac"}
    report = json.loads((out / "alignment.json").read_text())
    assert (report["utterances"], report["failed"]) == (5, 3)
    assert report["aligner"]["kind"] == "pocketsphinx"


def test_a_dictionary_adds_words_and_its_faults_are_named(few, tmp_path):
    pytest.importorskip("pocketsphinx")
    text = (few / "train.wrd").read_text()
    last = text.splitlines()[0].split()[-1]
    (few / "train.wrd").write_text(text.replace(last, "ZZYX"))
    from ptsel_fairseq.downstream.alignment.sphinx import pronunciations

    (tmp_path / "more.dict").write_text(f"zzyx {pronunciations(None)[last.lower()][0]}\n")
    align_command(few, tmp_path / "out", ["train"], dictionary=tmp_path / "more.dict")
    assert segments_of(tmp_path / "out" / "word.tsv")["0.flac"][-1][2] == "ZZYX"
    for line, message in (
        ("zzyx QQ", "line 1: expected a word and its phones"),
        ("zzyx", "line 1: expected"),
    ):
        (tmp_path / f"{len(line)}.dict").write_text(line + "\n")
        with pytest.raises(PtselError, match=message):
            align_command(few, tmp_path / "again", ["train"], dictionary=tmp_path / f"{len(line)}.dict")


def test_audio_that_was_missing_is_aligned_once_it_is_there(few, tmp_path):
    pytest.importorskip("pocketsphinx")
    align_command(few, tmp_path / "expected", ["train"])
    manifest = (few / "train.tsv").read_text()
    (few / "train.tsv").write_text(manifest.replace(str(few), "/nowhere", 1))
    with pytest.raises(PtselError, match=r"none of 5 .*0.flac: no such audio file: /nowhere/0.flac"):
        align_command(few, tmp_path / "out", ["train"])
    (few / "train.tsv").write_text(manifest)
    align_command(few, tmp_path / "out", ["train"])
    for file in ("word.tsv", "phone.tsv", "failed.txt", "confidence.txt"):
        assert (tmp_path / "out" / file).read_text() == (tmp_path / "expected" / file).read_text()


def test_an_utterance_is_aligned_alike_whatever_came_before(few):
    pytest.importorskip("pocketsphinx")
    from ptsel_fairseq.downstream.alignment.sphinx import SphinxAligner

    spoken = read_spoken(few, "train", ".wrd")
    forth, back = ({s.path: SphinxAligner().align(s) for s in order} for order in (spoken, spoken[::-1]))
    assert forth == back


def test_an_interruption_loses_one_block_and_confidence_is_a_limit(few, tmp_path, monkeypatch):
    pytest.importorskip("pocketsphinx")
    monkeypatch.setattr(spoken_module, "BLOCK", 2)
    from ptsel_fairseq.downstream.alignment import sphinx

    real, seen = sphinx.read_whole_audio, []

    def counting(file, *arguments):
        seen.append(file.name)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return real(file, *arguments)

    monkeypatch.setattr(sphinx, "read_whole_audio", counting)
    with pytest.raises(KeyboardInterrupt):
        align_command(few, tmp_path, ["train"])
    assert not (tmp_path / "word.tsv").exists()
    align_command(few, tmp_path, ["train"])
    assert len(seen) == 4 + 3
    rows = [line.split("\t") for line in (tmp_path / "confidence.txt").read_text().splitlines()[1:]]
    words = [float(row[5]) for row in rows if row[3] == "word"]
    level = sum(sorted(words)[len(words) // 2 - 1 :][:2]) / 2
    align_command(few, tmp_path, ["train"], min_confidence=level)
    assert len(seen) == 7  # nothing is aligned again
    kept = sum(map(len, segments_of(tmp_path / "word.tsv").values()))
    assert kept == sum(confidence >= level for confidence in words) < len(words)
    with pytest.raises(PtselError, match=r"no word has as much; the highest is 0\."):
        align_command(few, tmp_path, ["train"], min_confidence=0.999)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda few: (few / "train.wrd").unlink(), "train.wrd: no such file; expected the text of each utterance"),
        (lambda few: (few / "train.wrd").write_text("ONE\n"), "expected 5 lines, one for each utter.* found 1"),
        (lambda few: (few / "train.wrd").write_text("QQQ\n" * 5), r"none of 5 utterances could be aligned \(first: 0"),
    ],
)  # fmt: skip
def test_transcripts_that_cannot_be_used(change, message, few, tmp_path):
    pytest.importorskip("pocketsphinx")
    change(few)
    with pytest.raises(PtselError, match=message):
        align_command(few, tmp_path / "out", ["train"])
    assert not (tmp_path / "out" / "word.tsv").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"textgrids": "x", "model": "y"}, "--textgrids, --model: expected one"),
        ({"textgrids": "none"}, "none: expected a folder of .TextGrid files, found none"),
        ({"without_stress": True}, "for --textgrids only"),
        ({"textgrids": "x", "dictionary": "y"}, "only pocketsphinx has one"),
        ({"min_confidence": 1.5}, "expected 0 to 1"),
    ],
)
def test_options_that_contradict(options, message, few, tmp_path):
    pytest.importorskip("pocketsphinx")
    with pytest.raises(PtselError, match=message):
        align_command(few, tmp_path, ["train"], **options)
