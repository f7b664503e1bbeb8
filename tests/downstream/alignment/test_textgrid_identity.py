"""A TextGrid belongs to one recording, is read as it is now, and gives class files that can be read."""

from __future__ import annotations

import os

import numpy as np
import pytest
import soundfile

from ptsel_fairseq.base.class_file import read_classes
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.downstream.alignment.align import align_command
from ptsel_fairseq.downstream.alignment.textgrid import read_textgrid


def write_grid(file, *tiers, seconds=1):
    file.parent.mkdir(parents=True, exist_ok=True)
    text = f'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n{seconds}\n<exists>\n{len(tiers)}\n'
    for name, rows in tiers:
        text += f'"IntervalTier"\n"{name}"\n0\n{seconds}\n{len(rows)}\n'
        text += "".join(f'{start}\n{end}\n"{label}"\n' for start, end, label in rows)
    file.write_text(text)


@pytest.fixture
def data(tmp_path):
    """Two speakers with files of the same names and lengths."""
    lines = []
    for speaker in ("s1", "s2"):
        for name in ("a", "b"):
            file = tmp_path / "audio" / speaker / f"{name}.flac"
            file.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(file, np.random.default_rng(len(lines)).uniform(-0.1, 0.1, 16_000), 16_000)
            lines.append(f"{speaker}/{name}.flac\t16000")
    (tmp_path / "train.tsv").write_text("\n".join([str(tmp_path / "audio"), *lines]) + "\n")
    return tmp_path


def align(data, grids):
    align_command(data, data / "out", splits=["train"], textgrids=grids)
    found = read_classes(data / "out" / "word.tsv", read_manifest(data / "train.tsv"), 16_000)
    return {(segment.utterance, segment.name) for segment in found.segments}


def test_a_bare_name_that_two_recordings_share_is_nobodys(data):
    write_grid(data / "g" / "s1" / "a.TextGrid", ("words", [(0.1, 0.5, "red")]))
    write_grid(data / "g" / "b.TextGrid", ("words", [(0.1, 0.5, "green")]))
    assert align(data, data / "g") == {(0, "red")}
    assert "may be of another recording" in (data / "out" / "failed.txt").read_text()


def test_a_bare_name_of_one_recording_is_its_own(data):
    lines = (data / "train.tsv").read_text().splitlines()
    (data / "train.tsv").write_text("\n".join(lines[:3]) + "\n")
    write_grid(data / "g" / "b.TextGrid", ("words", [(0.1, 0.5, "green")]))
    assert align(data, data / "g") == {(1, "green")}


@pytest.mark.parametrize("newer", [False, True])
def test_an_edited_textgrid_is_read_again_whatever_its_time(data, newer):
    for name in ("a", "b"):
        write_grid(data / "g" / "s1" / f"{name}.TextGrid", ("words", [(0.1, 0.5, "old")]))
    old = (data / "g" / "s1" / "a.TextGrid").stat().st_mtime_ns
    assert align(data, data / "g") == {(0, "old"), (1, "old")}
    write_grid(data / "g" / "s1" / "a.TextGrid", ("words", [(0.1, 0.5, "new")]))
    time = old + 10**10 if newer else old - 10**10
    os.utime(data / "g" / "s1" / "a.TextGrid", ns=(time, time))
    assert align(data, data / "g") == {(0, "new"), (1, "old")}


def test_two_tiers_that_tell_the_same_are_one(data):
    rows = [(0.1, 0.4, "one"), (0.4, 0.9, "two")]
    write_grid(data / "g" / "s1" / "a.TextGrid", ("words", rows), ("ann - words", rows))
    align(data, data / "g")
    assert len((data / "out" / "word.tsv").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("new\nline", "new line"),
        ("a\tb", "a b"),
        ("e\u0301", "\u00e9"),
        ("x\x0by\x85z", "x y z"),
        ("\u2028q", "q"),
    ],
)
def test_labels_are_written_so_that_they_can_be_read(data, label, name):
    write_grid(data / "g" / "s1" / "a.TextGrid", ("words", [(0.1, 0.4, label), (0.4, 0.6, "b")]))
    assert align(data, data / "g") == {(0, name), (0, "b")}


@pytest.mark.parametrize("number", ["1e999", "1e308", "9" * 400])
def test_numbers_that_are_none(number, tmp_path):
    write_grid(tmp_path / "a.TextGrid", ("words", [(0, number, "a")]))
    with pytest.raises(PtselError, match=r"a\.TextGrid"):
        read_textgrid(tmp_path / "a.TextGrid")
