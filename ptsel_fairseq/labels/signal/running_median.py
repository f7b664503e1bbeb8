"""Running medians of many sequences at once: a loop that numba compiles.

The last `width` values of each sequence are kept sorted. A step puts the next value in and takes the oldest one out by
exchanges that are the same for every sequence, so that the processor does many sequences by one instruction.
"""

from __future__ import annotations

from typing import Any

import numpy as np

LANES = 128  # sequences side by side: their windows fit the processor's first cache
STEP = 16  # sequences are done in multiples of so many


def running_medians(rows: Any, width: int) -> Any:
    """Median over `width` neighbouring rows, in each column; rows are continued by reflection about their ends.

    Args:
        rows: float32 [n, columns], finite, n at least 1.
        width: odd.

    Returns:
        float32 [n, columns].
    """
    n, columns = rows.shape
    half = width // 2
    out = np.empty_like(rows)
    padded = np.zeros((n + 2 * half, LANES), np.float32)
    window = np.empty((width + 1, LANES), np.float32)  # sorted, and a place for what comes in
    moving = np.empty(LANES, np.float32)
    kept = np.empty(LANES, np.float32)
    oldest = np.empty(LANES, np.float32)
    for first in range(0, columns, LANES):
        here = min(LANES, columns - first)
        wide = (here + STEP - 1) // STEP * STEP
        for r in range(n + 2 * half):
            source = (r - half) % (2 * n)
            if source >= n:
                source = 2 * n - 1 - source
            padded[r, :here] = rows[source, first : first + here]
        window[:] = np.inf
        for k in range(width):
            for w in range(wide):
                moving[w] = padded[k, w]
            for i in range(k + 1):
                for w in range(wide):
                    a, b = window[i, w], moving[w]
                    window[i, w] = a if a < b else b
                    moving[w] = b if a < b else a
        out[0, first : first + here] = window[half, :here]
        for t in range(1, n):
            for w in range(wide):
                oldest[w] = padded[t - 1, w]
                a, b = window[0, w], padded[t + 2 * half, w]
                kept[w] = a if a < b else b
                moving[w] = b if a < b else a
            for i in range(width):
                # `kept` is the i-th of the values with the new one, `low` the one after it. From the oldest on, each
                # moves down by one.
                for w in range(wide):
                    a, b, c = window[i + 1, w], moving[w], kept[w]
                    low = a if a < b else b
                    moving[w] = b if a < b else a
                    window[i, w] = c if c < oldest[w] else low
                    kept[w] = low
            out[t, first : first + here] = window[half, :here]
    return out
