"""A picture of one utterance: its spectrogram and, below it on the same time axis, its labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ptsel_fairseq.audio import read_audio
from ptsel_fairseq.errors import PtselError
from ptsel_fairseq.labels.grid import FrameGrid
from ptsel_fairseq.labels.store import LabelStore
from ptsel_fairseq.manifest import Manifest, Utterance
from ptsel_fairseq.pictures import BLUE, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SPREAD, PITCH = "#D9D9D9", "#FFFFFF"
SPECTROGRAM_RANGE_DB = 70
FREQUENCY_TICKS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # kHz
WIDTH_INCHES, SPECTROGRAM_INCHES, ROW_INCHES = 10.0, 2.6, 0.85


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
        labels: which; default, those of the store that have one dimension.

    Raises:
        PtselError: no such label or store, a store of another manifest, audio that cannot be read, an utterance
            shorter than one frame.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from ptsel_fairseq.labels.spectral import log_mel

    found = LabelStore(store, manifest.split)
    found.check_manifest(manifest)
    names = [name for name in found.labels if found.info(name).dim == 1] if labels is None else list(labels)
    grid, where = found.grid, manifest.where(utterance)
    if found.num_frames(utterance.index) == 0:
        raise PtselError(
            f"{where}: {utterance.samples} samples are shorter than one frame ({grid.window}); nothing to draw"
        )
    waveform = read_audio(manifest.audio_path(utterance), grid.sample_rate, where)

    rows = 1 + len(names)
    height = SPECTROGRAM_INCHES + ROW_INCHES * len(names) + 0.9
    figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(
        rows, 1, sharex=True, squeeze=False, height_ratios=[SPECTROGRAM_INCHES] + [ROW_INCHES] * len(names)
    )[:, 0]
    figure.get_layout_engine().set(h_pad=0.03, hspace=0.02)  # type: ignore[union-attr, call-arg]
    # Frame i is drawn over the half hop to each side of its centre.
    edges = (
        grid.centre(0) - grid.hop / 2 + grid.hop * np.arange(found.num_frames(utterance.index) + 1)
    ) / grid.sample_rate

    _draw_spectrogram(axes[0], log_mel(waveform, grid), edges, grid)
    if "f0" in found.labels:
        _draw_pitch(axes[0], *_defined(found, "f0", utterance.index), edges, grid)
    axes[0].set_title(
        f"{utterance.path}   ({manifest.split}, line {utterance.index + 2})", fontsize=11, loc="left"
    )
    axes[0].set_title("grey: mean ± 1 std of the split", fontsize=8, loc="right", color="#555555")
    for axis, name in zip(axes[1:], names, strict=True):
        draw = _draw_scalar if found.info(name).dim == 1 else _draw_vector
        draw(axis, found, name, utterance.index, edges)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
    for axis in axes[:-1]:
        axis.tick_params(axis="x", length=0)
    for axis in axes[1:]:
        axis.yaxis.set_label_coords(-0.055, 0.5)
    axes[-1].set_xlim(0, len(waveform) / grid.sample_rate)
    axes[-1].set_xlabel("time / s")
    save(figure, out)


def _defined(store: LabelStore, name: str, index: int) -> tuple[np.ndarray, np.ndarray]:
    return store.track(name, index), store.valid(name, index)


def _mel_centres(grid: FrameGrid, bands: int) -> np.ndarray:
    """Centre in Hz of each band of the label `log_mel`."""
    import librosa

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


def _draw_pitch(axis: Axes, hertz: np.ndarray, valid: np.ndarray, edges: np.ndarray, grid: FrameGrid) -> None:
    from matplotlib.patheffects import withStroke

    if not valid.any():
        return
    centres = _mel_centres(grid, round(axis.get_ylim()[1] + 0.5))
    height = np.interp(hertz[:, 0], centres, np.arange(len(centres)))
    outline = [withStroke(linewidth=3.0, foreground="black")]
    times = (edges[:-1] + edges[1:]) / 2
    axis.plot(
        times, np.where(valid, height, np.nan), color=PITCH, linewidth=1.3, path_effects=outline, label="f0"
    )
    axis.legend(loc="upper right", fontsize=8, facecolor="#666666", labelcolor="white", framealpha=0.85)


def _draw_scalar(axis: Axes, store: LabelStore, name: str, index: int, edges: np.ndarray) -> None:
    values, valid = _defined(store, name, index)
    statistics = store.statistics(name)
    times = (edges[:-1] + edges[1:]) / 2
    low, high = statistics.mean[0] - statistics.std[0], statistics.mean[0] + statistics.std[0]
    axis.axhspan(low, high, color=SPREAD, alpha=0.5, linewidth=0)
    track = np.where(valid, values[:, 0], np.nan)
    axis.plot(times, track, color=BLUE, linewidth=1.3, marker=".", markersize=2.5)
    unit = store.info(name).unit
    axis.set_ylabel(f"{name}\n{unit}", fontsize=8, rotation=0, ha="right", va="center")
    axis.margins(y=0.12)
    axis.locator_params(axis="y", nbins=4)
    axis.grid(axis="x", color="#E5E5E5", linewidth=0.6)
    axis.set_axisbelow(True)
    if not valid.any():
        axis.text(
            0.5,
            0.5,
            f"undefined everywhere ({store.info(name).undefined})",
            transform=axis.transAxes,
            ha="center",
        )


def _draw_vector(axis: Axes, store: LabelStore, name: str, index: int, edges: np.ndarray) -> None:
    values, valid = _defined(store, name, index)
    statistics, dim = store.statistics(name), store.info(name).dim
    scores = (values - statistics.mean) / np.where(statistics.std > 0, statistics.std, 1)
    scores[~valid] = np.nan
    image = axis.pcolormesh(
        edges, np.arange(dim + 1) - 0.5, scores.T, cmap="RdBu_r", vmin=-3, vmax=3, rasterized=True
    )
    axis.set_ylabel(f"{name}\ndimension", fontsize=8, rotation=0, ha="right", va="center")
    bar = axis.figure.colorbar(image, ax=axis, pad=0.01, aspect=5)
    bar.set_label("std", fontsize=8)
    bar.ax.tick_params(labelsize=7)
