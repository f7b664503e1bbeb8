"""A folder of recordings as people have them: real speech in many formats, rates and channels."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import soundfile
import soxr
from conftest import ASTERISK

CLIPS = {name: sorted((ASTERISK / "audio" / name).glob("*.ogg")) for name in ("en", "es", "fr")}
# path, rate, channels, and soundfile's options or av's (container, codec)
MIXED = (
    ("Zoë/a.wav", 8000, 1, {"subtype": "PCM_16"}),
    ("Zoë/b.WAV", 44100, 2, {"subtype": "PCM_24", "format": "WAV"}),
    ("Zoë/c.mp3", 48000, 2, {}),
    ("Zoë/d.flac", 16000, 1, {}),
    ("Łukasz Ż/a.m4a", 44100, 2, ("ipod", "aac")),
    ("Łukasz Ż/b.opus", 48000, 1, {"format": "OGG", "subtype": "OPUS"}),
    ("Łukasz Ż/c.ogg", 22050, 1, {}),
    ("Łukasz Ż/d.aiff", 48000, 1, {}),
    ("李/a.mp3", 44100, 1, {}),
    ("李/a.wav", 44100, 1, {}),
    ("李/b.webm", 48000, 1, ("webm", "libopus")),
)


def speech(index: int, rate: int, seconds: float = 1.5) -> np.ndarray:
    """A bundled clip at another rate, float32 [samples]."""
    clips = [clip for name in sorted(CLIPS) for clip in CLIPS[name]]
    waveform, _ = soundfile.read(clips[index % len(clips)], dtype="float32", frames=int(seconds * 16000))
    return waveform if rate == 16000 else soxr.resample(waveform, 16000, rate).astype(np.float32)


def write_by_av(
    file: Path, waveform: np.ndarray, rate: int, channels: int, container: str, codec: str
) -> None:
    """Write audio in a format that libsndfile does not know."""
    layout = "mono" if channels == 1 else "stereo"
    with av.open(str(file), "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout=layout)
        samples = np.repeat(waveform[None], channels, axis=0)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=layout)
        frame.sample_rate = rate
        convert = av.AudioResampler(format=stream.codec_context.format, layout=layout, rate=rate,
                                    frame_size=stream.codec_context.frame_size or 1024)  # fmt: skip
        for piece in [*convert.resample(frame), *convert.resample(None)]:
            out.mux(stream.encode(piece))
        out.mux(stream.encode(None))


def write_mixed(root: Path) -> dict[str, np.ndarray]:
    """Write `MIXED` below a folder, and what is no recording; return each recording's waveform at 16 kHz."""
    known = {}
    for index, (path, rate, channels, how) in enumerate(MIXED):
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        known[path] = speech(index, 16000)
        waveform = speech(index, rate)
        if isinstance(how, tuple):
            write_by_av(file, waveform, rate, channels, *how)
        else:
            soundfile.write(file, np.repeat(waveform[:, None], channels, axis=1), rate, **how)
    (root / "Zoë" / "notes.txt").write_text("not audio")
    (root / ".hidden").mkdir()
    soundfile.write(root / ".hidden" / "x.wav", speech(0, 16000), 16000)
    (root / "Zoë" / "._d.flac").write_bytes(b"\0\5\x16\7")
    return known


def likeness(known: np.ndarray, found: np.ndarray, delay: int = 1600) -> float:
    """Highest correlation of two waveforms at a delay of up to `delay` samples, which some codecs add."""
    size = min(len(known), len(found)) - delay
    return max(float(np.corrcoef(known[:size], found[lag : lag + size])[0, 1]) for lag in range(0, delay, 1))
