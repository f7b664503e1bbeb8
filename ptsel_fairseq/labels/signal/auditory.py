"""Labels of hearing: loudness, RASTA, alpha ratio, from 20 ms spectra in auditory bands."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.late import LateModule
from ptsel_fairseq.labels.label import HALF_STEPS, Label, TorchForm, of
from ptsel_fairseq.labels.signal.framing import half_step_frames, power_spectra, to_grid
from ptsel_fairseq.labels.signal.spectral import FRAME_SECONDS, N_FFT, POWER_FLOOR

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ptsel_fairseq.labels.signal.batch_analysis import BatchAnalysis
else:
    torch = LateModule("torch")  # listing labels does not import it

AUDITORY_BANDS = 26
AUDITORY_RANGE = (20, 8000)  # Hz
COMPRESSION = 0.33  # Stevens' power law of hearing, as rounded in Hermansky (1990), section III.D
RASTA_LOWER_HZ = 1.0  # slowest modulation that passes
# Filtered half steps set to 0 while the five taps of the filter reach before the waveform.
RASTA_WARM_UP = 4
LOW_BAND, HIGH_BAND = (50.0, 1000.0), (1000.0, 5000.0)  # Hz, of the alpha ratio


@dataclass(frozen=True)
class ShortSpectra:
    """What the labels need of the 20 ms spectra, by half step.

    auditory: power in the auditory bands, float32 [2 T + 1, 26].
    low, high: power in the two bands of the alpha ratio, float32 [2 T + 1].
    """

    auditory: np.ndarray
    low: np.ndarray
    high: np.ndarray


def short_spectra(waveform: np.ndarray, grid: FrameGrid) -> ShortSpectra:
    """Power spectra of 20 ms Hamming frames, summed into bands."""
    width = round(FRAME_SECONDS * grid.sample_rate)
    window, bands = hamming(width), all_bands(grid.sample_rate)
    blocks = [
        power_spectra(frames * window, N_FFT) @ bands for frames in half_step_frames(waveform, grid, width)
    ]
    summed = torch.cat(blocks).numpy() if blocks else np.zeros((0, AUDITORY_BANDS + 2), np.float32)
    return ShortSpectra(summed[:, :-2], summed[:, -2], summed[:, -1])


def loudness(spectra: ShortSpectra, grid: FrameGrid) -> np.ndarray:
    """Sum over auditory bands of the equal-loudness weighted power, compressed: Hermansky (1990), eq. 7 to 9.

    Returns:
        float32 [T, 1], arbitrary unit, 0 for digital silence.
    """
    heard = spectra.auditory * equal_loudness_of_bands()
    return to_grid((heard**COMPRESSION).sum(axis=1))[:, None]


@dataclass
class RastaState:
    """Where the RASTA filter is in a recording that is analysed in blocks.

    begin, end: half steps of the block that is analysed, between which it filters; None: to the last one.
    last: what came out before `begin`, [26]; None at the recording's beginning.
    """

    begin: int = 0
    end: int | None = None
    last: np.ndarray | None = None

    def between(self, begin: int, end: int) -> RastaState:
        """This state, for a block that goes on where the one before it ended."""
        self.begin, self.end = begin, end
        return self


def rasta_l1(spectra: ShortSpectra, grid: FrameGrid, state: RastaState) -> np.ndarray:
    """L1 norm of the RASTA-filtered auditory spectrum: Hermansky and Morgan (1994), eq. 1.

    The logarithm of each band is band-passed over time by ``0.1 (2 z^2 + z - z^-1 - 2 z^-2) / (1 - p z^-1)``,
    brought back by the exponential, weighted for equal loudness, compressed, and summed. The numerator is
    centred, as in the paper's ``z^4``; implementations that only look back answer two half steps (20 ms) later.
    The pole p = 1 - 2 pi f t puts the lower edge of the band at f = 1 Hz for half steps of t seconds (0.937 for 10 ms;
    printed values are 0.98 and 0.94). A filter without history would ring for long on the first frames, so its first
    half steps are set to 0.

    Args:
        state: brought up to date.

    Returns:
        float32 [T, 1], arbitrary unit; right between the state's begin and end.
    """
    from scipy.signal import lfilter

    steps = len(spectra.auditory)
    if steps == 0:
        return np.zeros((0, 1), np.float32)
    logarithm = np.log(np.maximum(spectra.auditory, POWER_FLOOR)).astype(np.float64)
    first, last = logarithm[:1], logarithm[-1:]
    padded = np.concatenate([first, first, logarithm, last, last])  # np.pad takes long for a short file
    slope = 0.1 * (2 * padded[4:] + padded[3:-1] - padded[1:-3] - 2 * padded[:-4])
    if state.last is None:
        slope[:RASTA_WARM_UP] = 0.0
        state.last = np.zeros(AUDITORY_BANDS)
    filtered, pole = np.zeros_like(slope), rasta_pole(grid)
    before = pole * state.last[None]
    filtered[state.begin :], _ = lfilter([1.0], [1.0, -pole], slope[state.begin :], axis=0, zi=before)
    state.last = filtered[: state.end][-1]
    heard = np.exp(filtered).astype(np.float32) * equal_loudness_of_bands()
    return to_grid((heard**COMPRESSION).sum(axis=1))[:, None]


def rasta_pole(grid: FrameGrid) -> float:
    """Pole of the RASTA filter that puts the lower edge of its band at 1 Hz."""
    return 1 - 2 * math.pi * RASTA_LOWER_HZ * (grid.hop // 2) / grid.sample_rate


def alpha_ratio(spectra: ShortSpectra, grid: FrameGrid) -> np.ndarray:
    """Power in 1 to 5 kHz over power in 50 Hz to 1 kHz (Sundberg and Nordenberg 2006, as in GeMAPS).

    Half steps of digital silence, which have no ratio, are left out of a frame's mean.

    Returns:
        float32 [T, 1], dB; 0 where all of a frame is digital silence.
    """
    ratio = 10 * np.log10(np.maximum(spectra.high, POWER_FLOOR) / np.maximum(spectra.low, POWER_FLOOR))
    heard = (np.maximum(spectra.high, spectra.low) > POWER_FLOOR).astype(np.float32)
    return (to_grid(ratio * heard) / np.maximum(to_grid(heard), np.float32(0.1)))[:, None]


@lru_cache
def hamming(width: int) -> Tensor:
    """The symmetric Hamming window: float32 [width]."""
    return torch.from_numpy(np.hamming(width).astype(np.float32))


def hz_to_mel(frequency: np.ndarray | float) -> np.ndarray:
    """HTK's mel scale."""
    return 1127.0 * np.log1p(np.asarray(frequency) / 700.0)


def mel_to_hz(mel: np.ndarray | float) -> np.ndarray:
    return 700.0 * np.expm1(np.asarray(mel) / 1127.0)


def band_edges() -> np.ndarray:
    """The 28 corner frequencies in Hz of the 26 auditory bands, evenly spaced in mel."""
    return mel_to_hz(
        np.linspace(hz_to_mel(AUDITORY_RANGE[0]), hz_to_mel(AUDITORY_RANGE[1]), AUDITORY_BANDS + 2)
    )


# Cloned: torch's memory is aligned, so that products do not depend on where numpy put it.


@lru_cache
def all_bands(sample_rate: int) -> Tensor:
    """[257, 28]: 26 triangles on the mel scale, then the alpha ratio's low and high band."""
    frequency = np.fft.rfftfreq(N_FFT, 1 / sample_rate)
    mel, edge = hz_to_mel(frequency), hz_to_mel(band_edges())
    columns = []
    for b in range(AUDITORY_BANDS):
        rising = (mel - edge[b]) / (edge[b + 1] - edge[b])
        falling = (edge[b + 2] - mel) / (edge[b + 2] - edge[b + 1])
        columns.append(np.clip(np.minimum(rising, falling), 0, None))
    for low, high in (LOW_BAND, HIGH_BAND):
        # From the bin at or below the lower edge, as openSMILE.
        columns.append((frequency > low - frequency[1]) & (frequency < high))
    return torch.from_numpy(np.stack(columns, axis=1).astype(np.float32)).clone()


def equal_loudness(frequency: np.ndarray) -> np.ndarray:
    """Sensitivity of hearing at `frequency` in Hz: Hermansky (1990), eq. 7 with the term for above 5 kHz."""
    squared = (2 * np.pi * np.asarray(frequency, dtype=np.float64)) ** 2
    middle = (squared + 56.8e6) * squared**2 / ((squared + 6.3e6) ** 2 * (squared + 0.38e9))
    return middle * 9.58e26 / (squared**3 + 9.58e26)


@lru_cache
def equal_loudness_of_bands() -> np.ndarray:
    """Sensitivity at the middle of each auditory band, float32 [26]."""
    return equal_loudness(band_edges()[1:-1]).astype(np.float32)


def loudness_of_batch(analysis: BatchAnalysis) -> Tensor:
    """`loudness` of each row, [batch, frames, 1]."""
    heard = analysis.auditory[..., :AUDITORY_BANDS] * analysis.constant(equal_loudness_weights)
    return analysis.to_grid((heard**COMPRESSION).sum(dim=-1, keepdim=True))


def alpha_ratio_of_batch(analysis: BatchAnalysis) -> Tensor:
    """`alpha_ratio` of each row, [batch, frames, 1]."""
    low, high = analysis.auditory[..., AUDITORY_BANDS:].unbind(-1)
    heard = (torch.maximum(low, high) > POWER_FLOOR).to(low.dtype)
    low, high = (power.clamp(min=POWER_FLOOR) for power in (low, high))
    ratio = 10 * (high / low).log10()
    return (analysis.to_grid(ratio * heard) / analysis.to_grid(heard).clamp(min=0.1)).unsqueeze(-1)


def equal_loudness_weights() -> Tensor:
    """`equal_loudness_of_bands` as a tensor."""
    return torch.from_numpy(equal_loudness_of_bands())


_LOUDNESS = of(loudness, "spectra", "grid")
_LOUDNESS_OF_BATCH = TorchForm(loudness_of_batch, FRAME_SECONDS, HALF_STEPS)
_BANDS = {"bands": AUDITORY_BANDS, "range_hz": list(AUDITORY_RANGE), "compression": COMPRESSION}

LABELS = (
    Label(
        "loudness", 1, "arbitrary", "sum of compressed, equal-loudness weighted auditory bands",
        "Hermansky 1990", FRAME_SECONDS, _LOUDNESS, parameters=_BANDS, torch=_LOUDNESS_OF_BATCH,
    ),
    Label(
        "audspec_l1", 1, "arbitrary", "L1 norm of the auditory spectrum; the same values as `loudness`",
        "Hermansky 1990", FRAME_SECONDS, _LOUDNESS, parameters=_BANDS, torch=_LOUDNESS_OF_BATCH,
    ),
    Label(
        "alpha_ratio", 1, "dB", "power in 1-5 kHz over power in 50 Hz-1 kHz", "Sundberg and Nordenberg 2006; GeMAPS",
        FRAME_SECONDS, of(alpha_ratio, "spectra", "grid"), version=2,  # 2: the low band from 31 Hz
        torch=TorchForm(alpha_ratio_of_batch, FRAME_SECONDS, HALF_STEPS),
    ),
    Label(
        "rasta_l1", 1, "arbitrary", "L1 norm of the RASTA-filtered auditory spectrum", "Hermansky and Morgan 1994",
        FRAME_SECONDS, of(rasta_l1, "spectra", "grid", "rasta"),
        parameters={"lower_edge_hz": RASTA_LOWER_HZ, "warm_up_half_steps": RASTA_WARM_UP},
    ),
)  # fmt: skip
