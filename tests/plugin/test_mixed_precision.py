"""Loss scaling and half precision: what they must not change."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fairseq import utils
from fairseq.dataclass.configs import CommonConfig, DistributedTrainingConfig, OptimizationConfig
from fairseq.optim.fp16_optimizer import FP16Optimizer
from omegaconf import OmegaConf
from plugin_tools import batch_of, build, recipe

from ptsel_fairseq.heads.balancing import RULES


def prepared(data_dir, store_dir, rule, scale):
    """A training with fairseq's optimizer for half precision, whose loss scale begins at `scale`."""
    cfg = recipe(data_dir, store_dir, criterion__pretext_balancing=rule, common__fp16=True,
                 common__fp16_no_flatten_grads=True, common__fp16_init_scale=scale)  # fmt: skip
    sections = {"common": CommonConfig, "optimization": OptimizationConfig}
    for section, fields in {**sections, "distributed_training": DistributedTrainingConfig}.items():
        cfg[section] = OmegaConf.merge(OmegaConf.structured(fields), cfg[section])
    task, model, criterion = build(cfg)
    task.load_dataset("train")
    optimizer = FP16Optimizer.build_optimizer(cfg, list(model.parameters()))
    return task, model, criterion, optimizer, batch_of(task, "train", [0, 1, 2])


def update(task, model, criterion, optimizer, batch, number):
    """As fairseq's trainer does it."""
    torch.manual_seed(number)
    model.train()
    criterion.train()
    optimizer.zero_grad()
    _, size, _ = task.train_step(batch, model, criterion, optimizer, number)
    optimizer.multiply_grads(1 / size)
    optimizer.clip_grad_norm(25.0)
    task.optimizer_step(optimizer, model, number)


def balancing_of(model):
    return {key: value.clone() for key, value in model.state_dict().items() if "balancing" in key}


@pytest.mark.parametrize("rule", ["imtl_l", *(rule.name for rule in RULES.all() if rule.of_gradients)])
def test_loss_scaling_is_not_seen_by_balancing(data_dir, store_dir, rule):
    """The optimizer scales the loss after the criterion has looked at its parts: powers of two leave no trace."""
    states = []
    for scale in (1, 1024):
        parts = prepared(data_dir, store_dir, rule, scale)
        for number in range(3):
            update(*parts, number)
        assert parts[3].scaler.loss_scale == scale
        states.append(parts[1].state_dict())
    assert not torch.equal(states[0]["pretext_balancing.weights"], torch.ones(3))
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_an_overflow_gives_the_update_up_and_leaves_no_trace(data_dir, store_dir):
    parts = prepared(data_dir, store_dir, "gradnorm", 1)
    model, optimizer = parts[1], parts[3]
    update(*parts, 0)
    before = balancing_of(model)
    optimizer.scaler.loss_scale = 2.0**127
    with pytest.raises(OverflowError, match="setting loss scale to"):
        update(*parts, 1)
    assert all(torch.equal(value, before[name]) for name, value in balancing_of(model).items())
    optimizer.scaler.loss_scale = 1
    update(*parts, 1)
    other = prepared(data_dir, store_dir, "gradnorm", 1)
    update(*other, 0)
    update(*other, 1)
    after = balancing_of(other[1])
    assert int(after["pretext_balancing.updates"]) == 2
    assert all(torch.equal(value, after[name]) for name, value in balancing_of(model).items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("rule", ["none", "gradnorm", "imtl_l"])
def test_extreme_labels_leave_half_precision_finite(data_dir, store_dir, dtype, rule):
    """Some frames lie a million standard deviations away; the model and its gradients are of half precision."""
    task, model, criterion = build(recipe(data_dir, store_dir, criterion__pretext_balancing=rule))
    task.load_dataset("train")
    batch = batch_of(task, "train", [0, 1, 2])
    batch["pretext"]["target"][:, 5] = 1e6
    batch["pretext"]["target"][:, 7] = -1e6
    model.to(dtype).train()
    criterion.train()
    torch.manual_seed(2)
    np.random.seed(2)
    halved = utils.apply_to_sample(lambda t: t.to(dtype) if t.dtype is torch.float32 else t, batch)
    loss, _, log = criterion(model, halved)
    (2 * loss).backward()  # a loss scale
    assert loss.isfinite()
    assert float(log["_pretext_alpha_ratio_sum"]) > 1e6
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(gradient.dtype is dtype and gradient.isfinite().all() for gradient in gradients)
    assert all(p.grad.any() for p in model.pretext_heads.parameters())
