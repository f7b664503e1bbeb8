"""Speech vectors on disk: made once for a manifest and its class segments, and resumed where a run was killed.

A folder of the cache holds ``vectors.npy``. Until it is complete that is ``vectors.npy.partial``, at full size, and
``done`` says how many utterances, in the order of the manifest, are safely in it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ptsel_fairseq.base.audio import read_whole_audio
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import lock_folder, write_text
from ptsel_fairseq.base.grid import SAMPLE_RATE
from ptsel_fairseq.base.manifest import Manifest, Segment
from ptsel_fairseq.base.partial_array import PartialArray
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.base.workers import LOCAL, map_ordered
from ptsel_fairseq.selection.embedding import NUM_MELS, embed

VERSION = 1  # of what `embed` computes
VECTORS, DONE = "vectors", "done"
SECONDS_BETWEEN_FLUSHES = 5.0


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
        for rows, values in _embedded(manifest, segments, frames, 0, engine, jobs):
            vectors[rows] = values
        return vectors
    folder = Path(cache) / _key(manifest, segments, frames)
    with _locked(folder):
        if not (folder / f"{VECTORS}.npy").exists():
            _fill(folder, shape, manifest, segments, frames, engine, jobs)
        return np.load(folder / f"{VECTORS}.npy", allow_pickle=False)


def is_cached(manifest: Manifest, segments: Sequence[Segment], frames: int, cache: Path | str) -> bool:
    """Whether `speech_vectors` will find them complete."""
    return (Path(cache) / _key(manifest, segments, frames) / f"{VECTORS}.npy").exists()


def _fill(
    folder: Path,
    shape: tuple[int, int],
    manifest: Manifest,
    segments: Sequence[Segment],
    frames: int,
    engine: str,
    jobs: int | None,
) -> None:
    vectors, journal = PartialArray(folder, VECTORS, shape, np.dtype(np.float32)), folder / DONE
    done = _done(journal) if vectors.is_whole() else 0
    vectors.make()
    flushed = time.monotonic()
    try:
        for rows, values in _embedded(manifest, segments, frames, done, engine, jobs):
            vectors.write(rows.start, values)
            done += 1
            if time.monotonic() - flushed > SECONDS_BETWEEN_FLUSHES:
                vectors.flush()
                write_text(journal, f"{done}\n")
                flushed = time.monotonic()
        vectors.flush()
    finally:
        vectors.close()
    vectors.finish()
    journal.unlink(missing_ok=True)


def _done(journal: Path) -> int:
    """How many utterances the vectors are safely there of; 0 if the file is none that we have written."""
    try:
        text = journal.read_text(encoding="ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return 0
    return int(text) if text.isdecimal() else 0


def _embedded(
    manifest: Manifest, segments: Sequence[Segment], frames: int, done: int, engine: str, jobs: int | None
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
    """The folder to ourselves; the lock ends with the process."""
    busy = f"{folder}: another run is embedding the same speech; wait for it to end, or give another --cache"
    try:
        lock = lock_folder(folder, busy)
    except OSError as error:
        raise PtselError(
            f"{folder}: the speech vectors cannot be kept there ({error.strerror}); give another folder with --cache"
        ) from None
    try:
        yield
    except OSError as error:
        raise PtselError(
            f"{folder}: the speech vectors cannot be kept there ({error.strerror or error}); what is finished is "
            "kept, run the command again when there is room, or give another --cache"
        ) from None
    finally:
        os.close(lock)
