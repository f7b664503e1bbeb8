"""The constant-Q transform of Schörkhuber and Klapuri (2010), with the filters of librosa's `cqt`.

The filters of one octave serve them all: before each lower octave the waveform is halved in rate. A filter's output on
the frames of the grid is one matrix product with the samples under its frames, and the filters are made once in a
process. In double precision, so that a weak bin beside a strong one keeps its digits.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.late import LateModule
from ptsel_fairseq.labels.signal.framing import between_zeros, squared_magnitudes

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LateModule("torch")  # listing labels does not import it

OCTAVES = 7
SEMITONES = 12
CQT_BINS = OCTAVES * SEMITONES  # from C1 to 4186 Hz
LOWEST = 440 * 2 ** (-45 / 12)  # Hz, C1
DROPPED = 0.01  # share of a filter's spectrum, its smallest values, that librosa sets to 0
QUIETEST = 1e-5  # magnitude, -100 dB
SHORTEST_SECONDS = 2.0  # that is transformed; what is added are zeros


def cqt_magnitude(waveform: np.ndarray, grid: FrameGrid) -> np.ndarray:
    """Magnitudes of the constant-Q transform in semitones, float32 [T, 84].

    The resampler's frames lie on multiples of the hop, so zeros in front move the grid's centres there. Frames in which
    every bin is below -100 dB are set to 0, lest rounding errors be taken for harmony.
    """
    frames = grid.num_frames(len(waveform))
    if not frames:
        return np.zeros((0, CQT_BINS), np.float32)
    in_front = -grid.centre(0) % grid.hop
    first = (grid.centre(0) + in_front) // grid.hop
    needed = max((first + frames) * grid.hop, round(SHORTEST_SECONDS * grid.sample_rate))
    behind = max(0, needed - in_front - len(waveform))
    samples = between_zeros(waveform.astype(np.float64), in_front, behind)
    filters, scale = octave_filters(grid.sample_rate)
    hop = grid.hop
    magnitude = np.empty((frames, CQT_BINS), np.float32)
    for octave in reversed(range(OCTAVES)):
        bins = slice(octave * SEMITONES, (octave + 1) * SEMITONES)
        under = samples_under_frames(samples, hop, first, frames, len(filters))
        power = squared_magnitudes((under @ filters).view(frames, SEMITONES, 2))
        magnitude[:, bins] = power.sqrt_().mul_(scale).numpy()
        if octave:
            samples, hop = halved(samples), hop // 2
    magnitude[magnitude.max(axis=1) < QUIETEST] = 0
    return magnitude


def halved(samples: np.ndarray) -> np.ndarray:
    """The waveform at half its rate and with its energy: float64 [ceil(samples / 2)]."""
    import soxr

    count = (len(samples) + 1) // 2
    half = soxr.resample(samples, 2, 1, quality="HQ")[:count]
    return between_zeros(half * np.sqrt(2), 0, count - len(half))


def samples_under_frames(samples: np.ndarray, hop: int, first: int, frames: int, width: int) -> Tensor:
    """Samples under the frames `first` and following, centred on multiples of the hop: [frames, width]; 0 outside."""
    begin = first * hop - width // 2
    end = begin + (frames - 1) * hop + width
    inside = samples[max(begin, 0) : max(end, 0)]
    padded = between_zeros(inside, max(-begin, 0), max(0, end - max(begin, 0) - len(inside)))
    return torch.from_numpy(padded).unfold(0, width, hop)


@lru_cache
def octave_filters(sample_rate: int) -> tuple[Tensor, Tensor]:
    """The highest octave's filters, for a waveform of that rate.

    A filter is a Hann window of Q periods of its frequency on a complex tone, of norm 1; Q = 1 / bandwidth of a
    semitone.

    Returns:
        float64 [width, 24], real and imaginary parts of each of the twelve beside each other; and what their outputs
        are to be multiplied by, float64 [12]: one over the root of a filter's length in samples.
    """
    from scipy.signal.windows import hann

    ratio = 2 ** (2 / SEMITONES)
    quality = (ratio + 1) / (ratio - 1)
    frequencies = LOWEST * 2.0 ** (OCTAVES - 1 + np.arange(SEMITONES) / SEMITONES)
    lengths = quality * sample_rate / frequencies
    width = 2 ** int(np.ceil(np.log2(lengths.max())))
    rows = np.zeros((SEMITONES, width), np.complex128)
    for row, length, hertz in zip(rows, lengths, frequencies, strict=True):
        time = np.arange(-length // 2, length // 2)
        tone = hann(len(time), sym=False) * np.exp(2j * np.pi * time * hertz / sample_rate)
        before = (width - len(time)) // 2
        row[before : before + len(time)] = tone / np.abs(tone).sum() * length
    spectra = np.fft.fft(rows)[:, : width // 2 + 1] / width
    size = np.sort(np.abs(spectra), axis=1)
    share = np.cumsum(size / size.sum(axis=1, keepdims=True), axis=1)
    least = size[np.arange(SEMITONES), (share < DROPPED).sum(axis=1)]
    spectra[np.abs(spectra) < least[:, None]] = 0
    # The product with a frame's spectrum over the frequencies from 0 up, as a product with its samples.
    wave = np.exp(-2j * np.pi * np.outer(np.arange(width // 2 + 1), np.arange(width)) / width)
    product = (spectra @ wave).T
    columns = np.stack([product.real, product.imag], axis=-1).reshape(width, 2 * SEMITONES)
    scale = 1 / np.sqrt(lengths)
    return torch.from_numpy(columns).clone(), torch.from_numpy(scale)
