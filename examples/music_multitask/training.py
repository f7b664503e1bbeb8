"""Pretraining by the pretext labels alone, in a plain PyTorch loop with the package's heads and balancing rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from encoders import new_encoder
from settings import BATCH, CROP, LEARNING_RATE, PERIOD, RELEVANCE, WEIGHT_DECAY, WIDTH
from study_tools.schedule import rate_at
from study_tools.stream import Stream
from torch import Tensor, nn

from ptsel_fairseq.heads import PretextLoss
from ptsel_fairseq.heads.balancing import NONE, RULES

TOGETHER = 8  # pieces of equal length that an encoder reads at once


def pretrain(
    stream: Stream, encoder: str, weighting: str, weights: Mapping[str, float], seed: int, updates: int
) -> tuple[nn.Module, dict[str, dict[str, float]]]:
    """Train an encoder to predict labels on crops of the training part.

    Args:
        weighting: a balancing rule, or `relevance`, whose λ are `weights` and change no more.
        weights: label -> λ, positive.

    Returns:
        The encoder; and of each label over the last tenth of the updates its loss, its skill (1 - loss / loss of the
        best constant) and the mean of λ times the rule's weight.
    """
    model = new_encoder(encoder, seed)
    labels = sorted(weights)
    tracks = {label: stream.track(label) for label in labels}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1000 + seed)
        pretext = pretext_loss(
            {label: weights[label] for label in labels},
            {label: tracks[label].values.shape[1] for label in labels},
            weighting,
            seed,
        )
        optimizer = torch.optim.AdamW(
            [p for p in (*model.parameters(), *pretext.parameters()) if p.requires_grad],
            lr=LEARNING_RATE,
            weight_decay=WEIGHT_DECAY,
        )
        rng = np.random.default_rng(seed)
        last: list[np.ndarray] = []
        for update in range(updates):
            place = rng.integers(0, stream.training_end - CROP, BATCH)[:, None] + np.arange(CROP)
            target = np.concatenate([tracks[label].values[place] for label in labels], axis=2)
            valid = np.stack([tracks[label].valid[place] for label in labels], axis=2)
            frames, _ = model(torch.from_numpy(stream.input[place]))
            pretext.begin_update()
            found = pretext(
                frames,
                {"target": torch.from_numpy(target.astype(np.float32)), "valid": torch.from_numpy(valid)},
            )
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * rate_at(update, updates)
            optimizer.zero_grad()
            found.loss.backward()
            optimizer.step()
            pretext.end_update()
            if update >= min(0.9 * updates, updates - 1):
                means, skills = found.means(), found.skills()
                own = rule_weights(pretext, labels)
                last.append(np.array([[means[k], skills[k], weights[k] * own[k]] for k in labels]))
    with np.errstate(invalid="ignore"):
        ends = np.nanmean(last, axis=0)
    told = {
        label: dict(zip(("loss", "skill", "weight"), map(float, row), strict=True))
        for label, row in zip(labels, ends, strict=True)
    }
    return model, told


def pretext_loss(
    weights: Mapping[str, float], dims: Mapping[str, int], weighting: str, seed: int
) -> PretextLoss:
    """Linear heads, l1, and the balancing rule of a level of the factor weighting."""
    rule = NONE if weighting == RELEVANCE else weighting
    options = {"period": PERIOD} if rule != NONE and "period" in RULES.get(rule).options else {}
    return PretextLoss(weights, dims, WIDTH, balancing=rule, options=options, seed=seed)


def rule_weights(pretext: PretextLoss, labels: Sequence[str]) -> dict[str, float]:
    """What the balancing rule multiplies each λ by."""
    if pretext.balancing is None:
        return dict.fromkeys(labels, 1.0)
    return dict(zip(labels, pretext.balancing.weights.tolist(), strict=True))


@torch.no_grad()
def pooled(encoder: nn.Module, frames: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Mean and standard deviation of an encoder's frames over stretches that it reads one by one.

    Args:
        frames: log mel of a stream, float32 [frames, 80].
        start, end: frames of each stretch [points].

    Returns:
        float32 [points, 2 WIDTH].
    """
    encoder.eval()
    lengths = end - start
    found = np.zeros((len(start), 2 * WIDTH), np.float32)
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        for first in range(0, len(rows), TOGETHER):
            some = rows[first : first + TOGETHER]
            heard: Tensor = encoder(torch.from_numpy(frames[start[some][:, None] + np.arange(length)]))[0]
            both = torch.cat([heard.mean(1), heard.std(1, unbiased=False)], dim=1)
            found[some] = both.numpy()
    return found
