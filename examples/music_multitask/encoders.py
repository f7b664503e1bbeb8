"""The plugin's three encoders, small, on frames of log mel that are in memory."""

from __future__ import annotations

import torch
from settings import WIDTH
from torch import Tensor, nn

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels.signal.spectral import MEL_BANDS

CHANNELS = [4, 8]  # of the blocks of two convolutions, of both convolutional encoders
DROPOUT = 0.05


class Given(nn.Module):
    """In place of the encoders' own front end: log mel [batch, frames, 80] in standard deviations, as it is."""

    grid = FrameGrid()

    def forward(self, frames: Tensor) -> Tensor:
        return frames


def cnn() -> nn.Module:
    from ptsel_fairseq.plugin.encoders.cnn import Cnn

    return Cnn(Given(), CHANNELS, WIDTH, 3, 5, DROPOUT)


def crdnn() -> nn.Module:
    from ptsel_fairseq.plugin.encoders.crdnn_layers import Crdnn

    return Crdnn(Given(), CHANNELS, 1, WIDTH // 2, [WIDTH, WIDTH], DROPOUT)


class Transformer(nn.Module):
    """`ptsel_wav2vec2` with its front end `filterbank`: two convolutions and two transformer layers, nothing masked."""

    def __init__(self) -> None:
        from omegaconf import OmegaConf

        from ptsel_fairseq.plugin.encoders.wav2vec2 import PtselWav2Vec2Config, PtselWav2Vec2Model

        super().__init__()
        settings = {
            "frontend": "filterbank", "input_mean": [0.0] * MEL_BANDS, "input_std": [1.0] * MEL_BANDS,
            "conv_feature_layers": f"[({WIDTH}, 10, 5)] + [({WIDTH}, 3, 2)] * 4 + [({WIDTH}, 2, 2)] * 2",
            "final_dim": WIDTH,
            "encoder_layers": 2, "encoder_embed_dim": WIDTH, "encoder_ffn_embed_dim": 2 * WIDTH,
            "encoder_attention_heads": 4, "conv_pos": 32, "encoder_layerdrop": 0.0, "feature_grad_mult": 1.0,
            "dropout": DROPOUT, "attention_dropout": DROPOUT, "dropout_input": DROPOUT, "dropout_features": DROPOUT,
        }  # fmt: skip
        self.model = PtselWav2Vec2Model(OmegaConf.merge(OmegaConf.structured(PtselWav2Vec2Config), settings))
        self.model.feature_extractor.features = Given()
        self.model.remove_pretraining_modules()
        self.model.mask_emb.requires_grad_(False)

    def forward(self, frames: Tensor) -> tuple[Tensor, None]:
        return self.model(frames, mask=False, features_only=True)["x"], None


BUILD = {"transformer": Transformer, "crdnn": crdnn, "cnn": cnn}


def new_encoder(name: str, seed: int) -> nn.Module:
    """An encoder before any training, the same for every training of a seed; called with log mel, it gives (frames
    [batch, frames, WIDTH], None).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BUILD[name]()


def num_parameters(encoder: nn.Module) -> int:
    return sum(parameter.numel() for parameter in encoder.parameters() if parameter.requires_grad)
