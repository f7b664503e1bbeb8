"""WORLD: F0 by DIO, refined by StoneMask.

Its frames are k times 10 ms from the first sample; with zeros put before the waveform one lies on each half step of
the grid. Of WORLD's trackers DIO with StoneMask is taken: Harvest calls far more frames voiced, and is slow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ptsel_fairseq.labels.backends.backend import MARGIN, Backend, load, same_label

if TYPE_CHECKING:
    from ptsel_fairseq.labels.label import Computed
    from ptsel_fairseq.labels.signal.analysis import Analysis

INSTALL = "pip install pyworld 'setuptools<81'"
FLOOR, CEILING = 60.0, 600.0  # Hz


def f0(analysis: Analysis) -> Computed:
    """F0 where DIO finds one, Hz."""
    import numpy as np

    from ptsel_fairseq.labels.signal.framing import on_half_steps, to_grid_where_valid

    grid = analysis.grid
    places = on_half_steps(analysis.num_samples, grid)
    if not places.frames:
        return np.zeros((0, 1), np.float32), np.zeros(0, bool)
    before = MARGIN + -places.first_centre % places.step
    waveform = np.pad(analysis.waveform.astype(np.float64), (before, MARGIN))
    world = load("pyworld", "world", INSTALL)
    milliseconds = 1000 * places.step / grid.sample_rate
    rough, times = world.dio(
        waveform, grid.sample_rate, f0_floor=FLOOR, f0_ceil=CEILING, frame_period=milliseconds
    )
    frequency = world.stonemask(waveform, rough, times, grid.sample_rate)
    first = (before + places.first_centre) // places.step
    half_steps = frequency[first : first + places.frames]
    values, valid = to_grid_where_valid(half_steps, half_steps > 0)
    return values[:, None], valid


LABELS = (
    same_label("f0", "fundamental frequency from intervals of zero crossings, refined by instantaneous frequency",
               "WORLD, DIO and StoneMask; Morise et al. 2016", 3 / FLOOR, f0, "frames that it calls unvoiced",
               range_hz=[FLOOR, CEILING]),
)  # fmt: skip

BACKEND = Backend(
    "world",
    "WORLD",
    "pyworld",
    "pyworld",
    INSTALL,
    "modified BSD licence; MIT licence of its Python package",
    {label.name: label for label in LABELS},
)
