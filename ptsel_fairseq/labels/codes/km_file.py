"""Codes of a file: fairseq's k-means labels, one line for each line of the manifest, a whole number for each frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.manifest import Manifest, read_lines

LARGEST = 2**24 - 1  # float32 holds every whole number up to it


def rates(grid: FrameGrid) -> tuple[int, int]:
    """The frames a second that can be read: those of the grid, and twice as many."""
    return grid.sample_rate // grid.hop, 2 * (grid.sample_rate // grid.hop)


def read_km(file: Path, manifest: Manifest, grid: FrameGrid, rate: int) -> list[np.ndarray]:
    """The codes of each utterance on the frame grid, int32 [frames].

    Frames of the file are those of features without padding, as fairseq's scripts make them: frame j is centred on
    sample ``sample_rate / rate * j`` plus half the grid's window. At twice the grid's rate (features every 10 ms,
    such as MFCC) every second frame is centred as a frame of the grid, and is taken, as fairseq's HuBERT does.

    Args:
        file: lines of whole numbers from 0, with blanks between them.
        rate: frames a second of the file, one of `rates`.

    Raises:
        PtselError: another rate, a line too many or too few, one that is not of such numbers, or not as many as the
            audio has frames.
    """
    own, double = rates(grid)
    if rate not in (own, double):
        raise PtselError(f"--rate: expected {own} or {double} frames a second, found {rate}")
    lines = read_lines(file, "codes, a whole number for each frame, one line for each line of the manifest")
    if len(lines) != len(manifest):
        raise PtselError(
            f"{file}: expected {len(manifest)} lines, one for each utterance of {manifest.file}, found {len(lines)}"
        )
    step = rate // own
    hop = grid.hop // step
    found = []
    for utterance, line in zip(manifest, lines, strict=True):
        words = line.split()
        where = f"{file}, line {utterance.index + 1} ({utterance.path})"
        wrong = next((word for word in words if not (word.isascii() and word.isdigit())), None)
        if wrong is not None or any(len(word) > 8 or int(word) > LARGEST for word in words):
            example = wrong if wrong is not None else max(words, key=len)
            raise PtselError(f"{where}: expected whole numbers from 0 to {LARGEST}, found {example!r}")
        expected = max(0, 1 + (utterance.samples - grid.window) // hop)
        if len(words) != expected:
            raise PtselError(
                f"{where}: expected {expected} codes, those of {utterance.samples} samples at {rate} a second without "
                f"padding, found {len(words)}; give the rate of the file (--rate), or make it without padding"
            )
        found.append(np.array(words, dtype=np.int32)[::step][: grid.num_frames(utterance.samples)])
    return found
