"""The points of one split: a speech vector, label values and a class for each utterance or segment."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from ptsel_fairseq.audio import read_audio
from ptsel_fairseq.errors import PtselError
from ptsel_fairseq.files import replacing
from ptsel_fairseq.labels.grid import SAMPLE_RATE
from ptsel_fairseq.labels.store import LabelStore
from ptsel_fairseq.manifest import ClassFile, Manifest, Segment
from ptsel_fairseq.selection.embedding import NUM_MELS, SEGMENT_POINTS, UTTERANCE_POINTS, embed
from ptsel_fairseq.workers import map_ordered

SUMMARIES = ("mean", "mean_std")
LABEL_KEY = "label:"


@dataclass(frozen=True)
class Points:
    """What scores are computed from; row i of each array is sample i.

    Attributes:
        x: float32 [N, d], speech vectors.
        labels: name -> float64 [N, dim], in the label's unit; NaN where the label is undefined.
        classes: str [N].
        utterance: int64 [N], manifest line from 0; empty if unknown.
        start: float64 [N], seconds; empty if unknown.
        end: float64 [N], seconds, infinite for whole utterances; empty if unknown.
    """

    x: np.ndarray
    labels: Mapping[str, np.ndarray]
    classes: np.ndarray
    utterance: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    start: np.ndarray = field(default_factory=lambda: np.empty(0))
    end: np.ndarray = field(default_factory=lambda: np.empty(0))

    def __len__(self) -> int:
        return len(self.x)

    def save(self, file: Path | str) -> None:
        """Write an .npz without pickles, by renaming."""
        arrays: dict[str, Any] = {
            name: getattr(self, name) for name in ("x", "classes", "utterance", "start", "end")
        }
        arrays |= {LABEL_KEY + name: self.labels[name] for name in sorted(self.labels)}
        with replacing(file) as partial, partial.open("wb") as out:
            np.savez(out, **arrays)

    @classmethod
    def load(cls, file: Path | str) -> Points:
        """Read what `save` wrote; raise PtselError if it is absent or damaged."""
        try:
            with np.load(file, allow_pickle=False) as arrays:
                found = {name: arrays[name] for name in arrays.files}
            labels = {
                name.removeprefix(LABEL_KEY): found.pop(name) for name in sorted(found) if LABEL_KEY in name
            }
            return cls(labels=labels, **found)
        except FileNotFoundError:
            raise PtselError(
                f"{file}: expected the points that `ptsel score` writes, found no such file"
            ) from None
        except (OSError, EOFError, ValueError, TypeError, BadZipFile) as error:
            raise PtselError(
                f"{file}: the points cannot be read ({error}); run `ptsel score` again"
            ) from None


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
    jobs: int | None = None,
) -> Points:
    """Embed the speech of every class segment and summarise each label over it.

    Args:
        labels: names in the store.
        summary: `mean` over the segment's frames, or `mean_std`, mean and standard deviation.
        frames: Gaussian-downsampled frames of a speech vector; default as `downsampled_frames` says.
        fill_undefined: put the value that openSMILE prints where a label is undefined (0 Hz for the F0 of an
            unvoiced frame) before the mean, as the released code does. Otherwise the mean is over
            the defined frames, and NaN if there is none.
        jobs: processes for the audio; default, all cores.

    Raises:
        PtselError: audio that cannot be read or is not as long as the manifest says, a store made from
            another manifest, an unknown label or summary.
    """
    from tqdm import tqdm

    if summary not in SUMMARIES:
        raise PtselError(f"expected a summary among {', '.join(SUMMARIES)}, found {summary!r}")
    store.check_manifest(manifest)
    if store.grid.sample_rate != SAMPLE_RATE:
        raise PtselError(
            f"{store.folder}: expected labels of audio at {SAMPLE_RATE} Hz, found {store.grid.sample_rate} Hz"
        )
    by_utterance: dict[int, list[Segment]] = defaultdict(list)
    for segment in class_file.segments:
        by_utterance[segment.utterance].append(segment)
    segments = [segment for index in sorted(by_utterance) for segment in by_utterance[index]]
    arguments = [
        (
            manifest.audio_path(utterance),
            utterance.samples,
            manifest.where(utterance),
            [(segment.start, segment.end) for segment in by_utterance[utterance.index]],
            frames or downsampled_frames(class_file),
        )
        for utterance in manifest
        if utterance.index in by_utterance
    ]
    x = np.empty((len(segments), arguments[0][-1] * NUM_MELS), dtype=np.float32)
    done = 0
    bar = tqdm(total=len(arguments), desc="embedding speech", unit="utterance", file=sys.stderr)
    for vectors in map_ordered(_embed_file, arguments, jobs=jobs):
        bar.update()
        x[done : done + len(vectors)] = vectors
        done += len(vectors)
    return Points(
        x=x,
        labels={
            name: summarise_label(store, name, manifest, segments, summary, fill_undefined)
            for name in sorted(labels)
        },
        classes=np.array([segment.name for segment in segments]),
        utterance=np.array([segment.utterance for segment in segments], dtype=np.int64),
        start=np.array([segment.start for segment in segments]),
        end=np.array([segment.end for segment in segments]),
    )


def summarise_label(
    store: LabelStore,
    label: str,
    manifest: Manifest,
    segments: Iterable[Segment],
    summary: str = "mean",
    fill_undefined: bool = False,
) -> np.ndarray:
    """One label's values for each segment, float64 [segments, dim], or [segments, 2 dim] for `mean_std`.

    A frame belongs to a segment if its centre does. Rows without a defined frame are NaN.
    """
    info = store.info(label)
    filling = info.unvoiced_value if fill_undefined else None
    rows = []
    for segment in segments:
        samples = manifest.utterances[segment.utterance].samples
        first, last = store.grid.frames_between(segment.start, segment.end, samples)
        values = np.asarray(store.track(label, segment.utterance)[first:last], dtype=np.float64)
        if info.undefined is not None:
            valid = store.valid(label, segment.utterance)[first:last]
            values = values[valid] if filling is None else np.where(valid[:, None], values, filling)
        row = values.mean(axis=0) if len(values) else np.full(info.dim, np.nan)
        if summary == "mean_std":
            row = np.concatenate([row, values.std(axis=0) if len(values) else np.full(info.dim, np.nan)])
        rows.append(row)
    return np.array(rows)


def _embed_file(piece: tuple[Path, int, str, Sequence[tuple[float, float]], int]) -> np.ndarray:
    """The vectors of one utterance's segments."""
    file, samples, where, segments, frames = piece
    waveform = read_audio(file, SAMPLE_RATE, where)
    if len(waveform) != samples:
        raise PtselError(f"{where}: the manifest says {samples} samples, the audio has {len(waveform)}")
    return embed(waveform, segments, frames)
