"""`ptsel prepare --skip-bad`: too many bad recordings are an error, and an interrupted run goes on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import soundfile
from conftest import run_command
from corpus_tools import Recordings, stop_converting_after, write, write_librispeech

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.data import conversion
from ptsel_fairseq.downstream.corpora import copies as clip_audio
from ptsel_fairseq.downstream.corpora.prepare import prepare_command

HEAD = "client_id\tpath\tsentence"


@pytest.fixture
def common_voice(tmp_path, recordings):
    """Eight clips to train on, two in each of the other splits."""
    root = tmp_path / "en"
    for split, count in (("train", 8), ("dev", 2), ("test", 2)):
        rows = []
        for i in range(count):
            recordings.write(root / "clips" / f"{split}_{i}.mp3", rate=48000)
            rows.append(f"speaker{split}{i}\t{split}_{i}.mp3\tHello {'abcdefgh'[i]}")
        write(root / f"{split}.tsv", HEAD, *rows)
    return root


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def spoil(clips: Path) -> dict[str, str]:
    """Damage four of the twelve clips of `common_voice`; what has to be said of each."""
    (clips / "train_0.mp3").write_bytes(b"")
    (clips / "train_2.mp3").unlink()
    (clips / "train_5.mp3").write_bytes(b"\0" * 300)
    cut(clips / "dev_1.mp3")
    return {
        "clips/train_0.mp3": "is empty",
        "clips/train_2.mp3": "is missing",
        "clips/train_5.mp3": "cannot be decoded (",
        "clips/dev_1.mp3": "is cut off, expected 24000 samples, found ",
    }


def written(out: Path, *but: str) -> dict[str, bytes]:
    """Content of every file by its path, without those named in `but`."""
    files = sorted(file for file in out.rglob("*") if file.is_file() and file.name not in but)
    return {file.relative_to(out).as_posix(): file.read_bytes() for file in files}


def test_a_header_that_promises_more_than_there_is_memory_for(common_voice, tmp_path, monkeypatch):
    real = soundfile.SoundFile.read

    def read(sound, *arguments, **options):
        if "train_3" in str(sound.name):
            raise MemoryError
        return real(sound, *arguments, **options)

    monkeypatch.setattr(soundfile.SoundFile, "read", read)
    prepare_command("common-voice", common_voice, tmp_path / "out", skip_bad=True)
    assert (tmp_path / "out" / "bad.txt").read_text().startswith("clips/train_3.mp3\tcannot be decoded (more")


def test_too_many_bad_recordings_are_a_wrong_folder(common_voice, tmp_path, monkeypatch):
    clips = sorted((common_voice / "clips").glob("train_*.mp3"))
    for clip in clips[:6]:
        clip.write_bytes(b"")
    prepare_command("common-voice", common_voice, tmp_path / "half", skip_bad=True)
    clips[6].write_bytes(b"")
    with pytest.raises(
        PtselError,
        match=r"expected a few bad recordings to skip, found 7 of 12, more than half \(first: clips/train_0.mp3: is "
        r"empty; .*_2.mp3: is empty\); this is another folder than the corpus's, or it was not unpacked in full",
    ):
        prepare_command("common-voice", common_voice, tmp_path / "out", skip_bad=True)
    assert {file.suffix for file in (tmp_path / "out").rglob("*.*")} == {".flac"}
    for clip in clips[:7]:
        clip.unlink()
    monkeypatch.setattr(conversion, "write_flac", None)  # missing files are found before any is converted
    with pytest.raises(PtselError, match="found 7 of 12, more than half"):
        prepare_command("common-voice", common_voice, tmp_path / "again", skip_bad=True)


def test_a_split_of_which_nothing_is_left(common_voice, tmp_path):
    for i in range(2):
        (common_voice / "clips" / f"dev_{i}.mp3").write_bytes(b"")
    with pytest.raises(
        PtselError,
        match=r"recordings that can be used in dev, found none among its 2 \(first: clips/dev_0.mp3: is",
    ):
        prepare_command("common-voice", common_voice, tmp_path / "out", skip_bad=True)
    assert not (tmp_path / "out" / "train.tsv").exists()


def test_the_number_of_processes_changes_nothing(common_voice, tmp_path, monkeypatch):
    spoil(common_voice / "clips")
    monkeypatch.setattr(clip_audio, "SHORT_WORK", 0)
    found = []
    for jobs in (1, 2):
        prepare_command("common-voice", common_voice, tmp_path / "out", jobs, skip_bad=True)
        found.append(written(tmp_path / "out"))
        shutil.rmtree(tmp_path / "out")
    assert found[0] == found[1]


def test_an_interrupted_run_goes_on_and_mended_files_come_back(common_voice, tmp_path, monkeypatch):
    healthy = {file.name: file.read_bytes() for file in (common_voice / "clips").iterdir()}
    out = tmp_path / "out"
    prepare_command("common-voice", common_voice, out)
    expected = written(out)
    shutil.rmtree(out)
    spoil(common_voice / "clips")
    with monkeypatch.context() as patch:
        converted = stop_converting_after(3, patch)
        with pytest.raises(KeyboardInterrupt):
            prepare_command("common-voice", common_voice, out, skip_bad=True)
    assert sorted(written(out)) == sorted(f"audio/clips/{name}" for name in converted)
    prepare_command("common-voice", common_voice, out, skip_bad=True)
    assert len((out / "bad.txt").read_text().splitlines()) == 4
    for name, content in healthy.items():
        (common_voice / "clips" / name).write_bytes(content)
    prepare_command("common-voice", common_voice, out, skip_bad=True)
    assert written(out) == expected


def test_a_damaged_copy_is_made_again(common_voice, tmp_path):
    out = tmp_path / "out"
    prepare_command("common-voice", common_voice, out)
    expected = written(out)
    (out / "audio" / "clips" / "train_4.flac").write_bytes(b"")
    prepare_command("common-voice", common_voice, out, skip_bad=True)
    assert written(out) == expected


def test_lists_that_contradict_each_other_or_the_audio_stay_errors(librispeech, tmp_path):
    texts = librispeech / "dev-clean" / "84" / "1240" / "84-1240.trans.txt"
    lines = texts.read_text().splitlines()
    for rows, message in (
        ([*lines, lines[0]], "1 recordings are twice"),
        (lines[1:], "1 recordings have no line in the transcripts"),
    ):
        write(texts, *rows)
        with pytest.raises(PtselError, match=message):
            prepare_command("librispeech", librispeech, tmp_path / "out", skip_bad=True)
    assert not (tmp_path / "out").exists()


def test_an_out_that_is_a_file(librispeech, tmp_path):
    write(tmp_path / "out", "a file")
    with pytest.raises(PtselError, match=r"out: cannot be written \(File exists\)"):
        prepare_command("librispeech", librispeech, tmp_path / "out")


def test_the_command(tmp_path):
    librispeech = write_librispeech(tmp_path / "LibriSpeech", Recordings(frames=16000))
    (librispeech / "dev-clean" / "84" / "1240" / "84-1240-0001.flac").unlink()
    out = tmp_path / "out"
    assert run_command("ptsel", "prepare", "librispeech", librispeech, out).returncode == 2
    assert not out.exists()
    done = run_command("ptsel", "prepare", "librispeech", librispeech, out, "--skip-bad")
    assert done.returncode == 0, done.stderr
    assert "* dev-clean: 1 of 3 (first: dev-clean/84/1240/84-1240-0001.flac: is missing)" in done.stdout
    assert (out / "bad.txt").read_text() == "dev-clean/84/1240/84-1240-0001.flac\tis missing\n"
    checked = run_command("ptsel", "check", out, "--classes", out / "classes" / "speaker.tsv")
    assert checked.returncode == 0, checked.stderr
