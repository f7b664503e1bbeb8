"""Heads, losses and balancing on a device that is not the CPU: nothing left behind, nothing waited for."""

from __future__ import annotations

import pytest
import torch
from fake_device import DEVICE, OnDevice

from ptsel_fairseq.heads import PretextLoss
from ptsel_fairseq.heads.balancing import RULES

WEIGHTS = {"f0": 0.5, "log_mel": 0.3, "hubert": 0.2}
DIMS = {"f0": 1, "log_mel": 4, "hubert": 1}
HEADS = {"default": {"type": "mlp", "hidden": 8}, "log_mel": {"loss": "mse", "output_frames": 3}}
COUNTS = torch.arange(1, 6)
# These solve a small problem of the labels' gradients on the host: one transfer an update, of labels² numbers.
ON_THE_HOST = ("mgda", "nash_mtl", "cagrad", "aligned_mtl", "upgrad")
BATCH, FRAMES, WIDTH = 3, 50, 16


def loss_of(rule: str, kind: torch.dtype) -> PretextLoss:
    module = PretextLoss(
        WEIGHTS,
        DIMS,
        WIDTH,
        {**HEADS, "hubert": {"loss": "cross_entropy"}},
        balancing=rule,
        code_counts={"hubert": COUNTS},
    )
    return module.to(kind).to(DEVICE).train()


def batch() -> dict[str, torch.Tensor]:
    return {
        "target": torch.zeros(BATCH, FRAMES, sum(DIMS.values()), device=DEVICE),
        "valid": torch.ones(BATCH, FRAMES, len(DIMS), dtype=torch.bool, device=DEVICE),
    }


def step(module: PretextLoss, frames: torch.Tensor) -> torch.Tensor:
    mask = torch.zeros(BATCH, FRAMES, dtype=torch.bool, device=DEVICE)
    module.begin_update()
    loss = module(frames, batch(), padding_mask=mask, mask=mask).loss
    loss.backward()
    return loss


@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("rule", RULES.names())
def test_a_training_step_stays_on_the_device(rule, kind):
    module = loss_of(rule, kind)
    frames = torch.zeros(BATCH, FRAMES, WIDTH, device=DEVICE, dtype=kind, requires_grad=True)
    with OnDevice(doubles=100) as device:
        loss = step(module, frames)
    assert device.operations > 50
    assert loss.device == DEVICE
    assert frames.grad.dtype is kind
    assert all(parameter.grad is not None for parameter in module.heads.parameters())
    if rule not in ON_THE_HOST:
        with OnDevice(doubles=100):
            module.end_update()


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16], ids=str)
def test_losses_are_float32_whatever_the_encoder_computes_in(kind):
    module = loss_of("none", kind)
    frames = torch.zeros(BATCH, FRAMES, WIDTH, device=DEVICE, dtype=kind, requires_grad=True)
    assert step(module, frames).dtype is torch.float32


def test_the_device_finds_faults():
    """What the tests above rely on."""
    values = torch.zeros(3, device=DEVICE)
    for fault in (
        lambda: values + torch.zeros(3),
        lambda: values.sum().item(),
        lambda: values[values > 0],
        lambda: values.cpu(),
        lambda: values.double() * 2,
    ):
        with pytest.raises((AssertionError, NotImplementedError, RuntimeError)), OnDevice(doubles=2):
            fault()
