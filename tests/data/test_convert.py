"""`ptsel convert`: recordings of any format, rate and channels -> what training reads."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import pytest
import soundfile
from conftest import run_command
from mixed_audio import MIXED, likeness, speech, write_mixed

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.data import convert
from ptsel_fairseq.data.convert import convert_command


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixed") / "my recordings"
    return folder, write_mixed(folder)


@pytest.fixture
def source(mixed, tmp_path):
    shutil.copytree(mixed[0], tmp_path / "in")
    return tmp_path / "in"


def manifest_lines(out):
    return {
        utterance.path: utterance.samples
        for split in ("train", "valid")
        if (out / f"{split}.tsv").is_file()
        for utterance in read_manifest(out / f"{split}.tsv")
    }


def pieces(out):
    with (out / "conversion.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("resampler", ["torchaudio", "soxr"])
def test_every_format_becomes_the_speech_that_it_holds(mixed, tmp_path, resampler, capsys):
    if resampler == "torchaudio":
        pytest.importorskip("torchaudio", exc_type=(ImportError, OSError))
    folder, known = mixed
    out = tmp_path / "out"
    convert_command(folder, out, valid_percent=20, resampler=resampler, jobs=1)
    lines = manifest_lines(out)
    assert len(lines) == len(MIXED)
    for row in pieces(out):
        found, rate = soundfile.read(out / "audio" / row["path"])
        assert rate == 16000
        assert found.ndim == 1
        assert len(found) == lines[row["path"]]
        at_8_khz = row["source"].endswith("Zoë/a.wav")  # has lost half of the band
        assert likeness(known[row["source"]], found) > (0.9 if at_8_khz else 0.97), row
    shown = capsys.readouterr().out
    assert "passed over: 1 .txt, 2 hidden" in shown
    assert "8000 Hz" in shown
    done = run_command("ptsel", "check", out)
    assert done.returncode == 0, done.stdout + done.stderr


def test_names_follow_from_the_recordings_alone(mixed, tmp_path):
    convert_command(mixed[0], tmp_path / "out", resampler="soxr", jobs=1)
    names = {row["source"]: row["path"] for row in pieces(tmp_path / "out")}
    assert names["李/a.mp3"] == "李/a.mp3.flac"
    assert names["李/a.wav"] == "李/a.wav.flac"
    assert names["Zoë/b.WAV"] == "Zoë/b.flac"
    assert set(manifest_lines(tmp_path / "out")) == set(names.values())


def test_a_run_goes_on_and_does_only_what_is_new_or_changed(source, tmp_path, monkeypatch):
    out = tmp_path / "out"
    asked = []
    real = convert.convert_file

    def some(file, *arguments):
        asked.append(file.name)
        if len(asked) == 4:
            raise KeyboardInterrupt
        return real(file, *arguments)

    monkeypatch.setattr(convert, "convert_file", some)
    with pytest.raises(KeyboardInterrupt):
        convert_command(source, out, resampler="soxr", jobs=1)
    with (out / "conversion.jsonl").open("a") as journal:
        journal.write('{"path": "cut o')  # by a kill
    first, asked[:] = asked[:3], ["", "", "", ""]
    convert_command(source, out, jobs=1)
    assert sorted([*first, *asked[4:]]) == sorted(path.rsplit("/", 1)[1] for path, *_ in MIXED)
    interrupted = {file: (out / file).read_bytes() for file in ("train.tsv", "conversion.csv")}

    convert_command(source, tmp_path / "fresh", resampler="soxr", jobs=1)
    for file, content in interrupted.items():
        fresh = (tmp_path / "fresh" / file).read_bytes()
        assert content.replace(str(out).encode(), b"") == fresh.replace(str(tmp_path / "fresh").encode(), b"")

    soundfile.write(source / "Zoë" / "d.flac", speech(30, 16000), 16000)
    soundfile.write(source / "new.wav", speech(31, 16000), 16000)
    asked.clear()
    asked += ["", "", "", ""]
    convert_command(source, out, jobs=1)
    assert sorted(asked[4:]) == ["d.flac", "new.wav"]


def test_another_setting_is_refused_and_the_number_of_processes_changes_nothing(source, tmp_path):
    convert_command(source, tmp_path / "one", resampler="soxr", jobs=1)
    with pytest.raises(
        PtselError, match="was converted with resampler soxr, now asked for resampler soxr, split-long"
    ):
        convert_command(source, tmp_path / "one", split_long=1)
    convert.SHORT_WORK, before = 0, convert.SHORT_WORK
    try:
        convert_command(source, tmp_path / "two", resampler="soxr", jobs=2)
    finally:
        convert.SHORT_WORK = before
    assert manifest_lines(tmp_path / "one") == manifest_lines(tmp_path / "two")
    for path in manifest_lines(tmp_path / "one"):
        copies = [(tmp_path / out / "audio" / path).read_bytes() for out in ("one", "two")]
        assert copies[0] == copies[1]


def spoil(source):
    (source / "empty.wav").write_bytes(b"")
    (source / "text.mp3").write_bytes(b"this is no audio at all")
    whole = (source / "Łukasz Ż" / "a.m4a").read_bytes()
    (source / "cut.m4a").write_bytes(whole[: len(whole) // 2])
    wav = (source / "李" / "a.wav").read_bytes()
    (source / "cut.wav").write_bytes(wav[: len(wav) // 2])
    soundfile.write(source / "short.flac", np.zeros(300), 16000)
    return {"empty.wav": "is empty", "text.mp3": "cannot be decoded", "cut.m4a": "cannot be decoded",
            "cut.wav": "is cut off", "short.flac": "shorter than one frame"}  # fmt: skip


def test_bad_files_stop_it_or_are_listed_and_left_out(source, tmp_path, capsys):
    expected, out = spoil(source), tmp_path / "out"
    with pytest.raises(
        PtselError, match=r"5 of 16 audio files cannot be used .*leave them out with --skip-bad"
    ):
        convert_command(source, out, resampler="soxr", jobs=1)
    assert not (out / "train.tsv").exists()
    convert_command(source, out, skip_bad=True, jobs=1)
    listed = dict(line.split("\t") for line in (out / "bad.txt").read_text().splitlines())
    assert set(listed) == set(expected)
    for path, reason in expected.items():
        assert reason in listed[path], listed[path]
    assert len(manifest_lines(out)) == len(MIXED)
    assert "5 files that cannot be used are left out" in capsys.readouterr().out
    for path in expected:
        (source / path).unlink()
    convert_command(source, out, jobs=1)
    assert not (out / "bad.txt").exists()


def test_mostly_bad_files_are_another_folder(tmp_path):
    (tmp_path / "in").mkdir()
    for i in range(3):
        (tmp_path / "in" / f"{i}.mp3").write_bytes(b"no audio")
    with pytest.raises(PtselError, match="found 3 of 3, more than half"):
        convert_command(tmp_path / "in", tmp_path / "out", skip_bad=True, jobs=1)


def test_long_recordings_are_cut_at_silences_and_nothing_is_lost(tmp_path):
    pause = np.zeros(8000, np.float32)
    waveform = np.concatenate([part for i in range(8) for part in (speech(i, 16000, 2.0), pause)])
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "talk.wav", waveform, 16000, subtype="PCM_16")
    soundfile.write(tmp_path / "in" / "word.wav", speech(9, 16000, 1.0), 16000)
    out = tmp_path / "out"
    convert_command(tmp_path / "in", out, split_long=5, valid_percent=50, jobs=1)
    rows = [row for row in pieces(out) if row["source"] == "talk.wav"]
    assert len(rows) > 3
    found = [soundfile.read(out / "audio" / row["path"])[0] for row in rows]
    assert max(map(len, found)) <= 5 * 16000
    whole = np.concatenate(found)
    np.testing.assert_allclose(whole, waveform, atol=1 / 16384)
    starts = [float(row["start"]) for row in rows]
    np.testing.assert_allclose(starts, np.cumsum([0, *map(len, found)])[:-1] / 16000, atol=1e-4)
    for start in starts[1:]:  # each cut lies within a pause
        around = waveform[int(start * 16000) - 800 : int(start * 16000) + 800]
        assert np.sqrt(np.mean(np.square(around))) < 0.1 * np.sqrt(np.mean(np.square(waveform)))
    splits = [split for split in ("train", "valid") if "talk.part" in (out / f"{split}.tsv").read_text()]
    assert len(splits) == 1
    assert (out / "audio" / "word.flac").is_file()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "expected audio files, found none"),
        (lambda root: (root / "a.txt").write_text("x"), r"found none \(passed over: 1 .txt\)"),
    ],
)
def test_a_folder_without_audio(make, message, tmp_path):
    (tmp_path / "in").mkdir()
    make(tmp_path / "in")
    with pytest.raises(PtselError, match=message):
        convert_command(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_output_inside_the_source_is_refused(source):
    with pytest.raises(PtselError, match="its copies would be found as recordings"):
        convert_command(source, source / "out")
