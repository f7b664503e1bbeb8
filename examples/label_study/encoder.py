"""The small encoder of tier 2 and its training: the plugin's pretext loss alone, on log mel."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from pool import Pool, Track
from settings import BATCH, CHANNELS, CROP, DILATIONS, KERNEL, LEARNING_RATE
from study_tools.schedule import rate_at
from study_tools.stream import GAP
from torch import Tensor, nn

from ptsel_fairseq.heads.losses import frame_loss

BLOCK = 4000  # frames at a time where features are computed
WEIGHT_DECAY = 0.01


class Encoder(nn.Module):
    """Log mel [batch, frames, 80] -> features [batch, frames, channels], by convolutions in time and GELU."""

    def __init__(self, channels: int = CHANNELS) -> None:
        super().__init__()
        before, layers = 80, []
        for dilation in DILATIONS:
            padding = dilation * (KERNEL // 2)
            layers += [nn.Conv1d(before, channels, KERNEL, padding=padding, dilation=dilation), nn.GELU()]
            before = channels
        self.layers, self.channels = nn.Sequential(*layers), channels

    def forward(self, frames: Tensor) -> Tensor:
        return self.layers(frames.transpose(1, 2)).transpose(1, 2)


def new_encoder(seed: int, channels: int = CHANNELS) -> Encoder:
    """An encoder before any training; the same for every label of a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Encoder(channels)


def pretrain(
    pool: Pool, tracks: Mapping[str, Track], weights: Mapping[str, float], seed: int, updates: int
) -> tuple[Encoder, dict[str, float]]:
    """Train an encoder to predict labels from the training part of a pool.

    The loss is Σ λ_h times the mean, over the valid frames of a batch, of |predicted - label| in standard deviations,
    averaged over the label's dimensions (`ptsel_fairseq`'s pretext loss ``l1`` with linear heads).

    Returns:
        The encoder, and each label's loss over the last tenth of the updates.
    """
    encoder = new_encoder(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1000 + seed)
        heads = {name: nn.Linear(CHANNELS, tracks[name].values.shape[1]) for name in sorted(weights)}
    optimizer = torch.optim.AdamW(
        [*encoder.parameters(), *(p for head in heads.values() for p in head.parameters())],
        lr=LEARNING_RATE,
        weight_decay=WEIGHT_DECAY,
    )
    rng = np.random.default_rng(seed)
    last: dict[str, list[float]] = {name: [] for name in heads}
    for update in range(updates):
        place = rng.integers(0, pool.training_end - CROP, BATCH)[:, None] + np.arange(CROP)
        hidden = encoder(torch.from_numpy(pool.input[place]))
        loss = hidden.new_zeros(())
        for name, head in heads.items():
            valid = tracks[name].valid[place]
            if not valid.any():
                continue
            where = np.nonzero(valid)
            target = torch.from_numpy(tracks[name].values[place[where]].astype(np.float32))
            own = frame_loss("l1", head(hidden[where]), target).mean()
            loss = loss + weights[name] * own
            if update >= 0.9 * updates:
                last[name].append(float(own.detach()))
        if not loss.requires_grad:
            continue
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * rate_at(update, updates)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return encoder, {
        name: float(np.mean(values)) if values else float("nan") for name, values in last.items()
    }


@torch.no_grad()
def features(encoder: Encoder, pool: Pool, needed: np.ndarray | None = None) -> np.ndarray:
    """Features of the frames of a pool's stream, float32 [frames, channels].

    Args:
        needed: bool [frames]; features of other frames are of no use. Default: all.
    """
    if needed is None:
        needed = np.ones(pool.total, bool)
    # What is needed with as much around it as the encoder sees, closed up: frames at the seams are not needed.
    around = np.flatnonzero(np.convolve(needed, np.ones(2 * GAP + 1), mode="same") > 0.5)
    found = np.zeros((pool.total, encoder.channels), np.float32)
    for first in range(0, len(around), BLOCK):
        begin, end = max(0, first - GAP), min(len(around), first + BLOCK + GAP)
        block = encoder(torch.from_numpy(pool.input[None, around[begin:end]]))[0]
        found[around[first : first + BLOCK]] = block[first - begin : first - begin + BLOCK].numpy()
    return found
