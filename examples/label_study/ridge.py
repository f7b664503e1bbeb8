"""Tier 1: a label predicted from random convolutional features in closed form, E[Z | X] of the theory."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from encoder import features, new_encoder
from pool import Pool, Track
from settings import RIDGE, RIDGE_CHANNELS, RIDGE_FRAMES
from study_tools.points import Points
from threadpoolctl import threadpool_limits


class RandomFeatures:
    """Features of an encoder that is not trained, and ridge regression on them over the training part."""

    def __init__(self, pool: Pool, seed: int) -> None:
        self.pool, self.seed = pool, seed

    @cached_property
    def frames(self) -> np.ndarray:
        """float32 [frames, channels + 1], standardised over the training part, the last column 1."""
        raw = features(new_encoder(self.seed, RIDGE_CHANNELS), self.pool)
        seen = raw[: self.pool.training_end][self.pool.owner[: self.pool.training_end] >= 0]
        raw -= seen.mean(axis=0)
        raw /= seen.std(axis=0) + 1e-6
        return np.hstack([raw, np.ones((len(raw), 1), np.float32)])

    @cached_property
    def whitening(self) -> np.ndarray:
        """Symmetric square root of the features' inverse covariance, for `span`."""
        x = self.frames[self.sample(self.pool.owner >= 0), :-1].astype(np.float64)
        values, vectors = np.linalg.eigh(x.T @ x / len(x))
        return vectors / np.sqrt(np.maximum(values, RIDGE)) @ vectors.T

    def sample(self, valid: np.ndarray) -> np.ndarray:
        """Frames of the training part where a label is defined, at most `RIDGE_FRAMES`."""
        rows = np.flatnonzero(valid[: self.pool.training_end])
        rng = np.random.default_rng(self.seed)
        return rows if len(rows) <= RIDGE_FRAMES else np.sort(rng.choice(rows, RIDGE_FRAMES, replace=False))

    def fit(self, track: Track) -> np.ndarray:
        """float64 [channels + 1, dim]: ridge regression of the label, the constant without penalty."""
        rows = self.sample(track.valid)
        x, z = self.frames[rows].astype(np.float64), track.values[rows].astype(np.float64)
        penalty = np.full(x.shape[1], RIDGE * len(rows))
        penalty[-1] = 0
        return np.linalg.solve(x.T @ x + np.diag(penalty), x.T @ z)

    def vectors(self, track: Track, what: str) -> Callable[[Points], np.ndarray]:
        """Vectors of points from the label's prediction, or from the features' projection on what predicts it."""
        with threadpool_limits(1):
            map_ = self.fit(track)
            if what == "span":
                # Directions of the whitened features that the prediction uses, those that count most of them.
                inverse = np.linalg.inv(self.whitening)
                left, sizes, _ = np.linalg.svd(inverse @ map_[:-1], full_matrices=False)
                kept = left[:, sizes > 1e-3 * sizes.max()]
                projection = np.vstack([self.whitening @ kept, np.zeros((1, kept.shape[1]))])
            else:
                projection = map_
            predicted = self.frames @ projection.astype(np.float32)
        return lambda points: points.summarise(predicted)
