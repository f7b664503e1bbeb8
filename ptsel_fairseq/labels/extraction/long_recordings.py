"""Long recordings, analysed in blocks of frames that overlap: memory does not grow with their length.

A block is two minutes of frames and what lies within `CONTEXT` to either side, more than any label of this package
reaches; the frames of the context are analysed and dropped. Blocks begin where the analysis of the whole would begin a
row of frames, so that they are cut and transformed alike. What belongs to the whole file is found in a first reading:
the path of the pitch, and the level of the loudest band. A filter without end (RASTA) hands its state from block to
block, and the periods of a voiced stretch are found from its middle, wherever that lies.

Each label says what it needs of the whole file (`Label.whole`). Labels of users see the whole waveform.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Protocol

import numpy as np

from ptsel_fairseq.base.audio import PIECE
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels.label import BUILT_IN, Label, Track
from ptsel_fairseq.labels.signal.analysis import Analysis
from ptsel_fairseq.labels.signal.auditory import RastaState
from ptsel_fairseq.labels.signal.framing import count_half_steps
from ptsel_fairseq.labels.signal.pitch import CANDIDATES, SCORE_GAIN, Pitch, pitch_candidates
from ptsel_fairseq.labels.signal.pitch_path import PitchPath
from ptsel_fairseq.labels.signal.voice_quality import (
    WINDOW_SECONDS,
    Periods,
    joined,
    stretch_periods,
    stretches,
)
from ptsel_fairseq.labels.track import track

# Multiples of framing.BLOCK, the rows of frames that are transformed at once.
FRAMES = 6144  # of a block without its context: 2 min
CONTEXT = 512  # frames on either side: 10 s
LONGEST_WHOLE = FRAMES + 2 * CONTEXT  # a recording of as many frames is analysed at once


class Audio(Protocol):
    """What is read from its beginning to its end, as `AudioFile`."""

    def read(self, samples: int) -> np.ndarray: ...

    def check_length(self, samples: int) -> None: ...

    def close(self) -> None: ...


class Waveform:
    """A waveform in memory, read as `AudioFile` is."""

    def __init__(self, waveform: np.ndarray) -> None:
        self._waveform, self._position = waveform, 0

    def read(self, samples: int) -> np.ndarray:
        first, self._position = self._position, self._position + samples
        return self._waveform[first : self._position]

    def check_length(self, samples: int) -> None:
        pass

    def close(self) -> None:
        pass


Opened = Callable[[], Audio]  # gives a recording from its beginning


@dataclass(frozen=True)
class Block:
    """Frames ``[first, last)`` of a recording, of which ``[begin, end)`` count, and the samples under them.

    waveform: from sample `grid.hop * first` on.
    """

    first: int
    last: int
    begin: int
    end: int
    waveform: np.ndarray


def cut(opened: Opened, samples: int, grid: FrameGrid) -> Iterator[Block]:
    """The blocks of a recording, read one after the other.

    Raises:
        PtselError: audio that cannot be read or has another number of samples.
    """
    frames = grid.num_frames(samples)
    held, at = np.zeros(0, np.float32), 0  # samples read, and where in the recording they begin
    with closing(opened()) as audio:
        for begin in range(0, frames, FRAMES):
            end = min(begin + FRAMES, frames)
            first, last = max(begin - CONTEXT, 0), min(end + CONTEXT, frames)
            until = samples if last == frames else grid.hop * (last - 1) + grid.window
            held, at = held[grid.hop * first - at :], grid.hop * first
            held = np.concatenate([held, audio.read(until - at - len(held))])
            if at + len(held) < until:
                audio.check_length(samples)
            yield Block(first, last, begin, end, held)
        audio.check_length(samples)


@dataclass(frozen=True)
class WholeFile:
    """What labels need of the whole file; nothing is known of what no label of the request needs.

    pitch: f0 and strength of the file's half steps.
    loudest: of the bands of `log_mel`, dB.
    """

    pitch: Pitch
    loudest: float


def survey(opened: Opened, samples: int, needs: set[str], grid: FrameGrid) -> WholeFile:
    """Read a recording for the attributes of `WholeFile` that are needed.

    31 bytes are held for each half step until the path of the pitch is known, 8 afterwards: 3.1 and 0.8 kB a second.
    """
    path = PitchPath(count_half_steps(samples, grid) if "pitch" in needs else 0, CANDIDATES)
    strongest, loudest = [np.zeros(0, np.float32)], -math.inf
    for block in cut(opened, samples, grid) if needs else ():
        own = slice(block.begin - block.first, block.end - block.first)
        if "pitch" in needs:
            found = pitch_candidates(block.waveform, grid)
            # The recording's last frame has a half step behind it.
            steps = slice(2 * own.start, 2 * own.stop + (block.last == block.end))
            path.extend(found.frequency[steps], SCORE_GAIN * found.strength[steps], found.unvoiced[steps])
            strongest.append(found.strongest[steps])
        if "loudest" in needs:
            loudest = max(loudest, float(Analysis(block.waveform, grid).log_mel[own].max()))
    return WholeFile(Pitch(path.f0(), np.concatenate(strongest)), loudest)


class Voice:
    """The periods of a recording's voiced stretches, found when a block needs them.

    A stretch that leaves the block is read from the recording once more, and its periods are kept until it ends.
    """

    def __init__(self, opened: Opened, samples: int, f0: np.ndarray, grid: FrameGrid) -> None:
        self._opened, self._samples, self._f0, self._grid = opened, samples, f0, grid
        self._stretches: list[tuple[int, int]] | None = None
        self._kept: dict[int, np.ndarray] = {}
        self._held, self._at = np.zeros(0, np.float32), 0
        self._audio: Audio | None = None

    def close(self) -> None:
        if self._audio is not None:
            self._audio.close()
            self._audio = None

    def periods(self, block: Block) -> Periods:
        """Those of the stretches that the windows of the block's own frames reach."""
        if self._stretches is None:
            self._stretches = stretches(self._f0 > 0)
        reach = math.ceil(WINDOW_SECONDS * self._grid.sample_rate / self._grid.hop) + 2
        begin, end = 2 * block.begin - reach, 2 * block.end + reach
        pieces, kept = [], {}
        for first, last in self._stretches:
            if last <= begin or first >= end:
                continue
            marks = self._kept.get(first)
            if marks is None:
                read = partial(self._read, block)
                marks = stretch_periods(read, self._samples, self._f0[first:last], first, self._grid)
            pieces.append(marks)
            if last > 2 * block.end - reach:
                kept[first] = marks
        self._kept = kept
        return joined(pieces, self._grid.hop * block.first)

    def _read(self, block: Block, first: int, last: int) -> np.ndarray:
        offset = self._grid.hop * block.first
        if offset <= first and last <= offset + len(block.waveform):
            return block.waveform[first - offset : last - offset]
        if self._audio is None or first < self._at:
            self.close()
            self._audio = self._opened()
            self._held, self._at = np.zeros(0, np.float32), 0
        while self._at + len(self._held) < first:  # what lies in between is decoded and dropped
            self._at += len(self._held)
            self._held = self._audio.read(min(PIECE, first - self._at))
        self._held, self._at = self._held[first - self._at :], first
        self._held = np.concatenate([self._held, self._audio.read(max(last - first - len(self._held), 0))])
        return self._held[: last - first]


class BlockAnalysis(Analysis):
    """As `Analysis` of a block, but what belongs to the whole file is the whole file's.

    Args:
        rasta: state of the filter before the block; that behind it when the label has been computed.
    """

    def __init__(
        self, block: Block, grid: FrameGrid, whole: WholeFile, voice: Voice, rasta: RastaState
    ) -> None:
        super().__init__(block.waveform, grid)
        self.first_frame = block.first
        self._block, self._whole, self._voice = block, whole, voice
        self.rasta = rasta.between(2 * (block.begin - block.first), 2 * (block.end - block.first))

    @cached_property
    def pitch(self) -> Pitch:
        """The block's part of the path through the whole file."""
        own = slice(2 * self._block.first, 2 * self._block.last + 1)
        return Pitch(self._whole.pitch.f0[own], self._whole.pitch.strength[own])

    @cached_property
    def periods(self) -> Periods:
        """Those that windows around the block's own frames reach."""
        return self._voice.periods(self._block)

    @cached_property
    def loudest(self) -> float:
        """Of the whole file."""
        return self._whole.loudest


def is_long(samples: int, grid: FrameGrid) -> bool:
    """Whether a recording is analysed in blocks."""
    return grid.num_frames(samples) > LONGEST_WHOLE


def tracks_of(
    opened: Opened, samples: int, labels: Sequence[Label], grid: FrameGrid
) -> Iterator[tuple[int, dict[str, Track]]]:
    """The tracks of a recording: at once if it is short, else piece by piece.

    Args:
        opened: gives the recording from its beginning.
        samples: its length.

    Yields:
        the frame in which a piece begins, and its tracks of some or all of the labels, as of `compute_tracks`.

    Raises:
        PtselError: audio that cannot be read or has another length, or a fault of a label.
    """
    own = [label for label in labels if is_long(samples, grid) and label.origin == BUILT_IN]
    at_once = [label for label in labels if label not in own]
    if at_once:
        with closing(opened()) as audio:
            waveform = audio.read(samples)
            audio.check_length(samples)
        analysis = Analysis(waveform, grid)
        yield 0, {label.name: track(label, analysis) for label in at_once}
        del waveform, analysis
    if own:
        yield from _in_blocks(opened, samples, own, grid)


def _in_blocks(
    opened: Opened, samples: int, labels: Sequence[Label], grid: FrameGrid
) -> Iterator[tuple[int, dict[str, Track]]]:
    whole = survey(opened, samples, {need for label in labels for need in label.whole}, grid)
    rasta = RastaState()
    with closing(Voice(opened, samples, whole.pitch.f0, grid)) as voice:
        for block in cut(opened, samples, grid):
            analysis = BlockAnalysis(block, grid, whole, voice, rasta)
            own = slice(block.begin - block.first, block.end - block.first)
            tracks = {}
            for label in labels:
                values, valid = track(label, analysis)
                tracks[label.name] = Track(values[own], valid[own])
            yield block.begin, tracks


def joined_tracks(pieces: Iterator[tuple[int, dict[str, Track]]]) -> dict[str, Track]:
    """The pieces of `tracks_of` in one."""
    found: dict[str, list[Track]] = {}
    for _, tracks in pieces:
        for name, piece in tracks.items():
            found.setdefault(name, []).append(piece)
    return {name: parts[0] if len(parts) == 1 else _joined(parts) for name, parts in found.items()}


def _joined(parts: Sequence[Track]) -> Track:
    return Track(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
