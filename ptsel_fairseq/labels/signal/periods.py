"""Marks of single periods of the voice, found one after the other: loops that numba compiles."""

from __future__ import annotations

from typing import Any

import numpy as np


def highest_peak(
    wave: Any, low: int, samples: int, f0: Any, first: float, step: float, rate: float, middle: float
) -> int:
    """The sample of the largest peak within one period around `middle`; arguments as of `walk`."""
    period = rate / f0[min(max(round((middle - first) / step), 0), len(f0) - 1)]
    origin, peak = int(middle), -1.0
    for s in range(max(int(middle - period / 2), 0), min(int(middle + period / 2) + 1, samples)):
        if abs(wave[s - low]) > peak:
            origin, peak = s, abs(wave[s - low])
    return origin


def walk(
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
        around, energy = wave[here - half - low : here + half + 1 - low], 0.0
        for k in range(len(around)):
            energy += around[k] * around[k]
        best, at, before, after = -1.0, 0, 0.0, 0.0
        previous, other = -2.0, -1.0
        for lag in range(nearest - 1, farthest + 2):
            there = here + direction * lag
            if there - half < 0 or there + half >= samples:
                break
            if other < 0:
                other = 0.0
                for k in range(there - half - low, there + half + 1 - low):
                    other += wave[k] * wave[k]
            else:  # one sample further: one comes in, one goes out
                comes, goes = wave[there + direction * half - low], wave[there - direction * (half + 1) - low]
                other = max(other + comes * comes - goes * goes, 0.0)
            piece, product = wave[there - half - low : there + half + 1 - low], 0.0
            for k in range(len(piece)):  # from 0 on, which lets several terms be added at once
                product += around[k] * piece[k]
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
