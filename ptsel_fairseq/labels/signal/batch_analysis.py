"""A batch of waveforms with the analyses that several labels need, in torch on the device where the waveforms are.

The counterpart of `Analysis`: places, windows, bands and floors are those of the modules that define the labels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.late import LateModule
from ptsel_fairseq.labels.signal import auditory, spectral, spectral_shape
from ptsel_fairseq.labels.signal.framing import (
    BLOCK,
    Places,
    between_grid,
    on_grid,
    on_half_steps,
    power_spectra,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LateModule("torch")  # listing labels does not import it

GPU_BLOCK = 1 << 14  # frames of all rows whose spectra are made at once


class BatchAnalysis:
    """Waveforms of several utterances or crops, zeros beyond the end of each, and what labels share.

    All is computed in the waveforms' type, float32 in use, whatever autocast or the precision of matrix products
    is set to: products with matrices are made in float64, which no such setting touches.

    Args:
        waveforms: [batch, samples], full scale 1, at the grid's sample rate.
        lengths: int64 [batch], samples of each on the same device; what lies beyond does not count.
        grid: of the tracks.
    """

    def __init__(self, waveforms: Tensor, lengths: Tensor, grid: FrameGrid) -> None:
        # At least one frame, though it may count for no row.
        missing = max(0, grid.window - waveforms.shape[1])
        position = torch.arange(waveforms.shape[1], device=waveforms.device)
        inside = position < lengths[:, None]
        self.waveforms = torch.nn.functional.pad(torch.where(inside, waveforms, 0.0), (0, missing))
        self.lengths = lengths
        self.grid = grid

    @property
    def device(self) -> torch.device:
        return self.waveforms.device

    @property
    def num_samples(self) -> int:
        return self.waveforms.shape[1]

    @property
    def num_frames(self) -> int:
        """Frames of the longest row."""
        return self.grid.num_frames(self.num_samples)

    @cached_property
    def frames(self) -> Tensor:
        """Frames of each row, int64 [batch]."""
        counted = 1 + torch.div(self.lengths - self.grid.window, self.grid.hop, rounding_mode="floor")
        return torch.where(self.lengths < self.grid.window, 0, counted)

    @cached_property
    def is_frame(self) -> Tensor:
        """Which frames a row has, bool [batch, frames]."""
        return torch.arange(self.num_frames, device=self.device) < self.frames[:, None]

    def frames_of(self, seconds: float) -> Tensor:
        """Pieces of the waveforms, each centred on a frame of the grid, zeros outside: [batch, frames, width].

        A view as long as nothing is computed of it.
        """
        width = round(seconds * self.grid.sample_rate)
        return self._frames(self.waveforms, on_grid(self.num_samples, self.grid), width)

    @cached_property
    def auditory(self) -> Tensor:
        """Power in 26 auditory bands and the alpha ratio's two, by half step [batch, 2 frames + 1, 28]."""
        places = on_half_steps(self.num_samples, self.grid)
        return self.product(
            self._power(places, spectral.FRAME_SECONDS, spectral.N_FFT, auditory.hamming),
            auditory.all_bands,
            self.grid.sample_rate,
        )

    @cached_property
    def power(self) -> Tensor:
        """Power spectra of 25 ms Hann frames on the grid, [batch, frames, 257]."""
        places = on_grid(self.num_samples, self.grid)
        return self._power(places, spectral.MEL_SECONDS, spectral.N_FFT, spectral.hann)

    @cached_property
    def shares(self) -> spectral_shape.Shares:
        """Each bin's share of the magnitude spectrum of `power`, and which frames are no digital silence."""
        return spectral_shape.shares((self.power,))

    @cached_property
    def between_power(self) -> Tensor:
        """Power spectra of 20 ms Hann frames midway between the grid's, [batch, frames + 1, 257]."""
        places = between_grid(self.num_samples, self.grid)
        return self._power(places, spectral.FRAME_SECONDS, spectral.N_FFT, spectral.hann)

    @cached_property
    def long_power(self) -> Tensor:
        """Power spectra of 128 ms Hann frames on the grid, [batch, frames, 1025]."""
        places = on_grid(self.num_samples, self.grid)
        return self._power(places, spectral.LONG_SECONDS, spectral.LONG_N_FFT, spectral.hann)

    @cached_property
    def long_magnitude(self) -> Tensor:
        """The magnitude spectra of `long_power`, [batch, frames, 1025]."""
        return self.long_power.sqrt()

    @cached_property
    def log_mel(self) -> Tensor:
        """The label `log_mel`, [batch, frames, 80] in dB."""
        return self.decibels(
            self.product(self.power, spectral.mel_bands, self.grid.sample_rate, spectral.N_FFT)
        )

    def on_half_steps(
        self, seconds: float, window: Callable[[int], Tensor], function: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """`function` of the windowed frames at the half steps, a few at a time: [batch, 2 frames + 1, ...].

        Args:
            seconds: width of a frame.
            window: gives the weights of so many samples.
            function: of frames [batch, some, samples].
        """
        return self._by_blocks(on_half_steps(self.num_samples, self.grid), seconds, window, function)

    @staticmethod
    def decibels(power: Tensor) -> Tensor:
        """Power in dB re full scale, not below -100."""
        return 10 * power.clamp(min=spectral.POWER_FLOOR).log10()

    @staticmethod
    def to_grid(half_steps: Tensor) -> Tensor:
        """Mean of the three half steps around each frame: [batch, 2 frames + 1, ...] -> [batch, frames, ...]."""
        return (half_steps[:, :-2:2] + half_steps[:, 1:-1:2] + half_steps[:, 2::2]) / 3

    def product(self, values: Tensor, make: Callable[..., Tensor], *arguments: object) -> Tensor:
        """Values [..., n], such as power, times the matrix ``make(*arguments)`` [n, columns], such as bands."""
        matrix = constant(self.device, torch.float64, make, *arguments)
        return (values.double() @ matrix).to(values.dtype)

    def constant(self, make: Callable[..., Tensor], *arguments: object) -> Tensor:
        """``make(*arguments)`` in the waveforms' type, on their device."""
        return constant(self.device, self.waveforms.dtype, make, *arguments)

    def window_sums(self, values: Tensor, width: int) -> Tensor:
        """Sums of `width` samples around each half step: [batch, samples] -> [batch, 2 frames + 1]."""
        return self._frames(values, on_half_steps(self.num_samples, self.grid), width).sum(dim=-1)

    def _frames(self, values: Tensor, places: Places, width: int) -> Tensor:
        """A view of `width` samples around each place, zeros outside: [batch, samples] -> [batch, frames, width]."""
        before, after, start = places.margins(self.num_samples, width)
        end = start + (places.frames - 1) * places.step + width
        return torch.nn.functional.pad(values, (before, after))[:, start:end].unfold(1, width, places.step)

    def _power(self, places: Places, seconds: float, points: int, window: Callable[[int], Tensor]) -> Tensor:
        return self._by_blocks(places, seconds, window, lambda frames: power_spectra(frames, points))

    def _by_blocks(
        self,
        places: Places,
        seconds: float,
        window: Callable[[int], Tensor],
        function: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """`function` of the windowed frames at `places`, a few at a time: [batch, count, ...]."""
        width = round(seconds * self.grid.sample_rate)
        frames = self._frames(self.waveforms, places, width)
        at_once = max(1, (BLOCK if self.device.type == "cpu" else GPU_BLOCK) // len(self.waveforms))
        weights = self.constant(window, width)
        return torch.cat([function(block * weights) for block in frames.split(at_once, dim=1)], dim=1)


@lru_cache(maxsize=256)
def constant(
    device: torch.device, dtype: torch.dtype, make: Callable[..., Tensor], *arguments: object
) -> Tensor:
    """``make(*arguments)`` of this type on this device, made once."""
    return make(*arguments).to(device, dtype)
