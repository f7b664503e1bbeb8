"""Labels of rhythm: onset strength and what its autocorrelation tells of the tempo, with librosa's definitions."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.late import LateModule
from ptsel_fairseq.labels.label import Label, TorchForm, of
from ptsel_fairseq.labels.signal.framing import power_spectra
from ptsel_fairseq.labels.signal.spectral import MEL_BANDS, MEL_SECONDS

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ptsel_fairseq.labels.signal.batch_analysis import BatchAnalysis
else:
    torch = LateModule("torch")  # listing labels does not import it

ONSET_RANGE_DB = 80  # below the loudest band of the file, changes do not count
TEMPOGRAM_FRAMES = 384
TEMPOGRAM_SECONDS = 7.68  # of as many frames
TEMPOGRAM_BLOCK = 64  # frames transformed at once: they fit the processor's cache
TEMPO_RANGE = (30, 240)  # beats a minute
USUAL_TEMPO, HIGHEST_TEMPO = 120, 320  # beats a minute
TEMPO_MULTIPLES = np.array([4, 8 / 3, 3, 2, 4 / 3, 3 / 2, 1, 2 / 3, 3 / 4, 1 / 2, 1 / 3, 3 / 8, 1 / 4])
TINY = np.finfo(np.float64).tiny


def onset_strength(log_mel_db: np.ndarray, loudest: float) -> np.ndarray:
    """Mean rise of the bands of `log_mel` since the frame before: Böck and Widmer (2013), as librosa.

    Levels more than 80 dB below the loudest of the file do not count. A sudden onset first shows in the frame within
    half a hop of which it lies.

    Args:
        log_mel_db: float32 [T, 80].
        loudest: of the file's bands, dB.

    Returns:
        float32 [T, 1], dB; 0 in the first frame.
    """
    if not len(log_mel_db):
        return np.zeros((0, 1), np.float32)
    level = np.maximum(log_mel_db, np.float32(loudest) - np.float32(ONSET_RANGE_DB))
    return np.maximum(np.diff(level, axis=0, prepend=level[:1]), 0).mean(axis=1, keepdims=True)


def tempogram_lags(onset: np.ndarray, grid: FrameGrid) -> np.ndarray:
    """Local autocorrelation of `onset_strength` over 384 frames, at every lag from 0, over that at lag 0.

    Grosche et al. (2010), as librosa: under a Hann window; before and after the file the strength falls to 0 in a line.
    Returns float32 [T, 384].
    """
    half, points = TEMPOGRAM_FRAMES // 2, 2 * TEMPOGRAM_FRAMES
    found = np.empty((len(onset), TEMPOGRAM_FRAMES), np.float32)
    if not len(onset):
        return found
    padded = torch.from_numpy(np.pad(onset[:, 0], half, mode="linear_ramp")).double()
    frames = padded.unfold(0, TEMPOGRAM_FRAMES, 1)
    window = _window()
    for first in range(0, len(onset), TEMPOGRAM_BLOCK):
        block = slice(first, min(first + TEMPOGRAM_BLOCK, len(onset)))
        power = power_spectra(frames[block] * window, points)
        lags = torch.fft.irfft(power, points)[:, :TEMPOGRAM_FRAMES]
        largest = lags.abs().amax(dim=1, keepdim=True)
        found[block] = (lags / torch.where(largest < TINY, 1.0, largest)).numpy()
    return found


@lru_cache
def _window() -> Tensor:
    """That of the tempogram, float64 [384]."""
    return torch.hann_window(TEMPOGRAM_FRAMES, dtype=torch.float64)


def tempogram(lags: np.ndarray, grid: FrameGrid) -> np.ndarray:
    """The lags of `tempogram_lags` that are tempi of 30 to 240 beats a minute: float32 [T, 88], fastest first."""
    fastest, slowest = (60 * grid.frame_rate / tempo for tempo in TEMPO_RANGE[::-1])
    return np.ascontiguousarray(lags[:, int(np.ceil(fastest)) : int(slowest) + 1])


def tempo_ratio(lags: np.ndarray, grid: FrameGrid) -> np.ndarray:
    """The tempogram at 13 metrical multiples of the frame's own tempo, from 4 to 1/4: Prockup et al. (2015).

    As librosa: the frame's tempo is the lag of the largest logarithm of the tempogram under a log-normal prior around
    120 beats a minute, one octave wide, below 320; between two lags the tempogram is a line in tempo, and 0 beyond the
    longest.

    Returns:
        float32 [T, 13].
    """
    lag = np.arange(1, TEMPOGRAM_FRAMES)
    prior = -0.5 * np.log2(60 * grid.frame_rate / lag / USUAL_TEMPO) ** 2
    prior[lag <= 60 * grid.frame_rate / HIGHEST_TEMPO] = -np.inf
    own = 1 + np.argmax(np.log1p(np.float32(1e6) * lags[:, 1:]) + prior, axis=1)
    wanted = own[:, None] / TEMPO_MULTIPLES
    below = np.floor(wanted).astype(int)
    # Weight of the shorter of the two lags around the wanted one, for a line in tempo, which is one over the lag.
    weight = below * (below + 1 - wanted) / wanted
    shorter, longer = (
        np.take_along_axis(lags, np.minimum(index, TEMPOGRAM_FRAMES - 1), axis=1)
        for index in (below, below + 1)
    )
    found = weight * shorter + (1 - weight) * longer
    return np.where(wanted <= TEMPOGRAM_FRAMES - 1, found, 0).astype(np.float32)


def onset_strength_of_batch(analysis: BatchAnalysis) -> Tensor:
    """`onset_strength` of each row, [batch, frames, 1]."""
    log_mel = analysis.log_mel
    loudest = torch.where(analysis.is_frame[..., None], log_mel, -torch.inf).amax(dim=(1, 2), keepdim=True)
    level = torch.maximum(log_mel, loudest - ONSET_RANGE_DB)
    rise = torch.diff(level, dim=1, prepend=level[:, :1])
    return rise.clamp(min=0).mean(dim=-1, keepdim=True)


LABELS = (  # version 2 of the tempo labels: rounding
    Label(
        "onset_strength", 1, "dB", "mean rise of the mel bands since the frame before",
        "Böck and Widmer 2013, as librosa", 0.045, lambda analysis: analysis.onset_strength, whole=("loudest",),
        parameters={"bands": MEL_BANDS, "range_db": ONSET_RANGE_DB},
        torch=TorchForm(onset_strength_of_batch, MEL_SECONDS, 1, local=False),
    ),
    Label(
        "tempogram", 88, "0 to 1", "autocorrelation of the onset strength, 240 to 30 beats a minute",
        "Grosche et al. 2010, as librosa", TEMPOGRAM_SECONDS, of(tempogram, "tempogram_lags", "grid"),
        whole=("loudest",), version=2, parameters={"frames": TEMPOGRAM_FRAMES, "range_bpm": list(TEMPO_RANGE)},
    ),
    Label(
        "tempo_ratio", 13, "0 to 1", "tempogram at metrical multiples of the tempo", "Prockup et al. 2015, as librosa",
        TEMPOGRAM_SECONDS, of(tempo_ratio, "tempogram_lags", "grid"), whole=("loudest",), version=2,
        parameters={"frames": TEMPOGRAM_FRAMES},
    ),
)  # fmt: skip
