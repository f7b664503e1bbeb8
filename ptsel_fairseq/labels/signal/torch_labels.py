"""The labels that torch computes for a batch of waveforms on any device: equal to `catalogue` but for rounding.

Those are the labels of short-time spectra. The others need a path through time (F0 and what rests on it), a recursive
filter (RASTA), a constant-Q transform, medians or long autocorrelations, and are computed on the CPU only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import SAMPLE_RATE, FrameGrid
from ptsel_fairseq.labels.label import BUILT_IN, Label
from ptsel_fairseq.labels.signal import cepstral, music, spectral, spectral_shape
from ptsel_fairseq.labels.signal import pitch as prosody
from ptsel_fairseq.labels.signal.batch_analysis import BatchAnalysis, decibels, to_grid

# Values [batch, frames, dim], or with a mask [batch, frames] where a label can be undefined.
Batched = Tensor | tuple[Tensor, Tensor]


@dataclass(frozen=True)
class TorchLabel:
    """How torch computes a label, and what of the waveform a frame depends on.

    Attributes:
        compute: values and perhaps mask of a batch.
        seconds: width of an analysis frame.
        hops: from the frame's centre to the centre of the farthest analysis frame that counts.
        samples: beyond the analysis frame that count too.
        local: whether a frame depends on nothing else; if not, on the whole recording.
    """

    compute: Callable[[BatchAnalysis], Batched]
    seconds: float
    hops: float = 0.0
    samples: int = 0
    local: bool = True

    def reach(self, grid: FrameGrid) -> tuple[int, int]:
        """Samples before a frame's centre on which it depends, and from there on to the last."""
        width = round(self.seconds * grid.sample_rate)
        around = round(self.hops * grid.hop) + self.samples
        return around + width // 2, around + width - width // 2


def compute_batch(
    waveforms: Tensor, lengths: Tensor, names: Sequence[str], grid: FrameGrid
) -> dict[str, tuple[Tensor, Tensor]]:
    """The tracks of a batch, without gradient and without autocast.

    Args:
        waveforms: float32 [batch, samples], full scale 1, on the device that computes.
        lengths: int64 [batch], samples of each row, there too.
        names: of labels in `TORCH_LABELS`.
        grid: of the tracks.

    Returns:
        name -> (values [batch, frames, dim], mask bool [batch, frames], False beyond the row's last frame).

    Raises:
        PtselError: a grid of another sample rate than the labels are defined for.
    """
    if grid.sample_rate != SAMPLE_RATE:
        raise PtselError(
            f"the labels are defined for audio at {SAMPLE_RATE} Hz, not for {grid.sample_rate} Hz"
        )
    tracks = {}
    with torch.no_grad(), torch.autocast(waveforms.device.type, enabled=False):
        analysis = BatchAnalysis(waveforms, lengths, grid)
        for name in names:
            computed = TORCH_LABELS[name].compute(analysis)
            values, valid = computed if isinstance(computed, tuple) else (computed, analysis.is_frame)
            tracks[name] = values, valid & analysis.is_frame
    return tracks


def complete_frames(name: str, samples: int, grid: FrameGrid, begins: bool, ends: bool) -> np.ndarray:
    """The frames of a crop that a recording's own track has with the same value.

    Args:
        name: of a label in `TORCH_LABELS`.
        samples: of the crop.
        begins, ends: whether the crop begins or ends where the recording does; beyond that the recording's own track
            sees zeros too.

    Returns:
        bool [frames].
    """
    before, after = TORCH_LABELS[name].reach(grid)
    centre = grid.centre(0) + grid.hop * np.arange(grid.num_frames(samples))
    return (begins | (centre >= before)) & (ends | (centre + after <= samples))


def computed_by_torch(label: Label) -> bool:
    return label.origin == BUILT_IN and label.name in TORCH_LABELS


def local_labels() -> list[str]:
    """The labels that can be computed from a crop, sorted."""
    return sorted(name for name, label in TORCH_LABELS.items() if label.local)


def _loudness(analysis: BatchAnalysis) -> Tensor:
    heard = analysis.auditory[..., : spectral.AUDITORY_BANDS] * analysis.constant(_equal_loudness)
    return to_grid((heard**spectral.COMPRESSION).sum(dim=-1, keepdim=True))


def _alpha_ratio(analysis: BatchAnalysis) -> Tensor:
    low, high = analysis.auditory[..., spectral.AUDITORY_BANDS :].unbind(-1)
    heard = (torch.maximum(low, high) > spectral.POWER_FLOOR).to(low.dtype)
    low, high = (power.clamp(min=spectral.POWER_FLOOR) for power in (low, high))
    ratio = 10 * (high / low).log10()
    return (to_grid(ratio * heard) / to_grid(heard).clamp(min=0.1)).unsqueeze(-1)


def _rms(analysis: BatchAnalysis, seconds: float) -> Tensor:
    """Root mean square around each half step, [batch, 2 frames + 1]."""
    width = round(seconds * analysis.grid.sample_rate)
    total = analysis.window_sums(analysis.waveforms.double().square(), width)
    return (total.clamp(min=0) / width).sqrt().to(analysis.waveforms.dtype)


def _rms_energy(analysis: BatchAnalysis) -> Tensor:
    return to_grid(_rms(analysis, prosody.RMS_SECONDS)).unsqueeze(-1)


def _zcr(analysis: BatchAnalysis) -> Tensor:
    width = round(prosody.ZCR_SECONDS * analysis.grid.sample_rate)
    sign = analysis.waveforms.sign().to(torch.int8)
    before, here, after = sign[:, :-2], sign[:, 1:-1], sign[:, 2:]
    position = torch.arange(1, analysis.num_samples, device=analysis.device)
    last = analysis.lengths[:, None] - 1
    crossing = sign[:, 1:] * sign[:, :-1] < 0
    crossing[:, :-1] |= (here == 0) & (before * after <= 0) & (position[:-1] < last)
    crossing &= position <= last
    sums = analysis.window_sums(torch.nn.functional.pad(crossing.double(), (1, 0)), width)
    return to_grid((sums / width).to(analysis.waveforms.dtype)).unsqueeze(-1)


def _voicing(analysis: BatchAnalysis) -> Tensor:
    sums = analysis.harmonic_sums()
    mean, pitches = sums[..., -1], sums[..., :-1]
    here = pitches[..., 1:-1]
    peak = (here >= pitches[..., :-2]) & (here > pitches[..., 2:])
    best = torch.where(peak, here, 0.0).amax(dim=-1)
    heard = (best > 0) & (_rms(analysis, prosody.PITCH_SECONDS) >= prosody.SILENCE_RMS)
    strength = torch.where(heard, 1 - mean / best.clamp(min=torch.finfo(best.dtype).tiny), 0.0)
    return to_grid(strength.clamp(min=0)).unsqueeze(-1)


def _log_mel_long(analysis: BatchAnalysis) -> Tensor:
    rate, points = analysis.grid.sample_rate, spectral.LONG_N_FFT
    return decibels(analysis.product(analysis.long_power, spectral.mel_bands, rate, points))


def _gammatone(analysis: BatchAnalysis) -> Tensor:
    return decibels(analysis.product(analysis.power, spectral.gammatone_bands, analysis.grid.sample_rate))


def _cepstra(analysis: BatchAnalysis, coefficients: int) -> Tensor:
    """As `cepstral.mfcc`: each row's first and last frame stand for those beyond its ends."""
    cepstrum = analysis.product(analysis.log_mel, _cosines, spectral.MEL_BANDS, coefficients)
    half = cepstral.DELTA_WIDTH // 2
    offset = torch.arange(-half, half + 1, device=analysis.device)
    frame = torch.arange(analysis.num_frames, device=analysis.device)[:, None] + offset
    last = (analysis.frames - 1).clamp(min=0)
    frame = torch.minimum(frame.clamp(min=0), last[:, None, None])  # [batch, frames, 9]
    row = torch.arange(len(cepstrum), device=analysis.device)[:, None]
    derivatives = [torch.zeros_like(cepstrum) for _ in cepstral.DERIVATIVES]
    for k in range(cepstral.DELTA_WIDTH):
        neighbour = cepstrum[row, frame[..., k]]
        for derivative, order in zip(derivatives, cepstral.DERIVATIVES, strict=True):
            derivative += float(cepstral.delta_weights(order)[k]) * neighbour
    return torch.cat([cepstrum, *derivatives], dim=-1)


def _plp(analysis: BatchAnalysis) -> Tensor:
    bands = analysis.auditory[..., : spectral.AUDITORY_BANDS].clamp(min=spectral.POWER_FLOOR).double()
    heard = (bands * analysis.constant(_equal_loudness).double()) ** spectral.COMPRESSION
    heard = torch.cat([heard[..., :1], heard, heard[..., -1:]], dim=-1)
    order = cepstral.PLP_ORDER
    correlation = torch.fft.irfft(heard, dim=-1)[..., : order + 1]
    a = torch.zeros_like(correlation)
    a[..., 0] = 1
    error = correlation[..., 0].clone()
    for n in range(1, order + 1):
        reflection = -(a[..., :n] * correlation[..., 1 : n + 1].flip(-1)).sum(dim=-1) / error
        a[..., 1 : n + 1] += reflection[..., None] * a[..., :n].flip(-1)
        error *= 1 - reflection.square()
    cepstrum = torch.zeros_like(a)
    cepstrum[..., 0] = error.log()
    rank = torch.arange(order + 1, dtype=a.dtype, device=a.device)
    for n in range(1, order + 1):
        earlier = (rank[1:n] * cepstrum[..., 1:n] * a[..., 1:n].flip(-1)).sum(dim=-1)
        cepstrum[..., n] = -a[..., n] - earlier / n
    return to_grid(cepstrum).to(analysis.waveforms.dtype)


def _chroma(analysis: BatchAnalysis) -> Tensor:
    found = analysis.product(analysis.long_power, music.chroma_bands, analysis.grid.sample_rate)
    strongest = found.amax(dim=-1, keepdim=True)
    return found / torch.where(strongest < torch.finfo(found.dtype).tiny, 1.0, strongest)


def _onset_strength(analysis: BatchAnalysis) -> Tensor:
    log_mel = analysis.log_mel
    loudest = torch.where(analysis.is_frame[..., None], log_mel, -torch.inf).amax(dim=(1, 2), keepdim=True)
    level = torch.maximum(log_mel, loudest - music.ONSET_RANGE_DB)
    rise = torch.diff(level, dim=1, prepend=level[:, :1])
    return rise.clamp(min=0).mean(dim=-1, keepdim=True)


def _equal_loudness() -> Tensor:
    return torch.from_numpy(spectral.equal_loudness_of_bands())


def _cosines(bands: int, coefficients: int) -> Tensor:
    """The orthonormal DCT-II as a matrix [bands, coefficients], float64."""
    from scipy.fft import dct

    return torch.from_numpy(dct(np.eye(bands), type=2, norm="ortho", axis=1)[:, :coefficients].copy())


def _shape(function: Callable[..., Batched], *attributes: str) -> Callable[[BatchAnalysis], Batched]:
    """A label of `spectral_shape`, which takes spectra in a tuple of blocks."""

    def compute(analysis: BatchAnalysis) -> Batched:
        first, *others = (getattr(analysis, attribute) for attribute in attributes)
        return function((first,), *others)

    return compute


_HALF_STEPS = 0.5  # hops from a frame's centre to its outer half steps
_DELTAS = cepstral.DELTA_WIDTH // 2

TORCH_LABELS: dict[str, TorchLabel] = {
    "alpha_ratio": TorchLabel(_alpha_ratio, spectral.FRAME_SECONDS, _HALF_STEPS),
    "audspec_l1": TorchLabel(_loudness, spectral.FRAME_SECONDS, _HALF_STEPS),
    "chroma": TorchLabel(_chroma, spectral.LONG_SECONDS),
    "gammatone": TorchLabel(_gammatone, spectral.MEL_SECONDS),
    "log_mel": TorchLabel(lambda analysis: analysis.log_mel, spectral.MEL_SECONDS),
    "log_mel_long": TorchLabel(_log_mel_long, spectral.LONG_SECONDS),
    "loudness": TorchLabel(_loudness, spectral.FRAME_SECONDS, _HALF_STEPS),
    "lps": TorchLabel(lambda analysis: decibels(analysis.power), spectral.MEL_SECONDS),
    "mfcc": TorchLabel(lambda analysis: _cepstra(analysis, 13), spectral.MEL_SECONDS, _DELTAS),
    "mfcc_deltas": TorchLabel(lambda analysis: _cepstra(analysis, 20), spectral.MEL_SECONDS, _DELTAS),
    "onset_strength": TorchLabel(_onset_strength, spectral.MEL_SECONDS, 1, local=False),
    "plp": TorchLabel(_plp, spectral.FRAME_SECONDS, _HALF_STEPS),
    "rms_energy": TorchLabel(_rms_energy, prosody.RMS_SECONDS, _HALF_STEPS),
    "spectral_bandwidth": TorchLabel(_shape(spectral_shape.bandwidth, "power", "grid"), spectral.MEL_SECONDS),
    "spectral_centroid": TorchLabel(_shape(spectral_shape.centroid, "power", "grid"), spectral.MEL_SECONDS),
    "spectral_contrast": TorchLabel(
        _shape(spectral_shape.contrast, "long_power", "grid"), spectral.LONG_SECONDS
    ),
    "spectral_entropy": TorchLabel(_shape(spectral_shape.entropy, "power"), spectral.MEL_SECONDS),
    "spectral_flatness": TorchLabel(_shape(spectral_shape.flatness, "power"), spectral.MEL_SECONDS),
    "spectral_flux": TorchLabel(
        _shape(spectral_shape.flux, "between_power"), spectral.FRAME_SECONDS, _HALF_STEPS
    ),
    "spectral_rolloff": TorchLabel(_shape(spectral_shape.rolloff, "power", "grid"), spectral.MEL_SECONDS),
    "voicing": TorchLabel(_voicing, prosody.PITCH_SECONDS, _HALF_STEPS),
    "zcr": TorchLabel(_zcr, prosody.ZCR_SECONDS, _HALF_STEPS, samples=1),
}
