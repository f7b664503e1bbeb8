"""Planted labels, whose worth is known: noise, time, labels that were spoilt, and oracles of a task's classes."""

from __future__ import annotations

import hashlib

import numpy as np
from pool import Pool, Track
from settings import CONTROLS, ORACLE_DIM, ORACLE_NOISE, TASKS
from study_tools.points import Points

UTTERANCE_NOISE = 0.3  # per frame, beside one number a recording
GAIN = np.log(4.0)  # natural logarithm of the largest gain and of the smallest


def oracle_names(pool: str) -> list[str]:
    """The oracles of each task of a pool, the least noise first."""
    return [
        f"orc_{task.name}_{noise:g}" for task in TASKS.values() if task.pool == pool for noise in ORACLE_NOISE
    ]


def task_of_oracle(name: str) -> str:
    """The task whose classes an oracle knows."""
    return name.removeprefix("orc_").rsplit("_", 1)[0]


def oracles_of(task: str) -> list[str]:
    """The oracles of one task, the least noise first."""
    return [name for name in oracle_names(TASKS[task].pool) if task_of_oracle(name) == task]


def planted(pool: Pool, name: str, points: dict[str, Points]) -> Track:
    """The track of a control or an oracle; its random numbers depend on pool and name only."""
    rng = np.random.default_rng(
        int.from_bytes(hashlib.sha256(f"{pool.name} {name}".encode()).digest()[:8], "big")
    )
    if name in CONTROLS:
        raw, valid = CONTROL_TRACKS[name](pool, rng)
    else:
        task, noise = name.removeprefix("orc_").rsplit("_", 1)
        raw, valid = oracle(pool, points[task], float(noise), rng)
    return pool.standardised(raw.astype(np.float32), valid)


def white_noise(pool: Pool, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.standard_normal((pool.total, 1)), pool.owner >= 0


def utterance_noise(pool: Pool, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One random number a recording, and a little noise a frame."""
    numbers = rng.standard_normal(len(pool.paths))
    noise = UTTERANCE_NOISE * rng.standard_normal(pool.total)
    return (numbers[pool.owner] + noise)[:, None], pool.owner >= 0


def time(pool: Pool, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Frames since the start of the recording."""
    return (np.arange(pool.total) - pool.first[pool.owner])[:, None], pool.owner >= 0


def f0_shifted(pool: Pool, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """F0 turned round within the recording, by a tenth to nine tenths of its length."""
    track = pool.track("f0")
    source = np.arange(pool.total)
    for first, frames in zip(pool.first, pool.frames, strict=True):
        shift = int(frames * rng.uniform(0.1, 0.9))
        source[first : first + frames] = first + (np.arange(frames) + shift) % frames
    return track.values[source], track.valid[source]


def loudness_gain(pool: Pool, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Loudness times a random gain of the recording, between a quarter and four."""
    track = pool.track("loudness")
    gains = np.exp(rng.uniform(-GAIN, GAIN, len(pool.paths)))
    raw = track.values * track.std + track.mean
    return raw * gains[pool.owner][:, None], track.valid


def mfcc_other(pool: Pool, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The MFCC of another recording, from its start, again and again until the end."""
    track = pool.track("mfcc")
    number = len(pool.paths)
    order = rng.permutation(number)
    other = np.empty(number, int)
    other[order] = np.roll(order, 1)
    source = np.arange(pool.total)
    for own, taken in enumerate(other):
        first, frames = pool.first[own], pool.frames[own]
        source[first : first + frames] = pool.first[taken] + np.arange(frames) % pool.frames[taken]
    return track.values[source], track.valid[source]


CONTROL_TRACKS = {
    "ctl_white_noise": white_noise,
    "ctl_utterance_noise": utterance_noise,
    "ctl_time": time,
    "ctl_f0_shifted": f0_shifted,
    "ctl_loudness_gain": loudness_gain,
    "ctl_mfcc_other": mfcc_other,
}


def oracle(
    pool: Pool, points: Points, noise: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A random code of each class plus noise of each point, defined on the task's training points only."""
    codes = rng.standard_normal((len(points.names), ORACLE_DIM))
    raw, valid = np.zeros((pool.total, ORACLE_DIM)), np.zeros(pool.total, bool)
    for i in np.flatnonzero(~points.test):
        place = slice(points.start[i], points.end[i])
        raw[place] = codes[points.y[i]] + noise * rng.standard_normal(ORACLE_DIM)
        valid[place] = True
    return raw, valid
