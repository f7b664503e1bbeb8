"""Labels of the shape of the spectrum and of its change, with librosa's definitions where it has them.

Written for tensors on any device, frames in the last dimension but one: one waveform, or a batch of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.late import LateModule
from ptsel_fairseq.labels.label import HALF_STEPS, Label, TorchForm, of
from ptsel_fairseq.labels.signal.compiled import compiled
from ptsel_fairseq.labels.signal.framing import of_one_waveform
from ptsel_fairseq.labels.signal.spectral import (
    FRAME_SECONDS,
    LONG_BINS,
    LONG_N_FFT,
    LONG_SECONDS,
    MEL_SECONDS,
    N_FFT,
    POWER_FLOOR,
    rows_of,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ptsel_fairseq.labels.label import Batched
    from ptsel_fairseq.labels.signal.batch_analysis import BatchAnalysis

    Masked = tuple[Tensor, Tensor]
else:
    torch = LateModule("torch")  # listing labels does not import it

ROLLOFF_SHARE = 0.85
BINS = N_FFT // 2 + 1
CONTRAST_BANDS = 6  # octaves from 200 Hz, and one band below them
CONTRAST_LOWEST = 200  # Hz
CONTRAST_QUANTILE = 0.02
QUIETEST = 1e-5  # magnitude, -100 dB
LANES = 512  # frames side by side: what is held of them fits the processor's first cache
BLOCKS = ("power", "between_power")

# All but flux and contrast have no value in digital silence, where they would be 0 / 0.


class Shares(NamedTuple):
    """Each bin's share of the magnitude spectrum [..., T, 257], and where there is a sound, bool [..., T]."""

    share: Tensor
    heard: Tensor


def shares(power: tuple[Tensor, ...]) -> Shares:
    """Those of power spectra, in blocks [..., 257]."""
    found = rows_of(power, BINS)
    magnitude = found.sqrt()
    share = magnitude / magnitude.sum(dim=-1, keepdim=True).clamp(min=QUIETEST)
    return Shares(share, found.sum(dim=-1) > POWER_FLOOR)


def centroid(shares: Shares, grid: FrameGrid) -> Masked:
    """Mean frequency of the magnitude spectrum, float32 [T, 1] in Hz, and where there is a sound, bool [T]."""
    share, heard = shares
    return _masked(_mean(share, _frequencies(grid, share)), heard)


def bandwidth(shares: Shares, grid: FrameGrid) -> Masked:
    """Standard deviation of frequency in the magnitude spectrum, float32 [T, 1] in Hz, and its mask."""
    share, heard = shares
    frequency = _frequencies(grid, share)
    distance = frequency - _mean(share, frequency).unsqueeze(-1)
    return _masked((share * distance.square()).sum(dim=-1).sqrt(), heard)


def _mean(share: Tensor, frequency: Tensor) -> Tensor:
    """Frequency averaged by share [..., T]; in float64 where the user lets float32 products be less precise."""
    if _products_are_full():
        return share @ frequency
    return (share.double() @ frequency.double()).to(share.dtype)


def _products_are_full() -> bool:
    """Whether float32 products are known to be made in float32."""
    try:
        return torch.get_float32_matmul_precision() == "highest"
    except RuntimeError:  # it was set for one backend, of which torch then asks the name
        return False


def rolloff(shares: Shares, grid: FrameGrid) -> Masked:
    """The frequency below which 85 % of the magnitude spectrum lies, float32 [T, 1] in Hz, and its mask."""
    share, heard = shares
    below = (share.double().cumsum(dim=-1) < ROLLOFF_SHARE).sum(dim=-1).clamp(max=BINS - 1)
    return _masked(_frequencies(grid, share)[below], heard)


def flatness(power: tuple[Tensor, ...], shares: Shares) -> Masked:
    """Geometric over arithmetic mean of the power spectrum, float32 [T, 1]: 0 a tone, 1 white; and its mask."""
    found = rows_of(power, BINS).clamp(min=POWER_FLOOR)
    return _masked(found.log().mean(dim=-1).exp() / found.mean(dim=-1), shares.heard)


def entropy(power: tuple[Tensor, ...], shares: Shares) -> Masked:
    """Entropy of the power spectrum taken as a distribution, over its largest (Misra et al. 2004).

    Returns:
        float32 [T, 1]: 0 one bin, 1 white; and its mask, bool [T].
    """
    found = rows_of(power, BINS)
    share = found / found.sum(dim=-1, keepdim=True).clamp(min=POWER_FLOOR)
    return _masked(-torch.xlogy(share, share).sum(dim=-1) / math.log(BINS), shares.heard)


def flux(between: tuple[Tensor, ...]) -> Tensor:
    """Change of the magnitude spectrum, each scaled to sum 1, from half a hop before to half a hop after.

    Tzanetakis and Cook (2002), with the root of the squared difference.

    Args:
        between: power midway between the frames, blocks of [T + 1, 257] in all.

    Returns:
        float32 [T, 1], 0 to 1.4.
    """
    magnitude = rows_of(between, BINS).sqrt()
    share = magnitude / magnitude.sum(dim=-1, keepdim=True).clamp(min=BINS * QUIETEST)
    return (share[..., 1:, :] - share[..., :-1, :]).norm(dim=-1).unsqueeze(-1)


def contrast(magnitude: Tensor, grid: FrameGrid) -> Tensor:
    """Peaks over valleys in seven octave bands of 128 ms magnitude spectra: Jiang et al. (2002).

    Bands and quantiles are librosa's, and so is the unit, 10 log10 of magnitudes. Unlike there, a loud frame does not
    lift the valleys of quiet ones: the floor is -100 dB re full scale for every frame.

    Args:
        magnitude: of the 128 ms spectra, [T, 1025].

    Returns:
        float32 [T, 7], dB.
    """
    columns = []
    if of_one_waveform(magnitude):
        magnitude = magnitude.t().contiguous().t()  # for `extremes` the frames of a bin lie side by side
    for first, last, counted in _contrast_bands(grid.sample_rate):
        band = magnitude[..., first:last]
        if counted == 1:
            peak, valley = band.amax(dim=-1), band.amin(dim=-1)
        else:
            peak, valley = (_extremes(band, counted, largest).mean(dim=-1) for largest in (True, False))
        peak, valley = peak.clamp(min=QUIETEST), valley.clamp(min=QUIETEST)
        columns.append(10 * (peak / valley).log10())
    return torch.stack(columns, dim=-1)


def _extremes(band: Tensor, count: int, largest: bool) -> Tensor:
    """The largest values of each row, or the smallest, the outermost first: [..., count]."""
    if of_one_waveform(band):
        bins = band.numpy().T
        found = compiled(extremes)(bins, count, bins.dtype.type(1 if largest else -1))
        return torch.from_numpy(found).t().contiguous()
    return band.topk(count, dim=-1, largest=largest).values


def extremes(bins: Any, count: int, sign: Any) -> Any:
    """The `count` largest values of each column where `sign` is 1, the smallest where it is -1; compiled by numba.

    As ``topk`` of torch: [count, columns] of [rows, columns], the outermost first. Each row is passed along
    those found so far by exchanges that are the same for every column.
    """
    rows, columns = bins.shape
    found = np.full((count, columns), -np.inf, bins.dtype)
    moving = np.empty(LANES, bins.dtype)
    for first in range(0, columns, LANES):
        here = min(LANES, columns - first)
        for k in range(rows):
            for t in range(here):
                moving[t] = sign * bins[k, first + t]
            for i in range(count):
                best = found[i, first : first + here]
                for t in range(here):
                    a, b = best[t], moving[t]
                    best[t] = a if a > b else b
                    moving[t] = b if a > b else a
    for i in range(count):
        for t in range(columns):
            found[i, t] *= sign
    return found


def _contrast_bands(sample_rate: int) -> list[tuple[int, int, int]]:
    """For each band the bins ``[first, last)`` and how many of them a peak or valley is the mean of."""
    frequency = np.arange(LONG_BINS) * sample_rate / LONG_N_FFT
    edges = [0.0, *(CONTRAST_LOWEST * 2.0 ** np.arange(CONTRAST_BANDS))]
    bands = []
    for k, low in enumerate(edges):
        high = edges[k + 1] if k + 1 < len(edges) else sample_rate / 2
        first = int(np.searchsorted(frequency, low)) - (k > 0)  # a bin of the band below, as in librosa
        last = int(np.searchsorted(frequency, high, side="right"))
        counted = max(round(CONTRAST_QUANTILE * (last - first)), 1)
        bands.append((first, last if k + 1 == len(edges) else last - 1, counted))
    return bands


def _frequencies(grid: FrameGrid, like: Tensor) -> Tensor:
    return torch.arange(BINS, dtype=like.dtype, device=like.device) * (grid.sample_rate / N_FFT)


def _masked(values: Tensor, heard: Tensor) -> Masked:
    return torch.where(heard, values, 0.0).unsqueeze(-1), heard


def _of_batch(function: Callable[..., Batched], *attributes: str) -> Callable[[BatchAnalysis], Batched]:
    """A function of this module for a batch; power, which it takes as a tuple of blocks, is one block."""

    def compute(analysis: BatchAnalysis) -> Batched:
        return function(
            *(
                (getattr(analysis, attribute),) if attribute in BLOCKS else getattr(analysis, attribute)
                for attribute in attributes
            )
        )

    return compute


_SILENCE = "digital silence"

LABELS = (
    Label(
        "spectral_centroid", 1, "Hz", "mean frequency of the magnitude spectrum", "as librosa", MEL_SECONDS,
        of(centroid, "shares", "grid"), undefined=_SILENCE,
        torch=TorchForm(_of_batch(centroid, "shares", "grid"), MEL_SECONDS),
    ),
    Label(
        "spectral_bandwidth", 1, "Hz", "standard deviation of frequency in the magnitude spectrum", "as librosa",
        MEL_SECONDS, of(bandwidth, "shares", "grid"), undefined=_SILENCE,
        torch=TorchForm(_of_batch(bandwidth, "shares", "grid"), MEL_SECONDS),
    ),
    Label(
        "spectral_rolloff", 1, "Hz", "frequency below which 85 % of the magnitude spectrum lies", "as librosa",
        MEL_SECONDS, of(rolloff, "shares", "grid"), undefined=_SILENCE, parameters={"share": ROLLOFF_SHARE},
        torch=TorchForm(_of_batch(rolloff, "shares", "grid"), MEL_SECONDS),
    ),
    Label(
        "spectral_flatness", 1, "0 to 1", "geometric over arithmetic mean of the power spectrum", "as librosa",
        MEL_SECONDS, of(flatness, "power", "shares"), undefined=_SILENCE,
        torch=TorchForm(_of_batch(flatness, "power", "shares"), MEL_SECONDS),
    ),
    Label(
        "spectral_entropy", 1, "0 to 1", "entropy of the power spectrum over its largest", "Misra et al. 2004",
        MEL_SECONDS, of(entropy, "power", "shares"), undefined=_SILENCE,
        torch=TorchForm(_of_batch(entropy, "power", "shares"), MEL_SECONDS),
    ),
    Label(
        "spectral_flux", 1, "0 to 1.4", "change of the scaled magnitude spectrum over one hop",
        "Tzanetakis and Cook 2002", MEL_SECONDS, of(flux, "between_power"),
        torch=TorchForm(_of_batch(flux, "between_power"), FRAME_SECONDS, HALF_STEPS),
    ),
    Label(
        "spectral_contrast", CONTRAST_BANDS + 1, "dB", "peaks over valleys in seven octave bands",
        "Jiang et al. 2002; bands as librosa", LONG_SECONDS, of(contrast, "long_magnitude", "grid"),
        parameters={"lowest_hz": CONTRAST_LOWEST, "quantile": CONTRAST_QUANTILE},
        torch=TorchForm(_of_batch(contrast, "long_magnitude", "grid"), LONG_SECONDS),
    ),
)  # fmt: skip
