"""The audio of a corpus: its lengths as it lies there, or mono copies at 16 kHz."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ptsel_fairseq.errors import PtselError
from ptsel_fairseq.files import replacing
from ptsel_fairseq.labels.grid import SAMPLE_RATE
from ptsel_fairseq.workers import map_ordered

CUT_OFF = 0.05  # share of an MP3 that may be missing at its end: its length may be an estimate
SHORT_WORK = 500  # files: done faster in one process than processes start
SHOWN = 3  # examples in a message


@dataclass(frozen=True)
class Measured:
    """Samples at 16 kHz, or what is wrong with the file."""

    samples: int
    fault: str = ""


def measure(root: Path, paths: Sequence[str], copies: Path | None, jobs: int | None) -> dict[str, Measured]:
    """The length of each file below `root`; with `copies` of its copy there, made unless it is there already.

    Raises:
        PtselError: files that are missing, of another rate than 16 kHz (without `copies`), or that cannot be decoded.
    """
    from tqdm import tqdm

    missing = [path for path in paths if not (root / path).is_file()]
    if missing:
        raise PtselError(
            f"{root}: {len(missing)} of the {len(paths)} audio files that the corpus's lists name are missing (first: "
            f"{', '.join(missing[:SHOWN])}); unpack all its archives here again"
        )
    function = partial(_length_of, root) if copies is None else partial(_convert, root, copies)
    found = map_ordered(function, paths, jobs=1 if len(paths) < SHORT_WORK else jobs)
    what = "reading headers" if copies is None else "converting to 16 kHz"
    bar = tqdm(found, total=len(paths), desc=what, unit="file", file=sys.stderr)
    measured = dict(zip(paths, bar, strict=True))
    faulty = [(path, found.fault) for path, found in measured.items() if found.fault]
    if faulty:
        shown = "; ".join(f"{path}: {fault}" for path, fault in faulty[:SHOWN])
        raise PtselError(
            f"{root}: {len(faulty)} of {len(paths)} audio files cannot be used (first: {shown}); unpack them "
            "again, or if they were published so take them out of the corpus's lists"
        )
    return measured


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

    with replacing(file) as unfinished:
        try:
            soundfile.write(unfinished, waveform, SAMPLE_RATE, subtype="PCM_16", format="FLAC")
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


def _undecodable(file: Path, error: Any) -> Measured:
    return Measured(0, f"cannot be decoded ({error.error_string})" if file.stat().st_size else "is empty")


def _decode(file: Path) -> tuple[np.ndarray, int, int]:
    """Waveform, rate, and the samples that the header promises."""
    import soundfile

    if file.suffix == ".g722":
        waveform, rate = read_g722(file)
        return waveform, rate, len(waveform)
    with soundfile.SoundFile(file) as sound:
        return sound.read(dtype="float32"), sound.samplerate, sound.frames


def _convert(root: Path, copies: Path, path: str) -> Measured:
    import soundfile

    copy = copies / copy_of(path)
    if not copy.is_file():
        try:
            waveform, rate, expected = _decode(root / path)
        except soundfile.LibsndfileError as error:
            return _undecodable(root / path, error)
        if not len(waveform):
            return Measured(0, "holds no samples")
        if len(waveform) < (1 - CUT_OFF) * expected:
            return Measured(0, f"is cut off, expected {expected} samples, found {len(waveform)}")
        write_flac(copy, to_grid_rate(waveform, rate))
    return _length_of(copies, copy_of(path))
