"""A picture of one utterance: its spectrogram and, below it on the same time axis, its labels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ptsel_fairseq.base.audio import AudioFile, read_audio
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.manifest import Manifest, Utterance
from ptsel_fairseq.base.pictures import BLUE, save
from ptsel_fairseq.labels.extraction.stretch import tracks_between
from ptsel_fairseq.labels.label import Label, Track
from ptsel_fairseq.labels.signal.analysis import Analysis
from ptsel_fairseq.labels.store.reader import LabelStore
from ptsel_fairseq.labels.tracks import compute_tracks, get

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SPREAD, PITCH = "#D9D9D9", "#FFFFFF"
NOTES = (
    "C",
    "C♯",
    "D",
    "D♯",
    "E",
    "F",
    "F♯",
    "G",
    "G♯",
    "A",
    "A♯",
    "B",
)  # of chroma, from its first dimension
LOG_MEL = "log_mel"
SPECTROGRAM_RANGE_DB = 70
FREQUENCY_TICKS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # kHz
WIDTH_INCHES, SPECTROGRAM_INCHES, ROW_INCHES = 10.0, 2.6, 0.85


@dataclass(frozen=True)
class Row:
    """A track to draw: values [frames, dim], where they are defined [frames], and their usual range [dim]."""

    name: str
    unit: str
    undefined: str | None
    values: np.ndarray
    valid: np.ndarray
    mean: np.ndarray
    std: np.ndarray


def draw_labels(
    manifest: Manifest,
    utterance: Utterance,
    store: Path | str,
    out: Path | str,
    labels: Sequence[str] | None = None,
) -> None:
    """Draw one utterance's log-mel spectrogram, with F0 over it if the store has it, and a row for each label.

    A grey band is the mean of the label over the split, one standard deviation to each side; a track has gaps where
    the label is undefined. Labels of several dimensions are drawn as a map, in standard deviations.

    Args:
        manifest: of the split.
        utterance: one of its lines.
        store: folder of the label store.
        out: the picture; its ending tells the format (png, pdf, svg).
        labels: which; default, those of the store that have one dimension and are no codes.

    Raises:
        PtselError: no such label or store, a store of another manifest, audio that cannot be read, an utterance
            shorter than one frame.
    """
    found = LabelStore(store, manifest.split)
    found.check_manifest(manifest)
    names = list(labels or ())
    if labels is None:
        infos = [found.info(name) for name in found.labels]
        names = [info.name for info in infos if info.dim == 1 and info.codes is None]
    where = manifest.where(utterance)
    waveform = read_audio(manifest.audio_path(utterance), found.grid.sample_rate, where)
    figure = figure_of_tracks(
        Analysis(waveform, found.grid).log_mel,
        found.grid,
        [_stored_row(found, name, utterance.index) for name in names],
        where,
        title=f"{utterance.path}   ({manifest.split}, line {utterance.index + 2})",
        band="mean ± 1 std of the split",
        pitch=_stored_row(found, "f0", utterance.index) if "f0" in found.labels else None,
    )
    save(figure, out)


def draw_file(
    file: Path | str,
    labels: Sequence[Label],
    out: Path | str,
    start: float | None = None,
    end: float | None = None,
) -> None:
    """As `draw_labels` for an audio file that is in no store; grey bands are of what is drawn itself.

    Args:
        start, end: seconds of the file between which to draw; a recording of hours is read up to there, and little
            more than what is drawn is analysed, see `extraction.stretch.tracks_between`.

    Raises:
        PtselError: audio that cannot be read, is shorter than one frame, or has nothing between `start` and `end`.
    """
    grid = FrameGrid()
    if start is None and end is None:
        waveform = read_audio(file, grid.sample_rate)
        tracks = compute_tracks(waveform, labels, grid)
        rows = [_own_row(label, tracks[label.name]) for label in labels]
        save(_figure(waveform, rows, str(file), Path(file).name, "mean ± 1 std of the file"), out)
        return
    first, last, samples = _frames_between(file, start or 0.0, end, grid)
    tracks = tracks_between(
        lambda: AudioFile(file, grid.sample_rate), samples, [get(LOG_MEL), *labels], grid, first, last
    )
    rows = [_own_row(label, tracks[label.name]) for label in labels]
    offset = first * grid.hop / grid.sample_rate
    until = min(samples / grid.sample_rate, math.inf if end is None else end)
    title = f"{Path(file).name}   from {offset:.2f} s to {until:.2f} s"
    band = "mean ± 1 std of the stretch"
    decibels = tracks[LOG_MEL].values
    save(figure_of_tracks(decibels, grid, rows, str(file), title, band, _pitch_of(rows), first), out)


def _frames_between(
    file: Path | str, start: float, end: float | None, grid: FrameGrid
) -> tuple[int, int, int]:
    """The frames ``[first, last)`` that lie between two seconds of a file, and its length in samples.

    Raises:
        PtselError: audio that cannot be read, or a stretch that does not hold a frame.
    """
    if not (start >= 0 and (end is None or end > start)):
        raise PtselError(f"--from, --to: expected 0 <= from < to, found {start:g} and {end:g}")
    rate = grid.sample_rate
    with AudioFile(file, rate) as audio:
        samples = audio.samples
    first = round(start * rate) // grid.hop
    last = grid.num_frames(samples if end is None else min(samples, round(end * rate)))
    if last <= first:
        raise PtselError(
            f"{file}: nothing to draw from {start:g} s on; the file ends before, or the stretch is too short"
        )
    return first, last, samples


def figure_of_waveform(
    waveform: np.ndarray, labels: Sequence[Label], tracks: Mapping[str, Track], title: str
) -> Figure:
    """A waveform's spectrogram with its tracks below; grey bands are of the waveform itself."""
    rows = [_own_row(label, tracks[label.name]) for label in labels]
    return _figure(waveform, rows, "waveform", title, "mean ± 1 std of the waveform")


def _figure(waveform: np.ndarray, rows: Sequence[Row], where: str, title: str, band: str) -> Figure:
    grid = FrameGrid()
    return figure_of_tracks(Analysis(waveform, grid).log_mel, grid, rows, where, title, band, _pitch_of(rows))


def _pitch_of(rows: Sequence[Row]) -> Row | None:
    return next((row for row in rows if row.name == "f0"), None)


def figure_of_tracks(
    decibels: np.ndarray,
    grid: FrameGrid,
    rows: Sequence[Row],
    where: str,
    title: str,
    band: str,
    pitch: Row | None = None,
    first: int = 0,
) -> Figure:
    """A log-mel spectrogram and, below it on the same time axis, a row for each track.

    Args:
        decibels: the label `log_mel` [frames, 80].
        grid: of the frames.
        rows: what to draw below.
        where: how messages name the utterance.
        title: of the picture; band: what the grey bands show.
        pitch: F0 in Hz, to be drawn over the spectrogram.
        first: frame of the recording in which the picture begins.

    Raises:
        PtselError: no frame.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    frames = len(decibels)
    if frames == 0:
        raise PtselError(f"{where}: shorter than one frame ({grid.window} samples); nothing to draw")
    heights = [SPECTROGRAM_INCHES] + [ROW_INCHES] * len(rows)
    figure = Figure(figsize=(WIDTH_INCHES, sum(heights) + 0.9), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    figure.get_layout_engine().set(h_pad=0.03, hspace=0.02)  # type: ignore[union-attr, call-arg]
    # Frame i is drawn over the half hop to each side of its centre.
    edges = (
        grid.centre(0) - grid.hop / 2 + grid.hop * np.arange(first, first + frames + 1)
    ) / grid.sample_rate

    _draw_spectrogram(axes[0], decibels, edges, grid)
    if pitch is not None:
        _draw_pitch(axes[0], pitch, edges, grid)
    axes[0].set_title(title, fontsize=11, loc="left")
    if rows:
        axes[0].set_title(f"grey: {band}", fontsize=8, loc="right", color="#555555")
    for axis, row in zip(axes[1:], rows, strict=True):
        (_draw_scalar if len(row.mean) == 1 else _draw_vector)(axis, row, edges)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
    for axis in axes[:-1]:
        axis.tick_params(axis="x", length=0)
    for axis in axes[1:]:
        axis.yaxis.set_label_coords(-0.07, 0.5)
    begin = first * grid.hop
    axes[-1].set_xlim(np.divide([begin, begin + (frames - 1) * grid.hop + grid.window], grid.sample_rate))
    axes[-1].set_xlabel("time / s")
    return figure


def _stored_row(store: LabelStore, name: str, index: int) -> Row:
    info, statistics = store.info(name), store.statistics(name)
    values, valid = store.track(name, index), store.valid(name, index)
    return Row(name, info.unit, info.undefined, values, valid, statistics.mean, statistics.std)


def _own_row(label: Label, track: Track) -> Row:
    values, valid = track
    defined = values[valid] if valid.any() else np.zeros((1, label.dim))
    return Row(
        label.name, label.unit, label.undefined, values, valid, defined.mean(axis=0), defined.std(axis=0)
    )


def _mel_centres(grid: FrameGrid, bands: int) -> np.ndarray:
    """Centre in Hz of each band of the label `log_mel`."""
    from ptsel_fairseq.labels.signal.librosa_import import import_librosa

    librosa = import_librosa()

    return librosa.mel_frequencies(bands + 2, fmin=0.0, fmax=grid.sample_rate / 2)[1:-1]


def _draw_spectrogram(axis: Axes, decibels: np.ndarray, edges: np.ndarray, grid: FrameGrid) -> None:
    bands = decibels.shape[1]
    top = max(float(decibels.max()), -30.0)  # so that silence is not blown up into a pattern
    image = axis.pcolormesh(
        edges,
        np.arange(bands + 1) - 0.5,
        decibels.T,
        cmap="magma",
        vmin=top - SPECTROGRAM_RANGE_DB,
        vmax=top,
        rasterized=True,
    )
    centres = _mel_centres(grid, bands)
    ticks = [tick for tick in FREQUENCY_TICKS if 1000 * tick <= grid.sample_rate / 2]
    axis.set_yticks(
        np.interp(np.multiply(ticks, 1000), centres, np.arange(bands)), [f"{tick:g}" for tick in ticks]
    )
    axis.set_ylim(-0.5, bands - 0.5)
    axis.set_ylabel("kHz (mel scale)", fontsize=9)
    bar = axis.figure.colorbar(image, ax=axis, pad=0.01, aspect=14)
    bar.set_label("dB", fontsize=9)
    bar.ax.tick_params(labelsize=8)


def _draw_pitch(axis: Axes, row: Row, edges: np.ndarray, grid: FrameGrid) -> None:
    from matplotlib.patheffects import withStroke

    if not row.valid.any():
        return
    centres = _mel_centres(grid, round(axis.get_ylim()[1] + 0.5))
    height = np.interp(row.values[:, 0], centres, np.arange(len(centres)))
    outline = [withStroke(linewidth=3.0, foreground="black")]
    track = np.where(row.valid, height, np.nan)
    axis.plot(_middles(edges), track, color=PITCH, linewidth=1.3, path_effects=outline, label="f0")
    axis.legend(loc="upper right", fontsize=8, facecolor="#666666", labelcolor="white", framealpha=0.85)


def _draw_scalar(axis: Axes, row: Row, edges: np.ndarray) -> None:
    axis.axhspan(row.mean[0] - row.std[0], row.mean[0] + row.std[0], color=SPREAD, alpha=0.5, linewidth=0)
    track = np.where(row.valid, row.values[:, 0], np.nan)
    axis.plot(_middles(edges), track, color=BLUE, linewidth=1.3, marker=".", markersize=2.5)
    axis.set_ylabel(f"{row.name}\n{row.unit}", fontsize=8, rotation=0, ha="right", va="center")
    axis.margins(y=0.12)
    axis.locator_params(axis="y", nbins=4)
    axis.grid(axis="x", color="#E5E5E5", linewidth=0.6)
    axis.set_axisbelow(True)
    if not row.valid.any():
        nowhere = f"undefined everywhere ({row.undefined})"
        axis.text(0.5, 0.5, nowhere, transform=axis.transAxes, ha="center")


def _draw_vector(axis: Axes, row: Row, edges: np.ndarray) -> None:
    scores = (row.values - row.mean) / np.where(row.std > 0, row.std, 1)
    scores[~row.valid] = np.nan
    limits = np.arange(len(row.mean) + 1) - 0.5
    image = axis.pcolormesh(edges, limits, scores.T, cmap="RdBu_r", vmin=-3, vmax=3, rasterized=True)
    if "chroma" in row.name and len(row.mean) == len(NOTES):
        axis.set_yticks(range(0, len(NOTES), 2), NOTES[::2], fontsize=6)
        axis.set_ylabel(f"{row.name}\nnote", fontsize=8, rotation=0, ha="right", va="center")
    else:
        axis.set_ylabel(f"{row.name}\ndimension", fontsize=8, rotation=0, ha="right", va="center")
    bar = axis.figure.colorbar(image, ax=axis, pad=0.01, aspect=5)
    bar.set_label("std", fontsize=8)
    bar.ax.tick_params(labelsize=7)


def _middles(edges: np.ndarray) -> np.ndarray:
    return (edges[:-1] + edges[1:]) / 2
