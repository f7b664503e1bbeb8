"""Labels computed on the device, in training, from the very crop that the model sees."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.heads.loss import LOSSES
from ptsel_fairseq.heads.settings import HeadSettings
from ptsel_fairseq.labels import registry
from ptsel_fairseq.labels.batch import compute_batch, local_labels
from ptsel_fairseq.labels.store.reader import THIS_PACKAGE, LabelStore


class OnlineLabels:
    """Fills the places that a batch leaves for labels of ``source: online``.

    The tracks are those of the clean waveform, before distortion and normalisation, in standard deviations of the
    training split. Which frames of a crop have the value of the whole recording, the dataset knows and says in
    ``valid``; where a label is undefined it is cleared here.

    Args:
        scaling: label -> (mean [dim], standard deviation [dim]), in the order of the batch's columns, stored labels
            among them.
        online: the labels to compute.
        grid: the encoder's frames.
    """

    def __init__(
        self, scaling: Mapping[str, tuple[np.ndarray, np.ndarray]], online: Collection[str], grid: FrameGrid
    ) -> None:
        self.grid = grid
        self.places: dict[str, tuple[int, slice]] = {}
        self._scaling: dict[str, tuple[Tensor, Tensor]] = {}
        column = 0
        for k, (label, (mean, std)) in enumerate(scaling.items()):
            if label in online:
                self.places[label] = k, slice(column, column + len(mean))
                self._scaling[label] = torch.from_numpy(mean).float(), torch.from_numpy(std).float()
            column += len(mean)

    def fill(self, sample: Mapping[str, Any]) -> None:
        """Compute the online labels of a batch into its ``pretext``, on the batch's device; again, to the same end.

        Args:
            sample: with ``clean_source`` [batch, samples], float32 or float64, and ``pretext``: ``target``, ``valid``
                and ``samples`` int64 [batch], how many of each row are not padding.

        Raises:
            PtselError: a waveform in half precision, from which labels cannot be computed.
        """
        waveforms, pretext = sample["clean_source"], sample["pretext"]
        if waveforms.dtype not in (torch.float32, torch.float64):
            raise PtselError(
                f"clean_source: expected float32 or float64, found {waveforms.dtype}; a dataset hands it out as "
                "float64, because fairseq halves every float32 tensor of a batch in fp16 and bf16 training"
            )
        tracks = compute_batch(waveforms.float(), pretext["samples"], list(self.places), self.grid)
        target, valid = pretext["target"], pretext["valid"]
        for label, (values, defined) in tracks.items():
            k, columns = self.places[label]
            mean, std = self._scaling[label] = tuple(n.to(values.device) for n in self._scaling[label])
            target[..., columns] = (values - mean) / std
            valid[..., k] &= defined


def check_online(label: str, head: HeadSettings, store: LabelStore) -> None:
    """Raise PtselError unless a label can be computed in training, as the definition of the store's statistics."""
    setting = f"criterion.pretext_heads.{label}"
    possible = local_labels()
    if label not in possible:
        raise PtselError(
            f"{setting}.source: {label} cannot be computed online, only {', '.join(possible)}; "
            "take source: store for it"
        )
    known, found = registry.get(label), store.info(label)
    if found.version != known.version:
        raise PtselError(
            f"{setting}.source: the statistics in {store.folder} are of definition {found.version} of {label}, online "
            f"it is definition {known.version}; extract it into a new store"
        )
    if store.software(label) != THIS_PACKAGE:
        raise PtselError(
            f"{setting}.source: the statistics of {label} in {store.folder} are of {store.software(label)}, online "
            "it is computed by this package; extract it without --backend into a new store"
        )
    if LOSSES.get(head.loss).of_raw_values and known.unit != "0 to 1":
        raise PtselError(
            f"{setting}.loss: {head.loss} needs values between 0 and 1, online {label} is in {known.unit}; use l1, "
            "mse or smooth_l1"
        )
