"""One audio file of any format -> mono 16 bit FLAC at 16 kHz, whole or cut at its silences."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ptsel_fairseq.base.audio import LOUDEST
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import WholeFile
from ptsel_fairseq.base.grid import SAMPLE_RATE
from ptsel_fairseq.data.decoding import Sound, UndecodableError, open_sound
from ptsel_fairseq.data.resampling import make_resampler

MADE_OF = "made of the file with the SHA-256 "
CUT_OFF = 0.05  # share of a file that may be missing at its end: the length of an MP3 may be an estimate
SHORT_WORK = 500  # files: done faster in one process than processes start
QUIET_WINDOW = SAMPLE_RATE // 5  # samples over which loudness is taken to find a silence
QUIET_STEP = SAMPLE_RATE // 100


@dataclass(frozen=True)
class Converted:
    """What became of one file.

    Attributes:
        fault: why it cannot be used; empty if it was converted.
        pieces: samples at 16 kHz of each file written, in order; one unless it was cut.
        kind, rate, channels: of the source, as in `Sound`.
        clipped: samples beyond full scale, which 16 bit cannot hold.
    """

    fault: str = ""
    pieces: tuple[int, ...] = ()
    kind: str = ""
    rate: int = 0
    channels: int = 0
    clipped: int = 0


def convert_file(
    source: Path, copy: Path, resampler: str, longest: float | None = None, made_of: str = ""
) -> Converted:
    """Write `source` as `copy`, or cut into `piece_of` copy.

    Args:
        resampler: ``torchaudio`` or ``soxr``.
        longest: seconds; a longer waveform is cut at silences into pieces that are not longer.
        made_of: SHA-256 of the source, kept in the copy.

    Raises:
        PtselError: no room on the disk.
    """
    try:
        with open_sound(source) as sound:
            return _convert(sound, copy, resampler, longest, made_of)
    except UndecodableError as error:
        return Converted(str(error))
    except OSError as error:
        return Converted(f"cannot be read ({error.strerror or error})")


def _convert(sound: Sound, copy: Path, resampler: str, longest: float | None, made_of: str) -> Converted:
    count = _Count(sound.blocks)
    waveform = _at_grid_rate(count, resampler, sound.rate)
    stretches: Iterable[Iterable[np.ndarray]] = [waveform]
    if longest is not None:
        stretches = cut_at_silences(waveform, round(longest * SAMPLE_RATE))
    written: list[int] = []
    files: list[Path] = []
    try:
        for blocks in stretches:
            files.append(copy if longest is None else piece_of(copy, len(files)))
            written.append(write_flac(files[-1], blocks, made_of))
        fault = ""
        if not sum(written):
            fault = "holds no samples"
        elif count.samples < (1 - CUT_OFF) * sound.promised:
            fault = f"is cut off, expected {sound.promised} samples, found {count.samples}"
        elif count.not_finite:
            fault = "holds samples that are not finite numbers"
        elif count.peak > LOUDEST:
            fault = f"reaches {count.peak:g} times full scale; it holds integers saved as floats"
    except UndecodableError as error:
        fault = str(error)
    except BaseException:
        _remove(files)
        raise
    if fault:
        _remove(files)
        return Converted(fault, (), sound.kind, sound.rate, sound.channels)
    if len(files) == 1 and files[0] != copy:
        files[0].replace(copy)
    return Converted("", tuple(written), sound.kind, sound.rate, sound.channels, count.clipped)


class _Count:
    """Blocks as they come, and what was seen of them."""

    def __init__(self, blocks: Iterator[np.ndarray]) -> None:
        self._blocks, self.samples, self.clipped, self.not_finite, self.peak = blocks, 0, 0, False, 0.0

    def __iter__(self) -> Iterator[np.ndarray]:
        for block in self._blocks:
            self.samples += len(block)
            self.not_finite = self.not_finite or not np.isfinite(block).all()
            self.clipped += int((np.abs(block) > 1).sum())
            self.peak = max(self.peak, float(np.abs(block).max(initial=0)))
            yield block


def _at_grid_rate(blocks: Iterable[np.ndarray], resampler: str, rate: int) -> Iterator[np.ndarray]:
    converter = make_resampler(resampler, rate)
    for block in blocks:
        yield converter.push(block)
    yield converter.finish()


def piece_of(copy: Path, index: int) -> Path:
    """The file of one piece: ``talk.part0001.flac`` of ``talk.flac``."""
    return copy.with_name(f"{copy.stem}.part{index + 1:04d}{copy.suffix}")


def files_of(copy: Path, pieces: int) -> list[Path]:
    """The files that one source became: the copy itself, or its pieces."""
    return [copy] if pieces == 1 else [piece_of(copy, i) for i in range(pieces)]


def cut_at_silences(blocks: Iterable[np.ndarray], longest: int) -> Iterator[list[np.ndarray]]:
    """Cut a waveform into stretches of at most `longest` samples, each end in the quietest place of its second half."""
    waiting: list[np.ndarray] = []
    for block in blocks:
        waiting.append(block)
        while sum(map(len, waiting)) > longest:
            there = np.concatenate(waiting)
            end = quietest(there[:longest])
            yield [there[:end]]
            waiting = [there[end:]]
    yield waiting


def quietest(waveform: np.ndarray) -> int:
    """The sample in the second half around which 0.2 s have the least energy; the last of equal ones."""
    half = len(waveform) // 2
    if len(waveform) - half < 2 * QUIET_WINDOW:
        return len(waveform)
    energy = np.concatenate([[0.0], np.cumsum(np.square(waveform, dtype=np.float64))])
    starts = np.arange(half, len(waveform) - QUIET_WINDOW + 1, QUIET_STEP)
    inside = np.maximum(energy[starts + QUIET_WINDOW] - energy[starts], 0)
    return int(starts[len(starts) - 1 - np.argmin(inside[::-1])]) + QUIET_WINDOW // 2


def write_flac(file: Path, blocks: Iterable[np.ndarray], made_of: str = "") -> int:
    """Write mono 16 bit FLAC at 16 kHz; return its samples. Raises PtselError if there is no room for it.

    Nothing is left of it if a block raises.

    Args:
        made_of: SHA-256 of the file that the blocks come from, kept as a comment.
    """
    import soundfile

    samples = 0
    blocks = iter(blocks)
    first = next(blocks, np.zeros(0, np.float32))  # what cannot be decoded at all makes no file
    with WholeFile(file, sync=False) as out:  # its header is read before it is used again
        checked = _Checked(out)
        try:
            with soundfile.SoundFile(checked, "w", SAMPLE_RATE, 1, "PCM_16", format="FLAC") as flac:
                if made_of:
                    flac.comment = MADE_OF + made_of
                for block in chain([first], blocks):
                    flac.write(np.nan_to_num(block))
                    samples += len(block)
                    checked.raise_error()
        except soundfile.LibsndfileError as error:
            checked.raise_error()
            raise OSError(f"{error.error_string} Is the disk full?") from None
        checked.raise_error()
    return samples


class _Checked:
    """A file for libsndfile, which does not report that the disk is full while it finishes a FLAC.

    After the first error everything written is discarded, so that the encoder can finish.
    """

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._error: OSError | None = None

    def raise_error(self) -> None:
        """Raise what the operating system has refused since the beginning."""
        if self._error is not None:
            raise self._error

    def _tried(self, action: Callable[[BinaryIO], int]) -> int:
        try:
            return action(self._out)
        except OSError as error:
            self._error, self._out = error, io.BytesIO()
            return action(self._out)

    def write(self, data: bytes) -> int:
        return self._tried(lambda out: out.write(data))

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._tried(lambda out: out.seek(offset, whence))

    def tell(self) -> int:
        return self._tried(lambda out: out.tell())

    def read(self, size: int = -1) -> bytes:
        return self._out.read(size)

    def flush(self) -> None:
        self._tried(lambda out: out.flush() or 0)


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def check_longest(longest: float | None) -> None:
    """Raise PtselError unless pieces of this length hold a silence to cut at."""
    if longest is not None and not longest >= 1:
        raise PtselError(f"--split-long: expected 1 second or more, found {longest:g}")
