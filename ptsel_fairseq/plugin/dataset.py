"""Audio batches with the labels' frames of exactly the crop that the model sees."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
from fairseq.data import BaseWrapperDataset, FileAudioDataset
from fairseq.data.text_compressor import TextCompressionLevel
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.manifest import Manifest
from ptsel_fairseq.base.utterances import Utterances, smallest_type
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
        kept = np.ones(len(manifest), dtype=bool)
        kept[[line for line in skipped if line < len(manifest)]] = False
        self.lines = smallest_type(np.flatnonzero(kept))
        if len(self.lines) != len(self.audio):
            raise PtselError(
                f"{manifest.file}: expected {len(self.lines)} utterances in fairseq's dataset, found "
                f"{len(self.audio)}; the manifest changed while it was read"
            )
        if self.audio.text_compressor.level is TextCompressionLevel.none:
            self.audio.fnames = _Paths(manifest.utterances, self.lines)

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
        epoch, ids = self.epoch, [int(sample["id"]) for sample in samples]
        lines = self.lines[ids].tolist()
        lengths = [sample["source"].shape[0] for sample in samples]
        for line, length in zip(lines, lengths, strict=True):
            check_samples(self.manifest, line, length)
        longest = crop_length(lengths, self.audio.max_sample_size, self.audio.pad)
        crops = [
            Crop(line, crop_start(length, longest, self.grid, self.seed, epoch, number), min(length, longest))
            for line, length, number in zip(lines, lengths, ids, strict=True)
        ]
        cropped = _crop(samples, crops)
        heard = cropped
        if self._normalize:
            heard = _crop([self._normalized(sample) for sample in samples], crops)
        if self.distortion is not None:
            heard = [self._distorted(sample) for sample in heard]
        batch = self._batch(heard)
        if self.hears_bands:
            batch["net_input"]["source"] = batch["net_input"]["source"].double()
        batch["mask_seed"] = stable_seed(self.seed, epoch, *ids)
        if self.labels:
            pretext = self.tracks(crops, longest)
            batch["pretext"] = {**pretext, "target": pretext["target"].double()}
        if self.online:
            batch["clean_source"] = pad_sequence([s["source"] for s in cropped], batch_first=True).double()
        return batch

    def _batch(self, heard: list[dict]) -> dict:
        """As fairseq's collater makes it of samples that are cropped already, without what it does besides."""
        if self.audio.pad or self.dataset is not self.audio:
            return super().collater(heard)
        source = torch.stack([sample["source"] for sample in heard])
        return {
            "id": torch.from_numpy(np.array([sample["id"] for sample in heard])),
            "net_input": {"source": source},
        }

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


class _Path(bytes):
    """A path as fairseq's dataset takes it from its list, or from Arrow's arrays if these are installed."""

    def as_py(self) -> bytes:
        return self


class _Paths(Sequence[_Path]):
    """The paths of fairseq's dataset, from the manifest's arrays: processes share these, and would copy a list."""

    def __init__(self, utterances: Utterances, lines: np.ndarray) -> None:
        self._utterances, self._lines = utterances, lines

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, place):
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        return _Path(self._utterances.raw_path(int(self._lines[place])).lstrip())  # as fairseq reads lines


def _crop(samples: Sequence[dict], crops: Sequence[Crop]) -> list[dict]:
    return [
        sample
        if sample["source"].shape[0] == crop.samples
        else {**sample, "source": sample["source"][crop.start : crop.start + crop.samples]}
        for sample, crop in zip(samples, crops, strict=True)
    ]
