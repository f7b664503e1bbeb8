"""What `ptsel prepare` writes, and what the registry of corpora holds."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import run_command
from corpus_tools import (
    CLIPS,
    Recordings,
    stop_converting_after,
    write,
    write_common_voice,
    write_librispeech,
)

from ptsel_fairseq.base.class_file import read_classes
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.data import conversion
from ptsel_fairseq.downstream.corpora import catalogue
from ptsel_fairseq.downstream.corpora.prepare import prepare_command, split_order
from ptsel_fairseq.downstream.corpora.registry import CORPORA, fetched_names, prepared_names
from ptsel_fairseq.downstream.corpora.texts import normalise
from ptsel_fairseq.downstream.speech.spelling import letters


def test_librispeech(librispeech, tmp_path, capsys):
    out = tmp_path / "out"
    prepare_command("librispeech", librispeech, out)
    manifest = read_manifest(out / "dev-clean.tsv")
    assert [u.path for u in manifest] == [f"dev-clean/84/1240/84-1240-000{i}.flac" for i in range(3)]
    assert {u.samples for u in manifest} == {8000}
    assert manifest.root == librispeech
    assert (out / "dev-clean.wrd").read_text().splitlines()[1] == "MISTER O'NEIL 1"
    assert (out / "dev-clean.ltr").read_text().splitlines()[1] == "M I S T E R | O ' N E I L | 1 |"
    dictionary = (out / "dict.ltr.txt").read_text().splitlines()
    assert dictionary[0] == "| 9"
    assert "0 1" in dictionary  # of train alone
    assert read_classes(out / "classes" / "speaker.tsv", manifest, 16000).names() == ["84"]
    report = capsys.readouterr().out
    assert (out / "report.md").read_text() in report
    row = next(line for line in report.splitlines() if "dev-clean" in line)
    assert [cell.strip() for cell in row.split("|")[1:-1]] == [
        *("dev-clean", "3", "2,703", "0.00", "5.4", "DIFFERS: -2,700 utterances")
    ]
    assert "not there" in next(line for line in report.splitlines() if "test-other" in line)


def test_what_was_prepared_is_fit_for_training(tmp_path):
    librispeech = write_librispeech(tmp_path / "LibriSpeech", Recordings(frames=16000))
    assert run_command("ptsel", "prepare", "librispeech", librispeech, tmp_path / "out").returncode == 0
    done = run_command(
        *("ptsel", "check", tmp_path / "out", "--classes", tmp_path / "out" / "classes" / "speaker.tsv")
    )
    assert done.returncode == 0, done.stdout
    for split in ("train-clean-100", "dev-clean"):
        assert f"{split}: 3 utterances" in done.stdout


def test_every_corpus_is_prepared_or_fetched():
    assert sorted([*prepared_names(), *fetched_names()]) == CORPORA.names()
    modules = [file.stem for file in Path(catalogue.__path__[0]).glob("[!_]*.py")]
    assert len(CORPORA.names()) == len(modules)


def test_common_voice_is_converted_and_goes_on_where_it_stopped(tmp_path, recordings, monkeypatch):
    root = tmp_path / "en"
    sentences = {"train": "“Well, it’s Zoë!”", "dev": 'He said "no".', "test": "ça va — oui?"}
    for i, (split, sentence) in enumerate(sentences.items()):
        recordings.write(root / "clips" / f"common_voice_en_{i}.mp3", rate=48000)
        write(
            root / f"{split}.tsv",
            "client_id\tpath\tsentence\tage",
            f"s{i}\tcommon_voice_en_{i}.mp3\t{sentence}\t",
        )
    real = conversion.write_flac
    converted = stop_converting_after(2, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        prepare_command("common-voice", root, tmp_path / "out")
    monkeypatch.setattr(
        conversion, "write_flac", lambda file, *more: (converted.append(file.name), real(file, *more))[1]
    )
    prepare_command("common-voice", root, tmp_path / "out")
    assert converted == [f"common_voice_en_{i}.flac" for i in range(3)]
    texts = [(tmp_path / "out" / f"{split}.wrd").read_text().strip() for split in sentences]
    assert texts == ["WELL IT'S ZOË", "HE SAID NO", "ÇA VA OUI"]
    manifest = read_manifest(tmp_path / "out" / "train.tsv")
    copy = manifest.audio_path(manifest.utterances[0])
    assert soundfile.info(copy).samplerate == 16000
    assert soundfile.info(copy).frames == manifest.utterances[0].samples
    original = soundfile.read(CLIPS[0], frames=8000)[0]
    found = soundfile.read(copy)[0]
    aligned = max(
        np.corrcoef(original[1000:6000], found[1000 + k : 6000 + k])[0, 1] for k in range(-900, 900)
    )
    assert aligned > 0.98  # MP3 adds a delay, and some noise


def test_splits_come_in_the_order_of_their_use():
    names = ["en/test", "en/other", "en/train", "en/valid", "test-clean", "dev-clean", "train-other-500"]
    assert sorted(names, key=split_order) == [
        *("train-other-500", "dev-clean", "test-clean", "en/train", "en/valid", "en/test", "en/other")
    ]


def test_texts_keep_letters_of_every_alphabet():
    assert normalise("Ёлка, «мир» — 'да' 5%") == "ЁЛКА МИР ДА 5"
    assert normalise("नमस्ते दुनिया।") == "नमस्ते दुनिया"
    assert letters("AB  C") == "A B | C |"


def test_speakers_in_two_splits_are_reported(librispeech, tmp_path, recordings, capsys):
    prepare_command("librispeech", librispeech, tmp_path / "apart")
    assert "In more than one split of a task: 0 of 2 speaker." in capsys.readouterr().out
    chapter = librispeech / "dev-clean" / "103" / "1241"
    recordings.write(chapter / "103-1241-0000.flac")
    write(chapter / "103-1241.trans.txt", "103-1241-0000 AGAIN")
    prepare_command("librispeech", librispeech, tmp_path / "mixed")
    assert "In more than one split of a task: 1 of 2 speaker (first: 103)." in capsys.readouterr().out


def test_two_copies_are_compared_by_their_checksums(librispeech, tmp_path):
    def reported():
        prepare_command("librispeech", librispeech, tmp_path / "out")
        rows = [line.split() for line in (tmp_path / "out" / "report.md").read_text().splitlines()]
        return {row[1]: row[0] for row in rows if len(row) == 2 and len(row[0]) == 64}

    first = reported()
    assert list(first) == ["train-clean-100", "dev-clean"]
    for split, checksum in first.items():
        rows = (tmp_path / "out" / f"{split}.tsv").read_text().split("\n", 1)[1]
        assert checksum == hashlib.sha256(rows.encode()).hexdigest()
    librispeech = librispeech.rename(tmp_path / "elsewhere")
    assert reported() == first
    clip = librispeech / "dev-clean" / "84" / "1240" / "84-1240-0001.flac"
    soundfile.write(clip, soundfile.read(clip)[0][:-1], 16000)
    second = reported()
    assert [split for split in first if first[split] != second[split]] == ["dev-clean"]


def test_shadow_files_windows_text_and_paths_in_any_script(librispeech, tmp_path):
    prepare_command("librispeech", librispeech, tmp_path / "plain")
    chapter = librispeech / "dev-clean" / "84" / "1240"
    for shadow in ("._84-1240.trans.txt", "._84-1240-0000.flac", ".DS_Store"):
        (chapter / shadow).write_bytes(b"\0\5\x16\7\xff")
    texts = chapter / "84-1240.trans.txt"
    texts.write_bytes(b"\xef\xbb\xbf" + texts.read_bytes().replace(b"\n", b"\r\n"))
    moved = librispeech.rename(tmp_path / "Libri Speech, é 中")
    prepare_command("librispeech", moved, tmp_path / "out ü")
    for file in sorted(file for file in (tmp_path / "plain").rglob("*.*") if file.suffix != ".tsv"):
        assert (tmp_path / "out ü" / file.relative_to(tmp_path / "plain")).read_bytes() == file.read_bytes()
    assert read_manifest(tmp_path / "out ü" / "dev-clean.tsv").root == moved


def test_common_voice_of_windows_and_odd_sentences(tmp_path, recordings):
    root = write_common_voice(tmp_path / "en", recordings)
    train = root / "train.tsv"
    train.write_bytes('\ufeffclient_id\tpath\tsentence\r\ns0\tc_0.mp3\t"— …\r\n'.encode())
    write(root / "dev.tsv", "client_id\tpath\tsentence")
    prepare_command("common-voice", root, tmp_path / "out")
    assert (tmp_path / "out" / "train.wrd").read_text() == "\n"
    report = (tmp_path / "out" / "report.md").read_text()
    assert "1 sentences hold no letter or digit, their text is empty (first: clips/c_0.mp3)." in report
    assert "dev.tsv names no clip." in report
    write(train, "client_id\tpath\tsentence", "s0\tc_0.mp3\tHello\tworld")  # its second half would be lost
    with pytest.raises(PtselError, match=r"train.tsv, line 2: expected 3 fields, found more"):
        prepare_command("common-voice", root, tmp_path / "out")
    write(train, "client_id\tpath\tsentence", f"s0\tc_0.mp3\t{'x' * 200_000}")
    with pytest.raises(PtselError, match=r"train.tsv: not a table of fields \(field larger"):
        prepare_command("common-voice", root, tmp_path / "out")
