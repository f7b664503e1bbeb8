"""Recordings in memory: one after the other as a stream of frames, and every label on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ptsel_fairseq.base.manifest import Manifest
from ptsel_fairseq.labels.store.reader import LabelStore

GAP = 12  # frames of zeros between recordings


@dataclass(frozen=True)
class Track:
    """A label on a stream.

    Attributes:
        values: float16 [frames, dim], in standard deviations of the training part; 0 where undefined.
        valid: bool [frames], false between recordings.
        mean, std: of the training part, float64 [dim].
        unvoiced: what openSMILE prints where the label is undefined, in its own unit; None for other labels.
    """

    values: np.ndarray
    valid: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    unvoiced: float | None = None


class Stream:
    """Recordings of one manifest, those of the training part first, zeros between them.

    Args:
        manifest: of the recordings.
        store: of their labels.
        is_test: whether the recording of a path belongs to the test part.

    Attributes:
        paths: of the recordings, as the manifest names them, in the order of the stream.
        lines: of the recordings in the manifest.
        samples: of each.
        test: whether each belongs to the test part.
        first: frame of the stream at which each begins.
        frames: of each.
    """

    def __init__(self, manifest: Manifest, store: LabelStore, is_test: Callable[[str], bool]) -> None:
        self.store = store
        store.check_manifest(manifest)
        lines = [u for u in manifest if store.num_frames(u.index) > 0]
        order = sorted(lines, key=lambda u: (is_test(u.path), u.path))
        self.lines = np.array([u.index for u in order])
        self.paths = [u.path for u in order]
        self.samples = np.array([u.samples for u in order])
        self.test = np.array([is_test(path) for path in self.paths])
        self.frames = np.array([store.num_frames(line) for line in self.lines])
        self.first = GAP + np.concatenate([[0], np.cumsum(self.frames + GAP)[:-1]])
        self._tracks: dict[str, Track] = {}

    @property
    def grid(self):
        return self.store.grid

    @cached_property
    def total(self) -> int:
        """Frames of the stream."""
        return int(self.first[-1] + self.frames[-1] + GAP)

    @cached_property
    def training_end(self) -> int:
        """The frame at which the test part begins."""
        last = int(np.flatnonzero(~self.test)[-1])
        return int(self.first[last] + self.frames[last])

    @property
    def labels(self) -> tuple[str, ...]:
        return self.store.labels

    @cached_property
    def owner(self) -> np.ndarray:
        """The recording of each frame, -1 between recordings."""
        owner = np.full(self.total, -1)
        for number, (first, frames) in enumerate(zip(self.first, self.frames, strict=True)):
            owner[first : first + frames] = number
        return owner

    def track(self, label: str) -> Track:
        """A label of the store, standardised over the frames of the training part."""
        if label not in self._tracks:
            info = self.store.info(label)
            raw = np.zeros((self.total, info.dim), np.float32)
            valid = np.zeros(self.total, bool)
            for line, first, frames in zip(self.lines, self.first, self.frames, strict=True):
                raw[first : first + frames] = self.store.track(label, int(line))
                valid[first : first + frames] = self.store.valid(label, int(line))
            self._tracks[label] = self.standardised(raw, valid, info.unvoiced_value)
        return self._tracks[label]

    def standardised(self, raw: np.ndarray, valid: np.ndarray, unvoiced: float | None = None) -> Track:
        """A track in its own unit, float32 [frames, dim], as a `Track`."""
        seen = raw[: self.training_end][valid[: self.training_end]].astype(np.float64)
        mean, std = seen.mean(axis=0), seen.std(axis=0)
        std = np.where(std > 0, std, 1.0)
        values = ((raw - mean.astype(np.float32)) / std.astype(np.float32)).astype(np.float16)
        values[~valid] = 0
        return Track(values, valid, mean, std, unvoiced)

    @cached_property
    def input(self) -> np.ndarray:
        """What encoders see: the label `log_mel`, float32 [frames, 80]; zeros between recordings."""
        return self.track("log_mel").values.astype(np.float32)
