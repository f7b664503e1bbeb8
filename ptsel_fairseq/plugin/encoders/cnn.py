"""The convolutional encoder, ``ptsel_cnn``: log-mel bands, convolutions of both axes, dilated ones over time.

Two-dimensional blocks halve the bands, as in image networks. Blocks of the shape of ConvNeXt's follow (Liu et al. 2022:
depthwise convolution, layer norm, two pointwise layers around GELU, residual), with dilations 1, 2, 4, 8, 1, ... as in
temporal convolutional networks (Bai et al. 2018). A frame depends on a fixed stretch of the recording around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels.signal.spectral import MEL_BANDS
from ptsel_fairseq.plugin.encoders.crdnn_layers import ConvBlock
from ptsel_fairseq.plugin.encoders.frames import LogMelConfig, register_encoder
from ptsel_fairseq.plugin.encoders.log_mel import LogMel, frame_padding

DILATIONS = (1, 2, 4, 8)
WIDER = 4  # units of a block's inner layer for each of its width


@dataclass
class PtselCnnConfig(LogMelConfig):
    channels: list[int] = field(
        default_factory=lambda: [32, 64],
        metadata={"help": "of each block of two 3x3 convolutions; a block halves the number of bands"},
    )
    width: int = field(default=256, metadata={"help": "of the frames and of the convolutions over time"})
    layers: int = field(
        default=8, metadata={"help": "convolutions over time, with dilations 1, 2, 4, 8, 1, ..."}
    )
    kernel: int = field(default=5, metadata={"help": "odd number of frames that each of them takes"})
    dropout: float = field(default=0.1, metadata={"help": "within the blocks"})


class DilatedBlock(nn.Module):
    """[batch, frames, width] -> the same shape: a depthwise convolution over time and a layer of its own, added."""

    def __init__(self, width: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        half = dilation * (kernel // 2)
        self.depthwise = nn.Conv1d(width, width, kernel, padding=half, dilation=dilation, groups=width)
        self.pointwise = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, WIDER * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(WIDER * width, width),
        )

    def forward(self, x: Tensor, padding: Tensor | None) -> Tensor:
        seen = x if padding is None else x.masked_fill(padding.unsqueeze(-1), 0)
        return x + self.pointwise(self.depthwise(seen.transpose(1, 2)).transpose(1, 2))


class Cnn(nn.Module):
    """Waveform to frames.

    Args:
        features: the normalised log-mel bands.
        channels: of the blocks of convolutions over both axes.
        width: of the frames.
        layers, kernel: of the convolutions over time.
        dropout: within the blocks.
    """

    def __init__(
        self, features: LogMel, channels: Sequence[int], width: int, layers: int, kernel: int, dropout: float
    ) -> None:
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise PtselError(f"model.kernel: expected an odd number of frames, found {kernel}")
        self.features, self.width = features, width
        bands, before = MEL_BANDS, 1
        self.blocks = nn.ModuleList()
        for number in channels:
            self.blocks.append(ConvBlock(before, number, bands, dropout))
            bands, before = bands // 2, number
        self.narrow = nn.Linear(before * bands, width)
        self.dilated = nn.ModuleList(
            DilatedBlock(width, kernel, DILATIONS[i % len(DILATIONS)], dropout) for i in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.reach = 2 * len(channels) + sum(
            kernel // 2 * block.depthwise.dilation[0] for block in self.dilated
        )
        """Frames to either side that a frame depends on."""

    def forward(self, source: Tensor, padding_mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Frames [batch, frames, width], and where they are padding, bool [batch, frames], or None.

        Args:
            source: waveforms [batch, samples].
            padding_mask: bool [batch, samples], True on padding at the end.
        """
        x = self.features(source).to(self.narrow.weight.dtype)
        padding = frame_padding(padding_mask, self.features.grid, x.size(1))
        x = x.unsqueeze(1)
        for block in self.blocks:
            x = block(x, padding)
        x = self.narrow(x.transpose(1, 2).flatten(2))
        for block in self.dilated:
            x = block(x, padding)
        return self.norm(x), padding


def build(cfg: PtselCnnConfig, grid: FrameGrid) -> Cnn:
    bands = LogMel(grid, cfg.input_mean, cfg.input_std)
    return Cnn(bands, cfg.channels, cfg.width, cfg.layers, cfg.kernel, cfg.dropout)


register_encoder(
    "ptsel_cnn",
    PtselCnnConfig,
    build,
    title="log-mel bands, small convolutions of both axes, dilated convolutions over time",
)
