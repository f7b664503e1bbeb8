"""Which pretext labels there are, and how one waveform becomes their tracks.

Importing this module is light: the analyses are imported when a waveform is analysed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ptsel_fairseq.errors import PtselError
from ptsel_fairseq.labels.analysis import Analysis
from ptsel_fairseq.labels.grid import SAMPLE_RATE, FrameGrid
from ptsel_fairseq.labels.label import BUILT_IN, Label
from ptsel_fairseq.labels.pools import ALL, expand
from ptsel_fairseq.labels.registry import describe, get, names

if TYPE_CHECKING:
    import numpy as np

    from ptsel_fairseq.labels.label import Computed, Track

__all__ = ["compute_tracks", "get", "names", "resolve"]


def resolve(requested: Sequence[str]) -> list[Label]:
    """The labels of a request that names labels and pools, sorted; PtselError for one that is not known."""
    return [get(name) for name in expand(requested, names() if ALL in requested else ())]


def compute_tracks(waveform: np.ndarray, labels: Sequence[Label], grid: FrameGrid) -> dict[str, Track]:
    """The tracks of one waveform.

    Args:
        waveform: float32 [samples], full scale 1, at the grid's sample rate.
        labels: which.
        grid: the frames on which the tracks lie.

    Returns:
        name -> (values float32 [frames, dim], mask bool [frames] or None where the label is always defined).

    Raises:
        PtselError: a grid of another sample rate than the labels are defined for, or a fault of a label: wrong
            shapes, a value that is not finite, an error in a user's code.
    """
    if grid.sample_rate != SAMPLE_RATE:
        raise PtselError(
            f"the labels are defined for audio at {SAMPLE_RATE} Hz, not for {grid.sample_rate} Hz"
        )
    analysis = Analysis(waveform, grid)
    return {label.name: _track(label, analysis) for label in labels}


def _track(label: Label, analysis: Analysis) -> Track:
    computed = _compute(label, analysis)
    values, valid = computed if isinstance(computed, tuple) else (computed, None)
    return checked_track(label, values, valid, analysis.num_frames)


def checked_track(label: Label, values: np.ndarray, valid: np.ndarray | None, frames: int) -> Track:
    """What a label's code has computed as a track of so many frames; PtselError if it is none."""
    import numpy as np

    if values.ndim == 1 and label.dim == 1:
        values = values[:, None]
    if values.shape != (frames, label.dim) or values.dtype.kind not in "fiub":
        raise PtselError(
            f"label {label.name}: expected numbers of shape {(frames, label.dim)} (frames, dim), found "
            f"{values.dtype} of shape {values.shape}"
        )
    with np.errstate(over="ignore"):
        values = values.astype(np.float32, copy=False)
    if (valid is None) != (label.undefined is None):
        found = "no mask" if valid is None else "a mask, though it says that it is always defined"
        raise PtselError(
            f"label {label.name}: found {found}; a label that can be undefined says when (undefined=...) and "
            "returns values and mask"
        )
    if valid is not None:
        if valid.shape != (frames,) or valid.dtype != np.bool_:
            raise PtselError(
                f"label {label.name}: expected a mask of bool {(frames,)}, found {valid.dtype} of shape {valid.shape}"
            )
        values = np.where(valid[:, None], values, np.float32(0))
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        raise PtselError(
            f"label {label.name}: a value that is not finite where the label is defined, first in frame "
            f"{int(finite.argmin())} of {frames}"
        )
    return values, valid


def _compute(label: Label, analysis: Analysis) -> Computed:
    """What a label's function returns, as arrays; an error of a user's code is told in one line."""
    import numpy as np

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
