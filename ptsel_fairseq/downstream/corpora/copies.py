"""The audio of a corpus: its lengths as it lies there, or mono copies at 16 kHz."""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ptsel_fairseq.base.audio import PIECE, AudioFile
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import WholeFile
from ptsel_fairseq.base.grid import SAMPLE_RATE
from ptsel_fairseq.base.workers import map_ordered

CUT_OFF = 0.05  # share of a file that may be missing at its end: the length of an MP3 may be an estimate
UNKNOWN_SIZE = 0x7FFF0000  # bytes in the header of a WAV that was written to a pipe: this or more
SHORT_WORK = 500  # files: done faster in one process than processes start


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
    from tqdm import tqdm

    read = _decoded_length if decode else _length_of
    function = partial(read, root) if copies is None else partial(_convert, root, copies)
    found = map_ordered(function, paths, jobs=1 if len(paths) < SHORT_WORK else jobs)
    what = "converting to 16 kHz" if copies else "reading" if decode else "reading headers"
    bar = tqdm(found, total=len(paths), desc=what, unit="file", file=sys.stderr)
    return dict(zip(paths, bar, strict=True))


def copy_of(path: str) -> str:
    """The name of a file's copy at 16 kHz."""
    return str(Path(path).with_suffix(".flac").as_posix())


def to_grid_rate(waveform: np.ndarray, rate: int) -> np.ndarray:
    """Mono float32 at 16 kHz of [samples] or [samples, channels], by soxr's high quality resampler."""
    import soxr

    mono = waveform if waveform.ndim == 1 else waveform.mean(axis=1)
    return mono if rate == SAMPLE_RATE else soxr.resample(mono, rate, SAMPLE_RATE)


def read_g722(file: Path) -> tuple[np.ndarray, int]:
    """G.722, telephony's wideband codec, which libsndfile does not read, by av: float32 [samples] and 16 kHz."""
    try:
        import av
    except ImportError:
        raise PtselError(
            f"{file}: G.722 is decoded by av, which is not installed; pip install 'ptsel_fairseq[downstream]'"
        ) from None
    with av.open(str(file), format="g722") as container:
        blocks = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    samples = np.concatenate(blocks) if blocks else np.zeros(0, np.int16)
    return samples.astype(np.float32) / 32768, SAMPLE_RATE


def write_flac(file: Path, waveform: np.ndarray) -> None:
    """Write mono 16 bit FLAC at 16 kHz; raise PtselError if there is no room for it."""
    import soundfile

    with WholeFile(file, sync=False) as out:
        try:
            soundfile.write(
                out.fileno(), waveform, SAMPLE_RATE, subtype="PCM_16", format="FLAC", closefd=False
            )
        except soundfile.LibsndfileError as error:
            raise OSError(f"{error.error_string} Is the disk full?") from None


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


def _decode(file: Path) -> tuple[np.ndarray, int, int]:
    """Waveform, rate, and the samples that the header promises."""
    import soundfile

    if file.suffix == ".g722":
        waveform, rate = read_g722(file)
        return waveform, rate, len(waveform)
    with soundfile.SoundFile(file) as sound:
        return sound.read(dtype="float32"), sound.samplerate, promised_by_header(file, sound.frames)


def promised_by_header(file: Path, frames: int) -> int:
    """The length that a WAV had when it was written; libsndfile says of one that was cut off what is left: `frames`."""
    size = file.stat().st_size
    with file.open("rb") as content:
        if content.read(4) != b"RIFF":
            return frames
        content.seek(12)
        while len(head := content.read(8)) == 8:
            kind, promised = struct.unpack("<4sI", head)
            if kind == b"data":
                found = size - content.tell()
                cut_off = 0 < found < promised < UNKNOWN_SIZE
                return frames * promised // found if cut_off else frames
            content.seek(promised + promised % 2, 1)
    return frames


def _convert(root: Path, copies: Path, path: str) -> Measured:
    import soundfile

    copy = copies / copy_of(path)
    if copy.is_file():
        there = _length_of(copies, copy_of(path))
        if not there.fault:  # a damaged copy says nothing of the recording: it is made again
            return there
    try:
        waveform, rate, expected = _decode(root / path)
    except soundfile.LibsndfileError as error:
        return _undecodable(root / path, error)
    except MemoryError:
        return Measured(
            0, "cannot be decoded (more samples than memory has room for; is its header damaged?)"
        )
    if not len(waveform):
        return Measured(0, "holds no samples")
    if len(waveform) < (1 - CUT_OFF) * expected:
        return Measured(0, f"is cut off, expected {expected} samples, found {len(waveform)}")
    write_flac(copy, to_grid_rate(waveform, rate))
    return _length_of(copies, copy_of(path))
