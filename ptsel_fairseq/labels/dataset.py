"""Crops of a split with their labels, as a torch dataset for any trainer."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset, Sampler

from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.base.utterances import smallest_type
from ptsel_fairseq.labels.crops import (
    Crop,
    CropTracks,
    check_grid,
    check_samples,
    check_split,
    crop_length,
    crop_start,
    stable_seed,
    standardisation,
)
from ptsel_fairseq.labels.store.reader import LabelStore


class LoadedUtterance(NamedTuple):
    """An item of `CropDataset`: utterance `number` of the dataset as it is to be heard in an epoch, not yet cropped.

    Attributes:
        number: in the dataset, from 0.
        epoch: from 1; it draws the crop.
        waveform: float32 [samples], full scale 1, or of mean 0 and variance 1.
    """

    number: int
    epoch: int
    waveform: torch.Tensor


class CropDataset(Dataset[LoadedUtterance]):
    """The utterances of a split; `collate` makes a batch of crops with the labels' frames of exactly these crops.

    Crops start at multiples of the hop. Where one starts depends on seed, epoch and utterance only, whatever the
    number of loader workers and processes; they are the crops of the task `ptsel_pretraining`. An item is asked for by
    ``(epoch, number)``, as `UpdateBatches` does, or by ``number`` for epoch 1. ::

        batches = UpdateBatches(len(dataset), 16, last=10_000, seed=1)
        loader = DataLoader(dataset, batch_sampler=batches, collate_fn=dataset.collate)

    A batch holds ``source`` float32 [batch, samples]; ``padding_mask`` bool there, True on padding; ``numbers`` int64
    [batch], which utterances; ``seeds``, a list of an integer for each row, for what else is drawn (masks); and, if
    there are labels, ``pretext``, see `crops.CropTracks`.

    Args:
        manifest: file of the split.
        store: its label store.
        labels: in the order in which a batch holds their tracks; none for audio alone.
        seed: of the crops.
        longest: limit of a crop in samples; None for no limit.
        shortest: shorter utterances are left out; one frame where not given.
        padded: pad shorter utterances of a batch; otherwise all are cropped to its shortest, as fairseq does.
        normalize: each utterance to mean 0 and variance 1 before it is cropped; labels are of the recording itself.
        statistics: store of the training split, whose mean and standard deviation standardise the labels; `store`
            where not given.
        raw: labels whose values stay as they are (`heads.PretextLoss.raw_labels`).
        grid: of the encoder, to compare with the store's; the store's where not given.

    Raises:
        PtselError: a store of another manifest, other recordings or another grid, a label that it lacks, or no
            utterance that is long enough.
    """

    def __init__(
        self,
        manifest: Path | str,
        store: LabelStore,
        labels: Sequence[str],
        *,
        seed: int,
        longest: int | None = None,
        shortest: int | None = None,
        padded: bool = False,
        normalize: bool = False,
        statistics: LabelStore | None = None,
        raw: Collection[str] = (),
        grid: FrameGrid | None = None,
    ) -> None:
        self.manifest = read_manifest(manifest)
        self.grid = store.grid if grid is None else grid
        check_grid(store, self.grid)
        check_split(store, self.manifest)
        shortest = self.grid.window if shortest is None else max(shortest, self.grid.window)
        if longest is not None and longest < shortest:
            raise PtselError(f"longest: expected at least {shortest} samples (shortest), found {longest}")
        self.lines = smallest_type(np.flatnonzero(self.manifest.samples >= shortest))
        if not len(self.lines):
            raise PtselError(
                f"{self.manifest.file}: none of its {len(self.manifest)} utterances has the {shortest} samples of "
                "`shortest`"
            )
        scaling = standardisation(statistics or store, labels, raw)
        self.tracks = CropTracks(self.manifest, self.grid, store, scaling)
        self.dims = {label: len(mean) for label, (mean, _) in scaling.items()}
        self.seed, self.longest, self.padded, self.normalize = seed, longest, padded, normalize

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, index: int | tuple[int, int]) -> LoadedUtterance:
        """Raises RecordingError for audio that cannot be read, PtselError for another length than the manifest's."""
        epoch, number = index if isinstance(index, tuple) else (1, index)
        utterance = self.manifest.utterances[self.lines[number]]
        where = self.manifest.where(utterance)
        audio = read_audio(self.manifest.audio_path(utterance), self.grid.sample_rate, where)
        check_samples(self.manifest, utterance.index, len(audio))
        waveform = torch.from_numpy(audio)
        if self.normalize:
            waveform = functional.layer_norm(waveform, waveform.shape)
        return LoadedUtterance(number, epoch, waveform)

    def collate(self, items: Sequence[LoadedUtterance]) -> dict[str, Any]:
        """A batch of crops, see the class."""
        length = crop_length([len(item.waveform) for item in items], self.longest, self.padded)
        crops, pieces = [], []
        for item in items:
            start = crop_start(len(item.waveform), length, self.grid, self.seed, item.epoch, item.number)
            pieces.append(item.waveform[start : start + length])
            crops.append(Crop(int(self.lines[item.number]), start, len(pieces[-1])))
        samples = torch.tensor([crop.samples for crop in crops])
        batch = {
            "source": pad_sequence(pieces, batch_first=True),
            "padding_mask": torch.arange(length) >= samples[:, None],
            "numbers": torch.tensor([item.number for item in items]),
            "seeds": [stable_seed(self.seed, item.epoch, item.number) for item in items],
        }
        if self.tracks.labels:
            batch["pretext"] = self.tracks(crops, length)
        return batch


class UpdateBatches(Sampler[list[tuple[int, int]]]):
    """The batches of the updates of a training, as ``(epoch, number)`` for `CropDataset`, in one process or several.

    Every epoch goes through the utterances in an order of its own, drawn from seed and epoch, and leaves out what is no
    whole batch at its end. Of N `processes` each takes every N-th utterance of a batch, so that together they see
    what one process sees. A training that begins at update `first` sees what an uninterrupted one sees from there.

    Args:
        utterances: in the dataset.
        batch_size: utterances of an update, of all processes together.
        last: updates of the whole training.
        first: updates that are done.
        seed: of the orders.
        process, processes: which of how many.

    Raises:
        PtselError: a batch that cannot be divided among the processes, or that is larger than the dataset.
    """

    def __init__(
        self,
        utterances: int,
        batch_size: int,
        *,
        last: int,
        first: int = 0,
        seed: int,
        process: int = 0,
        processes: int = 1,
    ) -> None:
        if batch_size < 1 or batch_size % processes:
            raise PtselError(
                f"batch_size: expected a positive multiple of the number of processes, {processes}, found {batch_size}"
            )
        if batch_size > utterances:
            raise PtselError(
                f"batch_size: expected at most the {utterances} utterances that are long enough, found {batch_size}"
            )
        self.utterances, self.batch_size, self.seed = utterances, batch_size, seed
        self.first, self.last = first, last
        self.process, self.processes = process, processes

    def __len__(self) -> int:
        return max(0, self.last - self.first)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        in_an_epoch = self.utterances // self.batch_size
        order, drawn = np.zeros(0, dtype=np.int64), 0
        for update in range(self.first, self.last):
            epoch, place = update // in_an_epoch + 1, update % in_an_epoch
            if epoch != drawn:
                order, drawn = np.random.default_rng((self.seed, epoch)).permutation(self.utterances), epoch
            whole = order[place * self.batch_size : (place + 1) * self.batch_size]
            yield [(epoch, int(number)) for number in whole[self.process :: self.processes]]
