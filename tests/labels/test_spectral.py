"""Labels of short-time spectra against librosa and against slow programs written from the formulas."""

from __future__ import annotations

import math

import librosa
import numpy as np
import pytest
from conftest import ASTERISK

from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels.signal import auditory
from ptsel_fairseq.labels.tracks import compute_tracks, resolve

GRID = FrameGrid()
CLIPS = ["en/agent-pass.ogg", "en/call-waiting.ogg"]


@pytest.fixture(scope="module", params=CLIPS)
def speech(request) -> np.ndarray:
    """1.2 s of a bundled recording."""
    return read_audio(ASTERISK / "audio" / request.param, 16_000)[4000:23_200]


def track_of(name: str, waveform: np.ndarray) -> np.ndarray:
    return compute_tracks(waveform, resolve([name]), GRID)[name][0]


def test_log_mel_is_librosas(speech):
    """librosa centres a 25 ms window in 512 samples; 56 samples in front put it where the encoder looks."""
    padded = np.pad(speech, (56, 56))
    power = librosa.feature.melspectrogram(
        y=padded, sr=16_000, n_fft=512, win_length=400, hop_length=320, center=False, n_mels=80
    )
    expected = librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=None).T
    np.testing.assert_allclose(track_of("log_mel", speech), expected, atol=2e-3)


# A slow program for the auditory labels, from the formulas only: sums over bins in float64, one frame at a time.


def slow_spectrum(waveform: np.ndarray, centre: int) -> list[float]:
    frame = [waveform[s] if 0 <= s < len(waveform) else 0.0 for s in range(centre - 160, centre + 160)]
    weighted = [x * (0.54 - 0.46 * math.cos(2 * math.pi * n / 319)) for n, x in enumerate(frame)]
    return list(np.abs(np.fft.fft(np.array(weighted, np.float64), 512)[:257]) ** 2)


def slow_bands(power: list[float]) -> list[float]:
    def mel(hertz: float) -> float:
        return 1127 * math.log(1 + hertz / 700)

    low, high = mel(20), mel(8000)
    corners = [low + (high - low) * b / 27 for b in range(28)]
    bands = []
    for b in range(26):
        total = 0.0
        for k, p in enumerate(power):
            m = mel(k * 16_000 / 512)
            if corners[b] < m <= corners[b + 1]:
                total += p * (m - corners[b]) / (corners[b + 1] - corners[b])
            elif corners[b + 1] < m < corners[b + 2]:
                total += p * (corners[b + 2] - m) / (corners[b + 2] - corners[b + 1])
        bands.append(total)
    return bands


def slow_sensitivity() -> list[float]:
    """Equal loudness at the middle (in mel) of each band: Hermansky (1990), eq. 7, with the term above 5 kHz."""
    low, high = math.log(1 + 20 / 700), math.log(1 + 8000 / 700)
    weights = []
    for b in range(1, 27):
        w2 = (2 * math.pi * 700 * (math.exp(low + (high - low) * b / 27) - 1)) ** 2
        weight = (w2 + 56.8e6) * w2**2 / ((w2 + 6.3e6) ** 2 * (w2 + 0.38e9))
        weights.append(weight * 9.58e26 / (w2**3 + 9.58e26))
    return weights


def slow_half_steps(waveform: np.ndarray) -> list[list[float]]:
    frames = 1 + (len(waveform) - 400) // 320
    return [slow_spectrum(waveform, 200 + 160 * (j - 1)) for j in range(2 * frames + 1)]


def three_point_mean(values: list[float]) -> np.ndarray:
    return np.array([sum(values[j - 1 : j + 2]) / 3 for j in range(1, len(values) - 1, 2)])


def test_loudness_is_the_formula(speech):
    weights = slow_sensitivity()
    loudness = [
        sum((m * e) ** 0.33 for m, e in zip(slow_bands(power), weights, strict=True))
        for power in slow_half_steps(speech)
    ]
    np.testing.assert_allclose(
        track_of("loudness", speech)[:, 0], three_point_mean(loudness), rtol=1e-3, atol=1e-4
    )


def test_rasta_is_the_formula(speech):
    logarithm = np.log(np.maximum([slow_bands(power) for power in slow_half_steps(speech)], 1e-10))
    steps = len(logarithm)
    pole = 1 - 2 * math.pi * 1.0 * 0.010
    filtered = np.zeros((steps, 26))
    for t in range(4, steps):
        ahead, behind = (lambda d, t=t: logarithm[min(t + d, steps - 1)]), (lambda d, t=t: logarithm[t - d])
        filtered[t] = 0.1 * (2 * ahead(2) + ahead(1) - behind(1) - 2 * behind(2)) + pole * filtered[t - 1]
    weights = slow_sensitivity()
    norm = [sum((math.exp(f) * e) ** 0.33 for f, e in zip(row, weights, strict=True)) for row in filtered]
    np.testing.assert_allclose(track_of("rasta_l1", speech)[:, 0], three_point_mean(norm), rtol=5e-3)


def test_alpha_ratio_is_the_formula(speech):
    ratio = []
    for power in slow_half_steps(speech):
        frequency = [k * 16_000 / 512 for k in range(257)]
        high = sum(p for p, f in zip(power, frequency, strict=True) if 1000 <= f < 5000)
        low = sum(p for p, f in zip(power, frequency, strict=True) if 31.25 <= f < 1000)
        ratio.append(10 * math.log10(high / low))
    np.testing.assert_allclose(track_of("alpha_ratio", speech)[:, 0], three_point_mean(ratio), atol=2e-2)


def test_alpha_ratio_of_two_tones():
    """Two tones in the two bands: the ratio of their powers."""
    time = np.arange(16_000) / 16_000
    for decibels in (-20, 0, 12):
        wave = 0.2 * np.sin(2 * np.pi * 500 * time) + 0.2 * 10 ** (decibels / 20) * np.sin(
            2 * np.pi * 2500 * time
        )
        found = track_of("alpha_ratio", (wave / 4).astype(np.float32))[5:-5]
        np.testing.assert_allclose(found, decibels, atol=0.5)


def test_silence_does_not_pull_the_alpha_ratio_of_its_neighbours():
    wave = 0.2 * np.sin(2 * np.pi * 300 * np.arange(16_000) / 16_000).astype(np.float32)
    wave[8000:] = 0
    found = track_of("alpha_ratio", wave)[:, 0]
    first_silent = int(np.flatnonzero(found == 0)[0])
    assert (found[: first_silent - 2] < -20).all()
    assert (found[first_silent:] == 0).all()


def test_loudness_grows_with_the_power_law():
    """Ten times the amplitude is 100 times the power, 100^0.33 times the loudness."""
    noise = np.random.default_rng(0).standard_normal(16_000).astype(np.float32) * 0.01
    np.testing.assert_allclose(
        track_of("loudness", 10 * noise) / track_of("loudness", noise), 100**0.33, rtol=1e-3
    )


def test_rasta_ignores_a_constant_gain():
    """The filter removes what does not change, among it any gain or linear channel."""
    noise = np.random.default_rng(0).standard_normal(16_000).astype(np.float32) * 0.01
    np.testing.assert_allclose(track_of("rasta_l1", 10 * noise), track_of("rasta_l1", noise), rtol=1e-3)


def test_equal_loudness_is_highest_where_hearing_is():
    frequency = np.arange(100, 8000, 10)
    best = frequency[auditory.equal_loudness(frequency).argmax()]
    assert 3000 < best < 6000
    assert (
        auditory.equal_loudness(np.array([50.0]))[0] < 0.01 * auditory.equal_loudness(np.array([4000.0]))[0]
    )
