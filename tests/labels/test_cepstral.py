"""Cepstra against librosa and, for perceptual linear prediction, a slow program by another road."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
from scipy.linalg import solve_toeplitz
from test_spectral import slow_bands, slow_half_steps, slow_sensitivity, speech, three_point_mean, track_of

from ptsel_fairseq.base.grid import FrameGrid

GRID = FrameGrid()
__all__ = ["speech"]


@pytest.mark.parametrize(("name", "coefficients"), [("mfcc", 13), ("mfcc_deltas", 20)])
def test_cepstrum_and_slopes_are_librosas(speech, name, coefficients):
    log_mel = track_of("log_mel", speech)
    cepstrum = librosa.feature.mfcc(S=log_mel.T, n_mfcc=coefficients)
    slopes = [librosa.feature.delta(cepstrum, width=9, order=order, mode="nearest") for order in (1, 2)]
    np.testing.assert_allclose(track_of(name, speech), np.concatenate([cepstrum, *slopes]).T, atol=2e-3)


@pytest.mark.parametrize("frames", [1, 2, 8, 9])
@pytest.mark.parametrize(("name", "dim"), [("mfcc", 39), ("mfcc_deltas", 60), ("plp", 13)])
def test_few_frames(frames, name, dim):
    waveform = np.random.default_rng(0).standard_normal(GRID.num_samples(frames)).astype(np.float32)
    assert track_of(name, waveform).shape == (frames, dim)


def slow_plp(bands: list[float]) -> np.ndarray:
    """The normal equations solved directly; the cepstrum from the logarithm of the model's spectrum."""
    heard = [
        (max(power, 1e-10) * weight) ** 0.33 for power, weight in zip(bands, slow_sensitivity(), strict=True)
    ]
    spectrum = [heard[0], *heard, heard[-1]]
    correlation = np.array(
        [
            np.mean([x * np.cos(np.pi * k * lag / 27) * (1 if k in (0, 27) else 2) for k, x in enumerate(spectrum)])
            for lag in range(13)
        ]
    ) * 28 / 54  # fmt: skip
    a = np.concatenate([[1.0], -solve_toeplitz(correlation[:12], correlation[1:])])
    gain = float(a @ correlation)
    model = np.log(gain / np.abs(np.fft.rfft(a, 4096)) ** 2)
    return np.fft.irfft(model)[:13]


def test_plp_is_the_definition(speech):
    piece = speech[:4000]
    expected = np.stack([slow_plp(slow_bands(power)) for power in slow_half_steps(piece)])
    found = track_of("plp", piece)
    for n in range(13):
        np.testing.assert_allclose(
            found[:, n], three_point_mean(list(expected[:, n])), atol=5e-3, err_msg=str(n)
        )


def test_plp_of_a_louder_sound_differs_in_its_gain_only(speech):
    """Ten times the amplitude: c0 gains ln(100^0.33), the shape stays."""
    difference = track_of("plp", 0.9 * speech) - track_of("plp", 0.09 * speech)
    np.testing.assert_allclose(difference[:, 0], 0.33 * np.log(100), atol=0.02)
    np.testing.assert_allclose(difference[:, 1:], 0, atol=0.02)
