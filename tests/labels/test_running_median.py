"""Running medians of many columns against numpy's median of each window."""

from __future__ import annotations

import numpy as np
import pytest

from ptsel_fairseq.labels.signal.compiled import compiled
from ptsel_fairseq.labels.signal.running_median import LANES, running_medians


@pytest.mark.parametrize("shape", [(1, 3), (5, 1), (9, LANES + 1), (40, 2 * LANES), (200, 7)])
@pytest.mark.parametrize("width", [1, 5, 31])
def test_each_value_is_the_median_of_its_window(shape, width):
    draw = np.random.default_rng(0)
    rows = draw.gamma(0.5, size=shape).astype(np.float32)
    rows[draw.random(shape) < 0.2] = 0  # ties
    half = width // 2
    padded = np.pad(rows, ((half, half), (0, 0)), mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, width, axis=0)
    np.testing.assert_array_equal(compiled(running_medians)(rows, width), np.median(windows, axis=-1))
