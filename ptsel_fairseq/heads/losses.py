"""The pretext losses of a batch, label by label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.heads.heads import around
from ptsel_fairseq.heads.loss import LOSSES
from ptsel_fairseq.heads.settings import HeadSettings


class Errors(NamedTuple):
    """What a batch says about one label, all on the device of the predictions.

    `loss` is summed over the `frames` that count []; `of_constant` is the loss of predicting one constant instead,
    summed [], without gradient, see `constant_loss`.
    """

    loss: Tensor
    frames: Tensor
    of_constant: Tensor


class CodeErrors(Errors):
    """Of a label of codes: `Errors`, and how many frames are right.

    Attributes:
        hits: frames whose likeliest code is the right one [].
        hits_of_constant: frames that have the most frequent code of training [].
    """

    hits: Tensor
    hits_of_constant: Tensor

    @classmethod
    def of(cls, errors: Errors, hits: Tensor, hits_of_constant: Tensor) -> CodeErrors:
        found = cls(*errors)
        found.hits, found.hits_of_constant = hits, hits_of_constant
        return found


def frame_loss(kind: str, predicted: Tensor, target: Tensor) -> Tensor:
    """The loss of a name for each frame, [..., dim] -> [...]."""
    return LOSSES.get(kind).of_frames(predicted, target)


@torch.no_grad()
def constant_loss(kind: str, target: Tensor, counts: Tensor) -> Tensor:
    """Summed loss of the best prediction that is the same for every frame, over the frames that count."""
    loss = LOSSES.get(kind)
    constant = loss.best_constant(target.flatten(0, -2), counts.flatten())
    if constant is None:
        return counts.sum().float()
    target, counts = target.flatten(0, -2), counts.flatten()
    losses = loss.of_frames(constant.expand_as(target), target)
    return losses.masked_fill(~counts, 0.0).sum()


def pretext_errors(
    net_output: Mapping[str, Any],
    sample: Mapping[str, Any],
    settings: Mapping[str, HeadSettings] | None = None,
    log_frequencies: Mapping[str, Tensor] | None = None,
) -> dict[str, Errors]:
    """Summed loss and number of valid frames of each label of a batch.

    The loss of a frame is the mean over the label's dimensions, in float32. A head that predicts several
    frames has each of them counted on its own.

    Args:
        net_output: of the model: the predictions under ``pretext``, ``pretext_mask`` bool [batch, frames].
        sample: the batch, with the tracks under ``pretext``.
        settings: of each label's head; linear heads and l1 where absent.
        log_frequencies: of labels of codes, see `PtselHeads.log_frequencies`; those of the batch where absent.

    Returns:
        label -> `Errors`, of labels of codes `CodeErrors`.
    """
    predictions: dict[str, Tensor] = net_output["pretext"]
    frames = next(iter(predictions.values())).size(1)
    target, valid = sample["pretext"]["target"], sample["pretext"]["valid"]
    # The model may cut frames at the end (crop_seq_to_multiple); anything else is a fault of alignment.
    if frames > target.size(1):
        raise PtselError(
            f"the encoder gave {frames} frames for a crop whose tracks have {target.size(1)}; the store was made for "
            "another conv_feature_layers"
        )
    target, valid = target[:, :frames].float(), valid[:, :frames]
    if net_output["padding_mask"] is not None:
        valid = valid & ~net_output["padding_mask"].unsqueeze(-1)
    errors = {}
    column = 0
    for k, (label, predicted) in enumerate(predictions.items()):
        head = settings[label] if settings else HeadSettings()
        count = head.output_frames
        dim = predicted.size(-1) // count
        of_codes = LOSSES.get(head.loss).of_codes
        width = 1 if of_codes else dim
        wanted, counts = target[..., column : column + width], valid[..., k]
        predicted = predicted.float()
        if count > 1:
            wanted, counts = around(wanted, count), around(counts, count)
            predicted = predicted.unflatten(-1, (count, dim))
        if head.frames != "all":
            chosen = _chosen(net_output.get("pretext_mask"), head.frames, valid[..., k])
            counts = counts & (chosen.unsqueeze(-1) if count > 1 else chosen)
        loss, number = (frame_loss(head.loss, predicted, wanted) * counts).sum(), counts.sum().float()
        if of_codes:
            errors[label] = _code_errors(
                loss, number, predicted, wanted, counts, (log_frequencies or {}).get(label)
            )
        else:
            errors[label] = Errors(loss, number, constant_loss(head.loss, wanted, counts))
        column += width
    return errors


@torch.no_grad()
def _code_errors(
    loss: Tensor, number: Tensor, logits: Tensor, wanted: Tensor, counts: Tensor, constant: Tensor | None
) -> CodeErrors:
    """Errors of codes beside those of one guess for every frame.

    Args:
        logits: [..., codes]; wanted: [..., 1]; counts: bool [...], which frames count.
        constant: log of each code's frequency [codes]; None for the frequencies among the frames that count.
    """
    codes = wanted.squeeze(-1).long()
    if constant is None:
        occurrences = logits.new_zeros(logits.size(-1))
        occurrences.index_add_(0, codes.flatten(), counts.flatten().to(occurrences.dtype))
        constant = (occurrences / occurrences.sum().clamp(min=1)).clamp(min=1e-30).log()
    of_constant = -(constant[codes] * counts).sum()
    hits = ((logits.argmax(-1) == codes) & counts).sum().float()
    hits_of_constant = ((codes == constant.argmax()) & counts).sum().float()
    return CodeErrors.of(Errors(loss, number, of_constant), hits, hits_of_constant)


def label_terms(
    errors: Mapping[str, Errors],
    weights: Mapping[str, float | Tensor],
    frames: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """The weighted mean loss of each label, λ_k · L_k; 0 where no frame counts.

    Args:
        errors: of a batch, see `pretext_errors`.
        weights: label -> λ_k, times its weight of the balancing.
        frames: label -> what its summed loss is divided by; the frames that count in the batch, where absent.
    """
    terms = {}
    for label, error in errors.items():
        count = error.frames if frames is None else frames[label]
        terms[label] = weights[label] * (error.loss / torch.where(count > 0, count, 1.0))
    return terms


def _chosen(mask: Tensor | None, frames: str, like: Tensor) -> Tensor:
    """bool [batch, frames]: the frames from which a label is predicted; without a mask none is masked."""
    masked = torch.zeros_like(like) if mask is None else mask[:, : like.size(1)]
    return masked if frames == "masked" else ~masked
