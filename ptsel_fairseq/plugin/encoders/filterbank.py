"""The front end `filterbank` of wav2vec 2.0: log-mel bands and a small convolution in place of its seven."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from fairseq.modules import Fp32LayerNorm
from torch import Tensor, nn
from torch.nn import functional

from ptsel_fairseq.labels.signal.spectral import MEL_BANDS
from ptsel_fairseq.plugin.encoders.log_mel import LogMel, frame_padding


class FilterbankFrontEnd(nn.Module):
    """Waveform [batch, samples] -> features [batch, width, frames], as fairseq's ``ConvFeatureExtractionModel`` gives.

    The frames are those of the grid, one for each of wav2vec 2.0's. Each layer is a convolution over frames, layer
    norm over the channels of a frame, and GELU, as the blocks of the extractor mode ``layer_norm`` are.

    Args:
        features: the bands, in standard deviations.
        width: channels of every layer, and so of the features.
        layers: convolutions, at least 1.
        kernel: odd number of frames that each of them sees. With more than one, a frame beside a masked one has
            seen some of it: (kernel - 1) / 2 · layers frames at either end of a masked stretch are not quite hidden.
    """

    def __init__(self, features: LogMel, width: int, layers: int, kernel: int) -> None:
        super().__init__()
        self.features = features
        self.convolutions = nn.ModuleList(
            nn.Conv1d(before, width, kernel, padding=kernel // 2)
            for before in (MEL_BANDS, *[width] * (layers - 1))
        )
        self.norms = nn.ModuleList(Fp32LayerNorm(width) for _ in range(layers))
        for convolution in self.convolutions:
            nn.init.kaiming_normal_(convolution.weight)
        self._padding_mask: Tensor | None = None

    @contextlib.contextmanager
    def hearing(self, padding_mask: Tensor | None) -> Iterator[None]:
        """Inside, `forward` knows where the waveforms are padding, bool [batch, samples], which fairseq does not tell.

        Without it a convolution would see the silence of the padding beside the last frames of a short waveform.
        """
        self._padding_mask = padding_mask
        try:
            yield
        finally:
            self._padding_mask = None

    def forward(self, source: Tensor) -> Tensor:
        x = self.features(source).to(self.convolutions[0].weight.dtype)
        padding = frame_padding(self._padding_mask, self.features.grid, x.size(1))
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            if padding is not None:  # zeros beyond the end, as if the waveform were alone
                x = x.masked_fill(padding.unsqueeze(-1), 0)
            x = functional.gelu(norm(convolution(x.transpose(1, 2)).transpose(1, 2)))
        return x.transpose(1, 2)
