"""A few seconds of a recording of any length: the labels that the whole has there, without analysing the rest."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels.extraction.long_recordings import Block, Opened, cut, is_long, joined_tracks, survey
from ptsel_fairseq.labels.label import BUILT_IN, Label, Track
from ptsel_fairseq.labels.signal.analysis import Analysis
from ptsel_fairseq.labels.track import track


class _Part(Analysis):
    """As `Analysis` of a block; the level of the loudest band is the whole file's."""

    def __init__(self, block: Block, grid: FrameGrid, loudest: float | None) -> None:
        super().__init__(block.waveform, grid)
        self.first_frame = block.first
        if loudest is not None:
            self.loudest = loudest  # in place of what is cached


def tracks_between(
    opened: Opened, samples: int, labels: Sequence[Label], grid: FrameGrid, first: int, last: int
) -> dict[str, Track]:
    """The tracks of frames ``[first, last)`` of a recording, of which only the blocks around them are analysed.

    They are, bit for bit, those of `long_recordings.tracks_of`, save that the path of the pitch, and with it `f0`,
    `voicing`, `log_hnr`, `jitter` and `shimmer`, is found in these blocks and 10 s around them. A label that needs the
    level of the loudest band has it from a reading of the whole recording; labels of users see the whole waveform.

    Args:
        opened: gives the recording from its beginning.
        samples: its length; last: at most its number of frames.

    Raises:
        PtselError: audio that cannot be read, or a fault of a label.
    """
    own = [label for label in labels if is_long(samples, grid) and label.origin == BUILT_IN]
    at_once = [label for label in labels if label not in own]
    found = {}
    if at_once:
        with closing(opened()) as audio:
            analysis = Analysis(audio.read(samples), grid)
        for label in at_once:
            found[label.name] = Track(*(column[first:last] for column in track(label, analysis)))
    if own:
        needs = {need for label in own for need in label.whole} & {"loudest"}
        loudest = survey(opened, samples, needs, grid).loudest if needs else None
        pieces = []
        for block in cut(opened, samples, grid):
            if block.end > first:
                analysis = _Part(block, grid, loudest)
                part = slice(max(block.begin, first) - block.first, min(block.end, last) - block.first)
                tracks = {
                    label.name: Track(*(column[part] for column in track(label, analysis))) for label in own
                }
                pieces.append((block.begin, tracks))
            if block.end >= last:
                break
        found |= joined_tracks(iter(pieces))
    return {label.name: found[label.name] for label in labels}
