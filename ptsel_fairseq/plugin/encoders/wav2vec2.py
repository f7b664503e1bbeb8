"""wav2vec 2.0 with pretext heads: the stock model, listened to rather than rewritten."""

from __future__ import annotations

import contextlib
import inspect
from dataclasses import dataclass, field

import numpy as np
import torch
from fairseq.data.data_utils import compute_mask_indices
from fairseq.models import register_model
from fairseq.models.wav2vec.wav2vec2 import Wav2Vec2Config, Wav2Vec2Model

from ptsel_fairseq.base.conv_layers import parse_conv_layers
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels.signal.spectral import MEL_BANDS
from ptsel_fairseq.plugin.encoders.filterbank import FilterbankFrontEnd
from ptsel_fairseq.plugin.encoders.log_mel import LogMel
from ptsel_fairseq.plugin.encoders.tap import EncoderTap
from ptsel_fairseq.plugin.encoders.with_heads import HeadedConfig, HeadedModel

FRONTENDS = ("waveform", "filterbank")
# fairseq 0.12.2 draws masks from numpy's global generator; later ones take a seed, or use the system's entropy.
MASKS_TAKE_A_SEED = "seed" in inspect.signature(compute_mask_indices).parameters


@dataclass
class PtselWav2Vec2Config(HeadedConfig, Wav2Vec2Config):
    frontend: str = field(
        default="waveform",
        metadata={
            "help": "what makes frames of the waveform: `waveform`, wav2vec 2.0's convolutions, which alone can be "
            "exported to stock fairseq; `filterbank`, log-mel bands and a small convolution, for short trainings. "
            "Of conv_feature_layers a filterbank takes the grid and the width of the last layer"
        },
    )
    filterbank_layers: int = field(
        default=2, metadata={"help": "convolutions of the front end `filterbank`, over frames"}
    )
    filterbank_kernel: int = field(
        default=3, metadata={"help": "odd number of frames (20 ms each) that each of them sees"}
    )
    input_mean: list[float] = field(
        default_factory=list,
        metadata={"help": "mean of each mel band in dB; the task fills it from the store's label log_mel"},
    )
    input_std: list[float] = field(
        default_factory=list, metadata={"help": "its standard deviation; likewise"}
    )
    input_rate: int = field(
        default=16_000, metadata={"help": "of the waveform, in Hz; the task fills it from task.sample_rate"}
    )


@register_model("ptsel_wav2vec2", dataclass=PtselWav2Vec2Config)
class PtselWav2Vec2Model(HeadedModel, Wav2Vec2Model):
    """wav2vec 2.0 whose forward pass also returns the heads' predictions under ``"pretext"``.

    Without heads and with its own front end it is the stock model, operation for operation. With ``pretext_only`` the
    audio is masked only if a head is of masked frames, and what only the contrastive loss needs stays as it began: it
    is in the checkpoint, which so remains a whole wav2vec 2.0, but no parameter of the optimizer.
    """

    CONTRASTIVE_PARTS = ("quantizer", "project_q", "target_glu", "final_proj")

    def __init__(self, cfg: PtselWav2Vec2Config) -> None:
        layers = parse_conv_layers(cfg.conv_feature_layers, "the recipe")  # fairseq evaluates it as Python
        super().__init__(cfg)
        check_frontend(cfg)
        if cfg.frontend == "filterbank":
            grid = FrameGrid.of_conv_layers(layers, cfg.input_rate)
            bands = LogMel(grid, cfg.input_mean, cfg.input_std)
            self.feature_extractor = FilterbankFrontEnd(
                bands, self.embed, cfg.filterbank_layers, cfg.filterbank_kernel
            )
        self.build_heads(cfg, {"conv": self.embed, "output": cfg.encoder_embed_dim})
        self._mask_indices: torch.Tensor | None = None
        heads = self.pretext_heads.settings if self.pretext_heads is not None else {}
        self.masks_alone = self.pretext_only and any(head.frames == "masked" for head in heads.values())
        if self.pretext_only:
            self.mask_emb.requires_grad_(self.masks_alone)
            for part in self.CONTRASTIVE_PARTS:
                if getattr(self, part) is not None:
                    getattr(self, part).requires_grad_(False)

    def forward(self, source, padding_mask=None, mask=True, features_only=False, **kwargs):
        if self.pretext_heads is None or features_only:
            with self._front_end_hears(padding_mask):
                return super().forward(source, padding_mask, mask, features_only, **kwargs)
        with EncoderTap(self, self.pretext_heads.places) as tap, self._front_end_hears(padding_mask):
            if self.pretext_only:
                masked = mask and self.masks_alone
                stock = super().forward(source, padding_mask, masked, features_only=True, **kwargs)
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

    def _front_end_hears(self, padding_mask: torch.Tensor | None) -> contextlib.AbstractContextManager[None]:
        if isinstance(self.feature_extractor, FilterbankFrontEnd):
            return self.feature_extractor.hearing(padding_mask)
        return contextlib.nullcontext()

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


def check_frontend(cfg: PtselWav2Vec2Config) -> None:
    """Raise PtselError for a front end that cannot be built."""
    if cfg.frontend not in FRONTENDS:
        raise PtselError(f"model.frontend: expected {' or '.join(FRONTENDS)}, found {cfg.frontend!r}")
    if cfg.frontend == "waveform":
        return
    if cfg.filterbank_layers < 1:
        raise PtselError(f"model.filterbank_layers: expected at least 1, found {cfg.filterbank_layers}")
    if cfg.filterbank_kernel < 1 or cfg.filterbank_kernel % 2 == 0:
        raise PtselError(
            f"model.filterbank_kernel: expected an odd number of frames, found {cfg.filterbank_kernel}"
        )
    if len(cfg.input_mean) != MEL_BANDS or len(cfg.input_std) != MEL_BANDS:
        raise PtselError(
            f"model.input_mean, model.input_std: expected {MEL_BANDS} numbers each, which the task fills in from the "
            f"store's label log_mel, found {len(cfg.input_mean)} and {len(cfg.input_std)}; give task.store"
        )
