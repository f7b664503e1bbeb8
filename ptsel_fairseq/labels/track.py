"""One label of one analysed waveform, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.labels.label import BUILT_IN, Label, Track
from ptsel_fairseq.labels.registry import describe
from ptsel_fairseq.labels.signal.analysis import Analysis

if TYPE_CHECKING:
    from ptsel_fairseq.labels.label import Computed


def track(label: Label, analysis: Analysis) -> Track:
    """The track of one label, checked; raise PtselError for a fault of the label."""
    computed = _compute(label, analysis)
    values, valid = computed if isinstance(computed, tuple) else (computed, None)
    return checked_track(label, values, valid, analysis.num_frames, analysis.first_frame)


def checked_track(
    label: Label, values: np.ndarray, valid: np.ndarray | None, frames: int, first: int = 0
) -> Track:
    """What was computed for `frames` frames from the frame `first` on, as a track.

    Args:
        values: numbers [frames, dim], or [frames] where dim is 1.
        valid: bool [frames]; None for a label that is always defined.

    Raises:
        PtselError: another shape, no numbers, a mask where there should be none or none where there should be one,
            or a value that is not finite where the label is defined.
    """
    if values.ndim == 1 and label.dim == 1:
        values = values[:, None]
    if values.shape != (frames, label.dim) or values.dtype.kind not in "fiub":
        raise PtselError(
            f"label {label.name}: expected numbers of shape {(frames, label.dim)} (frames, dim), found "
            f"{values.dtype} of shape {values.shape}"
        )
    if values.dtype != np.float32:
        with np.errstate(over="ignore"):
            values = values.astype(np.float32)
    if (valid is None) != (label.undefined is None):
        found = "no mask" if valid is None else "a mask, though it says that it is always defined"
        raise PtselError(
            f"label {label.name}: found {found}; a label that can be undefined says when (undefined=...) and "
            "returns values and mask"
        )
    if valid is None:
        valid = np.ones(frames, bool)
    elif valid.shape != (frames,) or valid.dtype != np.bool_:
        raise PtselError(
            f"label {label.name}: expected a mask of bool {(frames,)}, found {valid.dtype} of shape {valid.shape}"
        )
    else:
        values = np.where(valid[:, None], values, np.float32(0))
    if not np.isfinite(values).all():
        finite = np.isfinite(values).all(axis=1)
        later = f" behind frame {first}" if first else ""
        raise PtselError(
            f"label {label.name}: a value that is not finite where the label is defined, first in frame "
            f"{int(finite.argmin())} of {frames}{later}"
        )
    return Track(values, valid)


def _compute(label: Label, analysis: Analysis) -> Computed:
    """What a label's function returns, as arrays; an error of a user's code is told in one line."""
    if label.origin == BUILT_IN:
        return label.compute(analysis)
    try:
        computed = label.compute(analysis)
        if isinstance(computed, tuple):
            values, valid = computed
            return np.asarray(values), None if valid is None else np.asarray(valid)
        return np.asarray(computed)
    except PtselError:
        raise
    except Exception as error:
        raise PtselError(f"label {label.name}: {describe(error)}") from error
