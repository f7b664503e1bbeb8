"""A training step of the whole plugin where the model is: on the CPU here, on a GPU where there is one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fairseq import utils
from plugin_tools import NO_DROPOUT, batch_of, build, recipe

from ptsel_fairseq.heads.balancing import RULES

GPU = pytest.param(
    "cuda",
    marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")],
)
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def updates(cfg, device, dtype=torch.float32, autocast=False):
    """Losses of the labels, and the balancing's weights, after each of two updates."""
    task, model, criterion = build(cfg)
    task.load_dataset("train")
    model.to(device, dtype).train()
    criterion.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    found = []
    for number in range(2):
        batch = utils.apply_to_sample(lambda value: value.to(device), batch_of(task, "train", [0, 1, 2]))
        batch = utils.apply_to_sample(
            lambda value: value.to(dtype) if value.dtype is torch.float32 else value, batch
        )
        torch.manual_seed(number)
        np.random.seed(number)
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=autocast):
            loss, size, log = criterion(model, batch)
        assert loss.isfinite()
        (loss / size).backward()
        task.optimizer_step(optimizer, model, number)
        losses = [float(log[f"_pretext_{label}_sum"]) for label in ("alpha_ratio", "f0", "log_mel")]
        balancing = model.pretext_balancing
        found.append([*losses, *([] if balancing is None else balancing.weights.tolist())])
    assert all(p.grad.isfinite().all() for p in model.pretext_heads.parameters())
    return np.array(found)


@pytest.mark.parametrize("device", ["cpu", GPU])
@pytest.mark.parametrize("rule", ["none", *RULES.names()])
def test_losses_and_weights_are_those_of_the_cpu(data_dir, store_dir, rule, device):
    cfg = recipe(data_dir, store_dir, criterion__pretext_balancing=rule, model__mask_prob=0.0, **NO_DROPOUT)
    np.testing.assert_allclose(updates(cfg, device), updates(cfg, "cpu"), rtol=0.02, atol=1e-3)


@pytest.mark.parametrize("device", ["cpu", GPU])
@pytest.mark.parametrize("source", ["store", "online"])
@pytest.mark.parametrize("precision", ["fp16", "bf16", "amp"])
def test_a_step_in_other_precision_stays_near(data_dir, store_dir, precision, source, device):
    heads = {"log_mel": {"source": source}, "alpha_ratio": {"source": source}}
    cfg = recipe(data_dir, store_dir, criterion__pretext_heads=heads, model__mask_prob=0.0, **NO_DROPOUT)
    found = updates(cfg, device, DTYPES.get(precision, torch.float32), precision == "amp")
    np.testing.assert_allclose(found, updates(cfg, "cpu"), rtol=0.1)
