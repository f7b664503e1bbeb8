"""Labels that are spectra: mel bands, power spectrum, gammatone bands; and what other labels of spectra share."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.late import LateModule
from ptsel_fairseq.labels.label import Label, TorchForm, of
from ptsel_fairseq.labels.signal.framing import power_spectra

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ptsel_fairseq.labels.signal.batch_analysis import BatchAnalysis
else:
    torch = LateModule("torch")  # listing labels does not import it

FRAME_SECONDS = 0.020
N_FFT = 512
FLOOR_DB = -100  # re full scale
POWER_FLOOR = 1e-10  # the same as power
MEL_SECONDS = 0.025
MEL_BANDS = 80
MEL_RANGE = [0, 8000]  # Hz
LONG_SECONDS = 0.128
LONG_N_FFT = 2048
LONG_BINS = LONG_N_FFT // 2 + 1
GAMMATONE_BANDS = 64
GAMMATONE_LOWEST = 50  # Hz
GAMMATONE_ORDER = 4


def frame_power(frames: Iterable[Tensor], width: int, points: int = N_FFT) -> tuple[Tensor, ...]:
    """Power spectra of frames under a Hann window, in the blocks they come in: [frames, points // 2 + 1] each."""
    window = hann(width)
    return tuple(power_spectra(block * window, points) for block in frames)


@lru_cache
def hann(width: int) -> Tensor:
    """The periodic Hann window, which librosa and torch use: float32 [width]."""
    return torch.hann_window(width, periodic=True, dtype=torch.float32)


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
    """The blocks joined: [T, columns]; a single block is not copied."""
    if len(blocks) == 1:
        return blocks[0]
    return torch.cat(blocks) if blocks else torch.zeros((0, columns))


def decibels(power: np.ndarray) -> np.ndarray:
    """Power in dB re full scale, not below -100."""
    return 10 * np.log10(np.maximum(power, POWER_FLOOR))


# The matrices are cloned: torch's memory is aligned, so that products do not depend on where numpy put them.


@lru_cache
def mel_bands(sample_rate: int, points: int) -> Tensor:
    """[points // 2 + 1, 80]: librosa's mel bands."""
    from ptsel_fairseq.labels.signal.librosa_import import import_librosa

    librosa = import_librosa()

    return torch.from_numpy(
        librosa.filters.mel(sr=sample_rate, n_fft=points, n_mels=MEL_BANDS).T.copy()
    ).clone()


@lru_cache
def gammatone_bands(sample_rate: int) -> Tensor:
    """[257, 64]: responses of unit gain at their centres, scaled so that noise of even power gives even bands."""
    frequency = np.fft.rfftfreq(N_FFT, 1 / sample_rate)[:, None]
    centres = gammatone_centres(sample_rate)
    width = 1.019 * 24.7 * (4.37e-3 * centres + 1)  # 1.019 ERB, in Hz
    response = (1 + ((frequency - centres) / width) ** 2) ** -float(GAMMATONE_ORDER)
    return torch.from_numpy((response / response.sum(axis=0)).astype(np.float32)).clone()


def gammatone_centres(sample_rate: int) -> np.ndarray:
    """Centres in Hz of the 64 gammatone bands: evenly spaced in ERB rate, the last one below half the sample rate."""
    low, high = (21.4 * np.log10(4.37e-3 * hertz + 1) for hertz in (GAMMATONE_LOWEST, sample_rate / 2))
    rate = np.linspace(low, high, GAMMATONE_BANDS + 1)[:-1]
    return (10 ** (rate / 21.4) - 1) / 4.37e-3


def log_mel_long_of_batch(analysis: BatchAnalysis) -> Tensor:
    """`log_mel_long` of each row, [batch, frames, 80]."""
    return analysis.decibels(
        analysis.product(analysis.long_power, mel_bands, analysis.grid.sample_rate, LONG_N_FFT)
    )


def gammatone_of_batch(analysis: BatchAnalysis) -> Tensor:
    """`gammatone` of each row, [batch, frames, 64]."""
    return analysis.decibels(analysis.product(analysis.power, gammatone_bands, analysis.grid.sample_rate))


_MEL = {"range_hz": MEL_RANGE, "floor_db": FLOOR_DB}

LABELS = (
    Label(
        "log_mel", MEL_BANDS, "dB", "80 mel bands of the power spectrum", "Slaney's mel scale, as librosa", MEL_SECONDS,
        lambda analysis: analysis.log_mel, parameters=_MEL,
        torch=TorchForm(lambda analysis: analysis.log_mel, MEL_SECONDS),
    ),
    Label(
        "log_mel_long", MEL_BANDS, "dB", "80 mel bands of long spectra", "Slaney's mel scale; PASE+'s long windows",
        LONG_SECONDS, of(log_mel, "long_power", "grid"), parameters=_MEL,
        torch=TorchForm(log_mel_long_of_batch, LONG_SECONDS),
    ),
    Label(
        "lps", N_FFT // 2 + 1, "dB", "power spectrum in 257 bins", "PASE", MEL_SECONDS, of(lps, "power"),
        parameters={"floor_db": FLOOR_DB},
        torch=TorchForm(lambda analysis: analysis.decibels(analysis.power), MEL_SECONDS),
    ),
    Label(
        "gammatone", GAMMATONE_BANDS, "dB", "64 gammatone bands", "Patterson et al. 1992; Glasberg and Moore 1990",
        MEL_SECONDS, of(gammatone, "power", "grid"),
        parameters={"range_hz": [GAMMATONE_LOWEST, MEL_RANGE[1]], "order": GAMMATONE_ORDER, "floor_db": FLOOR_DB},
        torch=TorchForm(gammatone_of_batch, MEL_SECONDS),
    ),
)  # fmt: skip
