"""What `ptsel check` looks for in one recording."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ptsel_fairseq.base.audio import LOUDEST, PIECE
from ptsel_fairseq.base.audio_length import audio_length
from ptsel_fairseq.base.grid import SAMPLE_RATE, FrameGrid

SILENT_RMS = 1e-3  # of full scale, -60 dB


@dataclass(frozen=True)
class AudioFacts:
    """What decoding one file told.

    Attributes:
        findings: of each fault its kind, whether training would fail on it, and what is wrong.
        fingerprint: equal for equal samples; empty where the file was not decoded.
        rate: in Hz; that of the recipes where the file cannot be read.
    """

    findings: tuple[tuple[str, bool, str], ...]
    fingerprint: str
    rate: int = SAMPLE_RATE


class Piece(NamedTuple):
    """Some files of a split: their folder, the path and samples of each, and whether they are not decoded."""

    root: str
    files: list[tuple[str, int]]
    headers_only: bool


def inspect_piece(piece: Piece) -> tuple[float, dict[int, AudioFacts]]:
    """Inspect some files: their seconds in all, and what was found in those that have findings or a fingerprint.

    Each file counts by its own rate. The keys are places in `piece.files`.
    """
    seconds, telling = 0.0, {}
    for place, (path, samples) in enumerate(piece.files):
        facts = inspect_file(Path(piece.root, path), samples, piece.headers_only)
        seconds += samples / facts.rate
        if facts.findings or facts.fingerprint:
            telling[place] = facts
    return seconds, telling


def inspect_file(path: Path, samples: int, headers_only: bool) -> AudioFacts:
    """Look at one file, of which the manifest says that it has so many samples."""
    if not path.exists():
        return AudioFacts((("missing", True, f"no such audio file: {path}"),), "")
    header = audio_length(path)
    if header.fault and not header.samples:
        if header.fault in ("is empty", "holds no samples"):
            message = "no samples in it, or it is cut off; take its line out of the manifest"
            return AudioFacts((("empty", True, message),), "")
        kind = "cut off" if "cut off" in header.fault else "unreadable"
        return AudioFacts(((kind, True, header.fault),), "")
    findings: list[tuple[str, bool, str]] = []
    if header.fault:
        findings.append(("cut off", True, f"{header.fault}; take its line out of the manifest"))
    if header.rate != SAMPLE_RATE:
        findings.append(
            ("wrong rate", True, f"expected {SAMPLE_RATE} Hz, found {header.rate} Hz; resample it")
        )
    if header.channels > 1:
        findings.append(("stereo", False, f"{header.channels} channels, which fairseq averages"))
    heard = None if headers_only else _listen(path, header.channels)
    if isinstance(heard, str):
        return AudioFacts((("unreadable", True, heard),), "", header.rate)
    found = header.samples if heard is None else heard.samples
    if found == 0:
        findings.append(
            ("empty", True, "no samples in it, or it is cut off; take its line out of the manifest")
        )
    elif found != samples:
        findings.append(("wrong length", True, f"the manifest says {samples} samples, the audio has {found}"))
    elif found < FrameGrid().window:
        shortest = FrameGrid().window
        findings.append(
            ("too short", True, f"{found} samples make no frame; set task.min_sample_size >= {shortest}")
        )
    if heard is None or not found:
        return AudioFacts(tuple(findings), "", header.rate)
    return AudioFacts((*findings, *heard.findings()), heard.fingerprint, header.rate)


@dataclass
class _Heard:
    """What was heard of one file: energies are sums of squares, of each channel and of their mean."""

    channels: np.ndarray
    mean: float = 0.0
    samples: int = 0
    peak: float = 0.0
    finite: bool = True
    fingerprint: str = ""

    def add(self, block: np.ndarray) -> None:
        self.samples += len(block)
        self.finite = self.finite and bool(np.isfinite(block).all())
        self.peak = max(self.peak, float(np.abs(block).max(initial=0)))
        self.channels += np.square(block, dtype=np.float64).sum(axis=0)
        self.mean += float(np.square(block.mean(axis=1, dtype=np.float64)).sum())

    def findings(self) -> list[tuple[str, bool, str]]:
        if not self.finite:
            return [("not finite", True, "holds samples that are not finite numbers")]
        if self.peak > LOUDEST:
            message = (
                f"reaches {self.peak:g} times full scale; divide integers by their full scale, such as 32768"
            )
            return [("beyond full scale", True, message)]
        found = []
        if self.peak > 1:
            message = (
                f"reaches {self.peak:.4g} times full scale, so labels of level are not those of other files"
            )
            found.append(("beyond full scale", False, message))
        quiet = SILENT_RMS**2 * self.samples
        if self.channels.max() < quiet:
            found.append(("silent", False, f"below {SILENT_RMS:g} of full scale (RMS)"))
        elif self.mean < quiet and self.mean < 1e-3 * self.channels.max():
            message = (
                "the mean of its channels, which is what is heard, is silent: one cancels the other; keep one"
            )
            found.append(("silent", False, message))
        return found


def _listen(path: Path, channels: int) -> _Heard | str:
    """Decode a file in pieces; a text says why it cannot be."""
    import soundfile

    heard, digest = _Heard(np.zeros(channels)), hashlib.sha256()
    try:
        with soundfile.SoundFile(path) as sound:
            sound.seekable = lambda: False  # or soundfile seeks after each piece, to where it is
            while len(block := sound.read(PIECE, dtype="float32", always_2d=True)):
                heard.add(block)
                digest.update(block.tobytes())
    except soundfile.LibsndfileError as error:
        return f"cannot be decoded ({error.error_string})"
    heard.fingerprint = digest.hexdigest()
    return heard
