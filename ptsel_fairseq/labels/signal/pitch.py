"""Labels of voice and energy: F0, voicing, harmonics-to-noise ratio, RMS energy, zero-crossing rate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels.signal.compiled import compiled
from ptsel_fairseq.labels.signal.framing import (
    count_half_steps,
    half_step_frames,
    power_spectra,
    to_grid,
    to_grid_where_valid,
)
from ptsel_fairseq.labels.signal.pitch_path import PitchPath

PITCH_SECONDS = 0.060
PITCH_N_FFT = 1024
GAUSS_WIDTH = 0.4  # standard deviation of the window, in half windows
RMS_SECONDS = 0.020
ZCR_SECONDS = 0.060
SILENCE_RMS = 1e-3  # of full scale; quieter frames have no pitch

# Sub-harmonic summation on a logarithmic frequency axis: Hermes (1988).
POINTS_PER_OCTAVE = 64
AXIS_RANGE = (25.0, 8000.0)  # Hz
F0_RANGE = (52.0, 620.0)  # Hz
HARMONICS = 15
COMPRESSION = 0.85  # weight of each harmonic against the one below
CANDIDATES = 6

KEPT_STEPS = 4096  # half steps (41 s) whose spectra, 8 MB, are kept rather than made again

SCORE_GAIN = 4.0  # of voicing strength, for the costs of the path
VOICING_THRESHOLD = 0.68

HNR_RANGE = (1e-3, 0.9999)  # of the periodic share of power: -30 to 40 dB


@dataclass(frozen=True)
class Pitch:
    """The pitch analysis by half step, all [2 T + 1]: `f0` in Hz, 0 where unvoiced; `strength` 0 to 1.

    `power` holds the blocks of power spectra of a waveform that is not too long, so that they are made once.
    """

    f0: np.ndarray
    strength: np.ndarray
    power: tuple[Tensor, ...] | None = None

    @property
    def voiced(self) -> np.ndarray:
        return self.f0 > 0


@dataclass(frozen=True)
class Candidates:
    """What the path of the pitch is found from, by half step, float32.

    frequency, strength: of the strongest candidates, [2 T + 1, CANDIDATES], strength -1 where there are fewer.
    unvoiced: score of having no pitch, [2 T + 1].
    strongest: the track `Pitch.strength`, [2 T + 1].
    power: see `Pitch`.
    """

    frequency: np.ndarray
    strength: np.ndarray
    unvoiced: np.ndarray
    strongest: np.ndarray
    power: tuple[Tensor, ...] | None = None


def pitch(waveform: np.ndarray, grid: FrameGrid) -> Pitch:
    """F0 by sub-harmonic summation (Hermes 1988), its path by dynamic programming.

    The amplitude spectrum of a 60 ms Gaussian frame is reduced to the neighbourhood of its peaks, smoothed, put on
    an axis of 64 points an octave and summed over 15 harmonics of each candidate, each weighted 0.85 of the one
    below. The strength of a candidate is one minus the mean of this sum over the axis divided by the candidate's.
    """
    found = pitch_candidates(waveform, grid)
    path = PitchPath(*found.frequency.shape)
    path.extend(found.frequency, SCORE_GAIN * found.strength, found.unvoiced)
    return Pitch(path.f0(), found.strongest, found.power)


def pitch_candidates(waveform: np.ndarray, grid: FrameGrid) -> Candidates:
    """The candidates of each half step: what `pitch` finds but for the path."""
    steps = count_half_steps(len(waveform), grid)
    summation, lowest = harmonic_summation(grid.sample_rate)
    found, kept = [(np.zeros((0, CANDIDATES), np.float32),) * 2], []
    for power in _long_power(waveform, grid):
        found.append(_candidates(peaks_only(power.sqrt()) @ summation, lowest))
        if steps <= KEPT_STEPS:
            kept.append(power)
    frequency, strength = (np.concatenate(parts) for parts in zip(*found, strict=True))
    silent = frame_rms(waveform, grid) < SILENCE_RMS
    unvoiced = np.where(silent, np.float32(1e3), np.float32(SCORE_GAIN * VOICING_THRESHOLD))
    strongest = np.where(silent, np.float32(0), strength.max(axis=1).clip(min=0))
    return Candidates(frequency, strength, unvoiced, strongest.astype(np.float32), tuple(kept) or None)


def f0(found: Pitch) -> tuple[np.ndarray, np.ndarray]:
    """F0 in Hz, float32 [T, 1], and where it is defined (voiced frames), bool [T]."""
    values, valid = to_grid_where_valid(found.f0, found.voiced)
    return values[:, None], valid


def voicing(found: Pitch) -> np.ndarray:
    """Strength of the best pitch candidate, float32 [T, 1], 0 (silence, noise) to 1 (a clear tone)."""
    return to_grid(found.strength)[:, None]


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
    for power in found.power or _long_power(waveform, grid):
        voiced = np.flatnonzero(found.voiced[first : first + len(power)])
        if len(voiced):
            period = np.rint(grid.sample_rate / found.f0[first + voiced]).astype(np.int64)
            ratio[first + voiced] = _periodic_share(power.numpy()[voiced], period)
        first += len(power)
    share = np.clip(ratio, *HNR_RANGE)
    values, valid = to_grid_where_valid(10 * np.log10(share / (1 - share)), found.voiced)
    return values[:, None], valid


def rms_energy(waveform: np.ndarray, grid: FrameGrid) -> np.ndarray:
    """Root mean square of 20 ms, float32 [T, 1], of full scale."""
    return to_grid(frame_rms(waveform, grid, RMS_SECONDS))[:, None]


def frame_rms(waveform: np.ndarray, grid: FrameGrid, seconds: float = PITCH_SECONDS) -> np.ndarray:
    """Root mean square around each half step, float32 [2 T + 1]; samples outside the waveform are zero."""
    width = round(seconds * grid.sample_rate)
    total = _window_sums(np.square(waveform, dtype=np.float64), grid, width)
    return np.sqrt(np.maximum(total, 0) / width).astype(np.float32)


def zcr(waveform: np.ndarray, grid: FrameGrid) -> np.ndarray:
    """Zero crossings over 60 ms, float32 [T, 1], crossings a sample.

    A crossing is counted where two neighbours have opposite signs, and at a sample that is exactly zero unless its
    neighbours have the same sign; digital silence therefore counts at every sample.
    """
    width = round(ZCR_SECONDS * grid.sample_rate)
    sign = np.sign(waveform).astype(np.int8)  # products of samples would underflow in near silence
    crossing = np.zeros(len(sign))
    before, here, after = sign[:-2], sign[1:-1], sign[2:]
    crossing[1:-1] = (here * before < 0) | ((here == 0) & (before * after <= 0))
    if len(sign) > 1:
        crossing[-1] = sign[-1] * sign[-2] < 0
    return to_grid((_window_sums(crossing, grid, width) / width).astype(np.float32))[:, None]


def _window_sums(values: np.ndarray, grid: FrameGrid, width: int) -> np.ndarray:
    """Sums of `width` samples centred on each half step, from one cumulative sum; float64 [2 T + 1]."""
    steps = count_half_steps(len(values), grid)
    cumulative = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    first = grid.centre(0) - grid.hop // 2 - width // 2 + (grid.hop // 2) * np.arange(steps)
    return cumulative[np.clip(first + width, 0, len(values))] - cumulative[np.clip(first, 0, len(values))]


def _long_power(waveform: np.ndarray, grid: FrameGrid) -> Iterator[Tensor]:
    """Blocks of power spectra [frames, 513] of 60 ms Gaussian frames at the half steps."""
    width = round(PITCH_SECONDS * grid.sample_rate)
    weights = gauss(width)
    for frames in half_step_frames(waveform, grid, width):
        yield power_spectra(frames * weights, PITCH_N_FFT)


def gauss(width: int) -> Tensor:
    """The Gaussian window of the pitch analysis: float32 [width]."""
    position = np.arange(width) - (width - 1) / 2
    window = np.exp(-0.5 * (position / (GAUSS_WIDTH * (width - 1) / 2)) ** 2)
    return torch.from_numpy(window.astype(np.float32))


def peaks_only(amplitude: Tensor) -> Tensor:
    """The amplitude spectrum [..., bins] within two bins of its local maxima, 0 elsewhere."""
    peak = torch.zeros_like(amplitude, dtype=torch.bool)
    middle = amplitude[..., 1:-1]
    peak[..., 1:-1] = (middle > amplitude[..., :-2]) & (middle >= amplitude[..., 2:])
    near = peak.clone()
    for shift in (1, 2):
        near[..., shift:] |= peak[..., :-shift]
        near[..., :-shift] |= peak[..., shift:]
    return amplitude * near


@lru_cache
def harmonic_summation(sample_rate: int) -> tuple[Tensor, float]:
    """Smoothing, interpolation to the logarithmic axis and sum over harmonics as one matrix.

    Returns:
        [513, P + 1]: a column for each candidate frequency and a last one for the mean over the whole axis; and the
        frequency in Hz of the first column.
    """
    bins = PITCH_N_FFT // 2 + 1
    spacing = sample_rate / PITCH_N_FFT
    points = int(np.ceil(np.log2(AXIS_RANGE[1] / AXIS_RANGE[0]) * POINTS_PER_OCTAVE)) + 1
    axis = AXIS_RANGE[0] * 2 ** (np.arange(points) / POINTS_PER_OCTAVE)
    summation = np.zeros((bins, points))
    for harmonic in range(1, HARMONICS + 1):
        position = axis * harmonic / spacing
        below = np.floor(position).astype(int)
        inside = np.flatnonzero(below < bins - 1)
        share = position[inside] - below[inside]
        weight = COMPRESSION ** (harmonic - 1)
        np.add.at(summation, (below[inside], inside), weight * (1 - share))
        np.add.at(summation, (below[inside] + 1, inside), weight * share)
    smoothing = 0.5 * np.eye(bins) + 0.25 * np.eye(bins, k=1) + 0.25 * np.eye(bins, k=-1)
    smoothing[0, :2] = smoothing[-1, :-3:-1] = (1, 0)
    whole = smoothing.T @ np.concatenate([summation, summation.mean(axis=1, keepdims=True)], axis=1)
    candidates = np.flatnonzero((axis >= F0_RANGE[0]) & (axis <= F0_RANGE[1]))
    first, last = candidates[0] - 1, candidates[-1] + 2  # one point more on each side, to tell a maximum
    matrix = np.concatenate([whole[:, first:last], whole[:, -1:]], axis=1)
    return torch.from_numpy(matrix.astype(np.float32)), float(axis[first])


def _candidates(sums: Tensor, lowest: float) -> tuple[np.ndarray, np.ndarray]:
    """The strongest local maxima of the harmonic sums.

    Args:
        sums: [frames, P + 1] of `harmonic_summation`.

    Returns:
        frequency in Hz and strength, float32 [frames, CANDIDATES]; strength -1 where there are fewer maxima.
    """
    position = np.ones((len(sums), CANDIDATES), np.float32)
    strength = np.full((len(sums), CANDIDATES), -1, np.float32)
    compiled(_strongest_maxima)(sums.numpy(), position, strength)
    return lowest * np.exp2(position / np.float32(POINTS_PER_OCTAVE)), strength


def _strongest_maxima(sums: Any, position: Any, strength: Any) -> None:
    """Fill `position` (vertex of the parabola through a maximum and its neighbours) and `strength`, strongest first."""
    last = sums.shape[1] - 1  # the column of means
    for t in range(sums.shape[0]):
        row = sums[t]
        values = np.zeros(strength.shape[1], np.float32)
        for i in range(1, last - 1):
            if row[i] >= row[i - 1] and row[i] > row[i + 1] and row[i] > values[-1]:
                k = len(values) - 1
                while k > 0 and values[k - 1] < row[i]:
                    values[k], position[t, k] = values[k - 1], position[t, k - 1]
                    k -= 1
                curvature = row[i - 1] - 2 * row[i] + row[i + 1]
                values[k] = row[i]
                position[t, k] = i + min(max(0.5 * (row[i - 1] - row[i + 1]) / curvature, -0.5), 0.5)
        for k in range(len(values)):
            if values[k] > 0:
                strength[t, k] = max(1 - row[last] / values[k], -1.0)


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
