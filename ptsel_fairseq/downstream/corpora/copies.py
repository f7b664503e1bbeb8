"""The audio of a corpus: its lengths as it lies there, or mono copies at 16 kHz."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ptsel_fairseq.base.audio import PIECE, AudioFile
from ptsel_fairseq.base.audio_length import audio_length
from ptsel_fairseq.base.errors import RecordingError
from ptsel_fairseq.base.files import file_checksum
from ptsel_fairseq.base.grid import SAMPLE_RATE
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.base.workers import map_ordered
from ptsel_fairseq.data.conversion import MADE_OF, SHORT_WORK, convert_file
from ptsel_fairseq.data.resampling import SOXR


@dataclass(frozen=True)
class Measured:
    """Samples at 16 kHz, or what is wrong with the file."""

    samples: int
    fault: str = ""


def measure(
    root: Path, paths: Sequence[str], copies: Path | None, jobs: int | None, decode: bool = False
) -> dict[str, Measured]:
    """The length of each file below `root`; with `copies` of its copy there, made unless it is there already.

    Without `copies` only headers are read, which do not say that a file was cut off, unless `decode` is given.
    """
    read = _decoded_length if decode else _length_of
    function = partial(read, root) if copies is None else partial(_convert, root, copies)
    found = map_ordered(function, paths, jobs=1 if len(paths) < SHORT_WORK else jobs)
    what = "converting to 16 kHz" if copies else "reading" if decode else "reading headers"
    return dict(zip(paths, progress_bar(found, total=len(paths), desc=what, unit="file"), strict=True))


def copy_of(path: str) -> str:
    """The name of a file's copy at 16 kHz."""
    return str(Path(path).with_suffix(".flac").as_posix())


def _length_of(root: Path, path: str) -> Measured:
    found = audio_length(root / path)
    if found.fault:
        return Measured(0, found.fault)
    if found.rate != SAMPLE_RATE:
        return Measured(0, f"expected {SAMPLE_RATE} Hz, found {found.rate} Hz")
    return Measured(found.samples)


def _decoded_length(root: Path, path: str) -> Measured:
    found = _length_of(root, path)
    if found.fault:
        return found
    try:
        with AudioFile(root / path, SAMPLE_RATE) as audio:
            while len(audio.read(PIECE)):
                pass
    except RecordingError as error:
        return Measured(0, " ".join(error.fault.split()))
    if audio.position < found.samples:
        return Measured(0, f"is cut off, expected {found.samples} samples, found {audio.position}")
    return found


def _convert(root: Path, copies: Path, path: str) -> Measured:
    source, copy = root / path, copies / copy_of(path)
    if not copy.parent.resolve().is_relative_to(copies.resolve()):
        return Measured(0, f"would be written outside {copies}")
    if copy.is_file() and _is_copy_of(copy, source):
        there = _length_of(copies, copy_of(path))
        if not there.fault:  # a damaged copy is made again
            return there
    # One resampler for all: copies of a published corpus are the same on every machine.
    try:
        before = source.stat().st_mtime_ns
        converted = convert_file(source, copy, SOXR, made_of=file_checksum(source))
    except OSError as error:
        return Measured(0, f"cannot be read ({error.strerror or error})")
    if not converted.fault:
        os.utime(copy, ns=(before, before))
    return Measured(sum(converted.pieces), converted.fault)


def _is_copy_of(copy: Path, source: Path) -> bool:
    """Whether a copy was made of the recording as it is now: it has its time, or its checksum inside."""
    import soundfile

    try:
        if copy.stat().st_mtime_ns == source.stat().st_mtime_ns:
            return True
        with soundfile.SoundFile(copy) as sound:
            return sound.comment == MADE_OF + file_checksum(source)
    except (OSError, soundfile.LibsndfileError):
        return False
