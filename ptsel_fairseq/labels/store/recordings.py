"""Which recordings a split's tracks are of: what each file held when it was analysed, kept beside the arrays.

``recordings.tsv`` has a line for each line of the manifest: path, samples, and size in bytes, time of modification
(nanoseconds) and SHA-256 of the file. A recording is known again by its content: one that was replaced, denoised or
completed is another one, and one that was moved or renamed is the same.
"""

from __future__ import annotations

import hashlib
import mmap
import operator
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import write_text
from ptsel_fairseq.base.identity import Identity
from ptsel_fairseq.base.manifest import Manifest

RECORDINGS = "recordings.tsv"
COLUMNS = "path\tsamples\tsize\tmtime_ns\tsha256"
BLOCK = 1 << 16  # bytes that are looked at at once
# A line, in two parts around the time, which the checksum leaves out.
LINE = re.compile(rb"^([^\t\n]*+\t\d++\t\d++\t)-?\d++\t([0-9a-f]{64})$", re.MULTILINE)


class Recording(NamedTuple):
    """One utterance's file as it was analysed: path and samples as in the manifest, and what the file held."""

    path: str
    samples: int
    identity: Identity

    def fields(self) -> list[str]:
        """As text, in the order of `COLUMNS`."""
        return [self.path, str(self.samples), *map(str, self.identity)]

    @classmethod
    def of_fields(cls, fields: Sequence[str]) -> Recording:
        """What `fields` gave; raise ValueError for anything else."""
        path, samples, size, mtime_ns, sha256 = fields
        if len(sha256) != 64:
            raise ValueError(f"no SHA-256: {sha256!r}")
        return cls(path, int(samples), Identity(int(size), int(mtime_ns), sha256))


def to_text(recordings: Iterable[Recording]) -> str:
    """The content of ``recordings.tsv``."""
    return "\n".join([COLUMNS, *("\t".join(recording.fields()) for recording in recordings)]) + "\n"


def write_recordings(folder: Path, recordings: Sequence[Recording]) -> str:
    """Write ``recordings.tsv`` of a split; returns a checksum for the header."""
    write_text(folder / RECORDINGS, to_text(recordings))
    return checksum_of(recordings)


def checksum_of(recordings: Iterable[Recording]) -> str:
    """SHA-256 of paths, samples and contents; times may change without the recordings being others."""
    digest = hashlib.sha256()
    for path, samples, (size, _, sha256) in recordings:
        digest.update(f"{path}\t{samples}\t{size}\t{sha256}\n".encode())
    return digest.hexdigest()


class Recordings(Sequence[Recording]):
    """The lines of ``recordings.tsv``, each read from the file when it is asked for.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not as it was written.
    """

    def __init__(self, file: Path, checksum: str) -> None:
        digest = hashlib.sha256()
        with file.open("rb") as content:
            kind = np.int32 if os.fstat(content.fileno()).st_size <= np.iinfo(np.int32).max else np.int64
            breaks = [np.zeros(0, kind)]
            begin = place = len(content.readline())
            while block := content.read(BLOCK):
                block += content.readline()
                block.decode()
                parts, number = LINE.subn(rb"\1\2", block)
                ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))
                if number != len(ends) or not block.endswith(b"\n"):
                    raise ValueError(f"expected lines of {COLUMNS!r}")
                digest.update(parts)
                breaks.append((place + 1 + ends).astype(kind))
                place += len(block)
            self._content = mmap.mmap(content.fileno(), place, access=mmap.ACCESS_READ)
        if digest.hexdigest() != checksum:
            raise ValueError("it is not the one that was written")
        self._ends = np.concatenate(breaks)
        self._begin = begin

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, place: int) -> Recording: ...

    @overload
    def __getitem__(self, place: slice) -> list[Recording]: ...

    def __getitem__(self, place: int | slice) -> Recording | list[Recording]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        place = range(len(self))[operator.index(place)]
        start = int(self._ends[place - 1]) if place else self._begin
        return Recording.of_fields(self._content[start : int(self._ends[place]) - 1].decode().split("\t"))


def read_recordings(folder: Path, checksum: str | None) -> Recordings | None:
    """The recordings of a split; None for a store of version 0.1, which did not keep them.

    Args:
        checksum: as the header has it; None if it has none.

    Raises:
        PtselError: the file is missing, or is not the one that was written.
    """
    if checksum is None:
        return None
    file = folder / RECORDINGS
    try:
        return Recordings(file, checksum)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PtselError(
            f"{file}: the list of recordings cannot be used ({reason}); remove {folder} and extract it again"
        ) from None


def unchanged(recording: Recording, file: str) -> Recording | None:
    """The recording with the file's time of today if the file still holds it; None if not, or if there is no file."""
    identity = recording.identity
    try:
        found = os.stat(file)
    except OSError:
        return None
    if found.st_size != identity.size:
        return None
    if found.st_mtime_ns == identity.mtime_ns:
        return recording
    try:
        now = Identity.of(file)
    except PtselError:
        return None
    return recording._replace(identity=now) if now.sha256 == identity.sha256 else None


def changed(
    manifest: Manifest,
    recordings: Sequence[Recording],
    thorough: bool = False,
    look_at: int | None = None,
    read: int | None = None,
) -> list[int]:
    """Utterances of a manifest whose files are not what they were, or are not there.

    Files of another size are found without being read; of those whose time is another the content decides.

    Args:
        recordings: of the same manifest.
        thorough: read every file, whatever its size and time say.
        look_at: of how many files size and time are looked at, at most; of more, so many of them, spread evenly.
        read: how many files are read, at most, in the same way: after a corpus was copied all times are others.
    """
    root = str(manifest.root)
    found, doubtful = [], []
    for index in _spread(range(len(manifest)), look_at):
        utterance, identity = manifest.utterances[index], recordings[index].identity
        try:
            now = os.stat(os.path.join(root, utterance.path))  # Path would take longer than the call
        except OSError:
            found.append(utterance.index)
            continue
        if now.st_size != identity.size:
            found.append(utterance.index)
        elif thorough or now.st_mtime_ns != identity.mtime_ns:
            doubtful.append(utterance.index)
    for index in _spread(doubtful, read):
        file = manifest.audio_path(manifest.utterances[index])
        if not recordings[index].identity.is_of(file, thorough):
            found.append(index)
    return sorted(found)


def _spread(places: Sequence[int], at_most: int | None) -> Sequence[int]:
    """All of the places, or so many of them, spread evenly."""
    if at_most is None or len(places) <= at_most:
        return places
    return [places[k * len(places) // at_most] for k in range(at_most)]


def recognised(manifest: Manifest, known: Iterable[Recording]) -> list[Recording | None]:
    """For each utterance the known recording that its file holds, under its path or another; None if there is none.

    A file is read only where its time differs from the one kept, or where its path is new and its size is not.
    """
    by_path: dict[str, Recording] = {}
    by_content: dict[tuple[int, str], Recording] = {}
    for recording in known:
        by_path[recording.path] = recording
        by_content[recording.samples, recording.identity.sha256] = recording
    sizes = {recording.identity.size for recording in by_content.values()}
    root = str(manifest.root)
    found = []
    for utterance in manifest:
        file = os.path.join(root, utterance.path)
        own = by_path.get(utterance.path)
        same = None
        if own is not None and own.samples == utterance.samples:
            same = unchanged(own, file)
        if same is None:
            same = _moved(utterance.path, utterance.samples, file, sizes, by_content)
        found.append(same)
    return found


def _moved(
    path: str, samples: int, file: str, sizes: set[int], by_content: dict[tuple[int, str], Recording]
) -> Recording | None:
    """The recording of this file if its content is known under another path."""
    try:
        if os.stat(file).st_size not in sizes:
            return None
        identity = Identity.of(file)
    except (OSError, PtselError):
        return None
    return Recording(path, samples, identity) if (samples, identity.sha256) in by_content else None
