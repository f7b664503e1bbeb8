"""The filterbank encoder of the first system: log-mel bands -> convolutions -> bidirectional LSTM -> dense.

Ravanelli et al. (2021) call it CRDNN; Zaiem et al. (2021) pretrain it on pretext labels. Its bands are those of the
label `log_mel`, one frame each 20 ms where wav2vec 2.0's frames are (theirs are each 10 ms), so one label store
serves both encoders. Layer norm stands throughout, where theirs has batch norm in the dense part: statistics of a
batch would differ between workers and count padding.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ptsel_fairseq.labels.signal.spectral import MEL_BANDS
from ptsel_fairseq.plugin.encoders.log_mel import LogMel, frame_padding


class ConvBlock(nn.Module):
    """Two 3x3 convolutions, then half the bands: [batch, channels, frames, bands] -> [..., frames, bands // 2]."""

    def __init__(self, before: int, channels: int, bands: int, dropout: float) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(width, channels, 3, padding=1) for width in (before, channels)
        )
        self.norms = nn.ModuleList(nn.LayerNorm([channels, bands]) for _ in range(2))
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor, padding: Tensor | None) -> Tensor:
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            if padding is not None:  # a convolution sees zeros beyond the end, as if the waveform were alone
                x = x.masked_fill(padding[:, None, :, None], 0)
            x = norm(convolution(x).transpose(1, 2)).transpose(1, 2)  # over channels and bands of a frame
            x = functional.leaky_relu(x)
        return self.dropout(functional.max_pool2d(x, (1, 2)))


class Crdnn(nn.Module):
    """Waveform to frames.

    Args:
        features: the normalised log-mel bands.
        channels: of the blocks of convolutions; each block halves the number of bands.
        rnn_layers, rnn_dim: of the LSTM, whose two directions each have `rnn_dim` units.
        dense: widths of the dense layers; the last is the width of the frames that come out.
        dropout: between the parts, not after the last dense layer.
    """

    def __init__(
        self,
        features: LogMel,
        channels: Sequence[int],
        rnn_layers: int,
        rnn_dim: int,
        dense: Sequence[int],
        dropout: float,
    ) -> None:
        super().__init__()
        self.features = features
        bands, before = MEL_BANDS, 1
        blocks = []
        for width in channels:
            blocks.append(ConvBlock(before, width, bands, dropout))
            bands, before = bands // 2, width
        self.blocks = nn.ModuleList(blocks)
        self.rnn = nn.LSTM(
            before * bands,
            rnn_dim,
            rnn_layers,
            batch_first=True,
            bidirectional=True,
            dropout=dropout if rnn_layers > 1 else 0.0,
        )
        before = 2 * rnn_dim
        parts: list[nn.Module] = []
        for number, width in enumerate(dense, start=1):
            parts += [nn.Linear(before, width), nn.LayerNorm(width), nn.LeakyReLU()]
            if number < len(dense):
                parts.append(nn.Dropout(dropout))
            before = width
        self.dense = nn.Sequential(*parts)
        self.width = before

    def forward(self, source: Tensor, padding_mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Frames [batch, frames, width], and where they are padding, bool [batch, frames], or None.

        Args:
            source: waveforms [batch, samples].
            padding_mask: bool [batch, samples], True on padding at the end.
        """
        x = self.features(source).to(self.dense[0].weight.dtype)
        padding = frame_padding(padding_mask, self.features.grid, x.size(1))
        x = x.unsqueeze(1)
        for block in self.blocks:
            x = block(x, padding)
        x = x.transpose(1, 2).flatten(2)
        if padding is None:
            x, _ = self.rnn(x)
        else:
            lengths = (~padding).sum(1)
            packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
            x, _ = pad_packed_sequence(self.rnn(packed)[0], batch_first=True, total_length=x.size(1))
        return self.dense(x), padding
