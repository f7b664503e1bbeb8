"""Labels of pitch: F0 and voicing, from sub-harmonic sums and a path through their maxima."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.late import LateModule
from ptsel_fairseq.labels.label import HALF_STEPS, Label, TorchForm, of
from ptsel_fairseq.labels.signal.compiled import compiled
from ptsel_fairseq.labels.signal.energy import frame_rms, frame_rms_of_batch
from ptsel_fairseq.labels.signal.framing import (
    count_half_steps,
    half_step_frames,
    power_spectra,
    to_grid,
    to_grid_where_valid,
)
from ptsel_fairseq.labels.signal.pitch_path import PitchPath

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ptsel_fairseq.labels.signal.batch_analysis import BatchAnalysis
else:
    torch = LateModule("torch")  # listing labels does not import it

PITCH_SECONDS = 0.060
PITCH_N_FFT = 1024
GAUSS_WIDTH = 0.4  # standard deviation of the window, in half windows
SILENCE_RMS = 1e-3  # of full scale; quieter frames have no pitch

# Sub-harmonic summation on a logarithmic frequency axis: Hermes (1988).
POINTS_PER_OCTAVE = 64
AXIS_RANGE = (25.0, 8000.0)  # Hz
F0_RANGE = (52, 620)  # Hz
HARMONICS = 15
COMPRESSION = 0.85  # weight of each harmonic against the one below
CANDIDATES = 6
AT_ONCE = 4  # bins that `harmonic_sums` adds in one pass

KEPT_STEPS = 4096  # half steps (41 s) whose spectra, 8 MB, are kept rather than made again

SCORE_GAIN = 4.0  # of voicing strength, for the costs of the path
VOICING_THRESHOLD = 0.68


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
    columns, lowest = summed_bins(grid.sample_rate), harmonic_summation(grid.sample_rate)[1]
    found, kept = [(np.zeros((0, CANDIDATES), np.float32),) * 2], []
    for power in pitch_power(waveform, grid):
        amplitude = power.sqrt()
        compiled(leave_peaks)(amplitude.numpy())
        sums = compiled(harmonic_sums, any_order=True)(amplitude.t().contiguous().numpy(), *columns)
        found.append(_candidates(np.ascontiguousarray(sums.T), lowest))
        if steps <= KEPT_STEPS:
            kept.append(power)
    frequency, strength = (np.concatenate(parts) for parts in zip(*found, strict=True))
    silent = frame_rms(waveform, grid, PITCH_SECONDS) < SILENCE_RMS
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


def pitch_power(waveform: np.ndarray, grid: FrameGrid) -> Iterator[Tensor]:
    """Blocks of power spectra [frames, 513] of 60 ms Gaussian frames at the half steps."""
    width = round(PITCH_SECONDS * grid.sample_rate)
    weights = gauss(width)
    for frames in half_step_frames(waveform, grid, width):
        yield power_spectra(frames * weights, PITCH_N_FFT)


@lru_cache
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


def leave_peaks(amplitude: Any) -> None:
    """`peaks_only` of spectra float32 [frames, bins], in their place; compiled by numba."""
    frames, bins = amplitude.shape
    peak = np.zeros(bins + 4, np.uint8)  # of the bin two before
    for t in range(frames):
        row = amplitude[t]
        for k in range(1, bins - 1):
            peak[k + 2] = (row[k] > row[k - 1]) & (row[k] >= row[k + 1])
        for k in range(bins):
            near = peak[k] | peak[k + 1] | peak[k + 2] | peak[k + 3] | peak[k + 4]
            row[k] = row[k] if near else np.float32(0)


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


@lru_cache
def summed_bins(sample_rate: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The matrix of `harmonic_summation`, an eighth of which is not 0, column by column.

    Returns:
        Where each column begins in the other two, and the last one's end, int64 [P + 2]; bins, int64, and their
        weights, float32, both filled up to a multiple of AT_ONCE a column by weights of 0.
    """
    bins, weights, starts = [], [], [0]
    for column in harmonic_summation(sample_rate)[0].numpy().T:
        here = np.flatnonzero(column)
        more = -len(here) % AT_ONCE
        bins.append(np.append(here, np.zeros(more, int)))
        weights.append(np.append(column[here], np.zeros(more, np.float32)))
        starts.append(starts[-1] + len(bins[-1]))
    return np.array(starts), np.concatenate(bins), np.concatenate(weights)


def harmonic_sums(amplitude: Any, starts: Any, bins: Any, weights: Any) -> Any:
    """Sums of the bins of `summed_bins`: spectra float32 [bins, frames] -> [columns, frames]; compiled by numba."""
    frames = amplitude.shape[1]
    sums = np.zeros((len(starts) - 1, frames), np.float32)
    for column in range(len(sums)):
        total = sums[column]
        for k in range(starts[column], starts[column + 1], AT_ONCE):
            a, b = amplitude[bins[k]], amplitude[bins[k + 1]]
            c, d = amplitude[bins[k + 2]], amplitude[bins[k + 3]]
            of_a, of_b, of_c, of_d = weights[k : k + AT_ONCE]
            for t in range(frames):
                total[t] += of_a * a[t] + of_b * b[t] + of_c * c[t] + of_d * d[t]
    return sums


def _candidates(sums: np.ndarray, lowest: float) -> tuple[np.ndarray, np.ndarray]:
    """The strongest local maxima of the harmonic sums.

    Args:
        sums: [frames, P + 1] of `harmonic_summation`.

    Returns:
        frequency in Hz and strength, float32 [frames, CANDIDATES]; strength -1 where there are fewer maxima.
    """
    position = np.ones((len(sums), CANDIDATES), np.float32)
    strength = np.full((len(sums), CANDIDATES), -1, np.float32)
    compiled(_strongest_maxima)(sums, position, strength)
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


def voicing_of_batch(analysis: BatchAnalysis) -> Tensor:
    """`voicing` of each row, [batch, frames, 1]."""
    sums = harmonic_sums_of_batch(analysis)
    mean, pitches = sums[..., -1], sums[..., :-1]
    here = pitches[..., 1:-1]
    peak = (here >= pitches[..., :-2]) & (here > pitches[..., 2:])
    best = torch.where(peak, here, 0.0).amax(dim=-1)
    heard = (best > 0) & (frame_rms_of_batch(analysis, PITCH_SECONDS) >= SILENCE_RMS)
    strength = torch.where(heard, 1 - mean / best.clamp(min=torch.finfo(best.dtype).tiny), 0.0)
    return analysis.to_grid(strength.clamp(min=0)).unsqueeze(-1)


def harmonic_sums_of_batch(analysis: BatchAnalysis) -> Tensor:
    """Sums over the harmonics of each pitch, and their mean, by half step: [batch, 2 frames + 1, P + 1].

    Made as the spectra come, which are never held together.
    """

    def summed(frames: Tensor) -> Tensor:
        amplitude = power_spectra(frames, PITCH_N_FFT).sqrt()
        return analysis.product(peaks_only(amplitude), _summation, analysis.grid.sample_rate)

    return analysis.on_half_steps(PITCH_SECONDS, gauss, summed)


def _summation(sample_rate: int) -> Tensor:
    return harmonic_summation(sample_rate)[0]


LABELS = (  # version 2: rounding
    Label(
        "f0", 1, "Hz", "fundamental frequency by sub-harmonic summation and a smooth path", "Hermes 1988",
        PITCH_SECONDS, of(f0, "pitch"), version=2, whole=("pitch",), undefined="unvoiced frames", unvoiced_value=0.0,
        parameters={"range_hz": list(F0_RANGE), "harmonics": HARMONICS, "compression": COMPRESSION,
                    "voicing_threshold": VOICING_THRESHOLD},
    ),
    Label(
        "voicing", 1, "0 to 1", "strength of the best pitch candidate", "Hermes 1988", PITCH_SECONDS,
        of(voicing, "pitch"), version=2, whole=("pitch",), parameters={"silence_rms": SILENCE_RMS},
        torch=TorchForm(voicing_of_batch, PITCH_SECONDS, HALF_STEPS),
    ),
)  # fmt: skip
