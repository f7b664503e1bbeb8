"""Mean and standard deviation of a label over a split, read from its array in pieces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ptsel_fairseq.labels.store.partial_arrays import PartialArray
from ptsel_fairseq.labels.store.reader import Statistics

BLOCK = 1 << 13  # frames


class Moments:
    """Count, mean and squared deviations of frames that come in blocks, in float64."""

    def __init__(self, dim: int) -> None:
        self._count, self._mean, self._squares = 0, np.zeros(dim), np.zeros(dim)

    def add(self, values: np.ndarray, valid: np.ndarray | None) -> None:
        """Take in the valid ones of the frames `values`, [frames, dim]."""
        block = values.astype(np.float64)
        if valid is not None:
            block = block[valid]
        if not len(block):
            return
        # Chan, Golub and LeVeque's update of mean and squared deviations by a block.
        own = block.mean(axis=0)
        shift = own - self._mean
        total = self._count + len(block)
        self._squares += ((block - own) ** 2).sum(axis=0) + shift**2 * self._count * len(block) / total
        self._mean += shift * len(block) / total
        self._count = total

    def statistics(self) -> Statistics:
        return Statistics(self._mean, np.sqrt(self._squares / max(self._count, 1)), self._count)


def track_statistics(
    values: PartialArray, valid: PartialArray | None, codes: int | None = None
) -> Statistics:
    """Mean and standard deviation over valid frames, in manifest order; of a label of codes also their counts."""
    frames, dim = values.shape
    moments = Moments(dim)
    counts = None if codes is None else np.zeros(codes, np.int64)
    for first in range(0, frames, BLOCK):
        last = min(first + BLOCK, frames)
        block, mask = values.read(first, last), None if valid is None else valid.read(first, last)
        moments.add(block, mask)
        if counts is not None:
            counts += np.bincount((block if mask is None else block[mask]).ravel(), minlength=len(counts))
    return replace(moments.statistics(), counts=counts)
