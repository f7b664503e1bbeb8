"""Labels from short-time spectra: loudness, RASTA, alpha ratio, and spectra in bands."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels.signal.framing import half_step_frames, power_spectra, to_grid

FRAME_SECONDS = 0.020
N_FFT = 512
AUDITORY_BANDS = 26
AUDITORY_RANGE = (20.0, 8000.0)  # Hz
POWER_FLOOR = 1e-10  # -100 dB re full scale
COMPRESSION = 0.33  # Stevens' power law of hearing, as rounded in Hermansky (1990), section III.D
RASTA_LOWER_HZ = 1.0  # slowest modulation that passes
# Filtered half steps set to 0 while the five taps of the filter reach before the waveform.
RASTA_WARM_UP = 4
LOW_BAND, HIGH_BAND = (50.0, 1000.0), (1000.0, 5000.0)  # Hz, of the alpha ratio
MEL_SECONDS = 0.025
MEL_BANDS = 80
LONG_SECONDS = 0.128
LONG_N_FFT = 2048
GAMMATONE_BANDS = 64
GAMMATONE_LOWEST = 50.0  # Hz


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
    padded = np.pad(logarithm, ((2, 2), (0, 0)), mode="edge")
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


def frame_power(frames: Iterable[Tensor], width: int, points: int = N_FFT) -> tuple[Tensor, ...]:
    """Power spectra of frames under a Hann window, in the blocks they come in: [frames, points // 2 + 1] each."""
    window = hann(width)
    return tuple(power_spectra(block * window, points) for block in frames)


def hann(width: int) -> Tensor:
    """The periodic Hann window, which librosa and torch use: float32 [width]."""
    return torch.hann_window(width, periodic=True, dtype=torch.float32)


def hamming(width: int) -> Tensor:
    """The symmetric Hamming window: float32 [width]."""
    return torch.from_numpy(np.hamming(width).astype(np.float32))


def log_mel(power: tuple[Tensor, ...], grid: FrameGrid) -> np.ndarray:
    """80 mel bands of power spectra (Slaney's mel scale and area norm, as librosa).

    Returns:
        float32 [T, 80], dB re full scale, not below -100.
    """
    if not power:
        return np.zeros((0, MEL_BANDS), np.float32)
    return decibels(in_bands(power, mel_bands(grid.sample_rate, 2 * (power[0].shape[1] - 1))))


def lps(power: tuple[Tensor, ...]) -> np.ndarray:
    """Log power spectrum, float32 [T, 257], dB re full scale, not below -100."""
    return decibels(rows_of(power, N_FFT // 2 + 1).numpy())


def gammatone(power: tuple[Tensor, ...], grid: FrameGrid) -> np.ndarray:
    """64 gammatone bands, evenly spaced in ERB from 50 Hz to the top (Patterson et al. 1992; Glasberg and Moore 1990).

    The power spectrum is weighted with the squared magnitude response of filters of fourth order, rather than
    filtered in time.

    Returns:
        float32 [T, 64], dB re full scale, not below -100.
    """
    return decibels(in_bands(power, gammatone_bands(grid.sample_rate)))


def in_bands(power: tuple[Tensor, ...], bands: Tensor) -> np.ndarray:
    """The blocks of `frame_power` times a matrix [bins, bands]: float32 [T, bands]."""
    if not power:
        return np.zeros((0, bands.shape[1]), np.float32)
    return torch.cat([block @ bands for block in power]).numpy()


def rows_of(blocks: tuple[Tensor, ...], columns: int) -> Tensor:
    """The blocks joined: [T, columns]."""
    return torch.cat(blocks) if blocks else torch.zeros((0, columns))


def decibels(power: np.ndarray) -> np.ndarray:
    """Power in dB re full scale, not below -100."""
    return 10 * np.log10(np.maximum(power, POWER_FLOOR))


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


# The matrices are cloned: torch's memory is aligned, so that products do not depend on where numpy put them.


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


@lru_cache
def mel_bands(sample_rate: int, points: int) -> Tensor:
    """[points // 2 + 1, 80]: librosa's mel bands."""
    import librosa.filters

    return torch.from_numpy(
        librosa.filters.mel(sr=sample_rate, n_fft=points, n_mels=MEL_BANDS).T.copy()
    ).clone()


@lru_cache
def gammatone_bands(sample_rate: int) -> Tensor:
    """[257, 64]: responses of unit gain at their centres, scaled so that noise of even power gives even bands."""
    frequency = np.fft.rfftfreq(N_FFT, 1 / sample_rate)[:, None]
    centres = gammatone_centres(sample_rate)
    width = 1.019 * 24.7 * (4.37e-3 * centres + 1)  # 1.019 ERB, in Hz
    response = (1 + ((frequency - centres) / width) ** 2) ** -4.0
    return torch.from_numpy((response / response.sum(axis=0)).astype(np.float32)).clone()


def gammatone_centres(sample_rate: int) -> np.ndarray:
    """Centres in Hz of the 64 gammatone bands: evenly spaced in ERB rate, the last one below half the sample rate."""
    low, high = (21.4 * np.log10(4.37e-3 * hertz + 1) for hertz in (GAMMATONE_LOWEST, sample_rate / 2))
    rate = np.linspace(low, high, GAMMATONE_BANDS + 1)[:-1]
    return (10 ** (rate / 21.4) - 1) / 4.37e-3


def equal_loudness(frequency: np.ndarray) -> np.ndarray:
    """Sensitivity of hearing at `frequency` in Hz: Hermansky (1990), eq. 7 with the term for above 5 kHz."""
    squared = (2 * np.pi * np.asarray(frequency, dtype=np.float64)) ** 2
    middle = (squared + 56.8e6) * squared**2 / ((squared + 6.3e6) ** 2 * (squared + 0.38e9))
    return middle * 9.58e26 / (squared**3 + 9.58e26)


@lru_cache
def equal_loudness_of_bands() -> np.ndarray:
    """Sensitivity at the middle of each auditory band, float32 [26]."""
    return equal_loudness(band_edges()[1:-1]).astype(np.float32)
