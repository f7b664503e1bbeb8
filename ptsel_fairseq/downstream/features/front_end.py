"""One vector for each utterance or segment from a frozen front end, kept on disk so that no run computes it twice."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ptsel_fairseq.base.audio import read_whole_audio
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import WholeFile, file_checksum
from ptsel_fairseq.base.grid import SAMPLE_RATE, FrameGrid
from ptsel_fairseq.base.manifest import ClassFile, Manifest, Segment
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.base.workers import jobs_for_audio, map_ordered
from ptsel_fairseq.labels import registry
from ptsel_fairseq.labels.pools import ALL, POOLS
from ptsel_fairseq.labels.tracks import compute_tracks, resolve
from ptsel_fairseq.labels.user import UserFile, check_workers_can_load, load_user_file

if TYPE_CHECKING:
    from ptsel_fairseq.labels.label import Label, Track

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
        labels = resolve([self.kind])
        tracks = compute_tracks(waveform, labels, grid)
        places = [grid.frames_between(*span, len(waveform)) for span in spans]
        return [
            np.concatenate([pool(tracks[label.name], label, first, last) for label in labels])[None]
            for first, last in places
        ]

    def frames(self, waveform: np.ndarray) -> np.ndarray:
        """Every frame of a waveform, float32 [layers, frames, dim]; a label is 0 where it is undefined."""
        if self.checkpoint is not None:
            from ptsel_fairseq.downstream.features.wav2vec import load_encoder

            return load_encoder(self.checkpoint).hidden_states(waveform)
        for user_file in self.user_files:
            load_user_file(user_file)
        tracks = compute_tracks(waveform, resolve([self.kind]), FrameGrid())
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
    """The front ends of ``--features``: labels, pools, or files of checkpoints; each has a name of its own."""
    known = {*registry.names(), *POOLS, ALL}
    found = [_of_labels(name, user_files) if name in known else _of_checkpoint(Path(name)) for name in names]
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


def _of_labels(name: str, user_files: tuple[UserFile, ...]) -> FrontEnd:
    described = [[label.name, label.version, label.dim, label.origin] for label in resolve([name])]
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


def in_order(class_file: ClassFile) -> list[Segment]:
    """The segments as features come: by utterance, then as in the file."""
    return sorted(class_file.segments, key=lambda segment: segment.utterance)


def extract(
    front_end: FrontEnd,
    manifest: Manifest,
    class_file: ClassFile,
    cache: Path,
    jobs: int | None = None,
) -> np.ndarray:
    """The vectors of a split's segments in the order of `in_order`; what `cache` holds is not computed again.

    Returns:
        float32 [segments, layers, dim].

    Raises:
        PtselError: audio or a checkpoint that cannot be used, or an utterance too short for a frame.
    """
    by_utterance: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for segment in in_order(class_file):
        by_utterance[segment.utterance].append((segment.start, segment.end))
    work = sorted(by_utterance.items())
    blocks = [work[first : first + BLOCK] for first in range(0, len(work), BLOCK)]
    folder = cache / f"{manifest.split}-{front_end.name}-{cache_key(front_end, manifest, work)[:16]}"
    todo = [i for i, block in enumerate(blocks) if not _is_done(folder / f"{i:06d}.npy", block)]
    seconds = sum(manifest.utterances[index].samples for i in todo for index, _ in blocks[i]) / SAMPLE_RATE
    pieces = (
        [
            (manifest.audio_path(u), u.samples, manifest.where(u), segments)
            for u, segments in ((manifest.utterances[index], segments) for index, segments in blocks[i])
        ]
        for i in todo
    )
    jobs = jobs_for_audio(seconds, jobs)
    if front_end.checkpoint is None and jobs != 1:
        check_workers_can_load(resolve([front_end.kind]))
    found = map_ordered(partial(_extract_block, front_end), pieces, jobs=jobs)
    title = f"{front_end.name} of {manifest.split}"
    with progress_bar(total=len(blocks), initial=len(blocks) - len(todo), desc=title, unit="block") as bar:
        for i, vectors in zip(todo, found, strict=True):
            with WholeFile(folder / f"{i:06d}.npy") as out:
                np.save(out, vectors)
            bar.update()
    return np.concatenate([np.load(folder / f"{i:06d}.npy") for i in range(len(blocks))])


def cache_key(front_end: FrontEnd, manifest: Manifest, work: Sequence[tuple[int, list]]) -> str:
    """SHA-256 of all that the vectors depend on but the audio's content: paths, lengths, segments, front end."""
    described = [VERSION, BLOCK, front_end.kind, front_end.checksum, manifest.checksum, work]
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()


def _is_done(file: Path, block: Sequence[tuple[int, list]]) -> bool:
    try:
        return len(np.load(file, mmap_mode="r")) == sum(len(segments) for _, segments in block)
    except (OSError, ValueError, EOFError):
        return False


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
