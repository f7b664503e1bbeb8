"""The encoder of the first system, ``ptsel_crdnn``: its settings and its registration; the layers are beside it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.plugin.encoders.crdnn_layers import Crdnn
from ptsel_fairseq.plugin.encoders.frames import LogMelConfig, register_encoder
from ptsel_fairseq.plugin.encoders.log_mel import LogMel


@dataclass
class PtselCrdnnConfig(LogMelConfig):
    channels: list[int] = field(
        default_factory=lambda: [128, 200, 256],
        metadata={"help": "of each block of two convolutions; a block halves the number of bands"},
    )
    rnn_layers: int = field(default=5, metadata={"help": "layers of the bidirectional LSTM"})
    rnn_dim: int = field(default=256, metadata={"help": "units of the LSTM in each direction"})
    dense: list[int] = field(
        default_factory=lambda: [256, 256],
        metadata={"help": "widths of the dense layers; the last is that of the frames"},
    )
    dropout: float = field(default=0.15, metadata={"help": "between the parts of the encoder"})


def build(cfg: PtselCrdnnConfig, grid: FrameGrid) -> Crdnn:
    bands = LogMel(grid, cfg.input_mean, cfg.input_std)
    return Crdnn(bands, cfg.channels, cfg.rnn_layers, cfg.rnn_dim, cfg.dense, cfg.dropout)


register_encoder(
    "ptsel_crdnn",
    PtselCrdnnConfig,
    build,
    title="log-mel bands, convolutions, a bidirectional LSTM, dense layers (Ravanelli et al. 2021)",
)
