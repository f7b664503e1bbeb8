"""The harmonics-to-noise ratio, from the autocorrelation at the pitch period."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels.label import Label, of
from ptsel_fairseq.labels.signal.compiled import compiled
from ptsel_fairseq.labels.signal.framing import to_grid_where_valid
from ptsel_fairseq.labels.signal.pitch import PITCH_N_FFT, PITCH_SECONDS, Pitch, pitch_power

HNR_RANGE = (1e-3, 0.9999)  # of the periodic share of power: -30 to 40 dB


def log_hnr(waveform: np.ndarray, found: Pitch, grid: FrameGrid) -> tuple[np.ndarray, np.ndarray]:
    """Harmonics-to-noise ratio from the autocorrelation at the pitch period (Boersma 1993, eq. 4).

    With r the autocorrelation of the windowed 60 ms frame at the period over that at lag 0, the ratio is
    ``10 log10(r / (1 - r))``, kept between -30 and 40 dB. As in openSMILE, r is not divided by the window's own
    autocorrelation, so that a perfect voice reads 5 dB at 80 Hz, 8 at 110, 13 at 200 and 19 at 400.

    Returns:
        dB, float32 [T, 1], and where it is defined (voiced frames), bool [T].
    """
    ratio = np.zeros(len(found.f0), np.float32)
    first = 0
    for power in found.power or pitch_power(waveform, grid):
        voiced = np.flatnonzero(found.voiced[first : first + len(power)])
        if len(voiced):
            period = np.rint(grid.sample_rate / found.f0[first + voiced]).astype(np.int64)
            ratio[first + voiced] = _periodic_share(power.numpy()[voiced], period)
        first += len(power)
    share = np.clip(ratio, *HNR_RANGE)
    values, valid = to_grid_where_valid(10 * np.log10(share / (1 - share)), found.voiced)
    return values[:, None], valid


def _periodic_share(power: np.ndarray, period: np.ndarray) -> np.ndarray:
    """Autocorrelation at its peak near `period` (in samples), over that at lag 0: [frames].

    The peak is the vertex of the parabola through the lag next to the period and its neighbours, or the greatest of
    the three where they have no vertex between them.
    """
    cosine = np.cos(2 * np.pi * np.arange(PITCH_N_FFT) / PITCH_N_FFT)
    correlation = np.empty((len(power), 4))
    compiled(_autocorrelation)(power, period, cosine, correlation)
    before, here, after, zero = correlation.T
    curvature = before - 2 * here + after
    vertex = here - (after - before) ** 2 / np.where(curvature < 0, 8 * curvature, -np.inf)
    inside = (curvature < 0) & (np.abs(after - before) <= -2 * curvature)
    best = np.where(inside, vertex, np.maximum(np.maximum(before, here), after))
    return np.maximum(best, 0) / np.maximum(zero, 1e-20)


def _autocorrelation(power: Any, period: Any, cosine: Any, correlation: Any) -> None:
    """Fill `correlation` [frames, 4] with that at the lags period - 1, period, period + 1 and 0, from power spectra."""
    mask, nyquist = len(cosine) - 1, power.shape[1] - 1  # a power of two of points: the mask is the remainder
    for t in range(power.shape[0]):
        lag = period[t]
        first, second, third, zero = 0.0, 0.0, 0.0, 0.0
        for k in range(power.shape[1]):
            share = float(power[t, k]) * (1 if k in (0, nyquist) else 2)
            first += share * cosine[(lag - 1) * k & mask]
            second += share * cosine[lag * k & mask]
            third += share * cosine[(lag + 1) * k & mask]
            zero += share
        correlation[t, 0], correlation[t, 1], correlation[t, 2], correlation[t, 3] = (
            first,
            second,
            third,
            zero,
        )


LABELS = (
    Label(
        "log_hnr", 1, "dB", "harmonics-to-noise ratio from the autocorrelation at the pitch period", "Boersma 1993",
        PITCH_SECONDS, of(log_hnr, "waveform", "pitch", "grid"), whole=("pitch",), undefined="unvoiced frames",
        unvoiced_value=-100.0,
    ),
)  # fmt: skip
