"""Labels of the waveform itself: RMS energy and zero-crossing rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.late import LateModule
from ptsel_fairseq.labels.label import HALF_STEPS, Label, TorchForm, of
from ptsel_fairseq.labels.signal.framing import between_zeros, count_half_steps, to_grid

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ptsel_fairseq.labels.signal.batch_analysis import BatchAnalysis
else:
    torch = LateModule("torch")  # listing labels does not import it

RMS_SECONDS = 0.020
ZCR_SECONDS = 0.060


def rms_energy(waveform: np.ndarray, grid: FrameGrid) -> np.ndarray:
    """Root mean square of 20 ms, float32 [T, 1], of full scale."""
    return to_grid(frame_rms(waveform, grid, RMS_SECONDS))[:, None]


def frame_rms(waveform: np.ndarray, grid: FrameGrid, seconds: float) -> np.ndarray:
    """Root mean square of `seconds` around each half step, float32 [2 T + 1]; samples outside the waveform are zero."""
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
    crossing = np.zeros(len(sign), np.int32)
    before, here, after = sign[:-2], sign[1:-1], sign[2:]
    crossing[1:-1] = (here * before < 0) | ((here == 0) & (before * after <= 0))
    if len(sign) > 1:
        crossing[-1] = sign[-1] * sign[-2] < 0
    return to_grid((_window_sums(crossing, grid, width) / width).astype(np.float32))[:, None]


def _window_sums(values: np.ndarray, grid: FrameGrid, width: int) -> np.ndarray:
    """Sums of `width` samples centred on each half step; float64 [2 T + 1].

    Of windows that are whole half steps the sums are those of each half step, added; of others, differences of running
    sums.
    """
    steps, half_step = count_half_steps(len(values), grid), grid.hop // 2
    first = grid.centre(0) - half_step - width // 2
    if steps and width % half_step == 0:
        pieces = steps - 1 + width // half_step
        inside = values[max(first, 0) : first + pieces * half_step]
        padded = between_zeros(inside, max(-first, 0), pieces * half_step - max(-first, 0) - len(inside))
        sums = padded.reshape(pieces, half_step).sum(axis=1, dtype=np.float64)
        return sum(sums[k : k + steps] for k in range(width // half_step))
    cumulative = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    begin = first + half_step * np.arange(steps)
    return cumulative[np.clip(begin + width, 0, len(values))] - cumulative[np.clip(begin, 0, len(values))]


def frame_rms_of_batch(analysis: BatchAnalysis, seconds: float) -> Tensor:
    """`frame_rms` of each row, [batch, 2 frames + 1]."""
    width = round(seconds * analysis.grid.sample_rate)
    total = analysis.window_sums(analysis.waveforms.double().square(), width)
    return (total.clamp(min=0) / width).sqrt().to(analysis.waveforms.dtype)


def rms_energy_of_batch(analysis: BatchAnalysis) -> Tensor:
    """`rms_energy` of each row, [batch, frames, 1]."""
    return analysis.to_grid(frame_rms_of_batch(analysis, RMS_SECONDS)).unsqueeze(-1)


def zcr_of_batch(analysis: BatchAnalysis) -> Tensor:
    """`zcr` of each row, [batch, frames, 1]."""
    width = round(ZCR_SECONDS * analysis.grid.sample_rate)
    sign = analysis.waveforms.sign().to(torch.int8)
    before, here, after = sign[:, :-2], sign[:, 1:-1], sign[:, 2:]
    position = torch.arange(1, analysis.num_samples, device=analysis.device)
    last = analysis.lengths[:, None] - 1
    crossing = sign[:, 1:] * sign[:, :-1] < 0
    crossing[:, :-1] |= (here == 0) & (before * after <= 0) & (position[:-1] < last)
    crossing &= position <= last
    sums = analysis.window_sums(torch.nn.functional.pad(crossing.double(), (1, 0)), width)
    return analysis.to_grid((sums / width).to(analysis.waveforms.dtype)).unsqueeze(-1)


LABELS = (
    Label(
        "rms_energy", 1, "full scale", "root mean square", "definition", RMS_SECONDS,
        of(rms_energy, "waveform", "grid"), version=2,  # 2: rounding; digital silence is 0
        torch=TorchForm(rms_energy_of_batch, RMS_SECONDS, HALF_STEPS),
    ),
    Label(
        "zcr", 1, "crossings/sample", "zero-crossing rate", "definition", ZCR_SECONDS, of(zcr, "waveform", "grid"),
        torch=TorchForm(zcr_of_batch, ZCR_SECONDS, HALF_STEPS, samples=1),
    ),
)  # fmt: skip
