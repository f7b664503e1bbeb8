"""Lists of a corpus that lead outside, contradict the audio, or name what no file can hold."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from ptsel_fairseq.base.class_file import class_name, segment_line, utterance_line
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.names import path_fault
from ptsel_fairseq.downstream.corpora.copies import measure
from ptsel_fairseq.downstream.corpora.corpus import Clip, Corpus, Reading
from ptsel_fairseq.downstream.corpora.prepare import write_corpus


def record(file, seconds=1.0, seed=0):
    file.parent.mkdir(parents=True, exist_ok=True)
    waveform = np.random.default_rng(seed).uniform(-0.5, 0.5, int(16_000 * seconds))
    soundfile.write(file, waveform, 16_000)


def corpus(root, clips, **how):
    settings = {
        "name": "c",
        "title": "C",
        "holds": "audio",
        "read": lambda root: None,
        "published": {},
        "source": "none",
        **how,
    }
    return Corpus(**settings), Reading(root, clips)


def prepare(tmp_path, clips, convert=True, **how):
    made, reading = corpus(tmp_path / "in", clips, convert=convert, **how)
    write_corpus(made, reading, tmp_path / "out", "unpack again", jobs=1)


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("../x.ogg", "outside"),
        ("clips/../../../x.ogg", "outside"),
        ("a\\..\\..\\x.ogg", "outside"),
        ("/etc/x.ogg", "not a path below"),
        ("~/x.ogg", "not a path below"),
        ("C:\\x.ogg", "not a path below"),
        ("a\tb.ogg", "tab"),
        ("a\nb.ogg", "tab"),
        ("a\u2028b.ogg", "tab"),
        ("a\udcffb.ogg", "UTF-8"),
        (" a.ogg", "blank"),
        ("a.ogg ", "blank"),
        ("", "no path"),
        (".", "no path"),
    ],
)
def test_a_path_that_is_refused_before_anything_is_written(path, fault, tmp_path):
    assert fault in path_fault(path)
    record(tmp_path / "in" / "good.wav")
    clips = [Clip("good.wav", ("train",)), Clip(path, ("train",))]
    with pytest.raises(PtselError, match=fault):
        prepare(tmp_path, clips)
    assert [file.name for file in tmp_path.iterdir() if file.name not in ("in", "out")] == []
    assert not list((tmp_path / "out").rglob("*"))


@pytest.mark.parametrize("path", ["a.ogg", "a/b/..c.ogg", "é/ü.ogg", "a b.ogg", "...", "x..y/z"])
def test_paths_that_are_fine(path):
    assert not path_fault(path)


def test_a_link_in_the_output_is_not_written_through(tmp_path):
    record(tmp_path / "in" / "a" / "x.wav")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "audio").mkdir(parents=True)
    (tmp_path / "out" / "audio" / "a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PtselError, match="outside"):
        prepare(tmp_path, [Clip("a/x.wav", ("train",))])
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "out" / "audio" / "a").unlink()
    (tmp_path / "out" / "audio" / "a").mkdir()
    (tmp_path / "out" / "audio" / "a" / "x.flac").symlink_to(victim)
    prepare(tmp_path, [Clip("a/x.wav", ("train",))])
    assert victim.read_text() == "mine"


def test_a_copy_is_made_again_when_the_recording_is_another(tmp_path):
    root, copies = tmp_path / "in", tmp_path / "out"
    record(root / "x.wav")
    measure(root, ["x.wav"], copies, 1)
    first = (copies / "x.flac").read_bytes()
    measure(root, ["x.wav"], copies, 1)
    assert (copies / "x.flac").read_bytes() == first
    (root / "x.wav").touch()  # another time, the same content
    stamp = (copies / "x.flac").stat().st_ino
    measure(root, ["x.wav"], copies, 1)
    assert (copies / "x.flac").stat().st_ino == stamp
    record(root / "x.wav", seed=1)  # same length, another recording
    measure(root, ["x.wav"], copies, 1)
    assert (copies / "x.flac").read_bytes() != first


@pytest.mark.parametrize("kind", ["segments", "classes"])
def test_boundaries_after_the_end_and_classes_without_a_name(kind, tmp_path):
    record(tmp_path / "in" / "x.wav", 0.75)
    if kind == "segments":
        clip = Clip("x.wav", ("train",), segments={"phone": [(0.0, 0.5, "a"), (0.5, 1.0, "b")]})
        with pytest.raises(PtselError, match="boundaries after their end"):
            prepare(tmp_path, [clip], convert=False)
    else:
        for name in ("", "  ", "\u200b"):
            with pytest.raises(PtselError, match="a class without a name"):
                prepare(tmp_path, [Clip("x.wav", ("train",), classes={"speaker": name})], convert=False)
    assert not list((tmp_path / "out").rglob("*.tsv"))


def test_recordings_that_are_not_as_long_as_all_are_to_be(tmp_path, capsys):
    record(tmp_path / "in" / "x.wav", 1.0)
    record(tmp_path / "in" / "y.wav", 3.0)
    prepare(tmp_path, [Clip("x.wav", ("train",)), Clip("y.wav", ("train",))], convert=False, seconds=3.0)
    assert (
        "1 of 2 recordings are not the 3 s that they are to be (first: x.wav 1.00 s)"
        in capsys.readouterr().out
    )


def test_class_names_are_one_where_they_look_alike_and_can_be_written():
    assert (
        class_name("Rene\u0301 ") == class_name("Ren\u00e9") == class_name("\ufeffRen\u00e9") == "Ren\u00e9"
    )
    assert class_name("ada\u200b") == "ada"
    assert utterance_line("x", "two\nlines\tof it") == "x\ttwo lines of it"
    with pytest.raises(PtselError, match="a name of blanks"):
        segment_line("x", 0.0, 1.0, " \n")
