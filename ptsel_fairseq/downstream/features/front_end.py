"""One vector for each utterance or segment from a frozen front end, kept on disk so that no run computes it twice."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ptsel_fairseq.base import kept
from ptsel_fairseq.base.audio import read_whole_audio
from ptsel_fairseq.base.class_file import ClassFile, Segment
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import file_checksum
from ptsel_fairseq.base.grid import SAMPLE_RATE, FrameGrid
from ptsel_fairseq.base.manifest import Manifest
from ptsel_fairseq.labels import registry
from ptsel_fairseq.labels.pools import ALL, POOLS
from ptsel_fairseq.labels.tracks import compute_tracks, resolve
from ptsel_fairseq.labels.user import UserFile, check_workers_can_load, load_user_file

if TYPE_CHECKING:
    from ptsel_fairseq.labels.label import Label, Track

JOIN = "+"  # between labels or pools that are one front end together
VERSION = 1  # raised when the values change, so that kept ones are not used again
BLOCK = 32  # utterances of one file: what an interruption can lose


@dataclass(frozen=True)
class FrontEnd:
    """What turns a waveform into vectors.

    Attributes:
        name: how results call it.
        kind: a label or a pool of labels, as `ptsel labels` lists them, or ``wav2vec2``.
        checkpoint: of ``wav2vec2``.
        checksum: of the checkpoint's content, or of the labels' definitions.
        user_files: those that define the labels, if users do.
    """

    name: str
    kind: str
    checkpoint: Path | None = None
    checksum: str = ""
    user_files: tuple[UserFile, ...] = ()

    def vectors(self, waveform: np.ndarray, spans: Sequence[tuple[float, float]]) -> list[np.ndarray]:
        """A vector for each span of seconds, [layers, dim] with one layer unless it is a model.

        Of labels mean and standard deviation over the frames where they are defined, and of those that can be undefined
        the share of these frames too; of a model each layer's mean.
        """
        if self.checkpoint is not None:
            from ptsel_fairseq.downstream.features.wav2vec import load_encoder

            encoder = load_encoder(self.checkpoint)
            states = encoder.hidden_states(waveform)
            frames = [encoder.grid.frames_between(*span, len(waveform)) for span in spans]
            return [states[:, first:last].mean(axis=1) for first, last in frames]
        grid = FrameGrid()
        for user_file in self.user_files:
            load_user_file(user_file)
        labels = resolve(self.kind.split(JOIN))
        tracks = compute_tracks(waveform, labels, grid)
        places = [grid.frames_between(*span, len(waveform)) for span in spans]
        return [
            np.concatenate([pool(tracks[label.name], label, first, last) for label in labels])[None]
            for first, last in places
        ]

    def check_processes(self) -> None:
        """Raise PtselError if other processes could not find the labels."""
        if self.checkpoint is None:
            check_workers_can_load(resolve(self.kind.split(JOIN)))

    def frames(self, waveform: np.ndarray) -> np.ndarray:
        """Every frame of a waveform, float32 [layers, frames, dim]; a label is 0 where it is undefined."""
        if self.checkpoint is not None:
            from ptsel_fairseq.downstream.features.wav2vec import load_encoder

            return load_encoder(self.checkpoint).hidden_states(waveform)
        for user_file in self.user_files:
            load_user_file(user_file)
        tracks = compute_tracks(waveform, resolve(self.kind.split(JOIN)), FrameGrid())
        return np.concatenate([track.values for track in tracks.values()], axis=1)[None]


def pool(track: Track, label: Label, first: int, last: int) -> np.ndarray:
    """Mean and standard deviation of a label over some frames, [2 dim]; where it is never defined, zeros.

    A label that can be undefined has the share of defined frames behind them, [2 dim + 1].
    """
    values = track.values[first:last]
    if label.undefined is None:
        return np.concatenate([values.mean(axis=0), values.std(axis=0)])
    defined = track.valid[first:last]
    known = values[defined] if defined.any() else np.zeros((1, values.shape[1]), values.dtype)
    return np.concatenate([known.mean(axis=0), known.std(axis=0), [defined.mean()]])


def front_ends(names: Sequence[str], user_files: tuple[UserFile, ...] = ()) -> list[FrontEnd]:
    """The front ends of ``--features``: labels, pools, several joined by ``+``, or files of checkpoints.

    Each has a name of its own.
    """
    known = {*registry.names(), *POOLS, ALL}
    found = [
        _of_labels(name, user_files) if known.issuperset(name.split(JOIN)) else _of_checkpoint(Path(name))
        for name in names
    ]
    stems = [end.name for end in found]
    distinct = [
        replace(end, name=f"{end.checkpoint.resolve().parent.name}-{end.name}")
        if end.checkpoint is not None and stems.count(end.name) > 1
        else end
        for end in found
    ]
    if len({end.name for end in distinct}) < len(distinct):
        raise PtselError(f"--features: expected each once, found {', '.join(names)}")
    return distinct


def front_end(name: Path | str) -> FrontEnd:
    """What turns a waveform at 16 kHz into features.

    ``front_end("mfcc").vectors(waveform, [(0.0, 1.5)])`` gives a vector [layers, dim] for each span of seconds,
    ``.frames(waveform)`` every frame [layers, frames, dim].

    Args:
        name: a label or a pool of labels, or the file of a checkpoint of wav2vec 2.0 (which needs fairseq).

    Raises:
        PtselError: neither a label, nor a pool, nor a file.
    """
    return front_ends([str(name)])[0]


def _of_labels(name: str, user_files: tuple[UserFile, ...]) -> FrontEnd:
    described = [[label.name, label.version, label.dim, label.origin] for label in resolve(name.split(JOIN))]
    return FrontEnd(name, name, None, hashlib.sha256(json.dumps(described).encode()).hexdigest(), user_files)


def _of_checkpoint(file: Path) -> FrontEnd:
    if not file.is_file():
        raise PtselError(
            "--features: expected a label or a pool of `ptsel labels`, or the file of a checkpoint, found "
            f"{str(file)!r}"
        )
    return FrontEnd(file.stem, "wav2vec2", file, file_checksum(file))


def item_id(manifest: Manifest, segment: Segment) -> str:
    """The name of a segment in results: path, and start and end if it is not the whole utterance."""
    path = manifest.utterances[segment.utterance].path
    return path if np.isinf(segment.end) else f"{path}\t{segment.start:.4f}\t{segment.end:.4f}"


def extract(
    front_end: FrontEnd,
    manifest: Manifest,
    class_file: ClassFile,
    cache: Path,
    jobs: int | None = None,
) -> np.ndarray:
    """The vectors of a split's segments in the order of `ClassFile.in_order`; what `cache` holds is not computed again.

    Returns:
        float32 [segments, layers, dim].

    Raises:
        PtselError: audio or a checkpoint that cannot be used, or an utterance too short for a frame.
    """
    by_utterance: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for segment in class_file.in_order():
        by_utterance[segment.utterance].append((segment.start, segment.end))
    work = sorted(by_utterance.items())
    pieces = [
        (manifest.audio_path(u), u.samples, manifest.where(u), spans)
        for u, spans in ((manifest.utterances[index], spans) for index, spans in work)
    ]
    blocks = kept.in_blocks(
        partial(_extract_block, front_end),
        pieces,
        cache / f"{manifest.split}-{front_end.name}-{cache_key(front_end, manifest, work)}",
        size=BLOCK,
        seconds=lambda piece: piece[1] / SAMPLE_RATE,
        title=f"{front_end.name} of {manifest.split}",
        jobs=jobs,
        form=kept.ARRAYS,
        rows=lambda piece: len(piece[3]),
        audio=itemgetter(0),
        before_processes=front_end.check_processes,
    )
    return np.concatenate(blocks)


def cache_key(front_end: FrontEnd, manifest: Manifest, work: Sequence[tuple[int, list]]) -> str:
    """A name for all that the vectors depend on but the audio's content: paths, lengths, segments, front end."""
    return kept.key_of(VERSION, BLOCK, front_end.kind, front_end.checksum, manifest.checksum, work)


def _extract_block(
    front_end: FrontEnd, block: Sequence[tuple[Path, int, str, Sequence[tuple[float, float]]]]
) -> np.ndarray:
    """The vectors of some utterances' segments, float32 [segments, layers, dim]."""
    rows = []
    for file, samples, where, segments in block:
        waveform = read_whole_audio(file, SAMPLE_RATE, samples, where)
        if samples < FrameGrid().window:
            raise PtselError(
                f"{where}: {samples} samples make no frame of {FrameGrid().window}; take it out of the class file"
            )
        vectors = front_end.vectors(waveform, segments)
        check_finite(np.array(vectors), front_end, where)
        rows += vectors
    return np.array(rows, dtype=np.float32)


def check_finite(features: np.ndarray, front_end: FrontEnd, where: str) -> None:
    """Raise PtselError unless all values are numbers, as those of a model whose training has diverged are not."""
    if not np.isfinite(features).all():
        advice = (
            "take another"
            if front_end.checkpoint is None
            else "has its training diverged? Take an earlier one"
        )
        raise PtselError(f"{where}: the features of {front_end.name} are not finite numbers; {advice}")
