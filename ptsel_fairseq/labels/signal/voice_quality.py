"""Labels of how regular the voice is: jitter and shimmer from marks of single periods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels.label import Label, of
from ptsel_fairseq.labels.signal.compiled import compiled
from ptsel_fairseq.labels.signal.framing import count_half_steps, to_grid_where_valid
from ptsel_fairseq.labels.signal.periods import highest_peak, walk
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
    origin = compiled(highest_peak)(*around_middle, samples, hertz, first, half_hop, grid.sample_rate, middle)
    pieces = []
    for direction in (-1, 1):
        wave, low = around_middle
        mark, at_end = float(origin), False
        while True:
            found, mark, at_end = compiled(walk, any_order=True)(
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


_IRREGULAR = "unvoiced frames and those with fewer than three regular periods"
_PERIODS = {
    "search_periods": list(SEARCH),
    "least_correlation": LEAST_CORRELATION,
    "largest_period_factor": LARGEST_PERIOD_FACTOR,
}

LABELS = (
    Label(
        "jitter", 1, "relative", "mean difference of neighbouring periods over the mean period",
        "Boersma 1993; openSMILE's jitterLocal", WINDOW_SECONDS, of(jitter, "periods", "pitch", "num_samples", "grid"),
        whole=("pitch",), undefined=_IRREGULAR, unvoiced_value=0.0, parameters=_PERIODS,
    ),
    Label(
        "shimmer", 1, "relative", "mean difference of neighbouring periods' amplitudes over the mean amplitude",
        "Boersma 1993; openSMILE's shimmerLocal", WINDOW_SECONDS,
        of(shimmer, "periods", "pitch", "num_samples", "grid"),
        whole=("pitch",), undefined=_IRREGULAR, unvoiced_value=0.0, parameters=_PERIODS,
    ),
)  # fmt: skip
