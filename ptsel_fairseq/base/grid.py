"""The encoder's frame grid: the one place where samples become frames.

A wav2vec 2.0 feature extractor is a stack of un-padded convolutions. Together they look at
``window`` samples (the receptive field) and move on by ``hop`` samples (the product of the strides),
so `n` samples give ``1 + (n - window) // hop`` frames and frame `i` covers the samples
``[hop * i, hop * i + window)``. Tracks live on this grid, which is why they need no resampling in
training and cannot be off by a fraction of a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ptsel_fairseq.base.errors import PtselError

if TYPE_CHECKING:
    import numpy as np

SAMPLE_RATE = 16_000


@dataclass(frozen=True)
class FrameGrid:
    """Where the frames of a track lie in the waveform.

    Attributes:
        hop: samples from one frame to the next.
        window: samples that one frame of the encoder sees.
        sample_rate: in Hz.
    """

    hop: int = 320
    window: int = 400
    sample_rate: int = SAMPLE_RATE

    def __post_init__(self) -> None:
        if not (self.hop > 0 and self.window > 0 and self.sample_rate > 0):
            raise PtselError(
                f"a frame grid needs a positive hop, window and sample rate, not hop={self.hop}, "
                f"window={self.window}, sample_rate={self.sample_rate}"
            )

    @classmethod
    def of_conv_layers(
        cls, layers: Sequence[tuple[int, int, int]], sample_rate: int = SAMPLE_RATE
    ) -> FrameGrid:
        """The grid of a stack of un-padded convolutions ``(channels, kernel, stride)``.

        This is fairseq's ``conv_feature_layers``; the one of wav2vec 2.0 gives hop 320, window 400.
        """
        hop, window = 1, 1
        for _, kernel, stride in layers:
            window += (kernel - 1) * hop
            hop *= stride
        return cls(hop=hop, window=window, sample_rate=sample_rate)

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop

    def num_frames(self, samples: int) -> int:
        """Frames of a waveform of `samples` samples; 0 if it is shorter than one window."""
        return 0 if samples < self.window else 1 + (samples - self.window) // self.hop

    def offsets(self, samples: np.ndarray) -> np.ndarray:
        """Where the frames of waveforms of so many samples begin if they stand one after another, and where they end.

        Args:
            samples: integers [N].

        Returns:
            int64 [N + 1], the first frame of each and, last, how many there are.
        """
        import numpy as np

        found = np.zeros(len(samples) + 1, dtype=np.int64)
        frames = found[1:]  # in place, for corpora of millions
        np.subtract(samples, self.window, out=frames)
        frames //= self.hop
        frames += 1
        np.maximum(frames, 0, out=frames)
        np.cumsum(frames, out=frames)
        return found

    def num_samples(self, frames: int) -> int:
        """The fewest samples that give `frames` frames."""
        return 0 if frames <= 0 else self.window + (frames - 1) * self.hop

    def centre(self, frame: int) -> int:
        """The sample in the middle of a frame."""
        return self.hop * frame + self.window // 2

    def frames_between(self, start: float, end: float, samples: int) -> tuple[int, int]:
        """The frames ``[first, last)`` whose centres lie in ``[start, end)`` seconds.

        A segment that falls between two centres gets the one frame nearest to its middle, so that
        every segment of a waveform with at least one frame has a value. `samples` is the length of
        the whole waveform.
        """
        total = self.num_frames(samples)
        if total == 0:
            return 0, 0
        offset, rate = self.window / 2, self.sample_rate
        end = min(end, samples / rate)
        first = max(0, -int((offset - start * rate) // self.hop))
        last = min(total, -int((offset - end * rate) // self.hop))
        if first < last:
            return first, last
        middle = round(((start + end) / 2 * rate - offset) / self.hop)
        nearest = min(max(middle, 0), total - 1)
        return nearest, nearest + 1
