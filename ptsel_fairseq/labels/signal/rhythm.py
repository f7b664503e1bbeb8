"""Labels of rhythm: onset strength and what its autocorrelation tells of the tempo, with librosa's definitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.late import LateModule
from ptsel_fairseq.labels.label import Label, TorchForm, of
from ptsel_fairseq.labels.signal.framing import frames_first
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
TEMPO_RANGE = (30, 240)  # beats a minute


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

    Grosche et al. (2010). Returns float32 [T, 384].
    """
    import librosa

    if not len(onset):
        return np.zeros((0, TEMPOGRAM_FRAMES), np.float32)
    return frames_first(
        librosa.feature.tempogram(
            onset_envelope=onset[:, 0], sr=grid.sample_rate, hop_length=grid.hop, win_length=TEMPOGRAM_FRAMES
        )
    )


def tempogram(lags: np.ndarray, grid: FrameGrid) -> np.ndarray:
    """The lags of `tempogram_lags` that are tempi of 30 to 240 beats a minute: float32 [T, 88], fastest first."""
    fastest, slowest = (60 * grid.frame_rate / tempo for tempo in TEMPO_RANGE[::-1])
    return np.ascontiguousarray(lags[:, int(np.ceil(fastest)) : int(slowest) + 1])


def tempo_ratio(lags: np.ndarray, grid: FrameGrid) -> np.ndarray:
    """The tempogram at 13 metrical multiples of the frame's own tempo, from 4 to 1/4: Prockup et al. (2015).

    Returns:
        float32 [T, 13].
    """
    import librosa

    if not len(lags):
        return np.zeros((0, 13), np.float32)
    return frames_first(librosa.feature.tempogram_ratio(tg=lags.T, sr=grid.sample_rate, hop_length=grid.hop))


def onset_strength_of_batch(analysis: BatchAnalysis) -> Tensor:
    """`onset_strength` of each row, [batch, frames, 1]."""
    log_mel = analysis.log_mel
    loudest = torch.where(analysis.is_frame[..., None], log_mel, -torch.inf).amax(dim=(1, 2), keepdim=True)
    level = torch.maximum(log_mel, loudest - ONSET_RANGE_DB)
    rise = torch.diff(level, dim=1, prepend=level[:, :1])
    return rise.clamp(min=0).mean(dim=-1, keepdim=True)


LABELS = (
    Label(
        "onset_strength", 1, "dB", "mean rise of the mel bands since the frame before",
        "Böck and Widmer 2013, as librosa", 0.045, lambda analysis: analysis.onset_strength, whole=("loudest",),
        parameters={"bands": MEL_BANDS, "range_db": ONSET_RANGE_DB},
        torch=TorchForm(onset_strength_of_batch, MEL_SECONDS, 1, local=False),
    ),
    Label(
        "tempogram", 88, "0 to 1", "autocorrelation of the onset strength, 240 to 30 beats a minute",
        "Grosche et al. 2010, as librosa", TEMPOGRAM_SECONDS, of(tempogram, "tempogram_lags", "grid"),
        whole=("loudest",), parameters={"frames": TEMPOGRAM_FRAMES, "range_bpm": list(TEMPO_RANGE)},
    ),
    Label(
        "tempo_ratio", 13, "0 to 1", "tempogram at metrical multiples of the tempo", "Prockup et al. 2015, as librosa",
        TEMPOGRAM_SECONDS, of(tempo_ratio, "tempogram_lags", "grid"), whole=("loudest",),
        parameters={"frames": TEMPOGRAM_FRAMES},
    ),
)  # fmt: skip
