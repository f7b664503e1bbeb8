"""Mean and standard deviation of a label over a split, read from its array in pieces."""

from __future__ import annotations

import numpy as np

from ptsel_fairseq.labels.arrays import PartialArray
from ptsel_fairseq.labels.store import Statistics

BLOCK = 1 << 13  # frames


def track_statistics(values: PartialArray, valid: PartialArray | None) -> Statistics:
    """Mean and standard deviation over valid frames, in float64 and manifest order."""
    frames, dim = values.shape
    count, mean, squares = 0, np.zeros(dim), np.zeros(dim)
    for first in range(0, frames, BLOCK):
        last = min(first + BLOCK, frames)
        block = values.read(first, last).astype(np.float64)
        if valid is not None:
            block = block[valid.read(first, last)]
        if not len(block):
            continue
        # Chan, Golub and LeVeque's update of mean and squared deviations by a block.
        own = block.mean(axis=0)
        shift = own - mean
        total = count + len(block)
        squares += ((block - own) ** 2).sum(axis=0) + shift**2 * count * len(block) / total
        mean += shift * len(block) / total
        count = total
    return Statistics(mean, np.sqrt(squares / max(count, 1)), count)
