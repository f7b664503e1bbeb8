"""Compiled loops of one waveform against what torch and numpy give."""

import numpy as np
import pytest
import torch

from ptsel_fairseq.labels.signal.compiled import compiled
from ptsel_fairseq.labels.signal.framing import power_spectra
from ptsel_fairseq.labels.signal.harmonic_percussive import masked_energies
from ptsel_fairseq.labels.signal.pitch import (
    harmonic_summation,
    harmonic_sums,
    leave_peaks,
    peaks_only,
    summed_bins,
)
from ptsel_fairseq.labels.signal.spectral_shape import LANES, extremes


def spectra(frames: int, bins: int) -> torch.Tensor:
    """Magnitudes with many equal values, as of quiet audio."""
    values = np.random.default_rng(0).gamma(0.5, size=(frames, bins)).round(1)
    return torch.from_numpy(values.astype(np.float32))


@pytest.mark.parametrize("frames", [1, 130])
def test_power_has_the_bytes_of_torch(frames):
    windows = spectra(frames, 400) - 0.5
    batch = power_spectra(windows[None], 512)[0]
    assert torch.equal(power_spectra(windows, 512), batch)


@pytest.mark.parametrize("bins", [2, 3, 4, 513])
def test_peaks_are_those_of_torch(bins):
    amplitude = spectra(40, bins)
    expected = peaks_only(amplitude)
    compiled(leave_peaks)(amplitude.numpy())
    assert torch.equal(amplitude, expected)


def test_sums_over_harmonics_are_a_matrix_product():
    amplitude = spectra(70, 513)
    expected = amplitude.double() @ harmonic_summation(16000)[0].double()
    sums = compiled(harmonic_sums, any_order=True)(amplitude.t().contiguous().numpy(), *summed_bins(16000))
    np.testing.assert_allclose(sums.T, expected, rtol=2e-6)


@pytest.mark.parametrize("frames", [1, LANES, LANES + 3])
@pytest.mark.parametrize("largest", [True, False])
def test_extremes_are_those_of_torch(frames, largest):
    values = spectra(frames, 60)
    expected = values.topk(10, largest=largest).values
    found = compiled(extremes)(values.numpy().T, 10, np.float32(1 if largest else -1))
    np.testing.assert_array_equal(found.T, expected)


def test_masks_are_in_proportion_to_the_squares():
    magnitude, steady, spread = (spectra(30, 200).numpy()[:, shift:][:, :190] for shift in (0, 3, 7))
    both = steady.astype(float) ** 2 + spread.astype(float) ** 2
    share = np.where(both > 0, steady.astype(float) ** 2 / np.where(both > 0, both, 1), 0.5)
    expected = [((magnitude * part) ** 2).sum(axis=1) for part in (share, 1 - share)]
    found = compiled(masked_energies, any_order=True)(magnitude, steady, spread)
    np.testing.assert_allclose(found, expected, rtol=2e-6)
