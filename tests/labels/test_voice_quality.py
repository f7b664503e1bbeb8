"""Jitter and shimmer of pulse trains whose periods and amplitudes are known."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import ASTERISK

from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels.signal.analysis import Analysis
from ptsel_fairseq.labels.tracks import compute_tracks, resolve

GRID = FrameGrid()
RATE = 16_000


def pulses(lengths: np.ndarray, amplitudes: np.ndarray) -> np.ndarray:
    """A voice made of one decaying 700 Hz resonance a period, begun at exact (fractional) times."""
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    wave = np.zeros(int(np.sum(lengths)))
    sample = np.arange(400)
    for start, amplitude in zip(starts, amplitudes, strict=True):
        first = int(np.ceil(start))
        time = (first + sample - start) / RATE
        pulse = amplitude * np.exp(-1500 * time) * np.sin(2 * np.pi * 700 * time)
        end = min(first + 400, len(wave))
        wave[first:end] += pulse[: end - first]
    return (0.3 * wave).astype(np.float32)


def track_of(name: str, wave: np.ndarray) -> np.ndarray:
    """The defined values in the inner frames."""
    values, valid = compute_tracks(wave, resolve([name]), GRID)[name]
    assert valid[6:-6].mean() > 0.9
    return values[6:-6][valid[6:-6], 0]


@pytest.mark.parametrize("period", [50.0, 87.3, 133.0, 177.7])
@pytest.mark.parametrize("share", [0.01, 0.03])
def test_jitter_of_alternating_periods(period, share):
    """Periods of 1 + share / 2 and 1 - share / 2 in turn differ by share of their mean."""
    count = int(RATE / period)
    lengths = period * (1 + share / 2 * (-1.0) ** np.arange(count))
    np.testing.assert_allclose(
        np.median(track_of("jitter", pulses(lengths, np.ones(count)))), share, rtol=0.15
    )


@pytest.mark.parametrize("period", [50.0, 133.0])
@pytest.mark.parametrize("share", [0.05, 0.2])
def test_shimmer_of_alternating_amplitudes(period, share):
    count = int(RATE / period)
    amplitudes = 1 + share / 2 * (-1.0) ** np.arange(count)
    found = track_of("shimmer", pulses(np.full(count, period), amplitudes))
    np.testing.assert_allclose(np.median(found), share, rtol=0.3)


def test_a_perfect_voice_has_next_to_none():
    wave = pulses(np.full(150, 131.0), np.ones(150))
    assert track_of("jitter", wave).max() < 2e-3
    assert track_of("shimmer", wave).max() < 2e-2


def test_the_found_periods_are_those_made():
    """Random periods: each found one lies on a made one, within a third of a sample."""
    draw = np.random.default_rng(0)
    lengths = 130 * (1 + 0.02 * draw.standard_normal(150))
    wave = pulses(lengths, np.ones(150))
    found = Analysis(wave, GRID).periods
    made = np.cumsum(lengths)
    peak = np.abs(wave[: int(lengths[0])]).argmax()  # marks are on a peak of each pulse
    inner = (found.start > 1000) & (found.start < len(wave) - 1500)
    distance = np.abs(found.start[inner, None] - peak - made[None, :])
    offset = np.median(distance.min(axis=1))
    assert (
        offset < 3 or abs(offset - 11.4) < 3
    )  # the same peak, or the opposite one half a cycle of 700 Hz later
    true_length = np.append(lengths[1:], 0)[distance.argmin(axis=1)]
    error = np.abs(found.length[inner] - true_length)
    assert np.median(error) < 0.35
    assert found.joined[inner][1:].mean() > 0.98
    expected = np.abs(np.diff(lengths[8:-10])).mean() / lengths.mean()
    np.testing.assert_allclose(track_of("jitter", wave).mean(), expected, rtol=0.15)


def test_neither_depends_on_the_level():
    waveform = read_audio(ASTERISK / "audio" / "en" / "agent-pass.ogg", RATE)
    for name in ("jitter", "shimmer"):
        values, valid = compute_tracks(waveform, resolve([name]), GRID)[name]
        softer, still = compute_tracks(0.5 * waveform, resolve([name]), GRID)[name]
        both = valid & still
        assert both.sum() > 0.95 * valid.sum()
        np.testing.assert_allclose(softer[both], values[both], rtol=1e-3, atol=1e-5)


def test_defined_where_the_voice_is():
    waveform = read_audio(ASTERISK / "audio" / "en" / "agent-pass.ogg", RATE)
    tracks = compute_tracks(waveform, resolve(["f0", "jitter", "shimmer"]), GRID)
    voiced = tracks["f0"][1]
    for name in ("jitter", "shimmer"):
        values, valid = tracks[name]
        assert not (valid & ~voiced).any()
        assert valid.sum() > 0.95 * voiced.sum()
        assert (values[valid] >= 0).all()
        assert 0.002 < np.median(values[valid]) < 0.3


def test_more_noise_more_of_both():
    draw = np.random.default_rng(0)
    clean = pulses(np.full(150, 131.0), np.ones(150))
    found = []
    for decibels in (40, 30, 20):
        noise = clean.std() * 10 ** (-decibels / 20) * draw.standard_normal(len(clean))
        wave = (clean + noise).astype(np.float32)
        found.append([np.median(track_of(name, wave)) for name in ("jitter", "shimmer")])
    assert (np.diff(found, axis=0) > 0).all()


def test_periods_of_silence_and_of_very_short_audio():
    for samples in (0, 399, 400, 800):
        assert len(Analysis(np.zeros(samples, np.float32), GRID).periods.start) == 0


def test_jitter_is_praats_where_both_see_the_same_periods():
    """Small alternations, in which Praat too finds every period: the same number to a percent."""
    parselmouth = pytest.importorskip("parselmouth")
    lengths = 87.3 * (1 + 0.005 * (-1.0) ** np.arange(180))
    wave = pulses(lengths, np.ones(180))
    sound = parselmouth.Sound(wave.astype(np.float64), RATE)
    pitch = sound.to_pitch_ac(time_step=0.01, pitch_floor=60, pitch_ceiling=600)
    marks = parselmouth.praat.call([sound, pitch], "To PointProcess (cc)")
    theirs = parselmouth.praat.call(marks, "Get jitter (local)", 0.2, 0.8, 1e-4, 0.02, 1.3)
    np.testing.assert_allclose(np.median(track_of("jitter", wave)), theirs, rtol=0.01)
