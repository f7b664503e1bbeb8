"""Does a pretext loss pull the encoder where the contrastive loss pulls it? The cosine of their gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ptsel_fairseq.heads.losses import Errors


def cosine_logs(
    due: bool, contrastive: Tensor, errors: Mapping[str, Errors], net_output: Mapping[str, Any]
) -> dict[str, Any]:
    """Cosine and count of each label for the log, float32 [] on the losses' device; zeros where none is due.

    Workers sum their logs tensor by tensor, so each must log the same ones, a worker without data too.

    The gradients are with respect to the frames at the place where the label's head attaches, all frames of the batch
    as one vector: that of the label's own loss, and that of the stock loss (contrastive and penalties). A label or a
    batch without a finite gradient there counts nothing. Nothing is added to the gradients of the update.

    Args:
        contrastive: the stock loss.
        errors: of the labels.
        net_output: of the model, with ``pretext_origins``: label -> the tensor that its head and the encoder share.
    """
    logs: dict[str, Any] = {}
    theirs: dict[int, Tensor] = {}
    for label, error in errors.items():
        cosine = counts = error.loss.new_zeros((), dtype=torch.float32)
        if due:
            origin = net_output["pretext_origins"][label]
            if id(origin) not in theirs:
                theirs[id(origin)] = _gradient(contrastive, origin)
            own, other = _gradient(error.loss, origin), theirs[id(origin)]
            cosine = (own * other).sum()
            known = own.any() & other.any() & cosine.isfinite()
            cosine, counts = torch.where(known, cosine, 0.0), known.float()
        logs[f"_cosine_{label}"], logs[f"_cosines_{label}"] = cosine, counts
    return logs


def _gradient(loss: Tensor, frames: Tensor) -> Tensor:
    """One vector of length 1, in single precision; zero where the loss does not depend on the frames."""
    found = torch.autograd.grad(loss, frames, retain_graph=True, allow_unused=True)[0]
    found = (torch.zeros_like(frames) if found is None else found).flatten().float()
    tiny = torch.finfo(torch.float32).tiny
    found = found / found.abs().max().clamp(min=tiny)  # no square is then out of range
    return found / found.square().sum().sqrt().clamp(min=tiny)
