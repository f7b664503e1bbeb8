"""Devices that torch computes on, as commands name them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ptsel_fairseq.base.errors import PtselError

if TYPE_CHECKING:
    import torch

CPU = "cpu"

_of_models = CPU


def check_device(device: str) -> None:
    """Raise PtselError unless `device` is cpu, or a GPU that torch can use."""
    if device == CPU:
        return
    if not re.fullmatch(r"cuda(:\d+)?", device):
        raise PtselError(f"--device: expected cpu, cuda or cuda:N, found {device!r}")
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(device.partition(":")[2] or 0) >= count:
        raise PtselError(
            f"--device {device}: torch {torch.__version__} finds {count} GPUs here; take --device cpu, or install a "
            "build of torch for this machine's GPU"
        )


def torch_device(word: str) -> torch.device | None:
    """The GPU of this name, None for the CPU; raise PtselError if torch cannot use it."""
    check_device(word)
    if word == CPU:
        return None
    import torch

    return torch.device(word)


def put_models_on(device: str) -> None:
    """From now on pretrained models that this process loads compute on `device`; raise PtselError if torch cannot.

    Other processes are not told: with a GPU the work stays in this one.
    """
    check_device(device)
    global _of_models
    _of_models = device


def device_of_models() -> str:
    """Where pretrained models compute: ``cpu`` unless `put_models_on` said otherwise."""
    return _of_models


def describe_device(device: torch.device) -> str:
    """A device for a header, such as ``cuda:0 (NVIDIA A100)``."""
    import torch

    name = f" ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else ""
    return f"torch on {device}{name}"
