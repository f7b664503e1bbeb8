"""Which pretext labels there are, and how one waveform becomes their tracks.

Importing this module is light: the analyses are imported when a waveform is analysed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import SAMPLE_RATE, FrameGrid
from ptsel_fairseq.labels.backends import resolve_for
from ptsel_fairseq.labels.label import Label
from ptsel_fairseq.labels.pools import ALL, expand
from ptsel_fairseq.labels.registry import get, names

if TYPE_CHECKING:
    import numpy as np

    from ptsel_fairseq.labels.label import Track

__all__ = ["compute_tracks", "get", "names", "resolve"]


def resolve(requested: Sequence[str], backend: str | None = None) -> list[Label]:
    """The labels of a request that names labels and pools, sorted; PtselError for one that is not known.

    With a `backend` they are as this program computes them, see `backends.resolve_for`.
    """
    if backend is not None:
        return resolve_for(requested, backend)
    return [get(name) for name in expand(requested, names() if ALL in requested else ())]


def compute_tracks(waveform: np.ndarray, labels: Sequence[Label], grid: FrameGrid) -> dict[str, Track]:
    """The tracks of one waveform; one of more than two minutes is analysed in blocks, see `extraction.long_recordings`.

    Args:
        waveform: float32 [samples], full scale 1, at the grid's sample rate.
        labels: which.
        grid: the frames on which the tracks lie.

    Returns:
        name -> track: values float32 [frames, dim], valid bool [frames].

    Raises:
        PtselError: a grid of another sample rate than the labels are defined for, or a fault of a label: wrong
            shapes, a value that is not finite, an error in a user's code.
    """
    if grid.sample_rate != SAMPLE_RATE:
        raise PtselError(
            f"the labels are defined for audio at {SAMPLE_RATE} Hz, not for {grid.sample_rate} Hz"
        )
    from ptsel_fairseq.labels.extraction.long_recordings import Waveform, joined_tracks, tracks_of

    found = joined_tracks(tracks_of(lambda: Waveform(waveform), len(waveform), labels, grid))
    return {label.name: found[label.name] for label in labels}
