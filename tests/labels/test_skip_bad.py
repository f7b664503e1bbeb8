"""`ptsel extract --skip-bad`: bad files are named, counted and left out of the store and of the manifest written."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import ASTERISK, contents, run_command

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.labels.extraction import skip_bad as screening
from ptsel_fairseq.labels.extraction.extract import extract_command
from ptsel_fairseq.labels.store.reader import LabelStore

GRID = FrameGrid()


def spoil_missing(clip: Path) -> None:
    clip.unlink()


def spoil_truncated(clip: Path) -> None:
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 2 // 3])


def spoil_text(clip: Path) -> None:
    clip.write_bytes(b"RIFF....")


def spoil_empty(clip: Path) -> None:
    clip.write_bytes(b"")


def spoil_rate(clip: Path) -> None:
    waveform, _ = soundfile.read(clip)
    clip.unlink()
    soundfile.write(clip, waveform[::2], 8000, format="OGG", subtype="VORBIS")


def spoil_nan(clip: Path) -> None:
    waveform, rate = soundfile.read(clip)
    waveform[1000] = np.nan
    clip.unlink()
    soundfile.write(clip, waveform, rate, format="WAV", subtype="FLOAT")


def spoil_longer(clip: Path) -> None:
    waveform, rate = soundfile.read(clip)
    clip.unlink()
    soundfile.write(clip, np.pad(waveform, (0, 160)), rate, format="OGG", subtype="VORBIS")


BAD = {  # index in the manifest -> what is done to the file, what is said of it
    0: (spoil_missing, "no such audio file"),
    3: (spoil_truncated, "the manifest says|cannot be decoded"),
    4: (spoil_text, "cannot be decoded"),
    9: (spoil_rate, "found 8000 Hz"),
    10: (spoil_nan, "sample 1000"),
    15: (spoil_longer, "the manifest says"),
    17: (spoil_empty, "cannot be decoded"),
    19: (None, "399 samples are too short"),
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """20 clips, eight of them bad, with words and a dictionary; a valid split without bad files."""
    folder = tmp_path / "data"
    (folder / "audio").mkdir(parents=True)
    clips = sorted((ASTERISK / "audio" / "it").glob("*.ogg"))[:21]
    lines = []
    for index, clip in enumerate(clips):
        copy = folder / "audio" / clip.name
        shutil.copy(clip, copy)
        samples = soundfile.info(clip).frames
        if index in BAD:
            damage, _ = BAD[index]
            if damage is None:
                samples = 399
                copy.unlink()
                soundfile.write(copy, np.zeros(samples), 16_000, format="OGG", subtype="VORBIS")
            else:
                damage(copy)
        lines.append(f"{clip.name}\t{samples}")
    (folder / "train.tsv").write_text("\n".join(["audio", *lines[:20]]) + "\n")
    (folder / "valid.tsv").write_text(f"audio\n{lines[20]}\n")
    (folder / "train.wrd").write_text(
        "".join(f"words of {i}\n" for i in range(19)) + "\n"
    )  # the last has none
    (folder / "valid.wrd").write_text("words\n")
    (folder / "dict.ltr.txt").write_text("| 1\n")
    return folder


def command(data: Path, tmp_path: Path, *more: object) -> tuple:
    words = ("ptsel", "extract", data, "--labels", "zcr", "f0", "--store", tmp_path / "store")
    return (*words, "--skip-bad", "--manifest-out", tmp_path / "good", *more)


def header_of(tmp_path: Path, split: str) -> dict:
    return json.loads((tmp_path / "store" / split / "header.json").read_text())


@pytest.mark.slow
def test_bad_files_are_named_counted_and_left_out(data, tmp_path):
    done = run_command(*command(data, tmp_path))
    assert done.returncode == 0, done.stderr
    assert f"train: 8 of 20 files skipped; {tmp_path / 'good/train.tsv'} has the others" in done.stdout
    listed = (tmp_path / "store/train/skipped.tsv").read_text().splitlines()[2:]
    assert len(listed) == len(BAD)
    for line, (index, (_, says)) in zip(listed, BAD.items(), strict=True):
        assert line.startswith(f"{index + 2}\t")
        assert re.search(says, line)
        assert f"line {index + 2} (" in done.stdout
    # The folder written is an ordinary one, and the store is that of its manifest.
    checked = run_command("ptsel", "check", tmp_path / "good", "--store", tmp_path / "store")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    good, every = read_manifest(tmp_path / "good/train.tsv"), read_manifest(data / "train.tsv")
    assert [u.path for u in good] == [u.path for u in every if u.index not in BAD]
    words = (tmp_path / "good/train.wrd").read_text()
    assert words == "".join(f"words of {u.index}\n" for u in every if u.index not in BAD)
    assert (tmp_path / "good/dict.ltr.txt").read_text() == "| 1\n"
    assert (tmp_path / "good/valid.wrd").read_text() == "words\n"
    extract_command(tmp_path / "good", ["train"], ["zcr", "f0"], tmp_path / "clean", jobs=1)
    arrays = {name: sum for name, sum in contents(tmp_path / "clean").items() if name.endswith(".npy")}
    found = contents(tmp_path / "store")
    assert {name: found[name] for name in arrays} == arrays
    assert header_of(tmp_path, "train")["skipped"] == {
        "manifest_checksum": every.checksum,
        "utterances": 20,
        "lines": [index + 2 for index in BAD],
    }
    assert "skipped" not in header_of(tmp_path, "valid")


def test_without_the_option_a_bad_file_stops_it(data, tmp_path):
    with pytest.raises(PtselError) as caught:
        extract_command(data, ["train"], ["zcr"], tmp_path / "store", jobs=1)
    index = int(re.search(r"train\.tsv, line (\d+) \(", str(caught.value))[1]) - 2
    assert re.search(BAD[index][1], str(caught.value))


def test_a_run_that_goes_on_skips_the_same_files(data, tmp_path, monkeypatch, capsys):
    """Also when a bad file has been mended in between, and when labels are added: the index of a store is fixed."""
    arguments = {"jobs": 1, "skip_bad": True, "manifest_out": tmp_path / "good"}
    with monkeypatch.context() as patch:
        patch.setattr("ptsel_fairseq.labels.store.writer.StoreWriter.finish", stop)
        with pytest.raises(KeyboardInterrupt):
            extract_command(data, ["train"], ["zcr"], tmp_path / "store", **arguments)
    clip = sorted((ASTERISK / "audio" / "it").glob("*.ogg"))[4]
    shutil.copy(clip, data / "audio")
    monkeypatch.setattr(screening, "_find_bad", stop)
    for labels in (["zcr"], ["zcr", "rms_energy"]):
        extract_command(data, ["train"], labels, tmp_path / "store", **arguments)
        assert "8 of 20 files skipped" in capsys.readouterr().out
    extract_command(tmp_path / "good", ["train"], ["zcr", "log_mel"], tmp_path / "store", jobs=1)
    store = LabelStore(tmp_path / "store", "train")
    store.check_manifest(read_manifest(tmp_path / "good/train.tsv"))
    assert store.labels == ("log_mel", "rms_energy", "zcr")
    before = contents(tmp_path / "store")
    with pytest.raises(PtselError, match=r"train\.tsv, line \d+ .*(cannot be decoded|no such audio file)"):
        extract_command(data, ["train"], ["zcr"], tmp_path / "store", jobs=1)
    after = contents(tmp_path / "store")
    assert {name: after[name] for name in before} == before  # what was finished is as it was


def stop(*arguments: object, **options: object) -> None:
    raise KeyboardInterrupt


def test_a_shorter_manifest_keeps_what_is_there(data, tmp_path, monkeypatch):
    arguments = {"jobs": 1, "skip_bad": True, "manifest_out": tmp_path / "good"}
    extract_command(data, ["train"], ["zcr"], tmp_path / "store", **arguments)
    lines = (data / "train.tsv").read_text().splitlines()
    (data / "train.tsv").write_text("\n".join(lines[:10]) + "\n")
    (data / "train.wrd").unlink()
    read = []
    real = screening.find_fault
    monkeypatch.setattr(
        screening, "find_fault", lambda file, *more: read.append(file.name) or real(file, *more)
    )
    extract_command(data, ["train"], ["zcr"], tmp_path / "store", **arguments)
    manifest = read_manifest(tmp_path / "good" / "train.tsv")
    store = LabelStore(tmp_path / "store", "train")
    store.check_manifest(manifest)
    assert len(read) == 9 - len(manifest)  # of what was analysed nothing need be decoded again
    extract_command(data, ["train"], ["zcr"], tmp_path / "new", **arguments)
    assert contents(tmp_path / "store") == contents(tmp_path / "new")


def test_the_list_is_capped_on_the_screen(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(screening, "SHOWN", 3)
    extract_command(
        data, ["train"], ["zcr"], tmp_path / "store", jobs=1, skip_bad=True, manifest_out=tmp_path / "good"
    )
    said = capsys.readouterr().out
    assert said.count("train.tsv, line") == 3
    assert "... and 5 more" in said
    assert str(tmp_path / "store/train/skipped.tsv") in said


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"skip_bad": True}, "give --manifest-out DIR as well"),
        ({"manifest_out": "good"}, "give both"),
        ({"skip_bad": True, "manifest_out": "data"}, "expected another folder"),
    ],
)
def test_options_that_do_not_fit(data, tmp_path, options, says, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PtselError, match=says):
        extract_command(data, ["train"], ["zcr"], tmp_path / "store", **options)
    assert not (tmp_path / "store").exists()


def extract_what_is_good(data, folder):
    extract_command(
        data, ["train"], ["zcr"], folder / "store", jobs=1, skip_bad=True, manifest_out=folder / "good"
    )


def test_files_that_have_another_number_of_lines(data, tmp_path):
    (data / "train.wrd").write_text("one\n")
    with pytest.raises(PtselError, match=r"train\.wrd: expected 20 lines.*found 1"):
        extract_what_is_good(data, tmp_path)


def test_no_file_that_can_be_used(data, tmp_path):
    shutil.rmtree(data / "audio")
    (data / "audio").mkdir()
    with pytest.raises(PtselError, match="none of its 20 files can be used"):
        extract_what_is_good(data, tmp_path)


def test_whatever_a_decoder_raises_is_a_bad_file(data, monkeypatch):
    for error in (MemoryError(), ValueError("dtype"), RuntimeError("decoder\nlost")):

        def fail(*arguments: object, error: Exception = error, **options: object) -> None:
            raise error

        monkeypatch.setattr(soundfile.SoundFile, "read", fail)
        utterance = read_manifest(data / "valid.tsv").utterances[0]
        fault = screening.find_fault(data / "audio" / utterance.path, utterance.samples, GRID)
        assert fault.startswith("the audio cannot be decoded")
        assert "\n" not in fault
