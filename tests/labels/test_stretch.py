"""A stretch of a long recording is drawn with the values that the whole recording has there, at their true time."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from conftest import ASTERISK

from ptsel_fairseq.base.audio import AudioFile
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels import figures
from ptsel_fairseq.labels.extraction import long_recordings
from ptsel_fairseq.labels.extraction.stretch import tracks_between
from ptsel_fairseq.labels.signal.analysis import Analysis
from ptsel_fairseq.labels.tracks import compute_tracks, resolve

GRID = FrameGrid()
SECONDS = 330  # three blocks


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """A file of the bundled clips one after the other, and its samples."""
    clips = sorted((ASTERISK / "audio").rglob("*.ogg"))
    waveform = np.concatenate([soundfile.read(clip, dtype="float32")[0] for clip in clips])[: SECONDS * 16000]
    assert len(waveform) == SECONDS * 16000
    waveform[:32000] *= 0.02  # the loudest band is elsewhere
    file = tmp_path_factory.mktemp("long") / "long.flac"
    soundfile.write(file, waveform, 16000)
    return file, soundfile.read(file, dtype="float32")[0]


@pytest.fixture(scope="module")
def whole(recording):
    return compute_tracks(recording[1], resolve(["all"]), GRID)


# In one block, across the border of two (frame 6144 is at 122.88 s), at either end.
@pytest.mark.parametrize("seconds", [(60.0, 63.0), (121.5, 124.5), (0.0, 2.0), (325.0, None)])
def test_every_label_is_that_of_the_whole_bit_for_bit(seconds, recording, whole, monkeypatch):
    file, _ = recording
    analysed = []
    init = Analysis.__init__

    def noted(self, wave, grid):
        analysed.append(len(wave))
        init(self, wave, grid)

    monkeypatch.setattr(Analysis, "__init__", noted)
    labels = resolve(["all"])
    first, last, samples = figures._frames_between(file, *seconds, GRID)
    found = tracks_between(lambda: AudioFile(file, 16000), samples, labels, GRID, first, last)
    assert first == round(seconds[0] * 50)
    assert list(found) == [label.name for label in labels]
    for name, (values, valid) in found.items():
        np.testing.assert_array_equal(valid, whole[name].valid[first:last], err_msg=name)
        np.testing.assert_array_equal(values, whole[name].values[first:last], err_msg=name)
    assert max(analysed) <= long_recordings.LONGEST_WHOLE * GRID.hop + GRID.window


def test_what_does_not_need_the_whole_reads_no_further_than_the_stretch(recording):
    file, _ = recording
    opened = []

    def open_it():
        opened.append(AudioFile(file, 16000))
        return opened[-1]

    tracks_between(open_it, SECONDS * 16000, resolve(["f0", "mfcc"]), GRID, 100, 200)
    assert [audio.position for audio in opened] == [(6144 + 512 - 1) * 320 + 400]


def test_a_label_of_a_user_sees_the_whole_waveform(recording):
    from ptsel_fairseq.labels.label import Label

    lengths = []

    def peak(analysis):
        lengths.append(len(analysis.waveform))
        return np.full((analysis.num_frames, 1), np.abs(analysis.waveform).max(), np.float32)

    own = Label("peak", 1, "", "largest sample", "a test", 0.02, peak, origin="own.py")
    values = tracks_between(lambda: AudioFile(recording[0], 16000), SECONDS * 16000, [own], GRID, 100, 105)[
        "peak"
    ].values
    np.testing.assert_array_equal(values, np.full((5, 1), np.abs(recording[1]).max()))
    assert lengths == [SECONDS * 16000]


def test_the_picture_shows_the_time_of_the_recording(recording, whole, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(figures, "save", lambda figure, out: shown.append(figure))
    figures.draw_file(recording[0], resolve(["f0", "loudness"]), tmp_path / "x.png", 200.005, 203.0)
    axes = [axis for axis in shown[0].axes if axis.get_xlabel() == "time / s" or axis.lines]
    assert "from 200.00 s to 203.00 s" in shown[0].axes[0].get_title(loc="left")
    assert axes[-1].get_xlim() == pytest.approx((200.0, 203.0), abs=0.02)
    drawn = next(axis for axis in axes if axis.get_ylabel().startswith("loudness")).lines[0]
    times, first = drawn.get_xdata(), 10000
    np.testing.assert_allclose(times, (GRID.centre(0) + 320 * np.arange(first, first + len(times))) / 16000)
    values = whole["loudness"].values[first : first + len(times), 0]
    np.testing.assert_array_equal(drawn.get_ydata(), values)
    ticks = [tick for tick in axes[-1].get_xticks() if 200 <= tick <= 203]
    assert len(ticks) > 2


def test_a_short_file_is_analysed_at_once(tmp_path):
    clip = next((ASTERISK / "audio" / "en").glob("*.ogg"))
    waveform = soundfile.read(clip, dtype="float32")[0]
    labels = resolve(["all"])
    found = tracks_between(lambda: AudioFile(clip, 16000), len(waveform), labels, GRID, 5, 20)
    for name, (values, valid) in compute_tracks(waveform, labels, GRID).items():
        np.testing.assert_array_equal(found[name].values, values[5:20])
        np.testing.assert_array_equal(found[name].valid, valid[5:20])


def test_stretches_that_are_none(recording, tmp_path):
    labels = resolve(["zcr"])
    with pytest.raises(PtselError, match="nothing to draw from 999 s on"):
        figures.draw_file(recording[0], labels, tmp_path / "x.png", 999.0)
    with pytest.raises(PtselError, match="expected 0 <= from < to"):
        figures.draw_file(recording[0], labels, tmp_path / "x.png", 5.0, 3.0)
    with pytest.raises(PtselError, match="nothing to draw from 5 s on"):
        figures.draw_file(recording[0], labels, tmp_path / "x.png", 5.0, 5.01)
