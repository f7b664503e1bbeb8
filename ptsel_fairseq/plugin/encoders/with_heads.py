"""What every encoder with pretext heads has in common: their settings in the checkpoint, and their loading."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from ptsel_fairseq.heads.balancing import Balancing, from_json
from ptsel_fairseq.heads.heads import PtselHeads
from ptsel_fairseq.heads.settings import HeadSettings, place_of_layer

logger = logging.getLogger(__name__)


@dataclass
class HeadedConfig:
    """The settings that `planning.plan` fills in before the model is built."""

    # Lists, not a mapping: fairseq empties mappings of a model's configuration when it loads a checkpoint.
    pretext_labels: list[str] = field(
        default_factory=list,
        metadata={"help": "labels with a head; the task fills it with the labels of positive weight"},
    )
    pretext_dims: list[int] = field(
        default_factory=list,
        metadata={
            "help": "dimension of each label's track, or number of codes; the task fills it from the label store"
        },
    )
    pretext_layer: int = field(
        default=-1,
        metadata={
            "help": "where heads attach that say nothing else: -1 the encoder's output, 0 the input of the first "
            "transformer layer, n the output of the n-th"
        },
    )
    pretext_head_settings: list[str] = field(
        default_factory=list,
        metadata={"help": "one JSON object a label; the task fills it from criterion.pretext_heads"},
    )
    pretext_only: bool = field(
        default=False,
        metadata={
            "help": "no quantiser, and a mask only for heads of masked frames; the task fills it from "
            "criterion.contrastive"
        },
    )
    pretext_balancing: str = field(
        default="",
        metadata={
            "help": "JSON object of the balancing rule; the task fills it from criterion.pretext_balancing"
        },
    )


class HeadedModel:
    """For a fairseq model with heads; call `build_heads` at the end of its constructor."""

    pretext_heads: PtselHeads | None
    pretext_balancing: Balancing | None
    pretext_only: bool

    def build_heads(self, cfg: Any, widths: Mapping[str | int, int]) -> None:
        """Build heads and balancing of a configuration; none without labels."""
        self.pretext_only = cfg.pretext_only
        self.pretext_heads = self.pretext_balancing = None
        if not cfg.pretext_labels:
            return
        # A checkpoint of version 0.1 has no settings: linear heads on one layer.
        older = HeadSettings(attach=place_of_layer(cfg.pretext_layer))
        texts = cfg.pretext_head_settings or [older.to_json()] * len(cfg.pretext_labels)
        settings = [HeadSettings.from_json(text) for text in texts]
        self.pretext_heads = PtselHeads(widths, cfg.pretext_labels, cfg.pretext_dims, settings)
        if cfg.pretext_balancing:
            self.pretext_balancing = from_json(cfg.pretext_balancing)

    def drop_heads(self) -> None:
        # Not `del`: a strict load then ignores the heads of a checkpoint.
        self.pretext_heads = self.pretext_balancing = None

    def upgrade_state_dict_named(self, state_dict: dict[str, torch.Tensor], name: str):
        """Let a checkpoint without these heads (stock, or of other labels) start the ones of this run afresh."""
        state_dict = super().upgrade_state_dict_named(state_dict, name) or state_dict
        for part in ("pretext_heads", "pretext_balancing"):
            if getattr(self, part) is not None:
                prefix = f"{name}.{part}." if name else f"{part}."
                if isinstance(getattr(self, part), Balancing):
                    getattr(self, part).leave_out_older(state_dict, prefix)
                _fill_in(state_dict, prefix, getattr(self, part))
        return state_dict


def _fill_in(state_dict: dict[str, torch.Tensor], prefix: str, module: torch.nn.Module) -> None:
    own = {prefix + key: value for key, value in module.state_dict().items()}
    kept = {key for key in state_dict if key in own and state_dict[key].shape == own[key].shape}
    dropped = [key for key in state_dict if key.startswith(prefix) and key not in kept]
    for key in dropped:
        del state_dict[key]
    fresh = [key for key in own if key not in kept]
    for key in fresh:
        state_dict[key] = own[key]
    if fresh or dropped:
        logger.info(
            "%s: %d tensors from the checkpoint, %d started afresh, %d of other labels dropped",
            prefix.rstrip(".").replace("_", " "),
            len(kept),
            len(fresh),
            len([key for key in dropped if key not in own]),
        )
