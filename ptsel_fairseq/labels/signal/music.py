"""Labels of harmony, rhythm and texture, with librosa's definitions on the encoder's frame grid.

Harmony and texture share the 128 ms spectra and one constant-Q transform, rhythm the bands of `log_mel`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels.signal.spectral import LONG_N_FFT, decibels, rows_of

LONG_BINS = LONG_N_FFT // 2 + 1
CQT_BINS = 84  # seven octaves of semitones from C1, 32.7 Hz, to 4186 Hz
SEMITONES = 12
QUIETEST = 1e-5  # magnitude, -100 dB
SHORTEST_SECONDS = 2.0  # that librosa's transform is given; what is added are zeros
ONSET_RANGE_DB = 80.0  # below the loudest band of the file, changes do not count
TEMPOGRAM_FRAMES = 384  # 7.7 s
TEMPO_RANGE = (30.0, 240.0)  # beats a minute
MEDIAN_FRAMES = 31  # of the filters that part harmonic from percussive sound; as many bins
MEDIAN_BLOCK = 1024  # frames whose medians are found at once, which bounds the memory
SOFTNESS = 2.0


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
    return _frames_first(librosa.feature.chroma_stft(S=power.T, sr=grid.sample_rate, tuning=0.0))


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
    return _frames_first(librosa.feature.chroma_cqt(C=magnitude.T, bins_per_octave=SEMITONES))


def chroma_cens(magnitude: np.ndarray) -> np.ndarray:
    """Chroma energy normalised statistics: quantised, and smoothed over 41 frames (Müller and Ewert 2011).

    Returns:
        float32 [T, 12], of length 1 in each frame.
    """
    import librosa

    if not len(magnitude):
        return np.zeros((0, SEMITONES), np.float32)
    return _frames_first(librosa.feature.chroma_cens(C=magnitude.T, bins_per_octave=SEMITONES))


def tonnetz(magnitude: np.ndarray) -> np.ndarray:
    """Tonal centroids on the circles of fifths, minor and major thirds: Harte et al. (2006), float32 [T, 6]."""
    import librosa

    if not len(magnitude):
        return np.zeros((0, 6), np.float32)
    return _frames_first(librosa.feature.tonnetz(chroma=chroma_cqt(magnitude).T))


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
    return _frames_first(
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
    return _frames_first(librosa.feature.tempogram_ratio(tg=lags.T, sr=grid.sample_rate, hop_length=grid.hop))


def harmonic_percussive(long_power: tuple[Tensor, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Energy of the harmonic and of the percussive part, from medians of the 128 ms spectra: FitzGerald (2010).

    A bin is harmonic as far as the median over 31 frames exceeds that over 31 bins. The masks are librosa's.

    Returns:
        two of float32 [T, 1], dB re full scale, not below -100.
    """
    import librosa

    magnitude = rows_of(long_power, LONG_BINS).sqrt().numpy()
    frames, margin = len(magnitude), MEDIAN_FRAMES // 2
    energy = np.zeros((2, frames, 1), np.float32)
    for first in range(0, frames, MEDIAN_BLOCK):
        begin, last = max(first - margin, 0), min(first + MEDIAN_BLOCK, frames)
        piece = magnitude[begin : last + margin]
        steady, spread = _row_medians(np.ascontiguousarray(piece.T)).T, _row_medians(piece)
        share = librosa.util.softmask(steady, spread, power=SOFTNESS, split_zeros=True)
        for part, weight in enumerate((share, 1 - share)):
            # By torch in double precision: a sum along rows that does not depend on how the array lies in memory.
            power = torch.from_numpy(piece * weight).double().square().sum(dim=1).float().numpy()
            energy[part, first:last, 0] = power[first - begin : last - begin]
    return decibels(energy[0]), decibels(energy[1])


def _row_medians(values: np.ndarray) -> np.ndarray:
    """Running median over 31 values along each row, rows continued by reflection.

    All rows go through one filter of one dimension, which scipy does nine times faster than one of two.
    """
    from scipy.ndimage import median_filter

    half = MEDIAN_FRAMES // 2
    padded = np.pad(values, ((0, 0), (half, half)), mode="symmetric")
    return median_filter(padded.reshape(-1), size=MEDIAN_FRAMES).reshape(padded.shape)[:, half:-half]


def _frames_first(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values.T, dtype=np.float32)
