"""What a pretext label is: a named function of an analysed waveform, with what a reader must know of it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from ptsel_fairseq.labels.signal.analysis import Analysis

    # float32 [frames, dim], and bool [frames] where the label can be undefined.
    Track = tuple[np.ndarray, np.ndarray | None]
    # What a label's function may return: values alone, or values and mask.
    Computed = np.ndarray | tuple[np.ndarray, np.ndarray | None]


BUILT_IN = "ptsel_fairseq"


@dataclass(frozen=True)
class Software:
    """A program other than this package that computes labels: name as in ``--backend``, version, licence in a line."""

    name: str
    version: str
    licence: str


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
        whole: what it needs of a whole recording that is analysed in blocks, attributes of `blocks.WholeFile`.
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


def late(function: str, *attributes: str) -> Callable[[Analysis], Computed]:
    """``module.function`` of this package, to be called with these attributes of the analysis.

    The module is imported when a waveform is analysed, so that listing labels stays light.
    """
    module, name = function.split(".")

    def compute(analysis: Analysis) -> Computed:
        implementation = getattr(importlib.import_module(f"ptsel_fairseq.labels.signal.{module}"), name)
        return _arrays(implementation(*(getattr(analysis, attribute) for attribute in attributes)))

    return compute


def _arrays(computed: Any) -> Computed:
    """What a function that computes with torch returns, as arrays."""
    if isinstance(computed, tuple):
        values, valid = computed
        return _array(values), _array(valid)
    return _array(computed)


def _array(values: Any) -> Any:
    return values.numpy() if hasattr(values, "numpy") else values
