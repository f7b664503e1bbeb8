"""Making miniature corpora of the bundled recordings."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from conftest import ASTERISK

from ptsel_fairseq.data import conversion

CLIPS = sorted((ASTERISK / "audio" / "en").glob("*.ogg"))


class Recordings:
    """Real waveforms one after the other, 0.5 s each by default, written where a corpus would have them."""

    def __init__(self, frames: int = 8000):
        self.next = count()
        self.frames = frames
        self.clips = [clip for clip in CLIPS if soundfile.info(clip).frames >= frames]

    def write(self, file: Path, rate: int = 16000, **options) -> np.ndarray:
        waveform, _ = soundfile.read(
            self.clips[next(self.next) % len(self.clips)], dtype="float32", frames=self.frames
        )
        if rate != 16000:
            waveform = soxr.resample(waveform, 16000, rate)
        file.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(file, waveform, rate, **options)
        return waveform


def write(file: Path, *lines: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_librispeech(root: Path, recordings: Recordings) -> Path:
    """Two splits of one chapter of three utterances."""
    for split, speaker in (("train-clean-100", "103"), ("dev-clean", "84")):
        chapter = root / split / speaker / "1240"
        names = [f"{speaker}-1240-{i:04d}" for i in range(3)]
        for name in names:
            recordings.write(chapter / f"{name}.flac")
        texts = (f"{name} MISTER O'NEIL {i}" for i, name in enumerate(names))
        write(chapter / f"{speaker}-1240.trans.txt", *texts)
    return root


def write_common_voice(root: Path, recordings: Recordings) -> Path:
    """Three clips, one in each split."""
    for i, split in enumerate(("train", "dev", "test")):
        recordings.write(root / "clips" / f"c_{i}.mp3", rate=48000)
        write(root / f"{split}.tsv", "client_id\tpath\tsentence\tage", f"s{i}\tc_{i}.mp3\tHello\tteens")
    return root


def stop_converting_after(most: int, patch: pytest.MonkeyPatch) -> list[str]:
    """Interrupt a conversion when it has written `most` files; return the list that holds their names."""
    converted: list[str] = []
    real = conversion.write_flac

    def write_few(file: Path, blocks: Iterable[np.ndarray], made_of: str = "") -> int:
        if len(converted) == most:
            raise KeyboardInterrupt
        converted.append(file.name)
        return real(file, blocks, made_of)

    patch.setattr(conversion, "write_flac", write_few)
    return converted
