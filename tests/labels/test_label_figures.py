"""The picture of an utterance's labels: written whole, with a row for each label, or a clear refusal."""

from __future__ import annotations

import re

import matplotlib
import numpy as np
import pytest
import soundfile
from conftest import ASTERISK, run_command

from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.labels import figures
from ptsel_fairseq.labels.backends import BACKENDS
from ptsel_fairseq.labels.figures import draw_labels
from ptsel_fairseq.labels.listing import labels_command
from ptsel_fairseq.labels.pools import POOLS
from ptsel_fairseq.labels.tracks import compute_tracks, get, names, resolve


def words_of(picture) -> str:
    found = re.findall(r"<text[^>]*>([^<]*)</text>|<tspan[^>]*>([^<]*)</tspan>", picture.read_text())
    return " ".join(str(found).split())


def test_a_row_for_each_scalar_label(data_dir, store_dir, tmp_path):
    manifest = read_manifest(data_dir / "valid.tsv")
    out = tmp_path / "pictures" / "labels.svg"
    with matplotlib.rc_context({"svg.fonttype": "none"}):  # so that text stays text
        draw_labels(manifest, manifest.utterances[0], store_dir, out)
    text = words_of(out)
    for word in ("alpha_ratio", "f0", "Hz", "zcr", "dB", "time / s", manifest.utterances[0].path):
        assert word in text
    assert "log_mel" not in text  # 80 dimensions: only when asked for
    assert [file.name for file in out.parent.iterdir()] == ["labels.svg"]


def test_vector_labels_on_request(data_dir, store_dir, tmp_path):
    manifest = read_manifest(data_dir / "valid.tsv")
    draw_labels(manifest, manifest.utterances[1], store_dir, tmp_path / "labels.png", ["log_mel", "f0"])
    assert (tmp_path / "labels.png").read_bytes().startswith(b"\x89PNG")


def test_refusals(data_dir, store_dir, tmp_path):
    manifest = read_manifest(data_dir / "valid.tsv")
    with pytest.raises(PtselError, match="no label 'loudness'"):
        draw_labels(manifest, manifest.utterances[0], store_dir, tmp_path / "a.png", ["loudness"])
    with pytest.raises(PtselError, match=r"\.png"):
        draw_labels(manifest, manifest.utterances[0], store_dir, tmp_path / "a.exe")
    train = read_manifest(data_dir / "train.tsv")
    other = type(train)(manifest.file, train.root, train.utterances)
    with pytest.raises(PtselError, match="made from a manifest"):
        draw_labels(other, other.utterances[0], store_dir, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


CLIP = ASTERISK / "audio" / "en" / "agent-pass.ogg"


def test_labels_of_a_file_that_is_in_no_store(tmp_path):
    out = tmp_path / "labels.svg"
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        labels_command(["f0", "log_mel", "zcr"], CLIP, out)
    text = words_of(out)
    for word in ("agent-pass.ogg", "Hz", "zcr", "crossings/sample", "log_mel", "of the file", "time / s"):
        assert word in text
    assert "loudness" not in text


def test_rows_show_what_was_computed(tmp_path, monkeypatch):
    """The grey band is mean and deviation over the voiced frames of this file."""
    drawn = {}
    monkeypatch.setattr(
        figures, "figure_of_tracks", lambda decibels, grid, rows, *more: drawn.update(rows=rows)
    )
    monkeypatch.setattr(figures, "save", lambda *arguments: None)
    labels_command(["f0"], CLIP, tmp_path / "a.png")
    (row,) = drawn["rows"]
    waveform = read_audio(CLIP, 16_000)
    values, valid = compute_tracks(waveform, resolve(["f0"]), FrameGrid())["f0"]
    np.testing.assert_array_equal(row.values, values)
    np.testing.assert_array_equal(row.valid, valid)
    np.testing.assert_allclose(
        [row.mean[0], row.std[0]], [values[valid].mean(), values[valid].std()], rtol=1e-6
    )


def test_the_command_lists_and_draws(tmp_path):
    catalogue, pools, backends = run_command("ptsel", "labels").stdout.split("\n\n")
    listed = catalogue.splitlines()
    assert [line.split()[0] for line in listed] == sorted([*names(), "formants"])
    (formants,) = [line for line in listed if line.startswith("formants")]
    assert "--backend praat" in formants
    assert {line.split(":")[0] for line in pools.splitlines()[1:]} == {"all", *POOLS}
    assert {line.split(":")[0] for line in backends.splitlines()[1:]} == set(BACKENDS)
    assert all(get(line.split()[0]).description in line for line in listed if line != formants)
    assert [line.split()[0] for line in run_command("ptsel", "labels", "zcr", "f0").stdout.splitlines()] == [
        "f0",
        "zcr",
    ]
    done = run_command("ptsel", "labels", "f0", "--plot", CLIP, "--out", tmp_path / "f0.png")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "f0.png").read_bytes().startswith(b"\x89PNG")


def test_drawing_needs_labels_audio_and_a_place(tmp_path):
    for arguments in (
        [[], CLIP, tmp_path / "a.png"],
        [["f0"], CLIP, None],
        [["f0"], None, tmp_path / "a.png"],
    ):
        with pytest.raises(PtselError, match="--plot AUDIO"):
            labels_command(*arguments)
    soundfile.write(tmp_path / "short.wav", np.zeros(399), 16_000)
    with pytest.raises(PtselError, match=r"short\.wav: shorter than one frame"):
        labels_command(["zcr"], tmp_path / "short.wav", tmp_path / "a.png")
    with pytest.raises(PtselError, match="no such audio file"):
        labels_command(["zcr"], tmp_path / "none.wav", tmp_path / "a.png")
    assert not list(tmp_path.glob("*.png*"))


def test_silence_is_drawn_too(tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(16_000), 16_000)
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        labels_command(["f0", "mfcc", "zcr"], tmp_path / "silence.wav", tmp_path / "a.svg")
    assert "undefined everywhere (unvoiced frames)" in words_of(tmp_path / "a.svg")


def test_rows_of_chroma_name_their_notes():
    """A tone of 261.6 Hz is strongest in the row that is called C, one of 440 Hz in that called A."""
    from matplotlib.figure import Figure

    from ptsel_fairseq.labels.figures import NOTES, Row, _draw_vector
    from ptsel_fairseq.labels.tracks import compute_tracks, resolve

    for hertz, note in ((261.63, "C"), (440.0, "A")):
        tone = (0.3 * np.sin(2 * np.pi * hertz * np.arange(32000) / 16000)).astype(np.float32)
        values = compute_tracks(tone, resolve(["chroma"]), FrameGrid())["chroma"][0]
        assert NOTES[int(np.argmax(values[20:-20].mean(axis=0)))] == note
    axis = Figure().subplots()
    row = Row("chroma", "", None, values, np.ones(len(values), bool), values.mean(axis=0), values.std(axis=0))
    _draw_vector(axis, row, np.arange(len(values) + 1.0))
    assert [tick.get_text() for tick in axis.get_yticklabels()] == list(NOTES[::2])
