"""The points of one split: a speech vector, label values and a class for each utterance or segment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np

from ptsel_fairseq.base.class_file import ClassFile, Segment
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import WholeFile
from ptsel_fairseq.base.grid import SAMPLE_RATE
from ptsel_fairseq.base.manifest import Manifest
from ptsel_fairseq.base.value_file import ValueFile
from ptsel_fairseq.base.workers import LOCAL
from ptsel_fairseq.labels.store.reader import LabelStore
from ptsel_fairseq.selection.bins import value_bins
from ptsel_fairseq.selection.choices import SUMMARIES
from ptsel_fairseq.selection.embedding import SEGMENT_POINTS, UTTERANCE_POINTS, gaussian_downsample
from ptsel_fairseq.selection.speech_vectors import speech_vectors

LABEL_KEY = "label:"
MOST_CODES = 1000


@dataclass(frozen=True)
class Points:
    """What scores are computed from; row i of each array is sample i.

    Attributes:
        x: float32 [N, d], speech vectors.
        labels: name -> float64 [N, dim], in the label's unit; NaN where the label is undefined.
        classes: str [N]; of a task of values, their bins (`bins.value_bins`).
        utterance: int64 [N], manifest line from 0; empty if unknown.
        start: float64 [N], seconds; empty if unknown.
        end: float64 [N], seconds, infinite for whole utterances; empty if unknown.
        group: str [N], what the points depend on each other by, if that is more than the utterance; empty if it is not.
        values: float64 [N], what is to be predicted in place of the classes; empty in a task of classes.
        codes: str, those of the labels that are of codes: their columns are shares of frames.
    """

    x: np.ndarray
    labels: Mapping[str, np.ndarray]
    classes: np.ndarray
    utterance: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    start: np.ndarray = field(default_factory=lambda: np.empty(0))
    end: np.ndarray = field(default_factory=lambda: np.empty(0))
    group: np.ndarray = field(default_factory=lambda: np.empty(0, np.str_))
    values: np.ndarray = field(default_factory=lambda: np.empty(0))
    codes: np.ndarray = field(default_factory=lambda: np.empty(0, np.str_))

    def __len__(self) -> int:
        return len(self.x)

    @property
    def groups(self) -> np.ndarray | None:
        """What each point belongs to [N]; points of different groups are independent. None if unknown."""
        if len(self.group):
            return self.group
        return self.utterance if len(self.utterance) else None

    def only(self, labels: Sequence[str]) -> Points:
        """The same points with these labels only."""
        codes = self.codes[np.isin(self.codes, list(labels))]
        return replace(self, labels={name: self.labels[name] for name in labels}, codes=codes)

    def save(self, file: Path | str) -> None:
        """Write an .npz without pickles, by `WholeFile`."""
        arrays: dict[str, Any] = {
            name: getattr(self, name) for name in ("x", "classes", "utterance", "start", "end")
        }
        if len(self.group):
            arrays["group"] = self.group
        if len(self.values):
            arrays["values"] = self.values
        if len(self.codes):
            arrays["codes"] = self.codes
        arrays |= {LABEL_KEY + name: self.labels[name] for name in sorted(self.labels)}
        with WholeFile(file) as out:
            np.savez(out, **arrays)

    @classmethod
    def load(cls, file: Path | str) -> Points:
        """Read what `save` wrote; raise PtselError if it is absent or damaged."""
        try:
            with ZipFile(file) as archive:  # NumPy packs nothing, so that no file can be larger than it is
                if sum(part.file_size for part in archive.infolist()) > Path(file).stat().st_size:
                    raise ValueError("its arrays are larger than the file")
            with np.load(file, allow_pickle=False) as arrays:
                found = {name: arrays[name] for name in arrays.files}
            labels = {
                name.removeprefix(LABEL_KEY): found.pop(name) for name in sorted(found) if LABEL_KEY in name
            }
            points = cls(labels=labels, **found)
            points.check()
            return points
        except FileNotFoundError:
            raise PtselError(
                f"{file}: expected the points that `ptsel score` writes, found no such file"
            ) from None
        except Exception as error:  # zipfile and NumPy raise many kinds for archives that are damaged
            reason = " ".join(str(error).split()) or type(error).__name__
            raise PtselError(
                f"{file}: the points cannot be read ({reason:.160}); run `ptsel score` again"
            ) from None

    def check(self) -> None:
        """Raise ValueError unless all arrays are of their types and of as many samples."""
        arrays = {"x": self.x, "classes": self.classes, **self.labels}
        for name, array in arrays.items():
            if not isinstance(array, np.ndarray) or len(array.shape) != (1 if name == "classes" else 2):
                raise ValueError(f"{name} has another number of axes")
            if array.dtype.kind != ("U" if name == "classes" else "f") or len(array) != len(self.x):
                raise ValueError(f"{name} holds {len(array)} values of type {array.dtype}")
        if not np.isfinite(self.x).all():
            raise ValueError("x holds values that are not finite numbers")
        if self.values.dtype.kind != "f" or not np.isfinite(self.values).all():
            raise ValueError("values are not finite numbers")
        if not isinstance(self.codes, np.ndarray) or not set(self.codes.ravel().tolist()) <= set(self.labels):
            raise ValueError("codes names labels that are not there")
        for name in ("utterance", "start", "end", "values"):
            if len(getattr(self, name)) not in (0, len(self.x)):
                raise ValueError(f"{name} has another number of samples")


def downsampled_frames(class_file: ClassFile) -> int:
    """Frames of the speech vectors: 30 if the classes are of whole utterances, 10 if of segments."""
    whole = all(np.isinf(segment.end) for segment in class_file.segments)
    return UTTERANCE_POINTS if whole else SEGMENT_POINTS


def build_points(
    manifest: Manifest,
    store: LabelStore,
    class_file: ClassFile,
    labels: Sequence[str],
    summary: str = "mean",
    frames: int | None = None,
    fill_undefined: bool = False,
    cache: Path | str | None = None,
    engine: str = LOCAL,
    jobs: int | None = None,
    group_of: Mapping[int, str] | None = None,
) -> Points:
    """Embed the speech of every class segment and summarise each label over it.

    Args:
        labels: names in the store.
        summary: see `summarise_label`.
        frames: Gaussian-downsampled frames of a speech vector; default as `downsampled_frames` says.
        fill_undefined: put the value that openSMILE prints where a label is undefined (0 Hz for the F0 of an
            unvoiced frame) before the mean, as the released code does. Otherwise the mean is over
            the defined frames, and NaN if there is none.
        cache: folder for speech vectors, see `speech_cache.speech_vectors`.
        engine: where the audio is embedded, see `workers.map_ordered`.
        jobs: processes of the engine ``local``; default, all cores.
        group_of: number of an utterance -> its group, such as its speaker; default, each is its own.

    Raises:
        PtselError: audio that cannot be read or is not as long as the manifest says, a store made from
            another manifest, an unknown label or summary.
    """
    check_summary(summary)
    for name in labels:
        check_label(store, name)
    store.check_manifest(manifest)
    if store.grid.sample_rate != SAMPLE_RATE:
        raise PtselError(
            f"{store.folder}: expected labels of audio at {SAMPLE_RATE} Hz, found {store.grid.sample_rate} Hz"
        )
    segments = class_file.in_order()
    values = np.array(class_file.in_order_values() if isinstance(class_file, ValueFile) else [])
    frames = frames or downsampled_frames(class_file)
    x = speech_vectors(manifest, segments, frames, cache, engine, jobs)
    return Points(
        x=x,
        labels={
            name: summarise_label(store, name, manifest, segments, summary, frames, fill_undefined)
            for name in sorted(labels)
        },
        classes=value_bins(values) if len(values) else np.array([segment.name for segment in segments]),
        utterance=np.array([segment.utterance for segment in segments], dtype=np.int64),
        start=np.array([segment.start for segment in segments]),
        end=np.array([segment.end for segment in segments]),
        group=np.array([group_of[segment.utterance] for segment in segments])
        if group_of
        else np.empty(0, np.str_),
        values=values,
        codes=np.array(
            [name for name in sorted(labels) if store.info(name).codes is not None], dtype=np.str_
        ),
    )


def check_label(store: LabelStore, label: str) -> None:
    """Raise PtselError for a label that the store lacks, or one of more codes than scores can be had of."""
    codes = store.info(label).codes
    if codes is not None and codes > MOST_CODES:
        raise PtselError(
            f"{store.folder}: {label} has {codes} codes; scores take a column for each, of at most {MOST_CODES}; name "
            "the other labels (--labels), or make fewer codes for scoring"
        )


def width_of(store: LabelStore, label: str) -> int:
    """Values of one frame of a label: its dimensions, of codes one for each."""
    info = store.info(label)
    return info.codes or info.dim


def check_summary(summary: str) -> None:
    """Raise PtselError unless `summary` is one of SUMMARIES."""
    if summary not in SUMMARIES:
        raise PtselError(f"expected a summary among {', '.join(SUMMARIES)}, found {summary!r}")


def summary_width(dim: int, summary: str, frames: int) -> int:
    """Values of a summary of a label of `dim` dimensions."""
    return dim * {"mean": 1, "mean_std": 2, "downsample": frames}[summary]


def summarise_label(
    store: LabelStore,
    label: str,
    manifest: Manifest,
    segments: Iterable[Segment],
    summary: str = "mean",
    frames: int = SEGMENT_POINTS,
    fill_undefined: bool = False,
) -> np.ndarray:
    """One label's values for each segment; a frame belongs to a segment if its centre does.

    Args:
        summary: ``mean`` over the defined frames; ``mean_std``, mean and standard deviation; ``downsample``, the
            track by `embedding.gaussian_downsample`, undefined frames first interpolated from their neighbours.
        frames: rows of ``downsample``.
        fill_undefined: see `build_points`.

    Returns:
        float64 [segments, dim], [segments, 2 dim] or [segments, frames * dim]; NaN in rows without a defined frame. A
        label of codes has a column for each, 1 in frames of that code and 0 in others: the mean is its share of them.
    """
    info = store.info(label)
    filling = info.unvoiced_value if fill_undefined else None
    width = summary_width(width_of(store, label), summary, frames)
    rows = []
    for segment in segments:
        samples = manifest.utterances[segment.utterance].samples
        first, last = store.grid.frames_between(segment.start, segment.end, samples)
        values = np.asarray(store.track(label, segment.utterance)[first:last], dtype=np.float64)
        if info.codes is not None:
            values = (values == np.arange(info.codes)).astype(np.float64)  # one column for each code
        valid = np.ones(len(values), dtype=bool)
        if info.undefined is not None:
            valid = np.asarray(store.valid(label, segment.utterance)[first:last])
            if filling is not None:
                values, valid = np.where(valid[:, None], values, filling), np.ones(len(values), dtype=bool)
        rows.append(summarise(values, valid, summary, frames) if valid.any() else np.full(width, np.nan))
    return np.array(rows).reshape(len(rows), width)


def summarise(values: np.ndarray, valid: np.ndarray, summary: str, frames: int) -> np.ndarray:
    """`summarise_label` of one segment's track [T, dim], of which the frames `valid` [T] are defined."""
    defined = values[valid]
    if summary == "mean":
        return defined.mean(axis=0)
    if summary == "mean_std":
        return np.concatenate([defined.mean(axis=0), defined.std(axis=0)])
    times, known = np.arange(len(values)), np.flatnonzero(valid)
    track = np.column_stack([np.interp(times, known, column) for column in defined.T])
    return gaussian_downsample(track, frames).ravel()
