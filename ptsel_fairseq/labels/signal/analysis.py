"""One waveform with the analyses that several labels need, each made once and only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ptsel_fairseq.base.grid import FrameGrid
    from ptsel_fairseq.labels.signal.auditory import RastaState, ShortSpectra
    from ptsel_fairseq.labels.signal.pitch import Pitch
    from ptsel_fairseq.labels.signal.spectral_shape import Shares
    from ptsel_fairseq.labels.signal.voice_quality import Periods


class Analysis:
    """A waveform, float32 [samples] at full scale 1, the grid of its tracks, and what labels share.

    Imports wait until an analysis is made, so that labels can be listed without them.
    """

    first_frame = 0  # of the recording that the waveform is of

    def __init__(self, waveform: np.ndarray, grid: FrameGrid) -> None:
        self.waveform = waveform.view()
        self.waveform.flags.writeable = False  # the labels that come after must see the same samples
        self.grid = grid
        self._shared: dict[Hashable, Any] = {}

    def shared(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What `make` gives, made once for all labels that ask for it by the same key."""
        if key not in self._shared:
            self._shared[key] = make()
        return self._shared[key]

    @property
    def num_samples(self) -> int:
        return len(self.waveform)

    @property
    def num_frames(self) -> int:
        """Frames of every track of this waveform."""
        return self.grid.num_frames(self.num_samples)

    def frames(self, seconds: float) -> np.ndarray:
        """Pieces of the waveform, each centred on a frame of the grid: float32 [frames, width], zeros outside."""
        import numpy as np

        from ptsel_fairseq.labels.signal.framing import grid_frames

        width = round(seconds * self.grid.sample_rate)
        blocks = [block.numpy() for block in grid_frames(self.waveform, self.grid, width)]
        return np.concatenate(blocks) if blocks else np.zeros((0, width), np.float32)

    @cached_property
    def spectra(self) -> ShortSpectra:
        """Bands of 20 ms Hamming frames by half step."""
        from ptsel_fairseq.labels.signal.auditory import short_spectra

        return short_spectra(self.waveform, self.grid)

    @cached_property
    def rasta(self) -> RastaState:
        """That of the filter before the waveform."""
        from ptsel_fairseq.labels.signal.auditory import RastaState

        return RastaState()

    @cached_property
    def power(self) -> tuple[Tensor, ...]:
        """Power spectra of 25 ms Hann frames on the grid, in blocks [up to BLOCK, 257]."""
        from ptsel_fairseq.labels.signal import framing, spectral

        return self._power(framing.grid_frames, spectral.MEL_SECONDS, spectral.N_FFT)

    @cached_property
    def shares(self) -> Shares:
        """Each bin's share of the magnitude spectrum of `power`, and which frames are no digital silence."""
        from ptsel_fairseq.labels.signal.spectral_shape import shares

        return shares(self.power)

    @cached_property
    def between_power(self) -> tuple[Tensor, ...]:
        """Power spectra of 20 ms Hann frames midway between those of the grid, one more in all."""
        from ptsel_fairseq.labels.signal import framing, spectral

        return self._power(framing.between_frames, spectral.FRAME_SECONDS, spectral.N_FFT)

    @cached_property
    def long_power(self) -> tuple[Tensor, ...]:
        """Power spectra of 128 ms Hann frames on the grid, in blocks [up to BLOCK, 1025]."""
        from ptsel_fairseq.labels.signal import framing, spectral

        return self._power(framing.grid_frames, spectral.LONG_SECONDS, spectral.LONG_N_FFT)

    @cached_property
    def long_magnitude(self) -> Tensor:
        """The magnitude spectra of `long_power`, [frames, 1025]."""
        from ptsel_fairseq.labels.signal.spectral import LONG_BINS, rows_of

        return rows_of(self.long_power, LONG_BINS).sqrt()

    def _power(
        self, cut: Callable[[np.ndarray, FrameGrid, int], Iterator[Tensor]], seconds: float, points: int
    ) -> tuple[Tensor, ...]:
        from ptsel_fairseq.labels.signal.spectral import frame_power

        width = round(seconds * self.grid.sample_rate)
        return frame_power(cut(self.waveform, self.grid, width), width, points)

    @cached_property
    def log_mel(self) -> np.ndarray:
        """The label `log_mel`, float32 [frames, 80] in dB."""
        from ptsel_fairseq.labels.signal.spectral import log_mel

        return log_mel(self.power, self.grid)

    @cached_property
    def loudest(self) -> float:
        """The highest level of the bands of `log_mel`, dB."""
        return float(self.log_mel.max(initial=-100.0))

    @cached_property
    def pitch(self) -> Pitch:
        """F0 and strength of voicing by half step."""
        from ptsel_fairseq.labels.signal.pitch import pitch

        return pitch(self.waveform, self.grid)

    @cached_property
    def periods(self) -> Periods:
        """The single periods of the voice."""
        from ptsel_fairseq.labels.signal.voice_quality import periods

        return periods(self.waveform, self.pitch, self.grid)

    @cached_property
    def cqt_magnitude(self) -> np.ndarray:
        """The constant-Q transform, float32 [frames, 84]."""
        from ptsel_fairseq.labels.signal.constant_q import cqt_magnitude

        return cqt_magnitude(self.waveform, self.grid)

    @cached_property
    def onset_strength(self) -> np.ndarray:
        """The label `onset_strength`, float32 [frames, 1]."""
        from ptsel_fairseq.labels.signal.rhythm import onset_strength

        return onset_strength(self.log_mel, self.loudest)

    @cached_property
    def tempogram_lags(self) -> np.ndarray:
        """The tempogram at every lag, float32 [frames, 384]."""
        from ptsel_fairseq.labels.signal.rhythm import tempogram_lags

        return tempogram_lags(self.onset_strength, self.grid)

    @cached_property
    def harmonic_percussive(self) -> tuple[np.ndarray, np.ndarray]:
        """The labels `harmonic_energy` and `percussive_energy`."""
        from ptsel_fairseq.labels.signal.harmonic_percussive import harmonic_percussive

        return harmonic_percussive(self.long_magnitude.numpy())
