"""Labels that are cepstra: mel-frequency cepstral coefficients with derivatives, perceptual linear prediction."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ptsel_fairseq.base.late import LateModule
from ptsel_fairseq.labels.label import HALF_STEPS, Label, TorchForm, of
from ptsel_fairseq.labels.signal.auditory import (
    AUDITORY_BANDS,
    COMPRESSION,
    ShortSpectra,
    equal_loudness_of_bands,
    equal_loudness_weights,
)
from ptsel_fairseq.labels.signal.compiled import compiled
from ptsel_fairseq.labels.signal.framing import to_grid
from ptsel_fairseq.labels.signal.spectral import FRAME_SECONDS, MEL_BANDS, MEL_SECONDS, POWER_FLOOR

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ptsel_fairseq.labels.signal.batch_analysis import BatchAnalysis
else:
    torch = LateModule("torch")  # listing labels does not import it

DELTA_WIDTH = 9
DERIVATIVES = (1, 2)
PLP_ORDER = 12
MFCC, MFCC_DELTAS = 13, 20  # coefficients


def mfcc(log_mel_db: np.ndarray, coefficients: int = MFCC) -> np.ndarray:
    """Cepstral coefficients of `log_mel` (orthonormal DCT-II), their first and second derivatives.

    The derivatives are Savitzky-Golay over 9 frames, edges repeated, as librosa's ``delta(mode="nearest")``.

    Args:
        log_mel_db: float32 [T, 80], dB.
        coefficients: how many, from the 0th.

    Returns:
        float32 [T, 3 coefficients]: coefficients, then their slopes for each frame, then the slopes of these.
    """
    from scipy.fft import dct
    from scipy.ndimage import convolve1d

    if not len(log_mel_db):
        return np.zeros((0, 3 * coefficients), np.float32)
    cepstrum = dct(log_mel_db, type=2, norm="ortho", axis=1)[:, :coefficients]
    derivatives = [convolve1d(cepstrum, delta_filter(order), axis=0, mode="nearest") for order in DERIVATIVES]
    return np.concatenate([cepstrum, *derivatives], axis=1).astype(np.float32)


@lru_cache
def delta_filter(order: int) -> np.ndarray:
    """The filter of a derivative of this order, as scipy's ``savgol_filter`` makes it at each call: float64 [9]."""
    from scipy.signal import savgol_coeffs

    return savgol_coeffs(DELTA_WIDTH, polyorder=order, deriv=order)


def delta_weights(order: int) -> np.ndarray:
    """What the frames from 4 before to 4 after count for the derivative of this order in `mfcc`: float64 [9]."""
    from scipy.signal import savgol_coeffs

    return savgol_coeffs(DELTA_WIDTH, polyorder=order, deriv=order, use="dot")


def mfcc_deltas(log_mel_db: np.ndarray) -> np.ndarray:
    """As `mfcc` with 20 coefficients: float32 [T, 60]."""
    return mfcc(log_mel_db, MFCC_DELTAS)


def plp(spectra: ShortSpectra) -> np.ndarray:
    """Cepstra of perceptual linear prediction: Hermansky (1990), with HTK's mel bands and order 12.

    The equal-loudness weighted, compressed auditory bands (the outermost repeated beyond the edges) are taken for a
    power spectrum; its autocorrelation gives an all-pole model, this the cepstrum by its recursion. Coefficient 0 is
    the logarithm of the model's gain.

    Returns:
        float32 [T, 13].
    """
    if not len(spectra.auditory):
        return np.zeros((0, PLP_ORDER + 1), np.float32)
    audible = np.maximum(spectra.auditory, POWER_FLOOR).astype(np.float64) * equal_loudness_of_bands()
    heard = audible**COMPRESSION
    heard = np.concatenate([heard[:, :1], heard, heard[:, -1:]], axis=1)
    correlation = np.fft.irfft(heard, axis=1)[:, : PLP_ORDER + 1]
    return to_grid(compiled(all_pole_cepstra)(correlation)).astype(np.float32)


def all_pole_cepstra(correlation: Any) -> Any:
    """Cepstra of the all-pole model of each frame: Levinson's recursion, then that of the cepstrum; for numba.

    Args:
        correlation: float64 [frames, order + 1].

    Returns:
        float64 [frames, order + 1]: the logarithm of the model's gain, then coefficients 1 to its order.
    """
    frames, lags = correlation.shape
    cepstra = np.empty((frames, lags))
    a, before = np.empty(lags), np.empty(lags)  # the model is gain / |sum a_k z^-k|^2
    for t in range(frames):
        error = correlation[t, 0]
        for n in range(1, lags):
            total = correlation[t, n]
            for k in range(1, n):
                total += a[k] * correlation[t, n - k]
                before[k] = a[k]
            reflection = -total / error
            for k in range(1, n):
                a[k] = before[k] + reflection * before[n - k]
            a[n] = reflection
            error *= 1 - reflection**2
        cepstra[t, 0] = np.log(error)
        for n in range(1, lags):
            earlier = 0.0
            for k in range(1, n):
                earlier += k * cepstra[t, k] * a[n - k]
            cepstra[t, n] = -a[n] - earlier / n
    return cepstra


def cepstra_of_batch(analysis: BatchAnalysis, coefficients: int) -> Tensor:
    """`mfcc` of each row: its first and last frame stand for those beyond its ends. [batch, frames, 3 coefficients]."""
    cepstrum = analysis.product(analysis.log_mel, _cosines, MEL_BANDS, coefficients)
    half = DELTA_WIDTH // 2
    offset = torch.arange(-half, half + 1, device=analysis.device)
    frame = torch.arange(analysis.num_frames, device=analysis.device)[:, None] + offset
    last = (analysis.frames - 1).clamp(min=0)
    frame = torch.minimum(frame.clamp(min=0), last[:, None, None])  # [batch, frames, 9]
    row = torch.arange(len(cepstrum), device=analysis.device)[:, None]
    derivatives = [torch.zeros_like(cepstrum) for _ in DERIVATIVES]
    for k in range(DELTA_WIDTH):
        neighbour = cepstrum[row, frame[..., k]]
        for derivative, order in zip(derivatives, DERIVATIVES, strict=True):
            derivative += float(delta_weights(order)[k]) * neighbour
    return torch.cat([cepstrum, *derivatives], dim=-1)


def _cosines(bands: int, coefficients: int) -> Tensor:
    """The orthonormal DCT-II as a matrix [bands, coefficients], float64."""
    from scipy.fft import dct

    return torch.from_numpy(dct(np.eye(bands), type=2, norm="ortho", axis=1)[:, :coefficients].copy())


def plp_of_batch(analysis: BatchAnalysis) -> Tensor:
    """`plp` of each row, [batch, frames, 13]."""
    bands = analysis.auditory[..., :AUDITORY_BANDS].clamp(min=POWER_FLOOR).double()
    heard = (bands * analysis.constant(equal_loudness_weights).double()) ** COMPRESSION
    heard = torch.cat([heard[..., :1], heard, heard[..., -1:]], dim=-1)
    correlation = torch.fft.irfft(heard, dim=-1)[..., : PLP_ORDER + 1]
    a = torch.zeros_like(correlation)
    a[..., 0] = 1
    error = correlation[..., 0].clone()
    for n in range(1, PLP_ORDER + 1):
        reflection = -(a[..., :n] * correlation[..., 1 : n + 1].flip(-1)).sum(dim=-1) / error
        a[..., 1 : n + 1] += reflection[..., None] * a[..., :n].flip(-1)
        error *= 1 - reflection.square()
    cepstrum = torch.zeros_like(a)
    cepstrum[..., 0] = error.log()
    rank = torch.arange(PLP_ORDER + 1, dtype=a.dtype, device=a.device)
    for n in range(1, PLP_ORDER + 1):
        earlier = (rank[1:n] * cepstrum[..., 1:n] * a[..., 1:n].flip(-1)).sum(dim=-1)
        cepstrum[..., n] = -a[..., n] - earlier / n
    return analysis.to_grid(cepstrum).to(analysis.waveforms.dtype)


_REACH = DELTA_WIDTH // 2  # frames

LABELS = (
    Label(
        "mfcc", 3 * MFCC, "dB", "13 mel-frequency cepstral coefficients, first and second derivatives",
        "Davis and Mermelstein 1980", MEL_SECONDS, of(mfcc, "log_mel"),
        parameters={"coefficients": MFCC, "delta_width": DELTA_WIDTH},
        torch=TorchForm(lambda analysis: cepstra_of_batch(analysis, MFCC), MEL_SECONDS, _REACH),
    ),
    Label(
        "mfcc_deltas", 3 * MFCC_DELTAS, "dB", "20 mel-frequency cepstral coefficients, first and second derivatives",
        "Davis and Mermelstein 1980; PASE+", MEL_SECONDS, of(mfcc_deltas, "log_mel"),
        parameters={"coefficients": MFCC_DELTAS, "delta_width": DELTA_WIDTH},
        torch=TorchForm(lambda analysis: cepstra_of_batch(analysis, MFCC_DELTAS), MEL_SECONDS, _REACH),
    ),
    Label(
        "plp", PLP_ORDER + 1, "log", "cepstra of perceptual linear prediction, 0 to 12", "Hermansky 1990, as HTK",
        FRAME_SECONDS, of(plp, "spectra"),
        parameters={"order": PLP_ORDER, "bands": AUDITORY_BANDS, "compression": COMPRESSION},
        torch=TorchForm(plp_of_batch, FRAME_SECONDS, HALF_STEPS),
    ),
)  # fmt: skip
