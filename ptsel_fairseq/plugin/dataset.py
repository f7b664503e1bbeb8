"""Audio batches with the labels' frames of exactly the crop that the model sees."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
from fairseq.data import BaseWrapperDataset, FileAudioDataset
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.manifest import Manifest
from ptsel_fairseq.labels.crops import (
    Crop,
    CropTracks,
    Scaling,
    check_samples,
    crop_length,
    crop_start,
    stable_seed,
)
from ptsel_fairseq.labels.store.reader import LabelStore
from ptsel_fairseq.plugin.distortion import Distortion
from ptsel_fairseq.plugin.preemption import keep_loader_alive

DISTORTION = 0xD15  # sets the seeds of distortions apart from those of masks


class PtselDataset(BaseWrapperDataset):
    """fairseq's audio dataset, its batches joined by tracks from a label store.

    fairseq draws the start of a crop inside its collater and does not tell it, so the crop is made here,
    at a multiple of the hop, for audio and tracks together; fairseq's collater then finds nothing left
    to crop. Where a crop starts depends on seed, epoch and utterance only, which makes a resumed run see
    the crops of an uninterrupted one whatever the number of loader workers.

    A batch gains ``sample["pretext"]`` with

    * ``target`` float64 [batch, frames, sum of dims]: tracks in standard deviations, labels in order. They
      are float64 because fairseq halves every float32 tensor of a batch in fp16 and bf16 training;
    * ``valid`` bool [batch, frames, labels]: False on padding and where the label is undefined;
    * ``samples`` int64 [batch]: of each row without padding;

    and ``sample["mask_seed"]``, from which the task seeds the mask of the batch. Labels that are computed online
    have zeros in ``target``; their ``valid`` is False for frames whose analysis reaches beyond the crop where the
    recording goes on. The waveform to compute them from, not normalised, is ``sample["clean_source"]``, float64.

    Args:
        dataset: the stock dataset of one split.
        manifest: the same split's manifest.
        grid: the encoder's frames; crops start at its multiples with and without labels, so that runs of
            different weights see the same audio.
        store: the split's label store, or None where no label has a weight.
        scaling: label -> (mean [dim], standard deviation [dim]) of the training split, in the order in
            which the tracks are handed out.
        seed: of the crops, masks and distortions.
        distortion: of the audio that the model hears; the labels stay those of the clean audio.
        online: those of the labels that are not read from the store.
        hears_bands: the model computes log-mel bands from the waveform, whose quiet ones half precision would lose:
            it is handed out as float64 too.
    """

    def __init__(
        self,
        dataset: FileAudioDataset | BaseWrapperDataset,
        manifest: Manifest,
        grid: FrameGrid,
        store: LabelStore | None,
        scaling: Scaling,
        seed: int,
        distortion: Distortion | None = None,
        online: Collection[str] = (),
        hears_bands: bool = False,
    ) -> None:
        super().__init__(dataset)
        self.audio = dataset
        while isinstance(self.audio, BaseWrapperDataset):
            self.audio = self.audio.dataset
        self.manifest = manifest
        self.grid = grid
        self.store = store
        self.labels = list(scaling)
        self.tracks = CropTracks(manifest, grid, store, scaling, online)
        self.online = frozenset(online)
        self.hears_bands = hears_bands
        self.seed = seed
        self.distortion = distortion
        # Online labels are of the waveform as it was recorded, so it is normalised here, after it was kept.
        self._normalize = bool(self.online) and self.audio.normalize
        if self._normalize:
            self.audio.normalize = False
        # In shared memory: fairseq keeps the loaders' processes from epoch to epoch, with the dataset they began with.
        self._epoch = torch.ones(1, dtype=torch.int64).share_memory_()
        self._signals_left = False
        # fairseq numbers the utterances that are long enough; the store is keyed by manifest line.
        skipped = self.audio.skipped_indices
        self.lines = np.array([line for line in range(len(manifest)) if line not in skipped], dtype=np.int64)
        if len(self.lines) != len(self.audio):
            raise PtselError(
                f"{manifest.file}: expected {len(self.lines)} utterances in fairseq's dataset, found "
                f"{len(self.audio)}; the manifest changed while it was read"
            )

    @property
    def epoch(self) -> int:
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        super().set_epoch(epoch)
        self._epoch[0] = epoch

    def __getitem__(self, index: int) -> dict:
        if not self._signals_left and torch.utils.data.get_worker_info() is not None:
            keep_loader_alive()
            self._signals_left = True
        return super().__getitem__(index)

    def collater(self, samples: Sequence[dict]) -> dict:
        samples = [sample for sample in samples if sample["source"] is not None]
        if not samples:
            return {}
        lengths = [len(sample["source"]) for sample in samples]
        crop_size = crop_length(lengths, self.audio.max_sample_size, self.audio.pad)
        starts = [self._crop_start(sample, crop_size) for sample in samples]
        cropped = _crop(samples, starts, crop_size)
        heard = cropped
        if self._normalize:
            heard = _crop([self._normalized(sample) for sample in samples], starts, crop_size)
        if self.distortion is not None:
            heard = [self._distorted(sample) for sample in heard]
        batch = super().collater(heard)
        if self.hears_bands:
            batch["net_input"]["source"] = batch["net_input"]["source"].double()
        ids = [int(sample["id"]) for sample in samples]
        batch["mask_seed"] = stable_seed(self.seed, self.epoch, *ids)
        if self.labels:
            batch["pretext"] = self._pretext(cropped, starts, crop_size)
        if self.online:
            batch["clean_source"] = pad_sequence([s["source"] for s in cropped], batch_first=True).double()
        return batch

    def _crop_start(self, sample: dict, crop_size: int) -> int:
        size = len(sample["source"])
        check_samples(self.manifest, int(self.lines[int(sample["id"])]), size)
        return crop_start(size, crop_size, self.grid, self.seed, self.epoch, int(sample["id"]))

    def _normalized(self, sample: dict) -> dict:
        """Of mean 0 and variance 1, operation for operation as fairseq's datasets do it, where that was left to us."""
        if not self._normalize:
            return sample
        return {**sample, "source": functional.layer_norm(sample["source"], sample["source"].shape)}

    def _distorted(self, sample: dict) -> dict:
        """A cropped sample as the model hears it in this epoch."""
        index = int(sample["id"])
        seed = stable_seed(DISTORTION, self.seed, self.epoch, index)

        def another(number: int) -> np.ndarray:
            if len(self.audio) == 1:
                return silence
            other = number % (len(self.audio) - 1)
            return self._normalized(self.audio[other + (other >= index)])["source"].numpy()

        waveform = sample["source"].numpy()
        silence = np.zeros_like(waveform)
        return {**sample, "source": torch.from_numpy(self.distortion(waveform, seed, another))}

    def _pretext(self, cropped: list[dict], starts: list[int], crop_size: int) -> dict[str, torch.Tensor]:
        crops = [
            Crop(int(self.lines[int(sample["id"])]), start, len(sample["source"]))
            for sample, start in zip(cropped, starts, strict=True)
        ]
        pretext = self.tracks(crops, crop_size)
        return {**pretext, "target": pretext["target"].double()}


def _crop(samples: Sequence[dict], starts: Sequence[int], size: int) -> list[dict]:
    return [
        {**sample, "source": sample["source"][start : start + size]}
        for sample, start in zip(samples, starts, strict=True)
    ]
