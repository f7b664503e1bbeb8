"""Labels of harmony: pitch classes, constant-Q spectrum, tonal centroids, with librosa's definitions.

On the encoder's frame grid, from the 128 ms spectra and one constant-Q transform.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.late import LateModule
from ptsel_fairseq.labels.label import Label, TorchForm, of
from ptsel_fairseq.labels.signal.constant_q import CQT_BINS, LOWEST, OCTAVES, SEMITONES
from ptsel_fairseq.labels.signal.spectral import FLOOR_DB, LONG_N_FFT, LONG_SECONDS, decibels, in_bands

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ptsel_fairseq.labels.signal.batch_analysis import BatchAnalysis
else:
    torch = LateModule("torch")  # listing labels does not import it

A4 = 440  # Hz
CENS_FRAMES = 41  # of its smoothing
CENS_LEAST = (0.4, 0.2, 0.1, 0.05)  # shares from which a pitch class counts one step more
TINY = np.finfo(np.float32).tiny


def cqt(magnitude: np.ndarray) -> np.ndarray:
    """Constant-Q spectrum in semitones from C1, float32 [T, 84], dB, not below -100."""
    return decibels(np.square(magnitude))


def chroma(long_power: tuple[Tensor, ...], grid: FrameGrid) -> np.ndarray:
    """Energy by pitch class, from 128 ms spectra, tuned to 440 Hz; the strongest class of a frame is 1.

    Returns:
        float32 [T, 12], C to B; 0 in digital silence.
    """
    return over_largest(in_bands(long_power, chroma_bands(grid.sample_rate)))


@lru_cache
def chroma_bands(sample_rate: int) -> Tensor:
    """[1025, 12]: how much each bin of the 128 ms spectra counts for each pitch class in `chroma`."""
    from ptsel_fairseq.labels.signal.librosa_import import import_librosa

    librosa = import_librosa()

    return torch.from_numpy(
        librosa.filters.chroma(sr=sample_rate, n_fft=LONG_N_FFT, n_chroma=SEMITONES, tuning=0.0).T.copy()
    ).clone()


def chroma_cqt(magnitude: np.ndarray) -> np.ndarray:
    """As `chroma`, from magnitudes of the constant-Q transform: float32 [T, 12]."""
    return over_largest(pitch_classes(magnitude))


def pitch_classes(magnitude: np.ndarray) -> np.ndarray:
    """Sum of the magnitudes of each pitch class over the octaves, C to B: float32 [T, 12]."""
    return magnitude.reshape(len(magnitude), OCTAVES, SEMITONES).sum(axis=1)


def over_largest(values: np.ndarray) -> np.ndarray:
    """Values [T, dim] that are not negative over the largest of their frame; of a frame of zeros, zeros."""
    return over(values, values.max(axis=1, keepdims=True, initial=0))


def over(values: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Values [T, dim] over the size of their frame [T, 1]; as they are where it is next to nothing."""
    return values / np.where(size < TINY, np.float32(1), size)


def chroma_cens(magnitude: np.ndarray) -> np.ndarray:
    """Chroma energy normalised statistics: quantised, and smoothed over 41 frames (Müller and Ewert 2011).

    Returns:
        float32 [T, 12], of length 1 in each frame.
    """
    from scipy.ndimage import convolve1d
    from scipy.signal.windows import hann

    classes = pitch_classes(magnitude)
    share = over(classes, classes.sum(axis=1, keepdims=True))
    steps = sum(share > np.float32(least) for least in CENS_LEAST) / np.float32(len(CENS_LEAST))
    window = hann(CENS_FRAMES + 2)[1:-1]  # its ends are 0
    smooth = convolve1d(steps.astype(np.float32), window / window.sum(), axis=0, mode="constant")
    return over(smooth, np.linalg.norm(smooth, axis=1, keepdims=True))


def tonnetz(magnitude: np.ndarray) -> np.ndarray:
    """Tonal centroids on the circles of fifths, minor and major thirds: Harte et al. (2006, eq. 1), float32 [T, 6].

    Sine and cosine of each circle.
    """
    classes = pitch_classes(magnitude)
    share = over(classes, classes.sum(axis=1, keepdims=True))
    angle = np.pi * np.outer(np.arange(SEMITONES), [7 / 6, 3 / 2, 2 / 3])
    circles = np.stack([np.sin(angle), np.cos(angle)], axis=-1) * np.array([1, 1, 0.5])[:, None]
    return (share @ circles.reshape(SEMITONES, 6)).astype(np.float32)


def chroma_of_batch(analysis: BatchAnalysis) -> Tensor:
    """`chroma` of each row, [batch, frames, 12]."""
    found = analysis.product(analysis.long_power, chroma_bands, analysis.grid.sample_rate)
    strongest = found.amax(dim=-1, keepdim=True)
    return found / torch.where(strongest < torch.finfo(found.dtype).tiny, 1.0, strongest)


_CQT = {"bins": CQT_BINS, "bins_per_octave": SEMITONES, "lowest_hz": round(LOWEST, 2)}

LABELS = (
    Label(
        "chroma", SEMITONES, "0 to 1", "energy by pitch class, C to B, over the strongest", "as librosa's chroma_stft",
        LONG_SECONDS, of(chroma, "long_power", "grid"), version=2, parameters={"a4_hz": A4},  # 2: rounding
        torch=TorchForm(chroma_of_batch, LONG_SECONDS),
    ),
    Label(
        "chroma_cqt", SEMITONES, "0 to 1", "constant-Q magnitude by pitch class, over the strongest", "as librosa", 1.0,
        of(chroma_cqt, "cqt_magnitude"), version=2, parameters=_CQT,  # 2: rounding
    ),
    Label(
        "chroma_cens", SEMITONES, "0 to 1", "pitch classes quantised and smoothed over 41 frames",
        "Müller and Ewert 2011", 1.8, of(chroma_cens, "cqt_magnitude"), version=2, parameters=_CQT,  # 2: rounding
    ),
    Label(
        "cqt", CQT_BINS, "dB", "constant-Q spectrum in semitones from C1", "Schörkhuber and Klapuri 2010, as librosa",
        1.0, of(cqt, "cqt_magnitude"), version=2, parameters={**_CQT, "floor_db": FLOOR_DB},  # 2: rounding
    ),
    Label(
        "tonnetz", 6, "-1 to 1", "tonal centroids: circles of fifths, minor and major thirds", "Harte et al. 2006", 1.0,
        of(tonnetz, "cqt_magnitude"), version=2, parameters=_CQT,  # 2: rounding
    ),
)  # fmt: skip
