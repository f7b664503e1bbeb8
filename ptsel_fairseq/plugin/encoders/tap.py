"""The frames at some places of a wav2vec 2.0 while the stock model runs."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn


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
