"""Tracks of a batch of waveforms by torch, on any device: equal to those of `tracks` but for rounding.

Labels of short-time spectra have such a form. The others need a path through time (F0 and what rests on it), a
recursive filter (RASTA), a constant-Q transform, medians or long autocorrelations, and are computed on the CPU only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import SAMPLE_RATE, FrameGrid
from ptsel_fairseq.labels import registry
from ptsel_fairseq.labels.label import BUILT_IN, Label, TorchForm
from ptsel_fairseq.labels.signal.batch_analysis import BatchAnalysis


def compute_batch(
    waveforms: Tensor, lengths: Tensor, names: Sequence[str], grid: FrameGrid
) -> dict[str, tuple[Tensor, Tensor]]:
    """The tracks of a batch, without gradient and without autocast.

    Args:
        waveforms: float32 [batch, samples], full scale 1, on the device that computes.
        lengths: int64 [batch], samples of each row, there too.
        names: of labels that have a torch form.
        grid: of the tracks.

    Returns:
        name -> (values [batch, frames, dim], mask bool [batch, frames], False beyond the row's last frame).

    Raises:
        PtselError: a label that is not known or has no torch form, or a grid of another sample rate than the labels
            are defined for.
    """
    if grid.sample_rate != SAMPLE_RATE:
        raise PtselError(
            f"the labels are defined for audio at {SAMPLE_RATE} Hz, not for {grid.sample_rate} Hz"
        )
    tracks = {}
    with torch.no_grad(), torch.autocast(waveforms.device.type, enabled=False):
        analysis = BatchAnalysis(waveforms, lengths, grid)
        for name in names:
            values, valid = _checked(registry.get(name), analysis)
            tracks[name] = values, valid & analysis.is_frame
    return tracks


def _checked(label: Label, analysis: BatchAnalysis) -> tuple[Tensor, Tensor]:
    """What a label's torch form returns, with a mask; PtselError for a fault of the label."""
    form = torch_form(label.name)
    try:
        computed = form.compute(analysis)
    except PtselError:
        raise
    except Exception as error:
        if label.origin == BUILT_IN:
            raise
        raise PtselError(f"label {label.name}, torch form: {registry.describe(error)}") from error
    values, valid = computed if isinstance(computed, tuple) else (computed, None)
    shape = (*analysis.is_frame.shape, label.dim)
    if not isinstance(values, Tensor) or values.shape != shape:
        found = f"{tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
        raise PtselError(
            f"label {label.name}, torch form: expected a tensor {shape} (batch, frames, dim), found {found}"
        )
    if (valid is None) != (label.undefined is None):
        found = "no mask" if valid is None else "a mask, though it says that it is always defined"
        raise PtselError(
            f"label {label.name}, torch form: found {found}; a label that can be undefined says when (undefined=...) "
            "and returns values and mask"
        )
    if valid is not None and (valid.shape != shape[:-1] or valid.dtype != torch.bool):
        raise PtselError(
            f"label {label.name}, torch form: expected a mask of bool {shape[:-1]}, found {valid.dtype} of shape "
            f"{tuple(valid.shape)}"
        )
    return values.to(analysis.waveforms.dtype), analysis.is_frame if valid is None else valid


def complete_frames(name: str, samples: int, grid: FrameGrid, begins: bool, ends: bool) -> np.ndarray:
    """The frames of a crop that a recording's own track has with the same value.

    Args:
        name: of a label that has a torch form.
        samples: of the crop.
        begins, ends: whether the crop begins or ends where the recording does; beyond that the recording's own track
            sees zeros too.

    Returns:
        bool [frames].
    """
    before, after = torch_form(name).reach(grid)
    centre = grid.centre(0) + grid.hop * np.arange(grid.num_frames(samples))
    return (begins | (centre >= before)) & (ends | (centre + after <= samples))


def torch_form(name: str) -> TorchForm:
    """How torch computes the label of this name; PtselError if it is not known or has no torch form."""
    form = registry.get(name).torch
    if form is None:
        raise PtselError(
            f"label {name}: it has no form for torch, and is computed on the CPU only; those that have one are "
            f"{', '.join(torch_labels())}"
        )
    return form


def computed_by_torch(label: Label) -> bool:
    return label.torch is not None


def torch_labels() -> list[str]:
    """The labels that have a torch form, sorted."""
    return [name for name in registry.names() if registry.get(name).torch is not None]


def local_labels() -> list[str]:
    """The labels that can be computed from a crop: those whose torch form depends on nothing else, sorted."""
    return [name for name in torch_labels() if torch_form(name).local]
