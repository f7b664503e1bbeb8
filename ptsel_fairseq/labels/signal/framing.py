"""Cutting a waveform into analysis frames that are centred on the encoder's frames.

Tracks are on the encoder's grid (one frame each 20 ms), but the definitions of RASTA and of most prosodic
labels are for frames each 10 ms. So the analysis moves in half steps, and frame `i` of the grid is the mean of
three half steps: the one on its centre and its two neighbours. This is openSMILE's three-frame moving average,
taken where the encoder looks; it is symmetric, so nothing shifts in time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.late import LateModule
from ptsel_fairseq.labels.signal.compiled import compiled

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LateModule("torch")  # listing labels does not import it

BLOCK = 512  # frames analysed at once: their spectra fit the processor's cache


def count_half_steps(samples: int, grid: FrameGrid) -> int:
    """Half steps of a waveform: two for each frame of the grid and one more; 0 without a frame."""
    frames = grid.num_frames(samples)
    return 2 * frames + 1 if frames else 0


class Places(NamedTuple):
    """Where analysis frames lie: the sample of the first one's centre, samples from one to the next, how many."""

    first_centre: int
    step: int
    frames: int

    def margins(self, samples: int, width: int) -> tuple[int, int, int]:
        """Zeros to put before and after `samples` for frames of `width`, and where the first then begins."""
        before = max(0, width // 2 - self.first_centre)
        start = self.first_centre - width // 2 + before
        return before, max(0, start + (self.frames - 1) * self.step + width - before - samples), start


def on_grid(samples: int, grid: FrameGrid) -> Places:
    """The grid's frames."""
    return Places(grid.centre(0), grid.hop, grid.num_frames(samples))


def on_half_steps(samples: int, grid: FrameGrid) -> Places:
    """The half steps, one more at either end than frames need."""
    return Places(grid.centre(0) - grid.hop // 2, grid.hop // 2, count_half_steps(samples, grid))


def between_grid(samples: int, grid: FrameGrid) -> Places:
    """Midway between the grid's frames: T + 1, one more at either end.

    For labels of change: that of frame i is the difference from the one before it to the one after it.
    """
    frames = grid.num_frames(samples)
    return Places(grid.centre(0) - grid.hop // 2, grid.hop, frames + 1 if frames else 0)


def half_step_frames(waveform: np.ndarray, grid: FrameGrid, width: int) -> Iterator[Tensor]:
    """Blocks [up to BLOCK, width] of frames centred on the half steps; zeros outside the waveform."""
    return _blocks(waveform, on_half_steps(len(waveform), grid), width)


def grid_frames(waveform: np.ndarray, grid: FrameGrid, width: int) -> Iterator[Tensor]:
    """Blocks [up to BLOCK, width] of frames centred on the grid's frames; zeros outside the waveform."""
    return _blocks(waveform, on_grid(len(waveform), grid), width)


def between_frames(waveform: np.ndarray, grid: FrameGrid, width: int) -> Iterator[Tensor]:
    """Blocks [up to BLOCK, width] centred midway between the grid's frames, see `between_grid`."""
    return _blocks(waveform, between_grid(len(waveform), grid), width)


def _blocks(waveform: np.ndarray, places: Places, width: int) -> Iterator[Tensor]:
    before, after, start = places.margins(len(waveform), width)
    padded = torch.from_numpy(between_zeros(waveform, before, after))
    for first in range(0, places.frames, BLOCK):
        rows = min(BLOCK, places.frames - first)
        begin = start + first * places.step
        yield padded[begin : begin + (rows - 1) * places.step + width].unfold(0, width, places.step)


def between_zeros(samples: np.ndarray, before: int, after: int) -> np.ndarray:
    """The samples with zeros before and after; ``np.pad`` takes ten times as long for a short file."""
    padded = np.zeros(before + len(samples) + after, samples.dtype)
    padded[before : before + len(samples)] = samples
    return padded


def power_spectra(frames: Tensor, points: int) -> Tensor:
    """Squared magnitudes of the spectrum of each frame, [..., frames, points // 2 + 1]."""
    parts = torch.view_as_real(torch.fft.rfft(frames, points))
    if of_one_waveform(frames):
        return squared_magnitudes(parts)
    return parts[..., 0].square() + parts[..., 1].square()


def of_one_waveform(values: Tensor) -> bool:
    """Whether loops of numba can take these values: float [rows, columns] on the CPU, without gradients."""
    return (
        values.ndim == 2
        and values.device.type == "cpu"
        and values.dtype in (torch.float32, torch.float64)
        and not values.requires_grad
    )


def squared_magnitudes(parts: Tensor) -> Tensor:
    """Of complex numbers given as real and imaginary parts, contiguous on the CPU: [..., 2] -> [...]."""
    power = torch.empty(parts.shape[:-1], dtype=parts.dtype)  # torch's memory is aligned, see `spectral`
    compiled(fill_with_power)(parts.numpy().reshape(-1), power.numpy().reshape(-1))
    return power


def fill_with_power(parts: Any, found: Any) -> None:
    """Squared magnitudes [n] of complex numbers whose two parts alternate, [2 n]; compiled by numba."""
    for i in range(len(found)):
        found[i] = parts[2 * i] * parts[2 * i] + parts[2 * i + 1] * parts[2 * i + 1]


def to_grid(half_steps: np.ndarray) -> np.ndarray:
    """Mean of the three half steps around each frame's centre: [2 T + 1, ...] -> [T, ...]."""
    return (half_steps[:-2:2] + half_steps[1:-1:2] + half_steps[2::2]) / np.float32(3)


def to_grid_where_valid(half_steps: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As `to_grid` for a track that can be undefined.

    A frame is defined where its centre is, and is then the mean over the defined ones of the three.

    Args:
        half_steps: [2 T + 1]; valid: bool [2 T + 1].

    Returns:
        values [T], 0 where undefined, and the mask [T].
    """
    values = np.where(valid, half_steps, np.float32(0))
    total = values[:-2:2] + values[1:-1:2] + values[2::2]
    counted = valid[:-2:2].astype(np.float32) + valid[1:-1:2] + valid[2::2]
    centre = valid[1:-1:2]
    return np.where(centre, total / np.maximum(counted, 1), 0).astype(np.float32), centre.copy()
