"""One vector for each utterance or segment from a frozen front end, kept on disk so that no run computes it twice."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ptsel_fairseq.audio import read_whole_audio
from ptsel_fairseq.errors import PtselError
from ptsel_fairseq.files import file_checksum, replacing
from ptsel_fairseq.labels.grid import SAMPLE_RATE, FrameGrid
from ptsel_fairseq.manifest import ClassFile, Manifest, Segment
from ptsel_fairseq.workers import jobs_for_audio, map_ordered

VERSION = 1  # raised when the values change, so that kept ones are not used again
BLOCK = 32  # utterances of one file: what an interruption can lose


@dataclass(frozen=True)
class FrontEnd:
    """What turns a waveform into frames.

    Attributes:
        name: how results call it.
        kind: ``mfcc``, ``log_mel`` or ``wav2vec2``.
        checkpoint: of ``wav2vec2``.
        checksum: of the checkpoint's content.
    """

    name: str
    kind: str
    checkpoint: Path | None = None
    checksum: str = ""

    def frames(self, waveform: np.ndarray) -> tuple[np.ndarray, FrameGrid]:
        """Frames, float32 [layers, frames, dim] with one layer unless it is a model, and where they lie."""
        if self.checkpoint is not None:
            from ptsel_fairseq.downstream.wav2vec import load_encoder

            encoder = load_encoder(self.checkpoint)
            return encoder.hidden_states(waveform), encoder.grid
        from ptsel_fairseq.labels.analysis import Analysis
        from ptsel_fairseq.labels.cepstral import mfcc

        grid = FrameGrid()
        mels = Analysis(waveform, grid).log_mel
        return (mfcc(mels) if self.kind == "mfcc" else mels)[None], grid

    def pool(self, frames: np.ndarray) -> np.ndarray:
        """The vector of some frames: mean and standard deviation, of a model's layers the mean; [layers, dim]."""
        mean = frames.mean(axis=1)
        if self.checkpoint is not None:
            return mean
        return np.concatenate([mean, frames.std(axis=1)], axis=1)


def front_ends(names: Sequence[str]) -> list[FrontEnd]:
    """The front ends of ``--features``: ``mfcc``, ``log_mel``, or files of checkpoints; each has a name of its own."""
    found = [
        FrontEnd(name, name) if name in ("mfcc", "log_mel") else _of_checkpoint(Path(name)) for name in names
    ]
    stems = [end.name for end in found]
    distinct = [
        FrontEnd(f"{end.checkpoint.resolve().parent.name}-{end.name}", end.kind, end.checkpoint, end.checksum)
        if end.checkpoint is not None and stems.count(end.name) > 1
        else end
        for end in found
    ]
    if len({end.name for end in distinct}) < len(distinct):
        raise PtselError(f"--features: expected each once, found {', '.join(names)}")
    return distinct


def _of_checkpoint(file: Path) -> FrontEnd:
    if not file.is_file():
        raise PtselError(
            f"--features: expected mfcc, log_mel or the file of a checkpoint, found {str(file)!r}"
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
    from tqdm import tqdm

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
    found = map_ordered(partial(_extract_block, front_end), pieces, jobs=jobs_for_audio(seconds, jobs))
    title = f"{front_end.name} of {manifest.split}"
    with tqdm(
        total=len(blocks), initial=len(blocks) - len(todo), desc=title, unit="block", file=sys.stderr
    ) as bar:
        for i, vectors in zip(todo, found, strict=True):
            with replacing(folder / f"{i:06d}.npy") as partial_file, partial_file.open("wb") as out:
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
        frames, grid = front_end.frames(waveform)
        for start, end in segments:
            first, last = grid.frames_between(start, end, samples)
            rows.append(front_end.pool(frames[:, first:last]))
    return np.array(rows, dtype=np.float32)
