"""Labels that are cepstra: mel-frequency cepstral coefficients with derivatives, perceptual linear prediction."""

from __future__ import annotations

import numpy as np

from ptsel_fairseq.labels.signal.framing import to_grid
from ptsel_fairseq.labels.signal.spectral import (
    COMPRESSION,
    POWER_FLOOR,
    ShortSpectra,
    equal_loudness_of_bands,
)

DELTA_WIDTH = 9
DERIVATIVES = (1, 2)
PLP_ORDER = 12


def mfcc(log_mel_db: np.ndarray, coefficients: int = 13) -> np.ndarray:
    """Cepstral coefficients of `log_mel` (orthonormal DCT-II), their first and second derivatives.

    The derivatives are Savitzky-Golay over 9 frames, edges repeated, as librosa's ``delta(mode="nearest")``.

    Args:
        log_mel_db: float32 [T, 80], dB.
        coefficients: how many, from the 0th.

    Returns:
        float32 [T, 3 coefficients]: coefficients, then their slopes for each frame, then the slopes of these.
    """
    from scipy.fft import dct
    from scipy.signal import savgol_filter

    if not len(log_mel_db):
        return np.zeros((0, 3 * coefficients), np.float32)
    cepstrum = dct(log_mel_db, type=2, norm="ortho", axis=1)[:, :coefficients]
    derivatives = [
        savgol_filter(cepstrum, DELTA_WIDTH, polyorder=order, deriv=order, axis=0, mode="nearest")
        for order in DERIVATIVES
    ]
    return np.concatenate([cepstrum, *derivatives], axis=1).astype(np.float32)


def delta_weights(order: int) -> np.ndarray:
    """What the frames from 4 before to 4 after count for the derivative of this order in `mfcc`: float64 [9]."""
    from scipy.signal import savgol_coeffs

    return savgol_coeffs(DELTA_WIDTH, polyorder=order, deriv=order, use="dot")


def mfcc_deltas(log_mel_db: np.ndarray) -> np.ndarray:
    """As `mfcc` with 20 coefficients: float32 [T, 60]."""
    return mfcc(log_mel_db, 20)


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
    heard = np.pad(audible**COMPRESSION, ((0, 0), (1, 1)), mode="edge")
    coefficients, gain = _all_pole(np.fft.irfft(heard, axis=1)[:, : PLP_ORDER + 1])
    cepstrum = np.zeros((len(heard), PLP_ORDER + 1))
    cepstrum[:, 0] = np.log(gain)
    for n in range(1, PLP_ORDER + 1):
        earlier = sum(
            (k * cepstrum[:, k] * coefficients[:, n - k] for k in range(1, n)), np.zeros(len(heard))
        )
        cepstrum[:, n] = -coefficients[:, n] - earlier / n
    return to_grid(cepstrum).astype(np.float32)


def _all_pole(correlation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Levinson's recursion for many frames at once.

    Args:
        correlation: [frames, order + 1].

    Returns:
        coefficients a, [frames, order + 1] with a_0 = 1, of the model gain / |sum a_k z^-k|^2; and its gain [frames].
    """
    frames, lags = correlation.shape
    a = np.zeros((frames, lags))
    a[:, 0] = 1.0
    error = correlation[:, 0].copy()
    for n in range(1, lags):
        reflection = -(a[:, :n] * correlation[:, n:0:-1]).sum(axis=1) / error
        a[:, 1 : n + 1] += reflection[:, None] * a[:, n - 1 :: -1][:, :n]
        error *= 1 - reflection**2
    return a, error
