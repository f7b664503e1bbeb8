"""One utterance's share of an extraction, as a worker does it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ptsel_fairseq.base.audio import AudioFile
from ptsel_fairseq.base.errors import PtselError, RecordingError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.identity import Identity
from ptsel_fairseq.base.manifest import Manifest, Utterance
from ptsel_fairseq.base.threads import one_thread
from ptsel_fairseq.labels.label import Label
from ptsel_fairseq.labels.store.partial_arrays import TrackArrays, named_errors
from ptsel_fairseq.labels.tracks import resolve
from ptsel_fairseq.labels.user import UserFile, load_user_file

if TYPE_CHECKING:
    from ptsel_fairseq.labels.label import Track


@dataclass(frozen=True)
class Piece:
    """One utterance to be analysed.

    labels: their names, those that are to be computed.
    arrays: where the worker puts the tracks of a long recording, which are too large to be sent, from the row
        `first_row` on; None if the tracks shall come back.
    owner: the process that may have them written, the worker's parent or itself.
    backend: that computes them, None for this package.
    """

    file: Path
    samples: int
    where: str
    labels: tuple[str, ...]
    grid: FrameGrid
    user_files: tuple[UserFile, ...] = ()
    arrays: TrackArrays | None = None
    first_row: int = 0
    owner: int = 0
    backend: str | None = None


def analyse_one(
    manifest: Manifest, utterance: Utterance, labels: Sequence[Label], grid: FrameGrid
) -> dict[str, Track]:
    """The tracks of one utterance; raise PtselError naming its line if the audio is not as the manifest says."""
    from ptsel_fairseq.labels.extraction.long_recordings import joined_tracks

    file, where = manifest.audio_path(utterance), manifest.where(utterance)
    return joined_tracks(_tracks(Piece(file, utterance.samples, where, (), grid), labels))


class Analysed(NamedTuple):
    """What became of a piece.

    Attributes:
        identity: of the file, taken before it was read.
        tracks: by label; none of those that are in the piece's arrays.
        crcs: the CRC-32 of the rows of these, of values and mask.
    """

    identity: Identity
    tracks: dict[str, Track]
    crcs: dict[str, tuple[int, int]]


def analyse_piece(piece: Piece) -> Analysed:
    """The tracks of a piece, or that they are in its arrays."""
    from ptsel_fairseq.labels.extraction.long_recordings import joined_tracks

    for user_file in piece.user_files:
        load_user_file(user_file)
    identity = identity_of(piece.file, piece.where)
    crcs: dict[str, tuple[int, int]] = {}
    with one_thread(load_torch=True):
        tracks = _tracks(piece, resolve(piece.labels, piece.backend))
        if piece.arrays is None:
            return Analysed(identity, joined_tracks(tracks), crcs)
        try:
            with named_errors(piece.arrays.folder):
                for frame, part in tracks:
                    # A killed extraction leaves workers behind; what comes after it may be another extraction's.
                    if piece.owner not in (os.getpid(), os.getppid()):
                        raise PtselError(f"{piece.where}: the extraction that this was for has ended")
                    piece.arrays.write(piece.first_row + frame, part, piece.where, crcs)
        finally:
            piece.arrays.close()
    return Analysed(identity, {}, crcs)


def identity_of(file: Path, where: str) -> Identity:
    """What a file holds; PtselError naming the utterance if it is not there or cannot be read."""
    if not file.is_file():
        raise PtselError(f"{where}: no such audio file: {file}")
    try:
        return Identity.of(file)
    except PtselError as error:
        raise PtselError(f"{where}: {error}") from None


def _tracks(piece: Piece, labels: Sequence[Label]) -> Iterator[tuple[int, dict[str, Track]]]:
    """`tracks_of` the piece's file; an error of a label names its line."""
    from ptsel_fairseq.labels.extraction.long_recordings import tracks_of

    def opened() -> AudioFile:
        return AudioFile(piece.file, piece.grid.sample_rate, piece.where)

    try:
        yield from tracks_of(opened, piece.samples, labels, piece.grid)
    except RecordingError:
        raise
    except PtselError as error:
        raise PtselError(f"{piece.where}: {error}") from error.__cause__  # a user's error, for --debug
