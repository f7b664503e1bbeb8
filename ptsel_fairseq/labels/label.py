"""What a pretext label is: a named function of an analysed waveform, with what a reader must know of it.

One `Label` holds its definition, the function that computes it for one waveform (numpy), and, where there is one, the
function that computes it for a batch of waveforms on any device (torch). Nothing here imports numpy or torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ptsel_fairseq.base.grid import FrameGrid
    from ptsel_fairseq.labels.signal.analysis import Analysis
    from ptsel_fairseq.labels.signal.batch_analysis import BatchAnalysis

    # What a label's function may return: values alone, or values and mask.
    Computed = np.ndarray | tuple[np.ndarray, np.ndarray | None]
    # The same of a batch: values [batch, frames, dim], mask [batch, frames].
    Batched = Tensor | tuple[Tensor, Tensor]


BUILT_IN = "ptsel_fairseq"
HALF_STEPS = 0.5  # hops from a frame's centre to its outer half steps


class Track(NamedTuple):
    """A label's values on the frame grid, and where they are defined.

    `values` are float32 [frames, dim] in the label's unit, 0 where it is undefined; `valid` is bool [frames].
    """

    values: np.ndarray
    valid: np.ndarray


@dataclass(frozen=True)
class Software:
    """A program other than this package that computes labels: name as in ``--backend``, version, licence in a line."""

    name: str
    version: str
    licence: str


@dataclass(frozen=True)
class TorchForm:
    """How torch computes a label for a batch, and what of the waveform a frame depends on.

    Attributes:
        compute: values and perhaps mask of a batch.
        seconds: width of an analysis frame.
        hops: from the frame's centre to the centre of the farthest analysis frame that counts.
        samples: beyond the analysis frame that count too.
        local: whether a frame depends on nothing else; if not, on the whole recording.
    """

    compute: Callable[[BatchAnalysis], Batched]
    seconds: float
    hops: float = 0.0
    samples: int = 0
    local: bool = True

    def reach(self, grid: FrameGrid) -> tuple[int, int]:
        """Samples before a frame's centre on which it depends, and from there on to the last."""
        width = round(self.seconds * grid.sample_rate)
        around = round(self.hops * grid.hop) + self.samples
        return around + width // 2, around + width - width // 2


@dataclass(frozen=True)
class Label:
    """A pretext label: a named function of the waveform.

    Attributes:
        unit: of the values.
        undefined: when a frame has no value, in words; None if it always has one.
        unvoiced_value: what openSMILE prints there, for the estimator `reference` only.
        window: seconds of audio that one analysis frame sees.
        version: raised whenever the values change, so that stores of two versions are not mixed.
        compute: values [frames, dim] of an analysed waveform, with a mask [frames] where it can be undefined.
        torch: the same for a batch of waveforms on any device; None if there is no such form.
        codes: how many codes there are, of a label whose track is a code (0, 1, ...) of each frame; None of others.
        whole: what it needs of a whole recording that is analysed in blocks: attributes of
            `extraction.long_recordings.WholeFile`.
        origin: who defines it: this package, a user's file or package, or a backend.
        software: the installed program of the backend that computes it.
    """

    name: str
    dim: int
    unit: str
    description: str
    source: str
    window: float
    compute: Callable[[Analysis], Computed]
    undefined: str | None = None
    unvoiced_value: float | None = None
    version: int = 1
    parameters: dict[str, Any] = field(default_factory=dict)
    origin: str = BUILT_IN
    whole: tuple[str, ...] = ()
    software: Software | None = None
    torch: TorchForm | None = None
    codes: int | None = None


def of(function: Callable[..., Any], *attributes: str) -> Callable[[Analysis], Computed]:
    """`function`, to be called with these attributes of the analysis; tensors that it returns become arrays."""

    def compute(analysis: Analysis) -> Computed:
        computed = function(*(getattr(analysis, attribute) for attribute in attributes))
        if isinstance(computed, tuple):
            values, valid = computed
            return _array(values), _array(valid)
        return _array(computed)

    return compute


def _array(values: Any) -> np.ndarray:
    array: np.ndarray = values.numpy() if hasattr(values, "numpy") else values
    return array
