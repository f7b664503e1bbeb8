"""Shapes of spectra against librosa where it has the definition, and against spectra whose shape is known."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch
from scipy.signal import gammatone, lfilter
from test_spectral import speech, track_of

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels.signal import spectral
from ptsel_fairseq.labels.signal.analysis import Analysis
from ptsel_fairseq.labels.tracks import compute_tracks, resolve

GRID = FrameGrid()
NOISE = np.random.default_rng(0).standard_normal(32_000).astype(np.float32) * 0.1
SECOND = np.arange(16_000) / 16_000
__all__ = ["speech"]


def magnitude_of(waveform: np.ndarray, width: int, points: int) -> np.ndarray:
    """librosa's own spectrogram with its window put where the encoder looks, [bins, frames]."""
    before = points // 2 - GRID.centre(0)
    padded = np.pad(waveform, (before, points)) if before > 0 else np.pad(waveform[-before:], (0, points))
    found = np.abs(librosa.stft(padded, n_fft=points, win_length=width, hop_length=320, center=False))
    return found[:, : GRID.num_frames(len(waveform))]


@pytest.mark.parametrize(
    ("name", "theirs", "tolerance"),
    [
        ("spectral_centroid", lambda S: librosa.feature.spectral_centroid(S=S, sr=16_000), 0.5),
        ("spectral_bandwidth", lambda S: librosa.feature.spectral_bandwidth(S=S, sr=16_000), 0.5),
        ("spectral_flatness", lambda S: librosa.feature.spectral_flatness(S=S), 1e-4),
    ],
)
def test_shapes_are_librosas(speech, name, theirs, tolerance):
    expected = theirs(magnitude_of(speech, 400, 512))[0]
    np.testing.assert_allclose(track_of(name, speech)[:, 0], expected, atol=tolerance, rtol=1e-3)


def test_rolloff_is_librosas(speech):
    """Save for rare ties, where rounding decides between two bins."""
    expected = librosa.feature.spectral_rolloff(S=magnitude_of(speech, 400, 512), sr=16_000)[0]
    found = track_of("spectral_rolloff", speech)[:, 0]
    assert (found == expected).mean() > 0.97
    np.testing.assert_allclose(found, expected, atol=31.3)


def test_contrast_is_librosas_where_nothing_is_clipped(speech):
    expected = librosa.feature.spectral_contrast(S=magnitude_of(speech, 2048, 2048), sr=16_000).T
    np.testing.assert_allclose(track_of("spectral_contrast", speech), expected, atol=5e-3)


def test_lps_and_the_long_mel_bands_are_librosas(speech):
    power = magnitude_of(speech, 400, 512) ** 2
    expected = librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=None).T
    np.testing.assert_allclose(track_of("lps", speech), expected, atol=5e-2)
    mel = librosa.filters.mel(sr=16_000, n_fft=2048, n_mels=80) @ magnitude_of(speech, 2048, 2048) ** 2
    expected = librosa.power_to_db(mel, ref=1.0, amin=1e-10, top_db=None).T
    np.testing.assert_allclose(track_of("log_mel_long", speech), expected, atol=5e-3)


def test_entropy_and_flatness_tell_tone_from_noise():
    tone = 0.3 * np.sin(2 * np.pi * 1000 * SECOND).astype(np.float32)
    for name, of_tone, of_noise in (("spectral_entropy", 0.25, 0.8), ("spectral_flatness", 1e-3, 0.4)):
        assert track_of(name, tone)[3:-3].max() < of_tone
        assert track_of(name, NOISE)[3:-3].min() > of_noise


def test_entropy_is_the_definition(speech):
    power = magnitude_of(speech, 400, 512).astype(float) ** 2
    share = power / power.sum(axis=0)
    expected = -(share * np.log(share)).sum(axis=0) / np.log(257)
    np.testing.assert_allclose(track_of("spectral_entropy", speech)[:, 0], expected, atol=1e-4)


@pytest.mark.parametrize("frequency", [440.0, 1500.0, 5000.0])
def test_centroid_and_rolloff_of_a_tone(frequency):
    tone = 0.3 * np.sin(2 * np.pi * frequency * SECOND).astype(np.float32)
    for name, tolerance in (("spectral_centroid", 120), ("spectral_rolloff", 80)):
        np.testing.assert_allclose(track_of(name, tone)[3:-3], frequency, atol=tolerance)


def test_shapes_have_no_value_in_silence():
    wave = np.concatenate([NOISE[:8000], np.zeros(8000, np.float32)])
    names = [f"spectral_{kind}" for kind in ("centroid", "bandwidth", "rolloff", "flatness", "entropy")]
    for values, valid in compute_tracks(wave, resolve(names), GRID).values():
        assert valid[:24].all()
        assert not valid[26:].any()
        assert (values[~valid] == 0).all()


def test_flux_is_the_change_over_one_hop(speech):
    """Against librosa's spectrogram at the places between the frames."""
    shifted = np.concatenate([np.zeros(160, np.float32), speech])
    between = magnitude_of(np.pad(shifted, (0, 320)), 320, 512)
    share = between / between.sum(axis=0)
    expected = np.sqrt((np.diff(share, axis=1) ** 2).sum(axis=0))
    found = track_of("spectral_flux", speech)[:, 0]
    np.testing.assert_allclose(found, expected[: len(found)], atol=1e-4)


def test_flux_answers_a_change_in_its_frame_whatever_its_direction():
    event = 40
    tones = [0.3 * np.sin(2 * np.pi * hertz * np.arange(32_000) / 16_000) for hertz in (500, 2000)]
    for first, second in (tones, tones[::-1]):
        wave = np.where(np.arange(32_000) < GRID.centre(event), first, second).astype(np.float32)
        found = track_of("spectral_flux", wave)[:, 0]
        assert found.argmax() == event
        np.testing.assert_allclose(found[event - 3 : event], found[event + 1 : event + 4][::-1], atol=0.05)
        assert found[10:30].max() < 0.02


def test_gammatone_bands_are_those_of_the_filters(speech):
    """Against filtering in time: 4th-order filters of scipy, power of the same Hann windows."""
    centres = spectral.gammatone_centres(16_000)
    bands = range(13, 64, 5)  # from 300 Hz; below, windows of 25 ms do not resolve the filters
    window = torch.hann_window(400, periodic=True, dtype=torch.float64).numpy()
    found = track_of("gammatone", speech)
    for band in bands:
        filtered = lfilter(*gammatone(centres[band], "iir", fs=16_000), speech)
        frames = Analysis(filtered.astype(np.float32), GRID).frames(0.025)
        expected = 10 * np.log10(np.maximum((frames**2 * window**2).sum(axis=1), 1e-10))
        loud = expected > expected.max() - 50
        assert np.corrcoef(found[loud, band], expected[loud])[0, 1] > 0.9, centres[band]


def test_gammatone_of_a_tone_is_strongest_in_its_band():
    centres = spectral.gammatone_centres(16_000)
    for band in (10, 25, 40, 60):
        tone = 0.3 * np.sin(2 * np.pi * centres[band] * SECOND).astype(np.float32)
        assert abs(int(track_of("gammatone", tone)[20].argmax()) - band) <= 1
    assert centres[0] == pytest.approx(50)
    assert centres[-1] < 8000
