"""What the recipe's criterion asks of the model, written into the model's own section before it is built.

It is then part of the checkpoint, from which the model is rebuilt without store or criterion.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import OmegaConf, open_dict

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.heads.balancing import NONE, check_balancing, to_json
from ptsel_fairseq.heads.loss import LOSSES
from ptsel_fairseq.heads.pretext import check_places
from ptsel_fairseq.heads.settings import HeadSettings, read_head_settings
from ptsel_fairseq.labels.store.reader import LabelStore
from ptsel_fairseq.plugin.online import check_online

logger = logging.getLogger(__name__)


def plan(
    model_cfg: Any, criterion_cfg: Any, active: Mapping[str, float], store: LabelStore | None, seed: int
) -> None:
    """Fill in the model's ``pretext_`` settings.

    Args:
        active: label -> positive weight, sorted.
        store: of the split whose statistics standardise the labels; None where no label has a weight.
        seed: of balancing rules that draw.

    Raises:
        PtselError: settings of heads, balancing or objective that cannot be used.
    """
    contrastive = bool(criterion_cfg.get("contrastive", True))
    depth = model_cfg.get("encoder_layers", 0)
    dims: list[int] = []
    heads: list[HeadSettings] = []
    balancing = ""
    if store is not None:
        codes = {label: store.info(label).codes for label in active}
        dims = [codes[label] or store.info(label).dim for label in active]
        block = OmegaConf.to_container(criterion_cfg.get("pretext_heads") or OmegaConf.create({}))
        coded = [label for label in active if codes[label] is not None]
        heads = read_head_settings(
            block, list(active), dims, model_cfg.get("pretext_layer", -1), depth, coded
        )
        balancing = _plan_balancing(criterion_cfg, active, heads, seed)
        for label, head in zip(active, heads, strict=True):
            if head.source == "online":
                check_online(label, head, store)
            elif LOSSES.get(head.loss).of_raw_values:
                _refuse_outside_unit_interval(store, label, head.loss)
    elif contrastive:
        logger.info("no label has a positive weight: plain wav2vec 2.0")
    if not contrastive:
        _check_alone(dict(zip(active, heads, strict=True)), depth, model_cfg.get("mask_prob", 0.0) > 0)
        if criterion_cfg.get("pretext_stop_updates", 0) or criterion_cfg.get("pretext_scale", 1.0) == 0:
            raise PtselError(
                "criterion.contrastive: false leaves nothing to learn where the pretext part counts nothing; expected "
                "pretext_stop_updates 0 and pretext_scale above 0"
            )
    _check_cosines(model_cfg, criterion_cfg, contrastive, heads)
    with open_dict(model_cfg):
        model_cfg.pretext_labels = list(active)
        model_cfg.pretext_dims = dims
        model_cfg.pretext_head_settings = [head.to_json() for head in heads]
        model_cfg.pretext_balancing = balancing
        model_cfg.pretext_only = not contrastive


def _check_alone(heads: Mapping[str, HeadSettings], depth: int, masks: bool) -> None:
    """Raise PtselError unless these heads train the whole encoder by themselves.

    Args:
        masks: whether the model can mask frames.
    """
    if not heads:
        raise PtselError(
            "criterion.contrastive: false leaves nothing to learn, for no label has a positive weight; give "
            "pretext_weights (`ptsel select` writes them) or pretext_fixed_weights"
        )
    for label, head in heads.items():
        if head.frames == "masked" and not masks:
            raise PtselError(
                f"criterion.pretext_heads.{label}.frames: masked needs the mask of wav2vec 2.0 with model.mask_prob "
                "above 0, which this model does without; expected all"
            )
    if not any(head.attach in ("output", depth) and head.grad_scale > 0 for head in heads.values()):
        raise PtselError(
            "criterion.contrastive: false needs a head with a gradient at the encoder's output, without which the "
            "layers above the highest head learn nothing; set attach: output for one label"
        )


def _check_cosines(
    model_cfg: Any, criterion_cfg: Any, contrastive: bool, heads: Sequence[HeadSettings]
) -> None:
    interval, setting = criterion_cfg.get("pretext_cosines_interval", 0), "criterion.pretext_cosines_interval"
    if interval < 0:
        raise PtselError(f"{setting}: expected a number of updates, or 0 for never, found {interval}")
    if interval and not contrastive:
        raise PtselError(
            f"{setting}: there is no contrastive gradient to compare with; expected 0, found {interval}"
        )
    inside = sorted({str(head.attach) for head in heads if head.attach != "output"})
    if interval and inside and model_cfg.get("checkpoint_activations", False):
        raise PtselError(
            f"{setting}: with model.checkpoint_activations no gradient can be taken inside the encoder, where heads "
            f"attach ({', '.join(inside)}); attach them at output, or expected 0, found {interval}"
        )


def _plan_balancing(
    criterion_cfg: Any, active: Mapping[str, float], heads: Sequence[HeadSettings], seed: int
) -> str:
    """The balancing rule as the model's configuration keeps it, empty for none."""
    rule = criterion_cfg.get("pretext_balancing", NONE)
    options = OmegaConf.to_container(criterion_cfg.get("pretext_balancing_options") or OmegaConf.create({}))
    options = check_balancing(rule, options)
    check_places(rule, heads)
    return to_json(rule, options, list(active.values()), seed)


def _refuse_outside_unit_interval(store: LabelStore, label: str, loss: str) -> None:
    """Raise PtselError unless every value of the label lies between 0 and 1, as a loss of raw values needs."""
    for line in range(store.num_utterances):
        track = store.track(label, line)
        if track.size and not (track.min() >= 0 and track.max() <= 1):
            raise PtselError(
                f"criterion.pretext_heads.{label}.loss: {loss} needs values between 0 and 1, found {track.min():g} to "
                f"{track.max():g} in utterance {line} of {store.folder}; use l1, mse or smooth_l1"
            )
