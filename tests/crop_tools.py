"""Finding a crop again by its samples alone."""

from __future__ import annotations

import numpy as np


def find_crop(audio: np.ndarray, crop: np.ndarray) -> int:
    """Where `crop` lies in `audio`, found by the samples alone."""
    probe = crop[1000:1400]
    windows = np.lib.stride_tricks.sliding_window_view(audio, len(probe))
    candidates = np.flatnonzero((windows[:, 0] == probe[0]) & (windows[:, -1] == probe[-1])) - 1000
    starts = [s for s in candidates if s >= 0 and np.array_equal(audio[s : s + len(crop)], crop)]
    assert len(starts) == 1
    return int(starts[0])
