"""A whole training step on a device that is not the CPU: encoder, heads, losses, balancing, labels computed there.

Without the contrastive loss: stock fairseq's masks and negatives wait for the device (`test_training_cost.py`).
"""

from __future__ import annotations

import contextlib

import pytest
import torch
from fairseq import utils
from fake_device import DEVICE, OnDevice
from plugin_tools import batch_of, build, recipe

from ptsel_fairseq.heads.balancing import RULES

ALONE = {"criterion__contrastive": False, "model__mask_prob": 0.0}
# These solve a small problem of the labels' gradients on the host: one transfer an update, of labels² numbers.
ON_THE_HOST = ("mgda", "nash_mtl", "cagrad", "aligned_mtl", "upgrad")
DOUBLES = 300  # the labels² products and the sums of an update


def step(cfg, kind=torch.float32, doubles=DOUBLES, padded=True):
    """Forward and backward of a batch, as fairseq's trainer places it; the model."""
    task, model, criterion = build(cfg)
    task.load_dataset("train")
    batch = utils.apply_to_sample(lambda value: value.to(DEVICE), batch_of(task, "train", [0, 1, 2]))
    batch = utils.apply_to_sample(
        lambda value: value.to(kind) if value.dtype is torch.float32 else value, batch
    )
    if not padded:
        batch["net_input"].pop("padding_mask", None)
    model.to(DEVICE, kind).train()
    criterion.train()
    with OnDevice(doubles) as device:
        loss, size, log = criterion(model, batch)
        (loss / size).backward()
    assert device.operations > 300
    assert loss.device == DEVICE
    placed = [value.device for value in log.values() if torch.is_tensor(value)]
    assert placed == [DEVICE] * len(placed)
    assert all(p.grad is not None for p in model.pretext_heads.parameters())
    return task, model


@pytest.mark.parametrize("rule", ["none", *RULES.names()])
def test_with_each_balancing_rule(data_dir, store_dir, rule):
    task, model = step(recipe(data_dir, store_dir, criterion__pretext_balancing=rule, **ALONE))
    if rule in ON_THE_HOST or rule == "none":
        return
    with OnDevice(DOUBLES):
        task.optimizer_step(type("Optimizer", (), {"step": lambda self: None})(), model, 0)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("rule", ["none", "gradnorm", "cagrad"])
def test_in_half_precision(data_dir, store_dir, rule, kind):
    step(recipe(data_dir, store_dir, criterion__pretext_balancing=rule, **ALONE), kind)


@pytest.mark.parametrize("name", ["crdnn_multitask", "tiny_cnn", "tiny_filterbank"])
def test_with_encoders_of_filterbanks(data_dir, store_dir, name, monkeypatch):
    # Autocast, which is switched off for log mel, does not know this device.
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    changed = {"criterion__contrastive": False}
    if name == "tiny_filterbank":
        changed["model__mask_prob"] = 0.0
    else:
        changed["criterion__pretext_fixed_weights__mfcc"] = 0.0  # the store has none
    if name == "crdnn_multitask":  # each layer is walked step by step here
        changed["model__rnn_layers"] = 2
    # The LSTM packs padded utterances by their lengths, which the host has to know.
    step(recipe(data_dir, store_dir, {"alpha_ratio": 0.5, "f0": 0.5}, name, **changed), padded=False)


def test_with_labels_computed_there(data_dir, store_dir, monkeypatch):
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    heads = {"log_mel": {"source": "online"}, "alpha_ratio": {"source": "online"}}
    step(recipe(data_dir, store_dir, criterion__pretext_heads=heads, **ALONE), doubles=float("inf"))


def test_with_cosines_and_warm_up(data_dir, store_dir):
    step(recipe(data_dir, store_dir, criterion__pretext_warmup_updates=10, **ALONE))
