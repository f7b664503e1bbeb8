"""Corpora that are damaged, half unpacked, or of another publisher: `ptsel prepare` names what is wrong."""

from __future__ import annotations

import re
import resource
import subprocess

import pytest
from conftest import BIN, run_command
from corpus_tools import write, write_common_voice

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.downstream.corpora.prepare import prepare_command
from ptsel_fairseq.downstream.corpora.registry import prepared_names


def test_a_half_unpacked_corpus_is_named_with_examples(librispeech, tmp_path):
    for file in sorted(librispeech.glob("dev-clean/*/*/*.flac"))[1:]:
        file.unlink()
    done = run_command("ptsel", "prepare", "librispeech", librispeech, tmp_path / "out")
    assert done.returncode == 2
    message = done.stderr.strip().splitlines()[-1]
    assert (
        "2 of 6 audio files that the corpus's lists name are missing (first: dev-clean/84/1240/84-1"
        in message
    )
    assert "unpack all its archives here again" in message
    assert not (tmp_path / "out").exists()


def test_a_file_that_was_cut_off_or_resampled_is_named(librispeech, tmp_path, recordings):
    broken, other = sorted(librispeech.glob("dev-clean/*/*/*.flac"))[:2]
    broken.write_bytes(b"fLaC")
    recordings.write(other, rate=8000)
    with pytest.raises(
        PtselError, match=r"2 of 6 .*0000.flac: cannot be decoded .*expected 16000 Hz, found 8000"
    ):
        prepare_command("librispeech", librispeech, tmp_path / "out")


@pytest.mark.parametrize("name", prepared_names())
def test_a_folder_that_is_not_the_corpus(name, tmp_path):
    (tmp_path / "holiday photographs").mkdir()
    with pytest.raises(PtselError, match=r"expected (the|a) folder .*; found holiday photographs"):
        prepare_command(name, tmp_path, tmp_path / "out")
    with pytest.raises(PtselError, match="found no such folder"):
        prepare_command(name, tmp_path / "none", tmp_path / "out")


def test_missing_transcripts_and_unreadable_lists_are_named(librispeech, tmp_path, recordings):
    (librispeech / "dev-clean" / "84" / "1240" / "84-1240.trans.txt").rename(tmp_path / "elsewhere")
    with pytest.raises(
        PtselError, match=r"1 chapters have no transcripts.*\(first: dev-clean/84/1240\); unpack"
    ):
        prepare_command("librispeech", librispeech, tmp_path / "out")
    (librispeech / "dev-clean" / "84" / "1240" / "84-1240.trans.txt").write_bytes(b"84-1240-0000 \xff\xfe\n")
    with pytest.raises(PtselError, match=r"84-1240.trans.txt: not a UTF-8 text file"):
        prepare_command("librispeech", librispeech, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_damaged_mp3_are_counted_with_three_examples(tmp_path, recordings):
    root = tmp_path / "en"
    rows = ["client_id\tpath\tsentence"]
    for i in range(5):
        file = root / "clips" / f"common_voice_en_{i}.mp3"
        recordings.write(file, rate=48000)
        if i:
            file.write_bytes(b"\0" * 300)
        rows.append(f"s{i}\t{file.name}\tHello")
    for split, named in (("train", rows[:4]), ("dev", [rows[0], rows[4]]), ("test", [rows[0], rows[5]])):
        write(root / f"{split}.tsv", *named)
    with pytest.raises(
        PtselError, match=r"4 of 5 audio files cannot be used \(first: .*_1.*_2.*_3.*; unpack"
    ) as found:
        prepare_command("common-voice", root, tmp_path / "out")
    assert "_4.mp3" not in str(found.value)
    (root / "dev.tsv").write_bytes(b"client_id\tpath\tsentence\ns\xff\ta.mp3\tx\n")
    with pytest.raises(PtselError, match=r"dev.tsv: not a UTF-8 text file"):
        prepare_command("common-voice", root, tmp_path / "out")


def test_an_mp3_that_is_cut_off_or_empty_is_named(tmp_path, recordings):
    root = write_common_voice(tmp_path / "en", recordings)
    cut = root / "clips" / "c_1.mp3"
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])  # decodes, without the rest of its sentence
    (root / "clips" / "c_2.mp3").write_bytes(b"")
    with pytest.raises(
        PtselError,
        match=r"2 of 3 .*c_1.mp3: is cut off, expected 24000 samples, found \d+; .*c_2.mp3: is empty",
    ):
        prepare_command("common-voice", root, tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").rglob("*.*")] == ["c_0.flac"]


def test_a_full_disk_is_said_in_one_line(tmp_path, recordings):
    root = write_common_voice(tmp_path / "en", recordings)
    done = subprocess.run(
        [str(BIN / "ptsel"), "prepare", "common-voice", str(root), str(tmp_path / "out")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert re.search(r"ptsel: error: .*c_0.flac: cannot be written \(.*\)$", done.stderr.strip())
    assert "Traceback" not in done.stderr
    assert not [file for file in (tmp_path / "out").rglob("*") if file.is_file()]


def test_what_is_named_twice_or_not_at_all_is_not_passed_over(librispeech, tmp_path, recordings):
    texts = librispeech / "dev-clean" / "84" / "1240" / "84-1240.trans.txt"
    lines = texts.read_text().splitlines()
    write(texts, *lines, lines[0])
    with pytest.raises(
        PtselError, match=r"1 recordings are twice in .*\(first: dev-clean/84/1240/84-1240-0000.flac"
    ):
        prepare_command("librispeech", librispeech, tmp_path / "out")
    write(texts, lines[1])
    with pytest.raises(
        PtselError, match=r"2 recordings have no line .*84-1240-0000.flac; .*84-1240-0002.flac\); unp"
    ):
        prepare_command("librispeech", librispeech, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("old", "new"), [("\tneu\t", " neu "), ("\tneu\t", "\tneutral\t"), ("\tSes01F_impro01_F", "\tSes1_")]
)
def test_a_turn_of_iemocap_that_cannot_be_read_is_not_passed_over(old, new, tmp_path, recordings):
    name = "Ses01F_impro01_F000"
    recordings.write(tmp_path / "Session1" / "sentences" / "wav" / "Ses01F_impro01" / f"{name}.wav")
    rows = [f"[6.2901 - 8.2357]\t{name}\tneu\t[2.5, 2.5, 2.5]", f"[9.0 - 9.5]\t{name}\txxx\t[2.5, 2.5, 2.5]"]
    file = tmp_path / "Session1" / "dialog" / "EmoEvaluation" / "Ses01F_impro01.txt"
    write(file, "% [START_TIME - END_TIME] TURN_NAME EMOTION", *rows)
    prepare_command("iemocap", tmp_path, tmp_path / "out")
    write(file, *[row.replace(old, new) for row in rows[:1]] * 4)
    with pytest.raises(
        PtselError,
        match=r"4 turns are not written as .* \(first: .*line 1, .*line 2, .*line 3, [^;]*\); unpack",
    ):
        prepare_command("iemocap", tmp_path, tmp_path / "again")


def test_lists_of_openmic_that_contradict_each_other(tmp_path, recordings):
    labels = tmp_path / "openmic-2018-aggregated-labels.csv"
    rows = ["sample_key,instrument,relevance", "000046_3840,flute,0.2", "155310_372480,flute,0.9"]
    partitions = [tmp_path / "partitions" / f"split01_{split}.csv" for split in ("train", "test")]
    for key, file in zip(("000046_3840", "155310_372480"), partitions, strict=True):
        write(file, f"\ufeff{key}\r")
        recordings.write(tmp_path / "audio" / key[:3] / f"{key}.ogg", rate=44100)
    for faulty, message in (
        ([*rows, "000046_3840,flute,0.8"], "expected each pair once, found 000046_3840 flute again"),
        (
            [*rows, "000047_3840,flute,0.8"],
            r"1 samples of .*labels.csv are in neither partition \(first: 000047",
        ),
        (
            [*rows, "000046_3840,drums,much"],
            "expected a relevance from 0 to 1, found 'much' for 000046_3840 drums",
        ),
        ([*rows, "000046_3840,drums,nan"], "expected a relevance from 0 to 1, found 'nan'"),
    ):
        write(labels, *faulty)
        with pytest.raises(PtselError, match=message):
            prepare_command("openmic-2018", tmp_path, tmp_path / "out")
    write(labels, *rows)
    prepare_command("openmic-2018", tmp_path, tmp_path / "out")
    write(partitions[1], "155310_372480", "000046_3840")
    with pytest.raises(PtselError, match=r"1 recordings are twice .*000/000046_3840.flac"):
        prepare_command("openmic-2018", tmp_path, tmp_path / "again")
    partitions[1].write_bytes(b"\xff\xfe")
    with pytest.raises(PtselError, match=r"split01_test.csv: not a UTF-8 text file"):
        prepare_command("openmic-2018", tmp_path, tmp_path / "again")


def test_a_file_with_two_parts_in_voxceleb1(tmp_path, recordings):
    name = "id10001/abc/00001.wav"
    recordings.write(tmp_path / "wav" / name)
    write(tmp_path / "veri_test.txt", f"1 {name} {name}")
    write(tmp_path / "iden_split.txt", f"1 {name}", f"3 {name}")
    with pytest.raises(
        PtselError, match=rf"iden_split.txt, line 2: expected each file once, found {name} again"
    ):
        prepare_command("voxceleb1", tmp_path, tmp_path / "out")
