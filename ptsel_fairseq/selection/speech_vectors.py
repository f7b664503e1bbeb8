"""Speech vectors on disk: made once for a manifest and its class segments, and resumed where a run was killed.

A folder of the cache holds ``vectors.npy``, written as `base.kept.filled_array` says.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np

from ptsel_fairseq.base.audio import read_whole_audio
from ptsel_fairseq.base.class_file import Segment
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import locked_folder
from ptsel_fairseq.base.grid import SAMPLE_RATE
from ptsel_fairseq.base.identity import Identity
from ptsel_fairseq.base.kept import filled_array
from ptsel_fairseq.base.manifest import Manifest
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.base.workers import LOCAL, map_ordered, map_where_faster
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
    work = _Work(manifest, segments, frames, engine, jobs)
    if cache is None:
        vectors = np.empty(shape, dtype=np.float32)
        for rows, values, _ in work.found(range(len(work.recordings)), identify=False):
            vectors[rows] = values
        return vectors
    folder = Path(cache) / _key(manifest, segments, frames)
    with _locked(folder):
        return filled_array(folder / VECTORS, shape, work.recordings, work.identified_parts)


def is_cached(manifest: Manifest, segments: Sequence[Segment], frames: int, cache: Path | str) -> bool:
    """Whether `speech_vectors` will find them complete."""
    return (Path(cache) / _key(manifest, segments, frames) / VECTORS).exists()


class _Work:
    """The utterances that have segments, each a part of the vectors."""

    def __init__(
        self, manifest: Manifest, segments: Sequence[Segment], frames: int, engine: str, jobs: int | None
    ) -> None:
        self._manifest, self._segments, self._frames = manifest, segments, frames
        self._engine, self._jobs = engine, jobs
        utterances = np.array([segment.utterance for segment in segments])
        self._starts = np.flatnonzero(np.diff(utterances, prepend=-1))
        self._ends = np.append(self._starts[1:], len(segments))
        self._utterances = [manifest.utterances[utterances[start]] for start in self._starts]
        self.recordings = [manifest.audio_path(utterance) for utterance in self._utterances]

    def parts(self, numbers: Sequence[int]) -> Iterator[tuple[slice, np.ndarray, Identity]]:
        """Rows, vectors and recording of the parts of these numbers."""
        return cast(Iterator[tuple[slice, np.ndarray, Identity]], self.found(numbers, identify=True))

    def found(
        self, numbers: Sequence[int], identify: bool
    ) -> Iterator[tuple[slice, np.ndarray, Identity | None]]:
        """Rows, vectors and, if asked for, recording of the parts of these numbers."""
        pieces = (self._piece(number, identify) for number in numbers)
        total = len(self.recordings)
        done = total - len(numbers)
        bar = progress_bar(total=total, initial=done, desc="embedding speech", unit="utterance")
        if self._engine == LOCAL:
            samples = sum(self._utterances[number].samples for number in numbers)
            found = map_where_faster(
                _embed_file,
                pieces,
                lambda piece: piece.samples / SAMPLE_RATE,
                samples / SAMPLE_RATE,
                self._jobs,
            )
        else:
            found = map_ordered(_embed_file, pieces, self._engine)
        with bar:
            for number, (values, identity) in zip(numbers, found, strict=True):
                bar.update()
                yield slice(int(self._starts[number]), int(self._ends[number])), values, identity

    def identified_parts(self, numbers: Sequence[int]) -> Iterator[tuple[slice, np.ndarray, Identity]]:
        """As `parts`, always with the recordings."""
        return (
            (rows, values, made_of) for rows, values, made_of in self.parts(numbers) if made_of is not None
        )

    def _piece(self, number: int, identify: bool) -> _Piece:
        utterance = self._utterances[number]
        spans = self._segments[self._starts[number] : self._ends[number]]
        return _Piece(
            self.recordings[number],
            utterance.samples,
            self._manifest.where(utterance),
            [(segment.start, segment.end) for segment in spans],
            self._frames,
            identify,
        )


class _Piece(NamedTuple):
    """What another process needs to embed the segments of one utterance."""

    file: Path
    samples: int
    where: str
    spans: list[tuple[float, float]]
    frames: int
    identify: bool


def _embed_file(piece: _Piece) -> tuple[np.ndarray, Identity | None]:
    """The vectors of one utterance's segments, and what its recording was before it was read."""
    identity = Identity.of(piece.file) if piece.identify and piece.file.is_file() else None
    waveform = read_whole_audio(piece.file, SAMPLE_RATE, piece.samples, piece.where)
    return embed(waveform, piece.spans, piece.frames), identity


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
