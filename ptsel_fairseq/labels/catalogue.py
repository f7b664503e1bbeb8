"""Which pretext labels there are, and how one waveform becomes their tracks.

Importing this module is light: the analyses are imported when a waveform is analysed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ptsel_fairseq.errors import PtselError
from ptsel_fairseq.labels.analysis import Analysis
from ptsel_fairseq.labels.definitions import BUILT_IN
from ptsel_fairseq.labels.grid import SAMPLE_RATE, FrameGrid
from ptsel_fairseq.labels.label import Label

if TYPE_CHECKING:
    import numpy as np

    from ptsel_fairseq.labels.label import Track

LABELS = {label.name: label for label in sorted(BUILT_IN, key=lambda label: label.name)}


def names() -> list[str]:
    """All labels, sorted."""
    return list(LABELS)


def get(name: str) -> Label:
    """The label of a name; raise PtselError naming those there are."""
    if name not in LABELS:
        raise PtselError(f"no label {name!r}; the labels are {', '.join(LABELS)}")
    return LABELS[name]


def resolve(requested: Sequence[str]) -> list[Label]:
    """The labels of a request, sorted, ``all`` standing for every one; PtselError for one that is not known."""
    wanted = {name for word in requested for name in (names() if word == "all" else [word])}
    return [get(name) for name in sorted(wanted)]


def compute_tracks(waveform: np.ndarray, labels: Sequence[Label], grid: FrameGrid) -> dict[str, Track]:
    """The tracks of one waveform.

    Args:
        waveform: float32 [samples], full scale 1, at the grid's sample rate.
        labels: which.
        grid: the frames on which the tracks lie.

    Returns:
        name -> (values float32 [frames, dim], mask bool [frames] or None where the label is always defined).

    Raises:
        PtselError: a grid of another sample rate than the labels are defined for, or a value that is not finite,
            which would be a fault of the label.
    """
    if grid.sample_rate != SAMPLE_RATE:
        raise PtselError(
            f"the labels are defined for audio at {SAMPLE_RATE} Hz, not for {grid.sample_rate} Hz"
        )
    analysis = Analysis(waveform, grid)
    return {label.name: _track(label, analysis) for label in labels}


def _track(label: Label, analysis: Analysis) -> Track:
    import numpy as np

    computed = label.compute(analysis)
    values, valid = computed if isinstance(computed, tuple) else (computed, None)
    frames = analysis.grid.num_frames(len(analysis.waveform))
    if values.shape != (frames, label.dim) or (valid is not None and valid.shape != (frames,)):
        raise PtselError(
            f"label {label.name}: expected a track of {(frames, label.dim)}, found {values.shape}"
        )
    if not np.isfinite(values).all():
        raise PtselError(f"label {label.name}: a value that is not finite where the label is defined")
    return values, valid


def labels_command(names: Sequence[str] = (), plot: Path | None = None, out: Path | None = None) -> None:
    """`ptsel labels`: print labels, or draw them below the spectrogram of an audio file.

    Raises:
        PtselError: a label that is not known, a picture of no label or without a place, audio that cannot be used.
    """
    labels = resolve(names or ["all"])
    if plot is None and out is None:
        print_catalogue(labels)
        return
    if plot is None or out is None or not names:
        raise PtselError("to draw labels give their names, --plot AUDIO and --out FILE.png")
    from ptsel_fairseq.labels.figures import draw_file

    draw_file(plot, labels, out)
    print(f"picture: {out}")


def print_catalogue(labels: Sequence[Label]) -> None:
    """Print each label with its dimension, unit, meaning and source."""
    width = max(len(label.name) for label in labels)
    unit_width = max(len(label.unit) for label in labels)
    for label in labels:
        undefined = f"; undefined in {label.undefined}" if label.undefined else ""
        print(
            f"{label.name:{width}s}  {label.dim:3d}  {label.unit:{unit_width}s}  "
            f"{label.description} ({label.source}){undefined}"
        )
