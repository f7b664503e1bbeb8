"""Speech vectors on disk: made once for a manifest and its class segments, and resumed where a run was killed.

A folder of the cache holds ``vectors.npy``, written as `base.kept.filled_array` says.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ptsel_fairseq.base.audio import read_whole_audio
from ptsel_fairseq.base.class_file import Segment
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import locked_folder
from ptsel_fairseq.base.grid import SAMPLE_RATE
from ptsel_fairseq.base.kept import filled_array
from ptsel_fairseq.base.manifest import Manifest
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.base.workers import LOCAL, map_ordered
from ptsel_fairseq.selection.embedding import NUM_MELS, embed

VERSION = 1  # of what `embed` computes
VECTORS = "vectors.npy"


def speech_vectors(
    manifest: Manifest,
    segments: Sequence[Segment],
    frames: int,
    cache: Path | str | None = None,
    engine: str = LOCAL,
    jobs: int | None = None,
) -> np.ndarray:
    """The vectors of `embed` for segments sorted by utterance, float32 [segments, frames * 40].

    Args:
        segments: of utterances of the manifest, those of one utterance in a row, in the manifest's order.
        frames: downsampled frames of each vector.
        cache: folder, made if absent; without one nothing is kept.
        engine: see `workers.map_ordered`.
        jobs: processes of the engine ``local``.

    Raises:
        PtselError: audio that cannot be read or is not as long as the manifest says, a cache that cannot be
            written, or another run that fills it.
    """
    shape = (len(segments), frames * NUM_MELS)
    if cache is None:
        vectors = np.empty(shape, dtype=np.float32)
        for rows, values in _embedded(manifest, segments, frames, 0, engine=engine, jobs=jobs):
            vectors[rows] = values
        return vectors
    folder = Path(cache) / _key(manifest, segments, frames)
    with _locked(folder):
        if not (folder / VECTORS).exists():
            parts = partial(_embedded, manifest, segments, frames, engine=engine, jobs=jobs)
            filled_array(folder / VECTORS, shape, parts)
        return np.load(folder / VECTORS, allow_pickle=False)


def is_cached(manifest: Manifest, segments: Sequence[Segment], frames: int, cache: Path | str) -> bool:
    """Whether `speech_vectors` will find them complete."""
    return (Path(cache) / _key(manifest, segments, frames) / VECTORS).exists()


def _embedded(
    manifest: Manifest, segments: Sequence[Segment], frames: int, done: int, *, engine: str, jobs: int | None
) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows and vectors of each utterance that has segments, from number `done` on."""
    utterances = np.array([segment.utterance for segment in segments])
    starts = np.flatnonzero(np.diff(utterances, prepend=-1))
    ends = np.append(starts[1:], len(segments))
    pieces = (
        (
            manifest.audio_path(manifest.utterances[utterances[start]]),
            manifest.utterances[utterances[start]].samples,
            manifest.where(manifest.utterances[utterances[start]]),
            [(segment.start, segment.end) for segment in segments[start:end]],
            frames,
        )
        for start, end in zip(starts[done:], ends[done:], strict=True)
    )
    bar = progress_bar(total=len(starts), initial=done, desc="embedding speech", unit="utterance")
    found = map_ordered(_embed_file, pieces, engine, jobs)
    with bar:
        for start, end, values in zip(starts[done:], ends[done:], found, strict=True):
            bar.update()
            yield slice(start, end), values


def _embed_file(piece: tuple[Path, int, str, Sequence[tuple[float, float]], int]) -> np.ndarray:
    """The vectors of one utterance's segments."""
    file, samples, where, segments, frames = piece
    return embed(read_whole_audio(file, SAMPLE_RATE, samples, where), segments, frames)


def _key(manifest: Manifest, segments: Sequence[Segment], frames: int) -> str:
    """A name for what the vectors depend on."""
    where = np.array([(segment.utterance, segment.start, segment.end) for segment in segments])
    text = f"{VERSION} {frames} {manifest.checksum} {hashlib.sha256(where.tobytes()).hexdigest()}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The folder to ourselves; what the operating system refuses is told with its remedy."""
    busy = f"{folder}: another run is embedding the same speech; wait for it to end, or give another --cache"
    try:
        with locked_folder(folder, busy):
            yield
    except OSError as error:
        raise PtselError(
            f"{folder}: the speech vectors cannot be kept there ({error.strerror or error}); what is finished is "
            "kept, run the command again when there is room, or give another folder with --cache"
        ) from None
