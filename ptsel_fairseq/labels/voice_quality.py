"""Labels of how regular the voice is: jitter and shimmer from marks of single periods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ptsel_fairseq.labels.framing import count_half_steps, to_grid_where_valid
from ptsel_fairseq.labels.grid import FrameGrid
from ptsel_fairseq.labels.prosody import Pitch, compiled

WINDOW_SECONDS = 0.060
SEARCH = (0.8, 1.25)  # where the next period may begin, in periods of the F0 found
LEAST_CORRELATION = 0.3  # below this two neighbouring periods are not taken for repetitions
LARGEST_PERIOD_FACTOR = 1.3  # between neighbours; beyond it a mark was missed
LEAST_DIFFERENCES = 2  # of neighbouring periods, for a value


@dataclass(frozen=True)
class Periods:
    """The periods of the voice, in time order, all [N]: `start` and `length` in samples, `amplitude` peak to peak.

    `joined` is True where a period begins at the end of the one before it.
    """

    start: np.ndarray
    length: np.ndarray
    amplitude: np.ndarray
    joined: np.ndarray


def periods(waveform: np.ndarray, found: Pitch, grid: FrameGrid) -> Periods:
    """Marks of single periods by waveform matching, as Praat sets its points (Boersma 1993; Praat's manual).

    In each stretch of voiced half steps the first mark is the largest peak within one period around the middle. From a
    mark the next one, to either side, is where the piece of one period around it fits best: the greatest normalised
    cross-correlation at 0.8 to 1.25 periods of the F0 found, refined by a parabola. Where it is below 0.3 no period
    is kept.
    """
    half_hop = grid.hop // 2
    first_centre = grid.centre(0) - half_hop
    pieces = [np.zeros((0, 2))]
    for begin, end in _runs(found.voiced):
        place = (first_centre + half_hop * begin, first_centre + half_hop * (end - 1))
        marks = compiled(_match)(
            waveform.astype(np.float64), found.f0[begin:end].astype(np.float64), float(place[0]), float(half_hop),
            float(grid.sample_rate), SEARCH[0], SEARCH[1], LEAST_CORRELATION,
        )  # fmt: skip
        pieces.append(marks)
    start, length = np.concatenate(pieces).T
    amplitude = compiled(_peak_to_peak)(waveform, start, length)
    joined = np.zeros(len(start), bool)
    joined[1:] = np.abs(start[1:] - start[:-1] - length[:-1]) < 1e-6
    return Periods(start, length, amplitude, joined)


def jitter(found: Periods, voice: Pitch, samples: int, grid: FrameGrid) -> tuple[np.ndarray, np.ndarray]:
    """Local jitter over 60 ms: mean absolute difference of neighbouring periods over the mean period.

    Returns:
        float32 [T, 1], relative (0.01 is one percent), and where it is defined, bool [T].
    """
    return _perturbation(found.length, found, voice, samples, grid)


def shimmer(found: Periods, voice: Pitch, samples: int, grid: FrameGrid) -> tuple[np.ndarray, np.ndarray]:
    """Local shimmer over 60 ms: as `jitter`, of the peak-to-peak amplitudes of the periods."""
    return _perturbation(found.amplitude, found, voice, samples, grid)


def _perturbation(
    quantity: np.ndarray, found: Periods, voice: Pitch, samples: int, grid: FrameGrid
) -> tuple[np.ndarray, np.ndarray]:
    """Mean absolute difference of `quantity` between neighbouring periods inside 60 ms, over its mean there."""
    steps = count_half_steps(samples, grid)
    centre = grid.centre(0) + grid.hop // 2 * (np.arange(steps) - 1)
    half = WINDOW_SECONDS * grid.sample_rate / 2
    ratio = found.length[1:] / np.maximum(found.length[:-1], 1e-9)
    regular = found.joined[1:] & (np.maximum(ratio, 1 / np.maximum(ratio, 1e-9)) <= LARGEST_PERIOD_FACTOR)
    difference = np.where(regular, np.abs(np.diff(quantity)), 0.0)
    # Sums over windows as differences of running sums: a period belongs to a window that holds all of it.
    first = np.searchsorted(found.start, centre - half)
    last = np.maximum(np.searchsorted(found.start + found.length, centre + half, side="right"), first)
    total, count = _running(quantity), np.arange(len(quantity) + 1)
    differences, counted = _running(difference), _running(regular.astype(float))
    inner = np.maximum(last - 1, first)  # differences between periods first .. last - 1
    bounds = (np.minimum(first, len(difference)), np.minimum(inner, len(difference)))
    pairs = counted[bounds[1]] - counted[bounds[0]]
    mean = (total[last] - total[first]) / np.maximum(count[last] - count[first], 1)
    defined = voice.voiced & (pairs >= LEAST_DIFFERENCES) & (mean > 0)
    value = (
        (differences[bounds[1]] - differences[bounds[0]]) / np.maximum(pairs, 1) / np.where(mean > 0, mean, 1)
    )
    values, valid = to_grid_where_valid(value.astype(np.float32), defined)
    return values[:, None], valid


def _running(values: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """The stretches ``[begin, end)`` of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _match(
    wave: Any, f0: Any, first: float, step: float, rate: float, shortest: float, longest: float, least: float
) -> Any:
    """The periods of one voiced stretch, float64 [periods, 2] of start and length in samples.

    Args:
        wave: float64 [samples]; f0: [half steps] in Hz; first: the sample of the first half step; step: between them.
        shortest, longest: search range, in periods; least: correlation.
    """
    begin, end = first - step / 2, first + step * (len(f0) - 0.5)
    begin, end = max(begin, 0.0), min(end, len(wave) - 1.0)
    most = int((end - begin) / (0.5 * rate / f0.max())) + 4
    result = np.zeros((most, 2))
    kept = 0
    if end <= begin:
        return result[:0]
    # The largest peak within one period around the middle.
    middle = (begin + end) / 2
    period = rate / f0[min(max(round((middle - first) / step), 0), len(f0) - 1)]
    origin, peak = int(middle), -1.0
    for s in range(max(int(middle - period / 2), 0), min(int(middle + period / 2) + 1, len(wave))):
        if abs(wave[s]) > peak:
            origin, peak = s, abs(wave[s])
    for direction in (-1, 1):
        mark = float(origin)
        while kept < most:
            position = min(max((mark - first) / step, 0.0), len(f0) - 1.0)
            below = min(int(position), max(len(f0) - 2, 0))
            share = position - below
            hertz = f0[below] if len(f0) == 1 else (1 - share) * f0[below] + share * f0[below + 1]
            period = rate / hertz
            half = round(period / 2)
            low, high = int(np.floor(shortest * period)), int(np.ceil(longest * period))
            here = round(mark)
            if here - half < 0 or here + half >= len(wave):
                break
            energy = 0.0
            for k in range(-half, half + 1):
                energy += wave[here + k] * wave[here + k]
            best, at, before, after = -1.0, 0, 0.0, 0.0
            previous = -2.0
            for lag in range(low - 1, high + 2):
                there = here + direction * lag
                if there - half < 0 or there + half >= len(wave):
                    break
                product, other = 0.0, 0.0
                for k in range(-half, half + 1):
                    product += wave[here + k] * wave[there + k]
                    other += wave[there + k] * wave[there + k]
                value = product / np.sqrt(energy * other) if energy * other > 0 else 0.0
                if low <= lag <= high and value > best:
                    best, at, before, after = value, lag, previous, -2.0
                elif lag == at + 1 and at > 0:
                    after = value
                previous = value
            if at == 0 or best < least:  # no repetition here: go on beyond it
                mark += direction * period
                if mark < begin or mark > end:
                    break
                continue
            length = float(at)
            curvature = before - 2 * best + after
            if before > -2 and after > -2 and curvature < 0:
                length += min(max(0.5 * (before - after) / curvature, -0.5), 0.5)
            target = mark + direction * length
            if target < begin or target > end:
                break
            result[kept, 0] = min(mark, target)
            result[kept, 1] = length
            kept += 1
            mark = target
    result = result[:kept]
    return result[np.argsort(result[:, 0])]


def _peak_to_peak(wave: Any, start: Any, length: Any) -> Any:
    """Highest minus lowest sample of each period, float64 [N]."""
    result = np.zeros(len(start))
    for i in range(len(start)):
        # The mark is on a peak, so that the period is taken from half a period before it.
        begin = max(round(start[i] - length[i] / 2), 0)
        end = min(round(start[i] + length[i] / 2) + 1, len(wave))
        highest, lowest = -np.inf, np.inf
        for s in range(begin, end):
            highest, lowest = max(highest, wave[s]), min(lowest, wave[s])
        result[i] = highest - lowest if end > begin else 0.0
    return result
