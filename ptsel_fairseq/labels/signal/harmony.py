"""Labels of harmony: pitch classes, constant-Q spectrum, tonal centroids, with librosa's definitions.

On the encoder's frame grid, from the 128 ms spectra and one constant-Q transform.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.late import LateModule
from ptsel_fairseq.labels.label import Label, TorchForm, of
from ptsel_fairseq.labels.signal.framing import frames_first
from ptsel_fairseq.labels.signal.spectral import FLOOR_DB, LONG_N_FFT, LONG_SECONDS, decibels, rows_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ptsel_fairseq.labels.signal.batch_analysis import BatchAnalysis
else:
    torch = LateModule("torch")  # listing labels does not import it

LONG_BINS = LONG_N_FFT // 2 + 1
SEMITONES = 12
CQT_BINS = 7 * SEMITONES  # seven octaves of semitones from C1 to 4186 Hz
CQT_LOWEST = 32.70  # Hz, C1
A4 = 440  # Hz
QUIETEST = 1e-5  # magnitude, -100 dB
SHORTEST_SECONDS = 2.0  # that librosa's transform is given; what is added are zeros


def cqt_magnitude(waveform: np.ndarray, grid: FrameGrid) -> np.ndarray:
    """Magnitudes of the constant-Q transform in semitones (librosa's), float32 [T, 84].

    librosa centres its frames on multiples of the hop, so zeros in front move the grid's centres there. Frames in which
    every bin is below -100 dB are set to 0, lest rounding errors be taken for harmony.
    """
    import librosa

    frames = grid.num_frames(len(waveform))
    if not frames:
        return np.zeros((0, CQT_BINS), np.float32)
    in_front = -grid.centre(0) % grid.hop
    first = (grid.centre(0) + in_front) // grid.hop
    needed = max((first + frames) * grid.hop, round(SHORTEST_SECONDS * grid.sample_rate))
    padded = np.pad(waveform, (in_front, max(0, needed - in_front - len(waveform))))
    found = librosa.cqt(padded, sr=grid.sample_rate, hop_length=grid.hop, n_bins=CQT_BINS, tuning=0.0)
    magnitude = np.ascontiguousarray(np.abs(found[:, first : first + frames]).T, dtype=np.float32)
    magnitude[magnitude.max(axis=1) < QUIETEST] = 0
    return magnitude


def cqt(magnitude: np.ndarray) -> np.ndarray:
    """Constant-Q spectrum in semitones from C1, float32 [T, 84], dB, not below -100."""
    return decibels(np.square(magnitude))


def chroma(long_power: tuple[Tensor, ...], grid: FrameGrid) -> np.ndarray:
    """Energy by pitch class, from 128 ms spectra, tuned to 440 Hz; the strongest class of a frame is 1.

    Returns:
        float32 [T, 12], C to B; 0 in digital silence.
    """
    import librosa

    power = rows_of(long_power, LONG_BINS).numpy()
    if not len(power):
        return np.zeros((0, SEMITONES), np.float32)
    return frames_first(librosa.feature.chroma_stft(S=power.T, sr=grid.sample_rate, tuning=0.0))


def chroma_bands(sample_rate: int) -> Tensor:
    """[1025, 12]: how much each bin of the 128 ms spectra counts for each pitch class in `chroma`."""
    import librosa.filters

    return torch.from_numpy(
        librosa.filters.chroma(sr=sample_rate, n_fft=LONG_N_FFT, n_chroma=SEMITONES, tuning=0.0).T.copy()
    )


def chroma_cqt(magnitude: np.ndarray) -> np.ndarray:
    """As `chroma`, from magnitudes of the constant-Q transform: float32 [T, 12]."""
    import librosa

    if not len(magnitude):
        return np.zeros((0, SEMITONES), np.float32)
    return frames_first(librosa.feature.chroma_cqt(C=magnitude.T, bins_per_octave=SEMITONES))


def chroma_cens(magnitude: np.ndarray) -> np.ndarray:
    """Chroma energy normalised statistics: quantised, and smoothed over 41 frames (Müller and Ewert 2011).

    Returns:
        float32 [T, 12], of length 1 in each frame.
    """
    import librosa

    if not len(magnitude):
        return np.zeros((0, SEMITONES), np.float32)
    return frames_first(librosa.feature.chroma_cens(C=magnitude.T, bins_per_octave=SEMITONES))


def tonnetz(magnitude: np.ndarray) -> np.ndarray:
    """Tonal centroids on the circles of fifths, minor and major thirds: Harte et al. (2006), float32 [T, 6]."""
    import librosa

    if not len(magnitude):
        return np.zeros((0, 6), np.float32)
    return frames_first(librosa.feature.tonnetz(chroma=chroma_cqt(magnitude).T))


def chroma_of_batch(analysis: BatchAnalysis) -> Tensor:
    """`chroma` of each row, [batch, frames, 12]."""
    found = analysis.product(analysis.long_power, chroma_bands, analysis.grid.sample_rate)
    strongest = found.amax(dim=-1, keepdim=True)
    return found / torch.where(strongest < torch.finfo(found.dtype).tiny, 1.0, strongest)


_CQT = {"bins": CQT_BINS, "bins_per_octave": SEMITONES, "lowest_hz": CQT_LOWEST}

LABELS = (
    Label(
        "chroma", SEMITONES, "0 to 1", "energy by pitch class, C to B, over the strongest", "as librosa's chroma_stft",
        LONG_SECONDS, of(chroma, "long_power", "grid"), parameters={"a4_hz": A4},
        torch=TorchForm(chroma_of_batch, LONG_SECONDS),
    ),
    Label(
        "chroma_cqt", SEMITONES, "0 to 1", "constant-Q magnitude by pitch class, over the strongest", "as librosa", 1.0,
        of(chroma_cqt, "cqt_magnitude"), parameters=_CQT,
    ),
    Label(
        "chroma_cens", SEMITONES, "0 to 1", "pitch classes quantised and smoothed over 41 frames",
        "Müller and Ewert 2011", 1.8, of(chroma_cens, "cqt_magnitude"), parameters=_CQT,
    ),
    Label(
        "cqt", CQT_BINS, "dB", "constant-Q spectrum in semitones from C1", "Schörkhuber and Klapuri 2010, as librosa",
        1.0, of(cqt, "cqt_magnitude"), parameters={**_CQT, "floor_db": FLOOR_DB},
    ),
    Label(
        "tonnetz", 6, "-1 to 1", "tonal centroids: circles of fifths, minor and major thirds", "Harte et al. 2006", 1.0,
        of(tonnetz, "cqt_magnitude"), parameters=_CQT,
    ),
)  # fmt: skip
