"""`ptsel check` finds each fault before training does."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
import soundfile
from conftest import ASTERISK, run_command

from ptsel_fairseq.base.manifest import read_manifest


@pytest.fixture
def clips(tmp_path):
    """Six real clips as FLAC, with a manifest that fits them."""
    folder = tmp_path / "audio"
    folder.mkdir()
    for utterance in read_manifest(ASTERISK / "train.tsv").utterances[:60:10]:
        waveform, rate = soundfile.read(ASTERISK / "audio" / utterance.path)
        soundfile.write(folder / f"{utterance.index}.flac", waveform, rate)
    write(tmp_path, folder)
    return folder


def write(data, folder):
    files = sorted(folder.iterdir())
    lines = [f"{file.name}\t{soundfile.info(file).frames}" for file in files]
    (data / "train.tsv").write_text("\n".join([str(folder), *lines]) + "\n")


def check(data, *arguments):
    return run_command("ptsel", "check", data, *arguments)


def test_good_data_is_fit(clips):
    done = check(clips.parent)
    assert done.returncode == 0, done.stderr
    assert "fit for training" in done.stdout
    assert "train: 6 utterances" in done.stdout


def damage_missing(file):
    file.unlink()


def damage_truncated(file):
    waveform, rate = soundfile.read(file)
    ogg = file.with_suffix(".ogg")
    soundfile.write(ogg, waveform, rate)
    shutil.move(ogg, file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def damage_rate(file):
    waveform, rate = soundfile.read(file)
    soundfile.write(file, waveform, rate // 2)


def damage_nan(file):
    waveform, rate = soundfile.read(file, dtype="float32")
    waveform[100] = np.nan
    soundfile.write(file, waveform, rate, format="WAV", subtype="FLOAT")


def damage_length(file):
    waveform, rate = soundfile.read(file)
    soundfile.write(file, waveform[:-5], rate)


def damage_unreadable(file):
    file.write_bytes(b"this is no audio")


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (damage_missing, "missing"),
        (damage_truncated, "(wrong length|empty|cut off)"),
        (damage_rate, "wrong rate"),
        (damage_nan, "not finite"),
        (damage_length, "wrong length"),
        (damage_unreadable, "unreadable"),
    ],
)
def test_each_fault_is_named_with_its_line(clips, damage, kind):
    damage(sorted(clips.iterdir())[2])
    done = check(clips.parent)
    assert done.returncode == 2
    assert re.search(f"fault: {kind}: 1", done.stdout)
    assert "train.tsv, line 4" in done.stdout
    assert done.stderr.strip().splitlines()[-1].startswith("ptsel: error:")
    assert "Traceback" not in done.stderr


def test_warnings_do_not_fail(clips):
    files = sorted(clips.iterdir())
    waveform, rate = soundfile.read(files[0])
    soundfile.write(clips / "a-copy.flac", waveform, rate)
    soundfile.write(clips / "b-stereo.flac", np.stack([waveform, waveform * 0.5], 1), rate)
    soundfile.write(clips / "c-silent.flac", np.zeros(16000), rate)
    write(clips.parent, clips)
    done = check(clips.parent)
    assert done.returncode == 0
    for kind in ("duplicate", "stereo", "silent"):
        assert f"warning: {kind}: 1" in done.stdout, done.stdout


def test_utterances_in_two_splits_and_too_short_ones(clips):
    soundfile.write(clips / "x-short.flac", np.ones(300) * 0.1, 16000)
    write(clips.parent, clips)
    shutil.copyfile(clips.parent / "train.tsv", clips.parent / "valid.tsv")
    done = check(clips.parent)
    assert done.returncode == 2
    assert "fault: too short: 2" in done.stdout
    assert "warning: in two splits: 7" in done.stdout


def test_headers_only_still_finds_wrong_lengths(clips):
    damage_length(sorted(clips.iterdir())[1])
    done = check(clips.parent, "--headers-only")
    assert done.returncode == 2
    assert "wrong length" in done.stdout


def test_classes_store_and_weights(data_dir, store_dir, tmp_path):
    good = check(data_dir, "--store", store_dir, "--classes", ASTERISK / "classes" / "phone.tsv")
    assert good.returncode == 0, good.stdout + good.stderr
    assert "classes of" in good.stdout
    weights = tmp_path / "weights.yaml"
    weights.write_text(
        "# @package _global_\ncriterion:\n  pretext_weights:\n    pitch: 1.0\n  pretext_sum_to_one: true\n"
    )
    bad = check(data_dir, "--store", store_dir, "--weights", weights)
    assert bad.returncode == 2
    assert "pitch" in bad.stdout

    other = tmp_path / "other"
    other.mkdir()
    lines = (data_dir / "train.tsv").read_text().splitlines()
    (other / "train.tsv").write_text("\n".join(lines[:-1]) + "\n")
    changed = check(other, "--store", store_dir)
    assert changed.returncode == 2
    assert "fault: store: 1" in changed.stdout


def test_an_empty_class_file_is_one_clear_line(data_dir, tmp_path):
    (tmp_path / "empty.tsv").write_text("")
    done = check(data_dir, "--classes", tmp_path / "empty.tsv")
    assert done.returncode == 2
    assert "an empty file" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_without_manifests_is_refused(tmp_path):
    done = check(tmp_path)
    assert done.returncode == 2
    assert "expected manifests such as train.tsv" in done.stderr


def test_the_same_recording_under_two_names_in_two_splits(clips):
    """As the exact copies that corpora hold: what is trained on must not be tested."""
    files = sorted(clips.iterdir())
    other = clips.parent / "other"
    other.mkdir()
    waveform, rate = soundfile.read(files[1])
    soundfile.write(other / "renamed.wav", waveform, rate)
    lines = [f"renamed.wav\t{len(waveform)}"]
    (clips.parent / "valid.tsv").write_text("\n".join([str(other), *lines]) + "\n")
    done = check(clips.parent)
    assert done.returncode == 0, done.stderr
    assert "warning: in two splits: 1" in done.stdout
    assert (
        f"valid.tsv, line 2 (renamed.wav): the same audio as {clips.parent / 'train.tsv'}, line 3"
        in done.stdout
    )


def test_speakers_that_must_be_apart(clips):
    names = sorted(file.name for file in clips.iterdir())
    lines = (clips.parent / "train.tsv").read_text().splitlines()
    (clips.parent / "train.tsv").write_text("\n".join(lines[:5]) + "\n")
    (clips.parent / "valid.tsv").write_text("\n".join([lines[0], *lines[5:]]) + "\n")
    rows = dict(zip(names, "abcade", strict=True))
    file = clips.parent / "classes.txt"
    file.write_text("path\tclass\n" + "".join(f"{name}\t{speaker}\n" for name, speaker in rows.items()))
    good = check(clips.parent, "--apart", file)
    assert good.returncode == 0, good.stdout + good.stderr
    assert "5 classes, 0 of them in two splits or more" in good.stdout
    file.write_text(file.read_text().replace("\te\n", "\tb\n"))
    bad = check(clips.parent, "--apart", file)
    assert bad.returncode == 2
    assert "fault: class in two splits: 1" in bad.stdout
    assert "the class 'b' is in train as well" in bad.stdout
