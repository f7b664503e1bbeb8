"""Labels of texture: the energy of what is steady in time and of what is spread in frequency."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptsel_fairseq.labels.label import Label
from ptsel_fairseq.labels.signal.compiled import compiled
from ptsel_fairseq.labels.signal.running_median import running_medians
from ptsel_fairseq.labels.signal.spectral import FLOOR_DB, decibels

MEDIAN_FRAMES = 31  # of the filters that part harmonic from percussive sound; as many bins
MEDIAN_BLOCK = 1024  # frames whose medians are found at once, which bounds the memory
MEDIAN_SECONDS = 0.728  # from the first of the 128 ms frames under the median to the last
SMALLEST = np.finfo(np.float32).tiny  # smaller magnitudes are no sound


def harmonic_percussive(magnitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Energy of the harmonic and of the percussive part, from medians of the 128 ms spectra: FitzGerald (2010).

    A bin is harmonic as far as the median over 31 frames exceeds that over 31 bins. The masks are librosa's.

    Args:
        magnitude: of the 128 ms spectra, float32 [T, 1025].

    Returns:
        two of float32 [T, 1], dB re full scale, not below -100.
    """
    frames, margin = len(magnitude), MEDIAN_FRAMES // 2
    medians, energies = compiled(running_medians), compiled(masked_energies, any_order=True)
    energy = np.zeros((2, frames, 1), np.float32)
    for first in range(0, frames, MEDIAN_BLOCK):
        begin, last = max(first - margin, 0), min(first + MEDIAN_BLOCK, frames)
        piece = magnitude[begin : last + margin]
        steady = medians(piece, MEDIAN_FRAMES)
        spread = medians(np.ascontiguousarray(piece.T), MEDIAN_FRAMES)
        found = energies(piece, steady, np.ascontiguousarray(spread.T))
        energy[:, first:last, 0] = found[:, first - begin : last - begin]
    return decibels(energy[0]), decibels(energy[1])


def masked_energies(magnitude: Any, steady: Any, spread: Any) -> Any:
    """Energy of each frame under soft masks that are in proportion to the squares of two medians; compiled by numba.

    Args:
        magnitude, steady, spread: float32 [frames, bins]; where both medians are 0, either mask is a half.

    Returns:
        float32 [2, frames], by the mask of `steady` and by the other.
    """
    frames, bins = magnitude.shape
    energy = np.empty((2, frames), np.float32)
    one, half = np.float32(1), np.float32(0.5)
    for t in range(frames):
        harmonic, percussive = 0.0, 0.0
        for k in range(bins):
            a, b = steady[t, k], spread[t, k]
            largest = max(a, b)
            share = half
            if largest >= SMALLEST:
                a, b = a / largest, b / largest
                a, b = a * a, b * b
                share = a / (a + b)
            one_part, other = magnitude[t, k] * share, magnitude[t, k] * (one - share)
            harmonic += np.float64(one_part) * np.float64(one_part)
            percussive += np.float64(other) * np.float64(other)
        energy[0, t], energy[1, t] = harmonic, percussive
    return energy


_MEDIANS = {"frames": MEDIAN_FRAMES, "bins": MEDIAN_FRAMES, "floor_db": FLOOR_DB}

LABELS = (
    Label(
        "harmonic_energy", 1, "dB", "energy of what is steady in time", "FitzGerald 2010, as librosa", MEDIAN_SECONDS,
        lambda analysis: analysis.harmonic_percussive[0], version=2, parameters=_MEDIANS,  # 2: rounding
    ),
    Label(
        "percussive_energy", 1, "dB", "energy of what is spread in frequency", "FitzGerald 2010, as librosa",
        MEDIAN_SECONDS, lambda analysis: analysis.harmonic_percussive[1], version=2, parameters=_MEDIANS,  # 2: rounding
    ),
)  # fmt: skip
