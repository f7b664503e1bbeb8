"""Controls: labels whose worth is known, scored at the same points beside the user's.

============  ========================================================================================
white noise   one random number an utterance and 30 % of noise a frame: worth nothing
time          seconds since the start of the recording: next to nothing
oracle        a random code of the class (or the value itself) with noise, at the points: as good as a label can be
============  ========================================================================================

A score that does not put the oracle first and the noise last cannot be trusted on this task.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ptsel_fairseq.base.class_file import Segment
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.manifest import Manifest
from ptsel_fairseq.selection.points import summarise

NOISE, TIME, ORACLE = "white noise", "time since the start", "oracle (a code of the class)"
ORACLE_OF_VALUE = "oracle (the value)"
ORACLES = (ORACLE, ORACLE_OF_VALUE)
NOISE_A_FRAME = 0.3
ORACLE_NOISE = 0.3  # standard deviations of the code
MOST_CODES = 64  # columns of the oracle


def planted_controls(
    manifest: Manifest,
    grid: FrameGrid,
    segments: Sequence[Segment],
    summary: str,
    frames: int,
    seed: int = 0,
    scalar: bool = False,
    values: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """The controls' values at segments that are sorted by utterance, [segments, columns] each.

    Args:
        summary, frames: as of the labels, see `points.summarise_label`; the oracle has none.
        scalar: whether the oracle is one number; else it has as many columns as tell the classes apart, at most 64.
        values: of the segments, of which the oracle is made in place of their classes.
    """
    found: dict[str, list[np.ndarray]] = {NOISE: [], TIME: []}
    for segment in segments:
        samples = manifest.utterances[segment.utterance].samples
        first, last = grid.frames_between(segment.start, segment.end, samples)
        rng = np.random.default_rng([seed, 5, segment.utterance])
        track = rng.normal() + NOISE_A_FRAME * rng.normal(size=grid.num_frames(samples))
        times = np.array([grid.centre(frame) for frame in range(first, last)]) / grid.sample_rate
        for name, inside in ((NOISE, track[first:last]), (TIME, times)):
            found[name].append(summarise(inside[:, None], np.ones(len(inside), dtype=bool), summary, frames))
    controls = {name: np.array(rows) for name, rows in found.items()}
    if values is not None:
        controls[ORACLE_OF_VALUE] = value_code(values, seed)
        return controls
    classes = np.array([segment.name for segment in segments])
    controls[ORACLE] = class_code(classes, seed, scalar)
    return controls


def class_code(classes: np.ndarray, seed: int = 0, scalar: bool = False) -> np.ndarray:
    """The oracle: random numbers for each class [N, columns], the same for all its points, and noise.

    With a column less than classes, all classes are equally far from each other.
    """
    names, class_of = np.unique(classes, return_inverse=True)
    rng = np.random.default_rng([seed, 6])
    columns = 1 if scalar else max(1, min(len(names) - 1, MOST_CODES))
    corners = rng.normal(size=(len(names), columns))
    if columns == len(names) - 1:
        corners = np.linalg.qr(corners - corners.mean(axis=0))[0]
    code = corners[class_of]
    code = code - code.mean(axis=0)
    code /= code.std(axis=0).mean() or 1.0
    return code + ORACLE_NOISE * rng.normal(size=code.shape)


def value_code(values: np.ndarray, seed: int = 0) -> np.ndarray:
    """The oracle of a value: the value in standard deviations and noise [N, 1]."""
    spread = float(values.std())
    code = (values - values.mean()) / (spread or 1.0)
    return (code + ORACLE_NOISE * np.random.default_rng([seed, 6]).normal(size=len(values)))[:, None]
