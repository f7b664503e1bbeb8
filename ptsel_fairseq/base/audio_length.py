"""How long a recording is by its header, whether the header can be believed, and whether the file ends too soon.

A header may say that the length is unknown (FLAC and WAV written to a pipe), or claim what no file of its size can
hold. Then the samples are counted by decoding them, in pieces, so that no claim asks for memory.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ptsel_fairseq.base.audio import PIECE

UNKNOWN_SIZE = 0x7FFF0000  # bytes in the header of a WAV that was written to a pipe: this or more
RATES = 1000, 768_000  # Hz, of any recording
MOST_SAMPLES_PER_BYTE = 8192  # of a coded file; digital silence takes the fewest bytes
LONGEST = 48 * 3600  # seconds of one file
TAIL = 65_536 + 4096  # bytes: the longest page of an Ogg, and what may follow an MP3


@dataclass(frozen=True)
class AudioLength:
    """What a file's header says, or what is wrong with the file.

    Attributes:
        samples: at `rate`, of each channel.
        rate: in Hz.
        channels: how many.
        fault: why the file cannot be used; empty if nothing was found.
    """

    samples: int = 0
    rate: int = 0
    channels: int = 0
    fault: str = ""


def audio_length(file: Path) -> AudioLength:
    """Length, rate and channels of a file that libsndfile reads, without decoding it where its header can be believed.

    Nothing is raised for a file that cannot be used: its `fault` says why, without the file's name.
    """
    import soundfile

    try:
        if not file.is_file():
            return AudioLength(fault="is missing" if not file.exists() else "is no file")
        size = file.stat().st_size
        if not size:
            return AudioLength(fault="is empty")
        header = soundfile.info(file)
        rate, channels, samples = header.samplerate, header.channels, header.frames
        if not RATES[0] <= rate <= RATES[1]:
            return AudioLength(fault=f"has a header that claims {rate} Hz; it is damaged")
        if not 0 <= samples <= size * MOST_SAMPLES_PER_BYTE:
            samples = count_samples(file)
            if samples is None:
                return AudioLength(fault=f"holds more than {LONGEST // 3600} h; is its header damaged?")
        cut = cut_off(file, samples)
    except soundfile.LibsndfileError as error:
        return AudioLength(fault=f"cannot be decoded ({' '.join(error.error_string.split())})")
    except OSError as error:
        return AudioLength(fault=f"cannot be read ({error.strerror or error})")
    return AudioLength(samples, rate, channels, cut or ("" if samples else "holds no samples"))


def count_samples(file: Path) -> int | None:
    """The samples that decoding a file gives, None if there are more than `LONGEST`."""
    import soundfile

    with soundfile.SoundFile(file) as sound:
        sound.seekable = lambda: False  # or soundfile seeks to where the header says the end is
        samples = 0
        while read := len(sound.read(PIECE, dtype="float32", always_2d=True)):
            samples += read
            if samples > LONGEST * sound.samplerate:
                return None
    return samples


def cut_off(file: Path, samples: int) -> str:
    """Why a file is one that was not copied or downloaded to its end; empty if its format does not show it.

    Args:
        samples: what its header, or libsndfile for it, says.
    """
    with file.open("rb") as content:
        head = content.read(4)
        if head in (b"RIFF", b"RIFX"):
            promised = promised_by_header(file, samples)
            return f"is cut off, expected {promised} samples, found {samples}" if promised > samples else ""
        if head == b"OggS":
            return "" if _ends_an_ogg(content) else "is cut off, its last page of Ogg is not there"
        if head[:3] == b"ID3" or (head[:1] == b"\xff" and len(head) > 1 and head[1] & 0xE0 == 0xE0):
            return "" if _ends_an_mp3(content) else "is cut off in the middle of an MP3 frame"
    return ""


def promised_by_header(file: Path, frames: int) -> int:
    """The length that a WAV had when it was written; libsndfile says of one that was cut off what is left: `frames`."""
    size = file.stat().st_size
    with file.open("rb") as content:
        order = {b"RIFF": "<", b"RIFX": ">"}.get(content.read(4))
        if order is None:
            return frames
        content.seek(12)
        while len(head := content.read(8)) == 8:
            kind, promised = struct.unpack(order + "4sI", head)
            if kind == b"data":
                found = size - content.tell()
                cut = 0 < found < promised < UNKNOWN_SIZE
                return max(frames, frames * promised // found) if cut else frames
            content.seek(promised + promised % 2, 1)
    return frames


def _ends_an_ogg(content: BinaryIO) -> bool:
    """Whether the last page is whole and says that it is the last of its stream."""
    size = content.seek(0, 2)
    content.seek(max(0, size - TAIL))
    tail = content.read()
    place = tail.rfind(b"OggS")
    while place >= 0:
        header = tail[place : place + 27]
        if len(header) == 27:
            table = tail[place + 27 : place + 27 + header[26]]
            end = place + 27 + len(table) + sum(table)
            return len(table) == header[26] and end <= len(tail) and bool(header[5] & 4)
        place = tail.rfind(b"OggS", 0, place)
    return False


# Layer III: kbit/s by index of MPEG 1, and of MPEG 2 and 2.5.
BITRATES = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
RATES_OF_MP3 = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def _ends_an_mp3(content: BinaryIO) -> bool:
    """Whether the last frame is whole; true too of what is not a row of MP3 frames, which the decoder has to judge."""
    size = content.seek(0, 2)
    content.seek(0)
    head = content.read(10)
    content.seek(0)
    if any(mark in content.read(TAIL) for mark in (b"Xing", b"Info", b"VBRI")):
        return True  # it says how many frames it has, which the decoder compares
    place = 0
    if head[:3] == b"ID3" and len(head) == 10:
        place = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
    while place + 4 <= size:
        content.seek(place)
        length = _mp3_frame(content.read(4))
        if length is None:
            return True  # tags after the audio, or another format
        if place + length > size:
            return False
        place += length
    return True


def _mp3_frame(head: bytes) -> int | None:
    """Bytes of the frame that a header of layer III begins, None for anything else."""
    if head[0] != 0xFF or head[1] & 0xE0 != 0xE0 or (head[1] >> 1) & 3 != 1:
        return None
    version, index, rate = (head[1] >> 3) & 3, head[2] >> 4, (head[2] >> 2) & 3
    if version == 1 or index in (0, 15) or rate == 3:
        return None
    bits = BITRATES[0 if version == 3 else 1][index] * 1000
    return (144 if version == 3 else 72) * bits // RATES_OF_MP3[version][rate] + ((head[2] >> 1) & 1)
