"""The small regressors that predict each label's track from the encoder's frames."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ptsel_fairseq.heads.settings import HeadSettings

ACTIVATIONS = {"prelu": nn.PReLU, "relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}


class ScaledGradient(torch.autograd.Function):
    """The same values; their gradient is multiplied by a factor on the way back."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.scale, None


class PtselHeads(nn.Module):
    """One head for each label.

    Args:
        widths: place in the encoder -> width of its frames.
        labels: names of the labels with a positive weight.
        dims: dimension of each label's track, in the same order.
        settings: of each label's head, in the same order.
    """

    def __init__(
        self,
        widths: Mapping[str | int, int],
        labels: Sequence[str],
        dims: Sequence[int],
        settings: Sequence[HeadSettings],
    ) -> None:
        super().__init__()
        if not len(labels) == len(dims) == len(settings) or len(set(labels)) != len(labels):
            raise ValueError(
                f"labels must be unique and each have one dimension: {list(labels)}, {list(dims)}"
            )
        self.settings = dict(zip(labels, settings, strict=True))
        self.by_label = nn.ModuleDict(
            {
                label: _head(head, widths.get(head.attach, widths["output"]), dim)
                for (label, head), dim in zip(self.settings.items(), dims, strict=True)
            }
        )
        for parameter in self.parameters():
            parameter.param_group = "pretext"  # for fairseq's optimizer `composite`

    @property
    def places(self) -> list[str | int]:
        """Where heads attach, each place once."""
        return list(dict.fromkeys(head.attach for head in self.settings.values()))

    def forward(self, frames: Mapping[str | int, Tensor]) -> dict[str, Tensor]:
        """Predict the standardised tracks.

        Args:
            frames: place -> encoder frames [batch, frames, width].

        Returns:
            label -> [batch, frames, output_frames · dim], neighbouring frames first to last, in standard
            deviations of the training store (logits for the loss `bce`).
        """
        predictions = {}
        for label, head in self.by_label.items():
            seen, scale = frames[self.settings[label].attach], self.settings[label].grad_scale
            predictions[label] = head(seen if scale == 1 else ScaledGradient.apply(seen, scale))
        return predictions


class Neighbours(nn.Module):
    """[batch, frames, width] -> [batch, frames, count · width]: the frames around each, zero beyond the ends."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, frames: Tensor) -> Tensor:
        return around(frames, self.count).flatten(2)


def around(frames: Tensor, count: int) -> Tensor:
    """[batch, frames, ...] -> [batch, frames, count, ...]: `count` neighbours centred on each frame, zero outside."""
    half = count // 2
    length = frames.size(1)
    blank = frames.new_zeros((frames.size(0), half, *frames.shape[2:]))
    padded = torch.cat([blank, frames, blank], dim=1)
    return torch.stack([padded[:, i : i + length] for i in range(count)], dim=2)


def _head(settings: HeadSettings, width: int, dim: int) -> nn.Module:
    parts: list[nn.Module] = []
    if settings.input_frames > 1:
        parts.append(Neighbours(settings.input_frames))
        width *= settings.input_frames
    for _ in range(settings.layers if settings.type == "mlp" else 0):
        parts += [
            nn.Linear(width, settings.hidden),
            ACTIVATIONS[settings.activation](),
            nn.Dropout(settings.dropout),
        ]
        width = settings.hidden
    parts.append(nn.Linear(width, dim * settings.output_frames))
    return parts[0] if len(parts) == 1 else nn.Sequential(*parts)


class EncoderTap:
    """Keeps the frames of some places of the encoder while the stock model runs its forward pass.

    `conv` is the normalised output of the convolutions, `input` what enters the first transformer layer,
    `n` the output of the n-th, `output` what the encoder returns. When layer drop skips a layer its input
    stands for its output, as it does for the layers above. fairseq pads the time axis inside the encoder;
    the frames are cut back to what the encoder returns.
    """

    def __init__(self, model: nn.Module, places: Collection[str | int]) -> None:
        self.model = model
        self.places = places
        self._depth = max((place for place in places if isinstance(place, int)), default=0)
        self._conv: Tensor | None = None
        self._output: Tensor | None = None
        self._entered: Tensor | None = None
        self._left: dict[int, Tensor] = {}
        self._handles: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> EncoderTap:
        encoder = self.model.encoder
        self._handles.append(encoder.register_forward_hook(self._keep_output))
        if "conv" in self.places:
            self._handles.append(self.model.layer_norm.register_forward_hook(self._keep_conv))
        if "input" in self.places or self._depth:
            for layer in encoder.layers:
                self._handles.append(layer.register_forward_pre_hook(self._keep_first_input))
        for number, layer in enumerate(encoder.layers[: self._depth], start=1):
            self._handles.append(
                layer.register_forward_hook(
                    lambda module, args, output, number=number: self._left.__setitem__(number, output[0])
                )
            )
        return self

    def __exit__(self, *exception: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._conv = self._output = self._entered = None
        self._left = {}

    def frames(self) -> dict[str | int, Tensor]:
        """place -> the frames kept, [batch, frames, width]."""
        if self._output is None:
            raise RuntimeError("the encoder has not run inside this tap")
        return {place: self._at(place) for place in self.places}

    def origins(self) -> dict[str | int, Tensor]:
        """place -> the tensor of these frames that the encoder itself goes on with, in the encoder's layout."""
        return {place: self._origin(place) for place in self.places}

    def _at(self, place: str | int) -> Tensor:
        origin = self._origin(place)
        if origin is self._output:
            return origin
        batch_first = origin if place == "conv" else origin.transpose(0, 1)
        return batch_first[:, : self._output.size(1)]

    def _origin(self, place: str | int) -> Tensor:
        if place == "conv":
            return self._conv
        if place == "output":
            return self._output
        last = 0 if place == "input" else place
        passed = [number for number in self._left if number <= last]
        inside = self._left[max(passed)] if passed else self._entered
        return self._output if inside is None else inside  # None: every layer was dropped

    def _keep_conv(self, module: nn.Module, args: object, output: Tensor) -> None:
        self._conv = output

    def _keep_output(self, module: nn.Module, args: object, output: tuple) -> None:
        self._output = output[0]

    def _keep_first_input(self, module: nn.Module, args: tuple) -> None:
        if self._entered is None:
            self._entered = args[0]
