"""Labels of texture: the energy of what is steady in time and of what is spread in frequency."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ptsel_fairseq.base.late import LateModule
from ptsel_fairseq.labels.label import Label
from ptsel_fairseq.labels.signal.spectral import FLOOR_DB, LONG_N_FFT, decibels, rows_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LateModule("torch")  # listing labels does not import it

LONG_BINS = LONG_N_FFT // 2 + 1
MEDIAN_FRAMES = 31  # of the filters that part harmonic from percussive sound; as many bins
MEDIAN_BLOCK = 1024  # frames whose medians are found at once, which bounds the memory
MEDIAN_SECONDS = 0.728  # from the first of the 128 ms frames under the median to the last
SOFTNESS = 2.0


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


_MEDIANS = {"frames": MEDIAN_FRAMES, "bins": MEDIAN_FRAMES, "floor_db": FLOOR_DB}

LABELS = (
    Label(
        "harmonic_energy", 1, "dB", "energy of what is steady in time", "FitzGerald 2010, as librosa", MEDIAN_SECONDS,
        lambda analysis: analysis.harmonic_percussive[0], parameters=_MEDIANS,
    ),
    Label(
        "percussive_energy", 1, "dB", "energy of what is spread in frequency", "FitzGerald 2010, as librosa",
        MEDIAN_SECONDS, lambda analysis: analysis.harmonic_percussive[1], parameters=_MEDIANS,
    ),
)  # fmt: skip
