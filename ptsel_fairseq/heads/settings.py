"""What a head looks like, where it sits and how it is judged: read from the recipe, kept in the checkpoint."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.heads.loss import LOSSES

DEFAULT = "default"
CODE_LOSS = "cross_entropy"  # of labels of codes that say nothing else
CHOICES = {
    "type": ("linear", "mlp"),
    "activation": ("prelu", "relu", "gelu", "tanh"),
    "frames": ("all", "masked", "unmasked"),
    "source": ("store", "online"),
}
PLACES = ("conv", "input", "output")


@dataclass(frozen=True)
class HeadSettings:
    """One label's head.

    Attributes:
        type: `linear`, or `mlp` with `layers` hidden layers of `hidden` units, `activation` and `dropout`.
        input_frames: odd number of neighbouring encoder frames, centred, that the head sees; frames beyond
            the crop are zero.
        output_frames: odd number of neighbouring label frames, centred, that it predicts from each frame
            (PASE+ predicts 7). Each counts on its own; frames beyond the crop do not count.
        attach: `conv` (normalised convolutional features), `input` (of the transformer, masked), the output
            of transformer layer 1, 2, ..., or `output` (of the encoder).
        loss: of standardised tracks; `bce` is of the label's own values, which lie between 0 and 1, `cross_entropy` of
            codes.
        frames: the encoder frames from which the label is predicted.
        source: of the label's track: the `store`, or `online`, computed on the device from the crop.
        grad_scale: factor on the gradient that the head sends into the encoder; 0 trains the head alone.
    """

    type: str = "linear"
    hidden: int = 256
    layers: int = 1
    activation: str = "prelu"
    dropout: float = 0.0
    input_frames: int = 1
    output_frames: int = 1
    attach: str | int = "output"
    loss: str = "l1"
    frames: str = "all"
    source: str = "store"
    grad_scale: float = 1.0

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> HeadSettings:
        return cls(**json.loads(text))


def place_of_layer(layer: int) -> str | int:
    """`attach` for the older setting ``model.pretext_layer``: -1 the output, 0 the input, n the n-th layer."""
    return {-1: "output", 0: "input"}.get(layer, layer)


def read_head_settings(
    block: Mapping[str, Any],
    labels: Sequence[str],
    dims: Sequence[int],
    layer: int,
    depth: int,
    codes: Collection[str] = (),
) -> list[HeadSettings]:
    """The heads of `labels` from ``criterion.pretext_heads``: its entry `default`, then each label's own.

    The default's loss is of labels of values; labels of codes have `CODE_LOSS` unless their own entry names another
    loss of codes.

    Args:
        block: label -> settings that differ from the default.
        labels: with a positive weight, `dims` wide each. Entries of other labels are refused only if misspelt
            settings stand in them: a recipe may keep them for a later choice of weights.
        layer: ``model.pretext_layer``, where heads sit that say nothing of `attach`.
        depth: number of transformer layers.
        codes: those of the labels whose tracks are codes, `dims` of which is the number of codes.

    Raises:
        PtselError: an unknown setting or a value that cannot be used.
    """
    for name, entry in block.items():
        if not isinstance(entry, Mapping):
            raise PtselError(
                f"criterion.pretext_heads.{name}: expected settings such as {{type: mlp}}, found {entry!r}"
            )
    default = HeadSettings(attach=place_of_layer(layer))
    for name in block:
        _checked(replace(default, **_known(name, block[name])), name, depth)
    default = replace(default, **_known(DEFAULT, block.get(DEFAULT, {})))
    found = []
    for label, dim in zip(labels, dims, strict=True):
        of_codes = LOSSES.get(default.loss).of_codes
        own = replace(default, loss=CODE_LOSS) if label in codes and not of_codes else default
        head = _checked(replace(own, **_known(label, block.get(label, {}))), label, depth)
        _check_kind(label, head.loss, label in codes)
        least = LOSSES.get(head.loss).least_dims
        if dim < least:
            raise PtselError(
                f"criterion.pretext_heads.{label}.loss: {head.loss} needs at least {least} dimensions, {label} has "
                f"{dim}"
            )
        found.append(head)
    return found


def _check_kind(label: str, loss: str, is_code: bool) -> None:
    """Raise PtselError unless labels of codes have a loss of codes, and all others another one."""
    if LOSSES.get(loss).of_codes != is_code:
        possible = [name for name in LOSSES.names() if LOSSES.get(name).of_codes == is_code]
        what = "a label of codes" if is_code else "no label of codes"
        raise PtselError(
            f"criterion.pretext_heads.{label}.loss: {label} is {what}; expected {' or '.join(possible)}, found {loss!r}"
        )


def _known(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    known = {field.name for field in fields(HeadSettings)}
    unknown = sorted(set(map(str, entry)) - known)
    if unknown:
        raise PtselError(
            f"criterion.pretext_heads.{name}: expected settings among {', '.join(sorted(known))}, found "
            f"{', '.join(unknown)}"
        )
    return dict(entry)


def _checked(head: HeadSettings, name: str, depth: int) -> HeadSettings:
    def refuse(setting: str, expected: str) -> None:
        raise PtselError(
            f"criterion.pretext_heads.{name}.{setting}: expected {expected}, found {getattr(head, setting)!r}"
        )

    for setting, choices in {**CHOICES, "loss": tuple(LOSSES.names())}.items():
        if getattr(head, setting) not in choices:
            refuse(setting, " or ".join(choices))
    for setting in ("hidden", "layers"):
        if not _whole(getattr(head, setting)) or getattr(head, setting) < 1:
            refuse(setting, "a whole number of at least 1")
    for setting in ("input_frames", "output_frames"):
        if (
            not _whole(getattr(head, setting))
            or getattr(head, setting) < 1
            or getattr(head, setting) % 2 == 0
        ):
            refuse(setting, "an odd number of frames")
    if not _number(head.dropout) or not 0 <= head.dropout < 1:
        refuse("dropout", "a probability below 1")
    if not _number(head.grad_scale) or not 0 <= head.grad_scale < float("inf"):
        refuse("grad_scale", "a number of at least 0")
    in_layers = _whole(head.attach) and 1 <= head.attach <= depth
    if not in_layers and head.attach not in PLACES:
        refuse("attach", f"{', '.join(PLACES)} or a layer from 1 to {depth}")
    return head


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
