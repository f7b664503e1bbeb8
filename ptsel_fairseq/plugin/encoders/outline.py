"""Build models of checkpoints of whomever without running, or allocating, what the file asks for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from fairseq.models.wav2vec import wav2vec2
from torch import Tensor, nn

from ptsel_fairseq.base.errors import PtselError

MOST, MOST_LAYERS = 1_000_000, 1000  # of any number in a configuration, and of layers


def check_numbers(settings: Mapping[str, Any], file: Path) -> None:
    """Raise PtselError for a number in a model's settings that no encoder has."""
    for key, value in settings.items():
        most = MOST_LAYERS if "layers" in str(key) or "depth" in str(key) else MOST
        for number in value if isinstance(value, list | tuple) else [value]:
            if isinstance(number, int) and abs(number) > most:
                raise PtselError(f"{file}: model.{key}: expected at most {most}, found {number}")


def check_outline(build: Callable[[], nn.Module], weights: Mapping[str, Tensor], file: Path) -> None:
    """Raise PtselError unless a model that is built without memory has the names and shapes of the weights.

    So a configuration that does not fit the weights is refused before it can ask for more than there is.
    """
    with torch.device("meta"), _without_first_weights():
        outline = build()
    expected = {key: tuple(tensor.shape) for key, tensor in outline.state_dict().items()}
    found = {key: tuple(tensor.shape) for key, tensor in weights.items()}
    for key in sorted(expected.keys() | found.keys()):
        if expected.get(key) != found.get(key):
            raise PtselError(
                f"{file}: the weights do not fit the configuration beside them: expected {key} with the shape "
                f"{expected.get(key, 'of nothing')}, found {found.get(key, 'no such tensor')}"
            )


@contextlib.contextmanager
def _without_first_weights() -> Iterator[None]:
    """Keep fairseq from drawing weights, which it does on the CPU whatever the device is."""
    before = wav2vec2.init_bert_params
    wav2vec2.init_bert_params = lambda module: None
    try:
        yield
    finally:
        wav2vec2.init_bert_params = before
