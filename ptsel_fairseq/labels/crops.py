"""Crops of recordings at multiples of the hop, and the tracks of exactly these crops."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.manifest import Manifest
from ptsel_fairseq.labels.batch import complete_frames
from ptsel_fairseq.labels.store.pack import Pack, find_pack
from ptsel_fairseq.labels.store.reader import LabelStore

# Of the recordings at a start, at most: whose size and time are looked at, and which are read as their time is another.
RECORDINGS_LOOKED_AT, RECORDINGS_READ = 20_000, 256

FloatArray = np.ndarray[tuple[int, ...], np.dtype[np.floating]]
Span = tuple[int, int]  # first frame of a crop, counted in its utterance, and its frames
Scaling = Mapping[str, tuple[FloatArray, FloatArray]]


class Crop(NamedTuple):
    """A piece of an utterance.

    Attributes:
        line: of the utterance in the manifest, from 0.
        start: its first sample, a multiple of the hop.
        samples: its length.
    """

    line: int
    start: int
    samples: int


def crop_length(lengths: Sequence[int], longest: int | None, padded: bool) -> int:
    """The samples of a batch of utterances of these lengths, as fairseq's collater chooses them.

    Args:
        lengths: of the utterances, in samples.
        longest: limit of a crop in samples, None for no limit.
        padded: whether shorter utterances are padded to the longest; otherwise all are cropped to the shortest.
    """
    length = max(lengths) if padded else min(lengths)
    return length if longest is None else min(length, longest)


def crop_start(samples: int, length: int, grid: FrameGrid, *seeds: int) -> int:
    """Where a crop of `length` samples starts in an utterance of `samples`: a multiple of the hop that `seeds` draw."""
    places = max(samples - length, 0) // grid.hop + 1
    # A digest is a draw in one microsecond; to seed a generator for one number takes fifty.
    return grid.hop * (_digest(*seeds) % places) if places > 1 else 0


def check_grid(store: LabelStore, grid: FrameGrid) -> None:
    """Raise PtselError unless the store's frames are the encoder's."""
    if grid != store.grid:
        raise PtselError(
            f"{store.folder}: the store's frames have hop {store.grid.hop} and window {store.grid.window} "
            f"samples at {store.grid.sample_rate} Hz, the encoder's hop {grid.hop} and window {grid.window} at "
            f"{grid.sample_rate} Hz; extract the labels for this encoder's grid"
        )


def check_split(store: LabelStore, manifest: Manifest) -> None:
    """Raise PtselError if the store is of another manifest or, as far as a start can look, of other recordings."""
    store.check_manifest(manifest)
    store.check_recordings(manifest, look_at=RECORDINGS_LOOKED_AT, read=RECORDINGS_READ)


def check_samples(manifest: Manifest, line: int, found: int) -> None:
    """Raise PtselError unless the audio of a manifest line has as many samples as the manifest says."""
    if found != manifest.samples[line]:
        utterance = manifest.utterances[line]
        raise PtselError(
            f"{manifest.where(utterance)}: the manifest says {utterance.samples} samples, the audio has {found}; run "
            "`ptsel check` and make manifest and store again"
        )


def standardisation(
    store: LabelStore, labels: Sequence[str], raw: Collection[str] = ()
) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Mean and standard deviation by which the tracks of each label are standardised.

    Args:
        store: of the training split.
        labels: in the order in which a batch holds their tracks.
        raw: those of them whose values stay as they are, because their loss is of the values (`bce`) or of codes.

    Returns:
        label -> (mean [dim], standard deviation [dim], 1 where a dimension does not vary).

    Raises:
        PtselError: a label that is not in the store, or is constant over the split, or of codes and not raw.
    """
    scaling = {}
    for label in labels:
        statistics = store.statistics(label)
        varies = statistics.std > 0
        if not varies.any():
            raise PtselError(
                f"{store.folder}: the label {label} is constant over the split {store.split}; give it the weight 0"
            )
        if statistics.counts is not None and label not in raw:
            raise PtselError(
                f"{store.folder}: {label} is a label of codes, which are not standardised; give PretextLoss its "
                "code_counts (store.statistics(label).counts), and its raw_labels as raw"
            )
        mean, std = statistics.mean, np.where(varies, statistics.std, 1.0)
        scaling[label] = (np.zeros_like(mean), np.ones_like(std)) if label in raw else (mean, std)
    return scaling


class CropTracks:
    """The standardised tracks of crops, label beside label.

    They are read from the store's arrays, or from a packed copy of them where there is one, which gives the same.

    Args:
        manifest: of the split.
        grid: of the tracks.
        store: of the same split; None where all labels are computed online.
        scaling: label -> (mean [dim], standard deviation [dim]), in the order in which the tracks are handed out.
        online: those of the labels that are computed later, on the device, and not read from the store.

    Attributes:
        pack: the packed copy that is read; None if there is none.
    """

    def __init__(
        self,
        manifest: Manifest,
        grid: FrameGrid,
        store: LabelStore | None,
        scaling: Scaling,
        online: Collection[str] = (),
    ) -> None:
        self.manifest, self.grid, self.store = manifest, grid, store
        self.labels = list(scaling)
        self.online = frozenset(online)
        means, stds = (
            [np.asarray(parts[i], dtype=np.float32) for parts in scaling.values()] for i in range(2)
        )
        self._means = np.concatenate(means) if means else np.zeros(0, np.float32)
        self._stds = np.concatenate(stds) if stds else np.ones(0, np.float32)
        ends = np.cumsum([len(mean) for mean in means], dtype=int).tolist()
        self._columns = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
        self._sometimes_undefined = [
            store is not None and label not in self.online and store.info(label).undefined is not None
            for label in self.labels
        ]
        self._repeated = self._means, self._stds
        self._stored = [
            k for k, label in enumerate(self.labels) if store is not None and label not in self.online
        ]
        names = [self.labels[k] for k in self._stored]
        self.pack = None if store is None else find_pack(store, names)
        self._packed = None if store is None or self.pack is None else PackedCrops(self.pack, store, names)
        if store is not None:
            store.read_at_random()

    def __call__(self, crops: Sequence[Crop], length: int) -> dict[str, Tensor]:
        """The tracks of a batch.

        Args:
            crops: one a row.
            length: of the longest, in samples; the rows of shorter ones are padded with zeros.

        Returns:
            ``target`` float32 [batch, frames, sum of dims] in standard deviations, labels in order, zeros for those
            that are online; ``valid`` bool [batch, frames, labels], False on padding, where the label is undefined
            and where an online label's analysis reaches beyond a crop into the recording; ``samples`` int64 [batch].
        """
        frames = self.grid.num_frames(length)
        spans = [(crop.start // self.grid.hop, self.grid.num_frames(crop.samples)) for crop in crops]
        if self._packed is None or self.online:
            values, valid = self._by_label(crops, spans, frames)
        else:
            values, valid = self._packed(crops, spans, frames)
        self._standardise(values.reshape(len(crops), -1), frames)
        for row, (_, count) in enumerate(spans):
            if count < frames:  # what pads a row stays zero
                values[row, count:] = 0
        samples = torch.from_numpy(np.array([crop.samples for crop in crops]))
        return {"target": torch.from_numpy(values), "valid": torch.from_numpy(valid), "samples": samples}

    def _standardise(self, values: np.ndarray, frames: int) -> None:
        """Take off means and divide by deviations, [batch, frames times sum of dims] in place."""
        size = frames * len(self._means)
        if len(self._repeated[0]) < size:  # long rows are computed several times as fast as many short ones
            self._repeated = np.tile(self._means, frames), np.tile(self._stds, frames)
        values -= self._repeated[0][:size]
        values /= self._repeated[1][:size]

    def _by_label(
        self, crops: Sequence[Crop], spans: Sequence[Span], frames: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Values [batch, frames, sum of dims] as they are stored, and masks [batch, frames, labels]."""
        values = np.zeros((len(crops), frames, len(self._means)), dtype=np.float32)
        valid = np.zeros((len(crops), frames, len(self.labels)), dtype=bool)
        for row, (crop, (first, count)) in enumerate(zip(crops, spans, strict=True)):
            valid[row, :count] = True
            for k, (label, columns) in enumerate(zip(self.labels, self._columns, strict=True)):
                own = values[row, :count, columns]
                if self.store is None or label in self.online:
                    ends = crop.start + crop.samples == self.manifest.samples[crop.line]
                    own[:] = self._means[columns]  # nothing yet
                    valid[row, :count, k] = complete_frames(
                        label, crop.samples, self.grid, begins=crop.start == 0, ends=bool(ends)
                    )
                elif self._packed is None:
                    own[:] = self.store.track(label, crop.line)[first : first + count]
                    if self._sometimes_undefined[k]:
                        valid[row, :count, k] = self.store.valid(label, crop.line)[first : first + count]
        if self._packed is not None:
            stored, masks = self._packed(crops, spans, frames)
            column = 0
            for place, k in enumerate(self._stored):
                columns = self._columns[k]
                width = columns.stop - columns.start
                values[..., columns] = stored[..., column : column + width]
                valid[..., k] = masks[..., place]
                column += width
        return values, valid


class PackedCrops:
    """Crops of some labels, in their order, from a packed copy that has them.

    Args:
        pack: of the store, or of more labels.
    """

    def __init__(self, pack: Pack, store: LabelStore, labels: Sequence[str]) -> None:
        self.pack, self._store = pack, store
        self._dims = sum(pack.dims)
        ends = np.cumsum(pack.dims).tolist()
        there = {
            label: (place, list(range(end - dim, end)))
            for place, (label, dim, end) in enumerate(zip(pack.labels, pack.dims, ends, strict=True))
        }
        columns = [column for label in labels for column in there[label][1]]
        masks = [there[label][0] for label in labels]
        self._columns = None if columns == list(range(self._dims)) else columns
        self._masks = None if masks == list(range(len(pack.labels))) else masks
        codes = [(label, store.info(label).codes) for label in pack.labels]
        self._codes = [(there[label][1], number) for label, number in codes if number is not None]

    def __call__(
        self, crops: Sequence[Crop], spans: Sequence[Span], frames: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Values float32 [batch, frames, sum of dims] as they are stored, and masks [batch, frames, labels].

        Raises:
            PtselError: a packed copy that is damaged.
        """
        full = all(count == frames for _, count in spans)
        new = np.empty if full else np.zeros
        values = new((len(crops), frames, self._dims), self.pack.dtype)
        masks = new((len(crops), frames, len(self.pack.labels)), dtype=bool)
        for row, (crop, (first, count)) in enumerate(zip(crops, spans, strict=True)):
            block, whole = self._store.place(crop.line)
            self.pack.read(block, whole, first, values[row, :count], masks[row, :count])
        values = values.astype(np.float32, copy=False)
        self._check(crops, values)
        if self._columns is not None:
            values = values.take(self._columns, axis=-1)
        return values, masks if self._masks is None else masks.take(self._masks, axis=-1)

    def _check(self, crops: Sequence[Crop], values: np.ndarray) -> None:
        """Raise PtselError for values that cannot be what was written."""
        # The sum of the values is finite only if all of them are, and is found in a fraction of the time.
        if not math.isfinite(values.sum()) and not (finite := np.isfinite(values)).all():
            raise self.pack.damaged_values(crops[int((~finite).any(axis=(1, 2)).argmax())].line)
        for columns, number in self._codes:
            found = values[..., columns]
            wrong = (found < 0) | (found >= number)
            if wrong.any():
                raise self.pack.damaged_values(crops[int(wrong.any(axis=(1, 2)).argmax())].line)


def stable_seed(*numbers: int) -> int:
    """A 32-bit seed that depends on nothing but the numbers."""
    return _digest(*numbers) & 0xFFFFFFFF


def _digest(*numbers: int) -> int:
    digest = hashlib.sha256(",".join(map(str, numbers)).encode()).digest()
    return int.from_bytes(digest[:8], "little")
