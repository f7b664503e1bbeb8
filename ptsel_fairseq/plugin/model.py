"""wav2vec 2.0 with pretext heads: the stock model, listened to rather than rewritten."""

from __future__ import annotations

import inspect
import logging
from dataclasses import dataclass, field

import numpy as np
import torch
from fairseq.data.data_utils import compute_mask_indices
from fairseq.models import register_model
from fairseq.models.wav2vec.wav2vec2 import Wav2Vec2Config, Wav2Vec2Model

from ptsel_fairseq.plugin.balancing import PtselBalancing
from ptsel_fairseq.plugin.head_settings import HeadSettings, place_of_layer
from ptsel_fairseq.plugin.heads import EncoderTap, PtselHeads

logger = logging.getLogger(__name__)

# fairseq 0.12.2 draws masks from numpy's global generator; later ones take a seed, or use the system's entropy.
MASKS_TAKE_A_SEED = "seed" in inspect.signature(compute_mask_indices).parameters


@dataclass
class PtselWav2Vec2Config(Wav2Vec2Config):
    # Lists, not a mapping: fairseq empties mappings of a model's configuration when it loads a checkpoint.
    pretext_labels: list[str] = field(
        default_factory=list,
        metadata={"help": "labels with a head; the task fills it with the labels of positive weight"},
    )
    pretext_dims: list[int] = field(
        default_factory=list,
        metadata={"help": "dimension of each label's track; the task fills it from the label store"},
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
        metadata={"help": "neither mask nor quantiser; the task fills it from criterion.contrastive"},
    )
    pretext_balancing: str = field(
        default="",
        metadata={
            "help": "JSON object of the balancing rule; the task fills it from criterion.pretext_balancing"
        },
    )


@register_model("ptsel_wav2vec2", dataclass=PtselWav2Vec2Config)
class PtselWav2Vec2Model(Wav2Vec2Model):
    """wav2vec 2.0 whose forward pass also returns the heads' predictions under ``"pretext"``.

    Without heads it is the stock model, operation for operation. With ``pretext_only`` the heads see unmasked
    audio, and what only the contrastive loss needs stays as it began: it is in the checkpoint, which so remains a
    whole wav2vec 2.0, but no parameter of the optimizer.
    """

    CONTRASTIVE_PARTS = ("quantizer", "project_q", "target_glu", "final_proj")

    def __init__(self, cfg: PtselWav2Vec2Config) -> None:
        super().__init__(cfg)
        self.pretext_heads: PtselHeads | None = None
        if cfg.pretext_labels:
            # A checkpoint of version 0.1 has no settings: linear heads on one layer.
            older = HeadSettings(attach=place_of_layer(cfg.pretext_layer))
            texts = cfg.pretext_head_settings or [older.to_json()] * len(cfg.pretext_labels)
            self.pretext_heads = PtselHeads(
                {"conv": self.embed, "output": cfg.encoder_embed_dim},
                cfg.pretext_labels,
                cfg.pretext_dims,
                [HeadSettings.from_json(text) for text in texts],
            )
        self.pretext_balancing: PtselBalancing | None = None
        if cfg.pretext_labels and cfg.pretext_balancing:
            self.pretext_balancing = PtselBalancing.from_json(cfg.pretext_balancing)
        self._mask_indices: torch.Tensor | None = None
        self.pretext_only = cfg.pretext_only
        if self.pretext_only:
            self.mask_emb.requires_grad_(False)
            for part in self.CONTRASTIVE_PARTS:
                if getattr(self, part) is not None:
                    getattr(self, part).requires_grad_(False)

    def forward(self, source, padding_mask=None, mask=True, features_only=False, **kwargs):
        if self.pretext_heads is None or features_only:
            return super().forward(source, padding_mask, mask, features_only, **kwargs)
        with EncoderTap(self, self.pretext_heads.places) as tap:
            if self.pretext_only:
                stock = super().forward(source, padding_mask, mask=False, features_only=True, **kwargs)
                result = {"padding_mask": stock["padding_mask"]}
            else:
                result = super().forward(source, padding_mask, mask, features_only, **kwargs)
            frames = tap.frames()
            result["pretext"] = self.pretext_heads(frames)
        if self.pretext_balancing is not None:
            result["pretext_frames"] = frames
        result["pretext_mask"], self._mask_indices = self._mask_indices, None
        return result

    def apply_mask(self, x, padding_mask, mask_indices=None, mask_channel_indices=None):
        """Mask as the stock model does, with masks that follow numpy's seed so that a resumed run repeats them."""
        if MASKS_TAKE_A_SEED and mask_indices is None and self.mask_prob > 0:
            mask_indices = self._seeded_mask(
                x.shape[:2],
                padding_mask,
                self.mask_prob,
                self.mask_length,
                self.mask_selection,
                self.mask_other,
                min_masks=2,
                no_overlap=self.no_mask_overlap,
                min_space=self.mask_min_space,
                require_same_masks=self.cfg.require_same_masks,
                mask_dropout=self.cfg.mask_dropout,
            ).to(x.device)
        if MASKS_TAKE_A_SEED and mask_channel_indices is None and self.mask_channel_prob > 0:
            mask_channel_indices = self._seeded_mask(
                (x.shape[0], x.shape[2]),
                None,
                self.mask_channel_prob,
                self.mask_channel_length,
                self.mask_channel_selection,
                self.mask_channel_other,
                no_overlap=self.no_mask_channel_overlap,
                min_space=self.mask_channel_min_space,
            )
            mask_channel_indices = mask_channel_indices.to(x.device).unsqueeze(1).expand(-1, x.shape[1], -1)
        x, mask_indices = super().apply_mask(x, padding_mask, mask_indices, mask_channel_indices)
        if self.pretext_heads is not None:
            self._mask_indices = mask_indices
        return x, mask_indices

    @staticmethod
    def _seeded_mask(shape, padding_mask, *args, **kwargs) -> torch.Tensor:
        mask = compute_mask_indices(
            tuple(shape),
            padding_mask,
            *args,
            seed=np.random.randint(2**31 - 1),
            epoch=0,
            indices=torch.arange(shape[0]),
            **kwargs,
        )
        return torch.from_numpy(mask)

    def remove_pretraining_modules(self, last_layer=None) -> None:
        super().remove_pretraining_modules(last_layer)
        # Not `del`: a strict load then ignores the heads of a checkpoint.
        self.pretext_heads = self.pretext_balancing = None

    def upgrade_state_dict_named(self, state_dict, name):
        """Let a checkpoint without these heads (stock, or of other labels) start the ones of this run afresh."""
        state_dict = super().upgrade_state_dict_named(state_dict, name) or state_dict
        for part in ("pretext_heads", "pretext_balancing"):
            if getattr(self, part) is not None:
                self._fill_in(state_dict, f"{name}.{part}." if name else f"{part}.", getattr(self, part))
        return state_dict

    @staticmethod
    def _fill_in(state_dict, prefix: str, module: torch.nn.Module) -> None:
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
