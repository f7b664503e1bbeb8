"""Labels of how regular the voice is: jitter and shimmer from marks of single periods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels.signal.compiled import compiled
from ptsel_fairseq.labels.signal.framing import count_half_steps, to_grid_where_valid
from ptsel_fairseq.labels.signal.pitch import Pitch

WINDOW_SECONDS = 0.060
SEARCH = (0.8, 1.25)  # where the next period may begin, in periods of the F0 found
LEAST_CORRELATION = 0.3  # below this two neighbouring periods are not taken for repetitions
LARGEST_PERIOD_FACTOR = 1.3  # between neighbours; beyond it a mark was missed
AT_ONCE = 1 << 21  # samples (131 s) of a voiced stretch that are looked at together
LEAST_DIFFERENCES = 2  # of neighbouring periods, for a value


@dataclass(frozen=True)
class Periods:
    """The periods of the voice, in time order, all [N]: `start` and `length` in samples, `amplitude` peak to peak.

    `joined` is True where a period begins at the end of the one before it. The waveform that is analysed begins at
    sample `origin` of the recording.
    """

    start: np.ndarray
    length: np.ndarray
    amplitude: np.ndarray
    joined: np.ndarray
    origin: int = 0


def periods(waveform: np.ndarray, found: Pitch, grid: FrameGrid) -> Periods:
    """Marks of single periods by waveform matching, as Praat sets its points (Boersma 1993; Praat's manual).

    In each stretch of voiced half steps the first mark is the largest peak within one period around the middle. From a
    mark the next one, to either side, is where the piece of one period around it fits best: the greatest normalised
    cross-correlation at 0.8 to 1.25 periods of the F0 found, refined by a parabola. Where it is below 0.3 no period
    is kept.
    """

    def read(first: int, last: int) -> np.ndarray:
        return waveform[first:last]

    return joined(
        [
            stretch_periods(read, len(waveform), found.f0[begin:end], begin, grid)
            for begin, end in stretches(found.voiced)
        ]
    )


def joined(pieces: Sequence[np.ndarray], origin: int = 0) -> Periods:
    """The periods of successive stretches, each of `stretch_periods`."""
    start, length, amplitude = np.concatenate([np.zeros((0, 3)), *pieces]).T
    follows = np.zeros(len(start), bool)
    follows[1:] = np.abs(start[1:] - start[:-1] - length[:-1]) < 1e-6
    return Periods(start, length, amplitude, follows, origin)


def stretch_periods(
    read: Callable[[int, int], np.ndarray], samples: int, f0: np.ndarray, step: int, grid: FrameGrid
) -> np.ndarray:
    """The periods of one voiced stretch: float64 [periods, 3] of start and length in samples, and amplitude.

    Args:
        read: gives the samples ``[first, last)`` of the recording, which has `samples` of them.
        f0: in Hz, [half steps of the stretch].
        step: the half step of the recording in which the stretch begins.
    """
    half_hop = grid.hop // 2
    first = float(grid.centre(0) + half_hop * (step - 1))
    begin, end = max(first - half_hop / 2, 0.0), min(first + half_hop * (len(f0) - 0.5), samples - 1.0)
    if end <= begin:
        return np.zeros((0, 3))
    hertz = f0.astype(np.float64)
    reach = int(2 * grid.sample_rate / hertz.min()) + 4  # around a mark, of what its neighbour is found from
    lowest, highest = max(int(begin) - reach, 0), min(int(end) + reach + 2, samples)
    room = int((end - begin) / (0.5 * grid.sample_rate / hertz.max())) + 4

    def window(low: int, high: int) -> tuple[np.ndarray, int]:
        low = max(low, lowest)
        return read(low, min(high, highest)).astype(np.float64), low

    middle = (begin + end) / 2
    around_middle = window(int(middle) - AT_ONCE // 2, int(middle) + AT_ONCE // 2)
    origin = compiled(_highest_peak)(
        *around_middle, samples, hertz, first, half_hop, grid.sample_rate, middle
    )
    pieces = []
    for direction in (-1, 1):
        wave, low = around_middle
        mark, at_end = float(origin), False
        while True:
            found, mark, at_end = compiled(_walk)(
                wave, low, samples, reach, hertz, first, float(half_hop), float(grid.sample_rate), mark, direction,
                begin, end, SEARCH[0], SEARCH[1], LEAST_CORRELATION, room,
            )  # fmt: skip
            pieces.append(found)
            room -= len(found)
            if at_end:
                break
            here = int(mark)
            ahead = (here - reach, here + AT_ONCE) if direction > 0 else (here - AT_ONCE, here + reach + 1)
            wave, low = window(*ahead)
    marks = np.concatenate(pieces)
    return marks[np.argsort(marks[:, 0])]


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
    centre = found.origin + grid.centre(0) + grid.hop // 2 * (np.arange(steps) - 1)
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


def stretches(flags: np.ndarray) -> list[tuple[int, int]]:
    """The stretches ``[begin, end)`` of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _highest_peak(
    wave: Any, low: int, samples: int, f0: Any, first: float, step: float, rate: float, middle: float
) -> int:
    """The sample of the largest peak within one period around `middle`; arguments as of `_walk`."""
    period = rate / f0[min(max(round((middle - first) / step), 0), len(f0) - 1)]
    origin, peak = int(middle), -1.0
    for s in range(max(int(middle - period / 2), 0), min(int(middle + period / 2) + 1, samples)):
        if abs(wave[s - low]) > peak:
            origin, peak = s, abs(wave[s - low])
    return origin


def _walk(
    wave: Any,
    low: int,
    samples: int,
    reach: int,
    f0: Any,
    first: float,
    step: float,
    rate: float,
    mark: float,
    direction: int,
    begin: float,
    end: float,
    shortest: float,
    longest: float,
    least: float,
    room: int,
) -> Any:
    """Periods from a mark on to one side, float64 [periods, 3] of start, length and peak-to-peak amplitude.

    Args:
        wave: the samples of the recording from `low` on, float64; the recording has `samples`.
        reach: samples around a mark that the next one is found from. Where `wave` has not as many, the walk stops.
        f0: [half steps] in Hz; first: the sample of the first half step; step: between them.
        mark: where to begin; direction: 1 or -1.
        begin, end: of the stretch, in samples.
        shortest, longest: search range, in periods; least: correlation; room: most periods to find.

    Returns:
        the periods, the mark reached, and whether it is the last one.
    """
    result = np.zeros((room, 3))
    kept = 0
    high = low + len(wave)
    at_end = True
    while kept < room:
        if (mark - reach < low and low > 0) or (mark + reach > high and high < samples):
            at_end = False
            break
        position = min(max((mark - first) / step, 0.0), len(f0) - 1.0)
        below = min(int(position), max(len(f0) - 2, 0))
        share = position - below
        hertz = f0[below] if len(f0) == 1 else (1 - share) * f0[below] + share * f0[below + 1]
        period = rate / hertz
        half = round(period / 2)
        nearest, farthest = int(np.floor(shortest * period)), int(np.ceil(longest * period))
        here = round(mark)
        if here - half < 0 or here + half >= samples:
            break
        energy = 0.0
        for k in range(here - half - low, here + half + 1 - low):
            energy += wave[k] * wave[k]
        best, at, before, after = -1.0, 0, 0.0, 0.0
        previous = -2.0
        for lag in range(nearest - 1, farthest + 2):
            there = here + direction * lag
            if there - half < 0 or there + half >= samples:
                break
            product, other = 0.0, 0.0
            for k in range(-half, half + 1):
                product += wave[here - low + k] * wave[there - low + k]
                other += wave[there - low + k] * wave[there - low + k]
            value = product / np.sqrt(energy * other) if energy * other > 0 else 0.0
            if nearest <= lag <= farthest and value > best:
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
        start = min(mark, target)
        # The mark is on a peak, so that the period is taken from half a period before it.
        highest, lowest = -np.inf, np.inf
        for k in range(
            max(round(start - length / 2), 0) - low, min(round(start + length / 2) + 1, samples) - low
        ):
            highest, lowest = max(highest, wave[k]), min(lowest, wave[k])
        result[kept, 0], result[kept, 1] = start, length
        result[kept, 2] = max(highest - lowest, 0.0)
        kept += 1
        mark = target
    return result[:kept].copy(), mark, at_end
