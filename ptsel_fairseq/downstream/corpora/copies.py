"""The audio of a corpus: its lengths as it lies there, or mono copies at 16 kHz."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ptsel_fairseq.base.audio import PIECE, AudioFile
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import SAMPLE_RATE
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.base.workers import map_ordered
from ptsel_fairseq.data.conversion import CUT_OFF, SHORT_WORK, convert_file
from ptsel_fairseq.data.decoding import promised_by_header
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
    import soundfile

    try:
        header = soundfile.info(root / path)
    except soundfile.LibsndfileError as error:
        return _undecodable(root / path, error)
    if header.samplerate != SAMPLE_RATE:
        return Measured(0, f"expected {SAMPLE_RATE} Hz, found {header.samplerate} Hz")
    return Measured(header.frames) if header.frames else Measured(0, "holds no samples")


def _decoded_length(root: Path, path: str) -> Measured:
    found = _length_of(root, path)
    if found.fault:
        return found
    where = str(root / path)
    try:
        with AudioFile(root / path, SAMPLE_RATE) as audio:
            while len(audio.read(PIECE)):
                pass
    except PtselError as error:
        return Measured(0, " ".join(str(error).removeprefix(f"{where}: ").split()))
    expected = promised_by_header(root / path, found.samples)
    if audio.position < max(found.samples, (1 - CUT_OFF) * expected):
        return Measured(0, f"is cut off, expected {expected} samples, found {audio.position}")
    return found


def _undecodable(file: Path, error: Any) -> Measured:
    reason = " ".join(error.error_string.split())
    return Measured(0, f"cannot be decoded ({reason})" if file.stat().st_size else "is empty")


def _convert(root: Path, copies: Path, path: str) -> Measured:
    copy = copies / copy_of(path)
    if copy.is_file():
        there = _length_of(copies, copy_of(path))
        if not there.fault:  # a damaged copy says nothing of the recording: it is made again
            return there
    # One resampler for all: copies of a published corpus are the same on every machine.
    converted = convert_file(root / path, copy, SOXR)
    return Measured(sum(converted.pieces), converted.fault)
