"""wav2vec 2.0 with pretext heads: the stock model, listened to rather than rewritten."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

import numpy as np
import torch
from fairseq.data.data_utils import compute_mask_indices
from fairseq.models import register_model
from fairseq.models.wav2vec.wav2vec2 import Wav2Vec2Config, Wav2Vec2Model

from ptsel_fairseq.base.conv_layers import parse_conv_layers
from ptsel_fairseq.heads.heads import EncoderTap
from ptsel_fairseq.plugin.encoders.with_heads import HeadedConfig, HeadedModel

# fairseq 0.12.2 draws masks from numpy's global generator; later ones take a seed, or use the system's entropy.
MASKS_TAKE_A_SEED = "seed" in inspect.signature(compute_mask_indices).parameters


@dataclass
class PtselWav2Vec2Config(HeadedConfig, Wav2Vec2Config):
    pass


@register_model("ptsel_wav2vec2", dataclass=PtselWav2Vec2Config)
class PtselWav2Vec2Model(HeadedModel, Wav2Vec2Model):
    """wav2vec 2.0 whose forward pass also returns the heads' predictions under ``"pretext"``.

    Without heads it is the stock model, operation for operation. With ``pretext_only`` the heads see unmasked
    audio, and what only the contrastive loss needs stays as it began: it is in the checkpoint, which so remains a
    whole wav2vec 2.0, but no parameter of the optimizer.
    """

    CONTRASTIVE_PARTS = ("quantizer", "project_q", "target_glu", "final_proj")

    def __init__(self, cfg: PtselWav2Vec2Config) -> None:
        parse_conv_layers(cfg.conv_feature_layers, "ptsel_wav2vec2")  # fairseq evaluates it as Python
        super().__init__(cfg)
        self.build_heads(cfg, {"conv": self.embed, "output": cfg.encoder_embed_dim})
        self._mask_indices: torch.Tensor | None = None
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
            frames, origins = tap.frames(), tap.origins()
            result["pretext"] = self.pretext_heads(frames)
            heads = self.pretext_heads.settings
            result["pretext_origins"] = {label: origins[head.attach] for label, head in heads.items()}
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
            indices=np.arange(shape[0]),
            **kwargs,
        )
        return torch.from_numpy(mask)

    def remove_pretraining_modules(self, last_layer=None) -> None:
        super().remove_pretraining_modules(last_layer)
        self.drop_heads()
