"""`ptsel fetch rendered-scores` from a package to a corpus; the tests that play need FluidSynth and its sound font."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from music_tools import write_library

from ptsel_fairseq.base.class_file import read_classes
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.downstream.corpora import packages
from ptsel_fairseq.downstream.corpora.corpus import Rendering
from ptsel_fairseq.downstream.corpora.fetch import fetch_command
from ptsel_fairseq.downstream.corpora.music import corpus as music_corpus
from ptsel_fairseq.downstream.corpora.music import fluidsynth
from ptsel_fairseq.downstream.corpora.music.midi import Sounding, Voice, midi_bytes
from ptsel_fairseq.downstream.corpora.packages import Package
from ptsel_fairseq.downstream.corpora.registry import CORPORA
from ptsel_fairseq.downstream.metrics.answer_files import read_labels

NEEDS = pytest.mark.skipif(
    shutil.which(fluidsynth.PROGRAM) is None or not fluidsynth.FONT.is_file(),
    reason="needs FluidSynth and FluidR3",
)
SECONDS = 2.0
HOURS = 12 * SECONDS / 3600  # 12 clips


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A wheel with miniature sheet music that the client copies, in place of the real one."""
    folder = tmp_path / "registry"
    write_library(folder / "music21" / "corpus")
    (folder / "music21" / "program.py").write_text("raise SystemExit")
    wheel = folder / "music21-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file in sorted((folder / "music21").rglob("*")):
            archive.write(file, file.relative_to(folder))
    monkeypatch.setitem(packages.COMMANDS, "wheel", ("cp", str(wheel), "."))
    package = Package(
        "wheel", "music21", "1", hashlib.sha256(wheel.read_bytes()).hexdigest(), "music21/corpus/"
    )
    corpus = replace(CORPORA.get("rendered-scores"), packages=(package,))
    monkeypatch.setitem(CORPORA._things, "rendered-scores", (corpus, "this test"))
    return tmp_path / "out"


def fetch(out: Path, **settings) -> None:
    fetch_command("rendered-scores", out, jobs=1, **{"hours": HOURS, "clip_seconds": SECONDS, **settings})


def contents(out: Path) -> dict[str, str]:
    return {
        file.relative_to(out).as_posix(): hashlib.sha256(
            file.read_bytes().replace(bytes(out), b"OUT")
        ).hexdigest()
        for file in sorted(out.rglob("*"))
        if file.is_file()
    }


@NEEDS
@pytest.mark.slow
def test_from_package_to_class_files(published, capsys):
    fetch(published, hours=60 * SECONDS / 3600)
    printed = capsys.readouterr().out
    assert "60 clips of 2 s, 0.03 h: about" in printed
    assert "source/music21/music21/corpus/license.txt" in printed
    assert not (published / "source" / "music21" / "music21" / "program.py").exists()
    counts, paths = {}, []
    for split in ("train", "valid", "test"):
        manifest = read_manifest(published / f"{split}.tsv")
        counts[split] = len(manifest)
        paths += [utterance.path for utterance in manifest]
        assert {utterance.samples for utterance in manifest} == {32000}
        for kind in ("style", "key", "mode", "meter", "tempo", "pitch_class", "work"):
            classes = read_classes(published / "classes" / f"{kind}.tsv", manifest, 16000)
            assert len(classes.names()) >= 1
        values = read_labels(published / "labels" / f"{split}.tsv").values
        assert len(values) == 20 * len(manifest)
        assert set(values.values()) == {"0", "1"}
    assert counts == {"train": 36, "valid": 9, "test": 15}
    for path in paths[::7]:
        waveform, rate = soundfile.read(published / "audio" / path)
        assert rate == 16000
        assert 10 ** (-9.5 / 20) < np.abs(waveform).max() <= 1
    assert (published / "classes" / "bass.tsv").read_text().startswith("path\tstart\tend\tclass\n")
    assert {file.relative_to(published / "midi").with_suffix(".flac").as_posix() for file in
            (published / "midi").rglob("*.mid")} == set(paths)  # fmt: skip
    report = (published / "report.md").read_text()
    assert "aird: 12 pieces, 12 with a sure key; left out: none" in report
    assert f"SHA-256 {fluidsynth.find_synthesizer(None).font_sha256}" in report
    recipe = json.loads((published / "recipe.json").read_text())
    assert (recipe["seed"], recipe["clip_seconds"]) == (1, 2.0)
    assert recipe["packages"] == {
        "music21-1-py3-none-any.whl": CORPORA.get("rendered-scores").packages[0].sha256
    }
    assert recipe["plan_sha256"] == hashlib.sha256((published / "plan.jsonl").read_bytes()).hexdigest()


@NEEDS
@pytest.mark.slow
def test_a_clip_that_is_there_is_not_played_again(published):
    fetch(published)
    before = {file: file.stat().st_mtime_ns for file in (published / "audio").rglob("*.flac")}
    first, second = sorted(before)[:2]
    first.write_bytes(first.read_bytes()[:1000])
    second.unlink()
    whole = {file: content for file, content in contents(published).items() if "audio" not in file}
    fetch(published)
    after = {file: file.stat().st_mtime_ns for file in (published / "audio").rglob("*.flac")}
    assert {file for file in before if after[file] != before[file]} == {first, second}
    assert {file: content for file, content in contents(published).items() if "audio" not in file} == whole


@NEEDS
@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_and_ends_with_the_same_files(published, tmp_path):
    fetch(published)
    other = tmp_path / "interrupted"
    shutil.copytree(published / "source", other / "source")
    script = (
        "import sys; from pathlib import Path\n"
        "from ptsel_fairseq.downstream.corpora.music import corpus\n"
        "from ptsel_fairseq.downstream.corpora.corpus import Rendering\n"
        f"out = Path({str(other)!r})\n"
        f"corpus.make_corpus(out / 'source', out, Rendering({HOURS}, {SECONDS}), 1)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    end = time.monotonic() + 120
    while len(list((other / "audio").rglob("*.flac"))) < 3 and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 3 <= len(list((other / "audio").rglob("*.flac"))) < 12
    fetch(other)
    assert contents(other) == contents(published)


@NEEDS
@pytest.mark.parametrize("pitch", [48, 60, 69, 76])
def test_what_is_played_has_the_pitch_that_is_written(pitch):
    synthesizer = fluidsynth.find_synthesizer(None)
    notes = [Sounding(0.0, 1.5, pitch, 100)]
    waveform = fluidsynth.render(
        synthesizer, midi_bytes([Voice(73, notes)], 2.0), (0.1, 0, 0.5, 0), 2 * 44100
    )
    assert len(waveform) == 2 * 44100
    steady = waveform[22050:55125] * np.hanning(33075)
    spectrum = np.abs(np.fft.rfft(steady))
    # The fundamental: the lowest of the strong peaks.
    strong = np.flatnonzero(spectrum > 0.2 * spectrum.max())[0]
    nearby = slice(max(strong - 3, 0), strong + 8)
    frequency = (np.argmax(spectrum[nearby]) + nearby.start) * 44100 / 33075
    assert abs(69 + 12 * np.log2(frequency / 440) - pitch) < 0.5
    assert np.abs(waveform[:200]).max() < 0.01


@NEEDS
def test_the_same_clip_twice_is_the_same_to_the_last_bit():
    synthesizer = fluidsynth.find_synthesizer(None)
    midi = midi_bytes([Voice(0, [Sounding(0, 1, 60, 90)]), Voice(40, [Sounding(0.5, 1, 64, 90)])], 2.0)
    first, second = (fluidsynth.render(synthesizer, midi, (0.5, 0.5, 0.5, 0.5), 44100) for _ in range(2))
    assert np.array_equal(first, second)
    assert np.abs(first).max() > 0.001


def test_what_to_install_is_one_line(published, tmp_path, monkeypatch):
    fluidsynth.program_version.cache_clear()
    monkeypatch.setattr(fluidsynth, "PROGRAM", "no-fluidsynth-here")
    with pytest.raises(
        PtselError, match=r"no-fluidsynth-here: no such command; run `apt-get install fluidsynth"
    ):
        fetch(published)
    monkeypatch.setattr(fluidsynth, "program_version", lambda: "2.3.1")
    monkeypatch.setattr(fluidsynth, "FONT", tmp_path / "none.sf2")
    with pytest.raises(
        PtselError, match=r"none.sf2: no such sound font; run `apt-get install .*--soundfont FILE"
    ):
        fetch(published)
    (tmp_path / "text.sf2").write_text("no font at all")
    with pytest.raises(
        PtselError, match=r"text.sf2: expected a sound font \(RIFF sfbk\), found b'no font at a'"
    ):
        fetch(published, soundfont=tmp_path / "text.sf2")
    assert not published.exists()


def test_another_font_is_played_and_named(tmp_path):
    (tmp_path / "own.sf2").write_bytes(b"RIFF\x00\x00\x00\x00sfbk")
    other = fluidsynth.Synthesizer(tmp_path / "own.sf2", "0" * 64, "2.3.1")
    assert "NOT the FluidR3 of Debian's 3.1-5.3" in music_corpus.font_remark(other)
    assert "NOT" not in music_corpus.font_remark(replace(other, font_sha256=fluidsynth.FONT_SHA256))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"hours": 0.0}, "--hours: expected more than 0 and at most 1000, found 0"),
        ({"clip_seconds": 1.0}, "--clip-seconds: expected 2 to 600, found 1"),
        ({"hours": 0.0001}, "--hours: expected a clip of 25 s or more, found 0.0001 h"),
        ({"hours": float("nan")}, "--hours: expected more than 0"),
        ({"seed": -1}, "--seed: expected a whole number from 0, found -1"),
    ],
)
def test_settings_that_make_no_corpus(settings, said):
    with pytest.raises(PtselError, match=said):
        music_corpus.check(Rendering(**settings))


def test_settings_of_a_played_corpus_are_for_no_other(tmp_path):
    with pytest.raises(
        PtselError, match="--hours: expected a corpus that is played, found tonejs, which is recorded"
    ):
        fetch_command("tonejs", tmp_path / "out", hours=1.0)
    with pytest.raises(PtselError, match="run `ptsel fetch rendered-scores OUT`"):
        CORPORA.get("rendered-scores").read(tmp_path)


@NEEDS
def test_the_cost_is_that_of_the_hours():
    text = music_corpus.cost(Rendering(), jobs=2)
    assert text.startswith("1,440 clips of 25 s, 10.00 h: about 720 MB and ")
    assert text != music_corpus.cost(Rendering(), jobs=1)
