"""What encoders of filterbanks hear: the label `log_mel`, computed from the waveform on its device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.heads.balancing.buffers import Float32Buffers
from ptsel_fairseq.labels.signal.framing import power_spectra
from ptsel_fairseq.labels.signal.spectral import MEL_SECONDS, N_FFT, POWER_FLOOR, mel_bands


class LogMel(Float32Buffers):
    """Waveform [batch, samples] -> the label `log_mel` in standard deviations, float32 [batch, frames, 80].

    Args:
        grid: of the frames, whose window is at least the 25 ms of the label.
        mean, std: of the label over the training split, dB [80].
    """

    def __init__(self, grid: FrameGrid, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.grid = grid
        self.width = round(MEL_SECONDS * grid.sample_rate)
        self.first = grid.centre(0) - self.width // 2  # 0 where the window is the label's own
        self.register_buffer("window", torch.hann_window(self.width), persistent=False)
        self.register_buffer("bands", mel_bands(grid.sample_rate, N_FFT).clone(), persistent=False)
        self.register_buffer("mean", torch.tensor(list(mean)), persistent=False)
        self.register_buffer("std", torch.tensor(list(std)), persistent=False)

    @torch.no_grad()
    def forward(self, source: Tensor) -> Tensor:
        frames = source.float()[:, self.first :].unfold(1, self.width, self.grid.hop)
        frames = frames[:, : self.grid.num_frames(source.size(1))]
        power = power_spectra(frames * self.window, N_FFT) @ self.bands
        return (10 * torch.log10(power.clamp(min=POWER_FLOOR)) - self.mean) / self.std


def frame_padding(padding_mask: Tensor | None, grid: FrameGrid, frames: int) -> Tensor | None:
    """Where the frames of padded waveforms are padding, bool [batch, frames], or None where none is.

    Args:
        padding_mask: bool [batch, samples], True on padding at the end, or None.
        frames: of the longest waveform.
    """
    if padding_mask is None or not padding_mask.any():
        return None
    lengths = 1 + ((~padding_mask).sum(1) - grid.window).clamp(min=0) // grid.hop
    return torch.arange(frames, device=padding_mask.device) >= lengths.unsqueeze(1)
