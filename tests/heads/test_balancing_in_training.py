"""Balancing inside a model that trains: gradients, dummy batches, attachment, export."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from plugin_tools import NO_DROPOUT, batch_of, build, recipe

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.stock import to_stock
from ptsel_fairseq.heads.balancing import RULES

ACTIVE = RULES.names()
SHORT = {"period": 3, "learning_rate": 0.2}


def model_with(data_dir, store_dir, name, **overrides):
    options = {key: value for key, value in SHORT.items() if key in RULES.get(name).options}
    cfg = recipe(data_dir, store_dir, criterion__pretext_balancing=name,
                 criterion__pretext_balancing_options=options, **NO_DROPOUT, **overrides)  # fmt: skip
    task, model, criterion = build(cfg)
    task.load_dataset("train")
    model.train()
    return task, model, criterion


def backward(model, criterion, batch):
    model.zero_grad()
    torch.manual_seed(3)
    np.random.seed(3)
    loss, size, log = criterion(model, batch)
    loss.backward()
    gradients = {
        name: p.grad.double().clone()
        for name, p in model.named_parameters()
        if name.startswith("encoder.") and p.grad is not None
    }
    return gradients, size, log


class Optimizer:
    def step(self):
        pass


@pytest.mark.parametrize("name", ACTIVE)
def test_the_encoders_gradient_is_the_weighted_sum_and_validation_changes_nothing(data_dir, store_dir, name):
    task, model, criterion = model_with(data_dir, store_dir, name)
    batch = batch_of(task, "train", [0, 1, 2, 3])
    for _ in range(4):
        criterion.train()
        backward(model, criterion, batch)
        task.optimizer_step(Optimizer(), model, 0)
    balancing = model.pretext_balancing
    assert int(balancing.updates) == 4
    state = {key: value.clone() for key, value in model.state_dict().items() if "balancing" in key}
    assert state

    criterion.eval()
    task.valid_step(batch, model, criterion)
    model.train()
    whole = backward(model, criterion, batch)[0]  # still in evaluation: shows the rule nothing
    weights = balancing.weights.clone()
    balancing.weights.zero_()
    contrastive = backward(model, criterion, batch)[0]
    expected = {key: value.clone() for key, value in contrastive.items()}
    for k in range(len(weights)):
        balancing.weights.zero_()
        balancing.weights[k] = 1
        own = backward(model, criterion, batch)[0]
        for key in expected:
            expected[key] += float(weights[k]) * (own[key] - contrastive[key])
    balancing.weights.copy_(weights)
    for key, gradient in whole.items():
        scale = max(expected[key].abs().max().item(), 1e-2)
        assert (gradient - expected[key]).abs().max().item() < 1e-3 * scale, key
    after = {key: value for key, value in model.state_dict().items() if "balancing" in key}
    assert all(torch.equal(state[key], after[key]) for key in state)
    assert not balancing._sums


def test_dummy_batches_and_overflows_leave_no_trace(data_dir, store_dir):
    task, model, criterion = model_with(data_dir, store_dir, "running_ratio")
    batch = batch_of(task, "train", [0, 1])
    criterion.train()
    backward(model, criterion, {**batch, "dummy": True})
    assert not model.pretext_balancing._sums
    backward(model, criterion, batch)
    backward(model, criterion, batch)
    assert len(model.pretext_balancing._sums) == 2
    criterion.train()  # the trainer gave the update up and starts another
    backward(model, criterion, batch)
    assert len(model.pretext_balancing._sums) == 1


def test_gradient_rules_need_one_place_of_attachment(data_dir, store_dir):
    with pytest.raises(PtselError, match=r"mgda compares gradients at one place.*1, output"):
        model_with(data_dir, store_dir, "mgda", criterion__pretext_heads={"f0": {"attach": 1}})


def test_the_export_holds_no_balancing_and_a_plain_checkpoint_starts_it_afresh(data_dir, store_dir):
    from omegaconf import OmegaConf

    _, model, _ = model_with(data_dir, store_dir, "gradnorm")
    sections = {"model": OmegaConf.to_container(model.cfg), "task": {}, "criterion": {}, "common": {}}
    sections["model"]["_name"] = "ptsel_wav2vec2"
    stock = to_stock({"cfg": sections, "model": model.state_dict()})
    assert not [key for key in stock["model"] if "pretext" in key]
    assert not [key for key in stock["cfg"]["model"] if "pretext" in key]
    model.load_state_dict(stock["model"], strict=True)
    model.remove_pretraining_modules()
    assert model.pretext_balancing is None
