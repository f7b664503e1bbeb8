"""Any audio file as blocks of mono float32 at its own rate: libsndfile's formats, and by av those of FFmpeg."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ptsel_fairseq.base.audio import PIECE
from ptsel_fairseq.base.audio_length import (
    LONGEST,
    MOST_SAMPLES_PER_BYTE,
    RATES,
    cut_off,
    promised_by_header,
)

RAW = {".g722": "g722"}


class UndecodableError(Exception):
    """Audio that cannot be decoded; says why in a few words, without the file's name."""


@dataclass(frozen=True)
class Sound:
    """An open audio file.

    Attributes:
        kind: format and codec in words, such as ``WAV PCM_16`` or ``mov aac``.
        rate: in Hz.
        channels: how many, averaged in `blocks`.
        promised: samples that the header promises; 0 if it says nothing.
        blocks: the waveform from its beginning, float32 [samples], full scale 1; may raise UndecodableError.
    """

    kind: str
    rate: int
    channels: int
    promised: int
    blocks: Iterator[np.ndarray]


@contextlib.contextmanager
def open_sound(file: Path) -> Iterator[Sound]:
    """Open an audio file of any format.

    Raises:
        UndecodableError: neither libsndfile nor av reads it, or its decoder is not installed.
    """
    import soundfile

    if not file.stat().st_size:
        raise UndecodableError("is empty")
    with contextlib.ExitStack() as closing:
        if file.suffix.lower() in RAW:
            yield closing.enter_context(_by_av(file, ""))
            return
        try:
            opened = closing.enter_context(soundfile.SoundFile(file))
        except soundfile.LibsndfileError as error:
            yield closing.enter_context(_by_av(file, " ".join(error.error_string.split())))
            return
        if not RATES[0] <= opened.samplerate <= RATES[1]:
            raise UndecodableError(f"has a header that claims {opened.samplerate} Hz; it is damaged")
        promised = promised_by_header(file, opened.frames)
        if promised == opened.frames and (cut := cut_off(file, promised)):
            raise UndecodableError(cut)
        known = promised <= MOST_SAMPLES_PER_BYTE * file.stat().st_size
        yield Sound(
            f"{opened.format} {opened.subtype}",
            opened.samplerate,
            opened.channels,
            promised if known else 0,
            _blocks_of_libsndfile(opened),
        )


def _blocks_of_libsndfile(opened: Any) -> Iterator[np.ndarray]:
    import soundfile

    opened.seekable = lambda: False  # or soundfile seeks after each block, to where it is
    samples = 0
    while samples <= LONGEST * opened.samplerate:
        try:
            block = opened.read(PIECE, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise UndecodableError(f"cannot be decoded ({' '.join(error.error_string.split())})") from None
        except MemoryError:
            raise UndecodableError(
                "cannot be decoded (more samples than memory has room for; is its header damaged?)"
            ) from None
        if not len(block):
            return
        samples += len(block)
        yield np.ascontiguousarray(block[:, 0]) if block.shape[1] == 1 else block.mean(axis=1)
    raise UndecodableError(f"holds more than {LONGEST // 3600} h; is its header damaged?")


@contextlib.contextmanager
def _by_av(file: Path, reason: str) -> Iterator[Sound]:
    try:
        import av
    except ImportError:
        said = f"libsndfile: {reason}; " if reason else ""
        raise UndecodableError(
            f"cannot be decoded ({said}av, which may read it, is not installed: pip install av)"
        ) from None
    av.logging.set_level(av.logging.PANIC)
    try:
        container = av.open(str(file), format=RAW.get(file.suffix.lower()), metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError):
        raise UndecodableError(f"cannot be decoded ({reason or 'not G.722'})") from None
    with container:
        if not container.streams.audio:
            raise UndecodableError("holds no sound")
        stream = container.streams.audio[0]
        rate, promised = getattr(stream, "rate", None), 0
        if not rate or not RATES[0] <= rate <= RATES[1]:
            raise UndecodableError(f"cannot be decoded ({reason or 'invalid sample rate'})")
        if stream.duration is not None and stream.time_base is not None:
            promised = int(stream.duration * stream.time_base * rate)
        yield Sound(
            f"{container.format.name.split(',')[0]} {stream.codec_context.name}",
            rate,
            stream.codec_context.channels,
            0 if file.suffix.lower() in RAW else promised,
            _blocks_of_av(container, stream, rate),
        )


def _blocks_of_av(container: Any, stream: Any, rate: int) -> Iterator[np.ndarray]:
    import av

    planar = av.AudioResampler(format="fltp", rate=rate)
    waiting: list[np.ndarray] = []
    try:
        for frame in container.decode(stream):
            waiting += [piece.to_ndarray().mean(axis=0) for piece in planar.resample(frame)]
            if sum(map(len, waiting)) >= PIECE:
                yield np.concatenate(waiting, dtype=np.float32)
                waiting = []
        waiting += [piece.to_ndarray().mean(axis=0) for piece in planar.resample(None)]
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise UndecodableError(f"cannot be decoded ({getattr(error, 'strerror', None) or error})") from None
    if waiting:
        yield np.concatenate(waiting, dtype=np.float32)
