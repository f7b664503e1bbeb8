"""The small regressors that predict each label's track from the encoder's frames."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class PtselHeads(nn.Module):
    """One linear head for each label.

    Args:
        embed_dim: width of the encoder's frames.
        labels: names of the labels with a positive weight.
        dims: dimension of each label's track, in the same order.
    """

    def __init__(self, embed_dim: int, labels: Sequence[str], dims: Sequence[int]) -> None:
        super().__init__()
        if len(labels) != len(dims) or len(set(labels)) != len(labels):
            raise ValueError(
                f"labels must be unique and each have one dimension: {list(labels)}, {list(dims)}"
            )
        self.by_label = nn.ModuleDict(
            {label: nn.Linear(embed_dim, dim) for label, dim in zip(labels, dims, strict=True)}
        )

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        """Predict the standardised tracks.

        Args:
            frames: encoder frames [batch, frames, embed_dim].

        Returns:
            label -> [batch, frames, dim], in standard deviations of the training store.
        """
        return {label: head(frames) for label, head in self.by_label.items()}


class EncoderTap:
    """Keeps the frames of one encoder layer while the stock model runs its forward pass.

    Layer 0 is the input of the first transformer layer, layer `n` the output of the n-th, and -1 what
    the encoder returns. When layer drop skips a layer its input stands for its output, as it does for
    the layers above. fairseq pads the time axis inside the encoder; the frames are cut back to what the
    encoder returns.
    """

    def __init__(self, encoder: nn.Module, layer: int) -> None:
        depth = len(encoder.layers)
        if not -1 <= layer <= depth:
            raise ValueError(f"pretext_layer must be -1 (the encoder's output) or 0 to {depth}, not {layer}")
        self.encoder = encoder
        self.layer = layer
        self._input: Tensor | None = None
        self._inside: Tensor | None = None
        self._output: Tensor | None = None
        self._handles: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> EncoderTap:
        self._handles.append(self.encoder.register_forward_hook(self._keep_output))
        if self.layer >= 0:
            for layer in self.encoder.layers:
                self._handles.append(layer.register_forward_pre_hook(self._keep_first_input))
        for layer in self.encoder.layers[: max(self.layer, 0)]:
            self._handles.append(layer.register_forward_hook(self._keep_inside))
        return self

    def __exit__(self, *exception: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def frames(self) -> Tensor:
        """The frames kept, [batch, frames, embed_dim]."""
        output, inside = self._output, self._inside if self._inside is not None else self._input
        self._input = self._inside = self._output = None
        if output is None:
            raise RuntimeError("the encoder has not run inside this tap")
        if self.layer < 0 or inside is None:
            return output
        return inside.transpose(0, 1)[:, : output.size(1)]

    def _keep_output(self, module: nn.Module, args: object, output: tuple) -> None:
        self._output = output[0]

    def _keep_inside(self, module: nn.Module, args: object, output: tuple) -> None:
        self._inside = output[0]

    def _keep_first_input(self, module: nn.Module, args: tuple) -> None:
        if self._input is None:
            self._input = args[0]
