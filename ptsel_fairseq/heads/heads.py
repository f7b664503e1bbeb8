"""The small regressors that predict each label's track from the encoder's frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ptsel_fairseq.heads.loss import LOSSES
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


class ByLabel(nn.Module):
    """Modules by the name of a label, whatever that is.

    torch's `ModuleDict` refuses names of its attributes, such as ``keys`` or ``type``, and names with dots. Names in
    a state dict are those of the labels, with ``%2E`` for a dot and ``%25`` for a per cent sign.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self._key_of = {label: label.replace("%", "%25").replace(".", "%2E") for label in modules}
        # Not by `add_module`, which refuses the names of attributes.
        self._modules.update({self._key_of[label]: module for label, module in modules.items()})

    def __getitem__(self, label: str) -> nn.Module:
        return self._modules[self._key_of[label]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._key_of)

    def __len__(self) -> int:
        return len(self._key_of)

    def items(self) -> Iterator[tuple[str, nn.Module]]:
        """Labels and their modules, in the order in which they were given."""
        return ((label, self[label]) for label in self)


class PtselHeads(nn.Module):
    """One head for each label.

    Args:
        widths: place in the encoder -> width of its frames.
        labels: names of the labels with a positive weight.
        dims: dimension of each label's track, in the same order; of codes their number.
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
        self._log_frequencies: dict[str, Tensor] = {}
        self.by_label = ByLabel(
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

    @property
    def raw_labels(self) -> set[str]:
        """Labels with a loss of their own values or codes, whose tracks are not standardised."""
        losses = {label: LOSSES.get(head.loss) for label, head in self.settings.items()}
        return {label for label, loss in losses.items() if loss.of_raw_values or loss.of_codes}

    def set_code_counts(self, counts: Mapping[str, Any]) -> None:
        """Say how often each code occurs in training, with which the losses of codes are compared.

        Args:
            counts: label -> whole numbers [codes]. One is added to each, so that a code that is new in validation
                is unlikely rather than impossible.
        """
        for label, numbers in counts.items():
            added = torch.as_tensor(numbers, dtype=torch.float64) + 1
            self._log_frequencies[label] = (added / added.sum()).log().float()

    def log_frequencies(self, device: torch.device) -> dict[str, Tensor]:
        """label of codes -> log of each code's frequency in training, float32 [codes]; of those that were set."""
        for label, values in self._log_frequencies.items():
            if values.device != device:
                self._log_frequencies[label] = values.to(device)
        return self._log_frequencies

    def forward(self, frames: Mapping[str | int, Tensor]) -> dict[str, Tensor]:
        """Predict the standardised tracks.

        Args:
            frames: place -> encoder frames [batch, frames, width].

        Returns:
            label -> [batch, frames, output_frames · dim], neighbouring frames first to last, in standard
            deviations of the training store (logits for the losses `bce` and `cross_entropy`, dim the number of codes).
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
