"""Tasks whose labels' worth is known, for tests of estimators and weights."""

from __future__ import annotations

import numpy as np


def task_arrays(
    seed: int = 0, points: int = 300, classes: int = 6, groups: int = 60, speech: int = 20
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Speech [n, speech], classes [n], utterances [n], and what both speech and class share [n, 5]."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, points)
    group = np.sort(rng.integers(0, groups, points))
    hidden = rng.normal(size=(classes, 5))[y] + rng.normal(size=(points, 5))
    x = hidden @ rng.normal(size=(5, speech)) + 0.5 * rng.normal(size=(points, speech))
    return x, np.array([f"c{c}" for c in y]), group, hidden


def utterance_noise(rng: np.random.Generator, group: np.ndarray, inside: float = 0.3) -> np.ndarray:
    """One random number an utterance and `inside` of noise a point, [n]: a label of pure chance."""
    return rng.normal(size=int(group.max()) + 1)[group] + inside * rng.normal(size=len(group))
