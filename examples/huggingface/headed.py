"""Hugging Face's wav2vec 2.0 with pretext heads: one module for both losses, and batches with its masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from transformers import Wav2Vec2Config, Wav2Vec2ForPreTraining
from transformers.models.wav2vec2.modeling_wav2vec2 import _compute_mask_indices, _sample_negative_indices

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.heads import Errors, PretextLoss, mean_over_processes
from ptsel_fairseq.labels import CropDataset


def grid_of(config: Wav2Vec2Config, sample_rate: int) -> FrameGrid:
    """The frames of the encoder of a configuration."""
    layers = zip(config.conv_dim, config.conv_kernel, config.conv_stride, strict=True)
    return FrameGrid.of_conv_layers(list(layers), sample_rate)


class Losses(NamedTuple):
    """Of a batch: `loss` to minimise; for the log `contrastive` summed over `masked` frames, `perplexity` of the
    codes, and the labels' errors."""

    loss: Tensor
    contrastive: Tensor
    masked: Tensor
    perplexity: Tensor
    errors: dict[str, Errors]


class HeadedWav2Vec2(nn.Module):
    """``contrastive mean + diversity + scale · Σ_k λ_k · L_k`` of a batch.

    The contrastive loss is divided by the masked frames of all processes, and so are the pretext losses by theirs: the
    gradients that DistributedDataParallel averages are those of the joined batch. The diversity of the codes is that of
    each process's own batch.

    Args:
        wav2vec2: the model of Hugging Face.
        pretext: heads and λ; None for wav2vec 2.0 alone. Heads may sit at `output` or `conv`.
    """

    def __init__(self, wav2vec2: Wav2Vec2ForPreTraining, pretext: PretextLoss | None) -> None:
        super().__init__()
        self.wav2vec2, self.pretext = wav2vec2, pretext
        self._frames: dict[str | int, Tensor] = {}
        # What the model for pretraining returns is projected for the contrastive loss; the encoder inside gives both.
        wav2vec2.wav2vec2.register_forward_hook(self._keep)

    def _keep(self, module: nn.Module, args: object, output: Any) -> None:
        self._frames = {"output": output.last_hidden_state, "conv": output.extract_features}

    def forward(self, batch: dict[str, Any]) -> Losses:
        found = self.wav2vec2(
            batch["source"],
            attention_mask=batch["attention_mask"],
            mask_time_indices=batch["mask"],
            sampled_negative_indices=batch["negatives"],
        )
        masked = batch["mask"].sum()
        # Hugging Face sums over the masked frames.
        loss = found.loss / mean_over_processes(masked.float())
        errors: dict[str, Errors] = {}
        frames, self._frames = self._frames, {}
        if self.pretext is not None:
            pretext = self.pretext(frames, batch["pretext"], mask=batch["mask"])
            loss, errors = loss + pretext.loss, pretext.errors
        return Losses(
            loss, found.contrastive_loss.detach(), masked, found.codevector_perplexity.detach(), errors
        )


class MaskedBatches:
    """Collates crops, and draws masks and negatives for them as Hugging Face does, for each utterance alone.

    They depend on seed, epoch and utterance, and not on what else is in the batch.
    """

    def __init__(self, dataset: CropDataset, config: Wav2Vec2Config) -> None:
        self.dataset, self.config = dataset, config

    def __call__(self, items: Sequence[Any]) -> dict[str, Any]:
        batch = self.dataset.collate(items)
        samples = (~batch["padding_mask"]).sum(1).tolist()
        grid = self.dataset.grid
        rows, frames = len(samples), grid.num_frames(batch["source"].size(1))
        mask = np.zeros((rows, frames), dtype=bool)
        negatives = np.zeros((rows, frames, self.config.num_negatives), dtype=np.int64)
        for row, (count, seed) in enumerate(zip(map(grid.num_frames, samples), batch["seeds"], strict=True)):
            with numpy_seed(seed):
                own = _compute_mask_indices(
                    (1, count), self.config.mask_time_prob, self.config.mask_time_length, min_masks=2
                )
                drawn = _sample_negative_indices((1, count), self.config.num_negatives, own)
            mask[row, :count] = own[0]
            negatives[row, :count] = (
                drawn[0] + row * frames
            )  # it counts through the frames of the whole batch
        batch["mask"], batch["negatives"] = torch.from_numpy(mask), torch.from_numpy(negatives)
        # A model with group norm was trained without attention masks; without padding none is needed.
        batch["attention_mask"] = (~batch["padding_mask"]).long() if self.dataset.padded else None
        return batch


@contextmanager
def numpy_seed(seed: int) -> Iterator[None]:
    """Draw from numpy's global generator, which Hugging Face uses, from this seed; it is as before afterwards."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)
