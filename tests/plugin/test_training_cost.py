"""What pretext labels must not cost: waiting for the device in every step."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from fairseq.criterions.wav2vec_criterion import Wav2vecCriterion
from fairseq.logging import metrics
from fairseq.models.wav2vec.wav2vec2 import Wav2Vec2Model
from plugin_tools import batch_of, build, recipe
from torch.utils._python_dispatch import TorchDispatchMode

from ptsel_fairseq.heads.balancing import RULES
from ptsel_fairseq.plugin.criterion import PtselWav2vecCriterion

# On a GPU the host waits for the result of each: a number, or a shape that depends on values.
WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2", "unique_dim")
HEADS = {"default": {"type": "mlp", "hidden": 8}, "log_mel": {"loss": "mse", "output_frames": 3}}


class Waits(TorchDispatchMode):
    """Counts the operations for which a host waits, by name; boolean indices are such too."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in WAITING:
            self.counts[name] += 1
        elif name in ("index", "index_put", "index_put_", "_index_put_impl_"):
            self.counts["boolean index"] += any(i is not None and i.dtype == torch.bool for i in args[1])
        return func(*args, **(kwargs or {}))


def waits_of_a_step(model, criterion, batch) -> Counter[str]:
    model.train()
    criterion.train()
    torch.manual_seed(3)
    np.random.seed(3)
    with Waits() as waits:
        criterion(model, batch)[0].backward()
    return waits.counts


def waits_of_the_end_of_an_update(task, model) -> Counter[str]:
    with Waits() as waits:
        task.optimizer_step(type("Optimizer", (), {"step": lambda self: None})(), model, 0)
    return waits.counts


def stock_waits(data_dir, store_dir) -> Counter[str]:
    """Of stock fairseq's own model and criterion on the batch of the others."""
    cfg = recipe(data_dir, store_dir)
    task = build(cfg)[0]
    task.load_dataset("train")
    fields = {k: v for k, v in cfg.model.items() if not k.startswith("pretext_")}
    model = Wav2Vec2Model(type(cfg)(fields))
    criterion = Wav2vecCriterion(task, True, cfg.criterion.loss_weights, cfg.criterion.log_keys)
    batch = batch_of(task, "train", list(range(6)))
    return waits_of_a_step(model, criterion, {"id": batch["id"], "net_input": batch["net_input"]})


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES.names() if rule not in ("mgda", "random", "worker_dropout")]
)
def test_a_step_waits_for_the_device_no_more_often_than_stock(data_dir, store_dir, rule):
    cfg = recipe(
        data_dir, store_dir, criterion__pretext_heads=HEADS, criterion__pretext_balancing=rule,
        criterion__pretext_warmup_updates=10,
    )  # fmt: skip
    task, model, criterion = build(cfg)
    task.load_dataset("train")
    assert len(model.pretext_heads.by_label) == 3
    stock = stock_waits(data_dir, store_dir)
    assert stock["_local_scalar_dense"] >= 5  # the count sees something: losses and accuracy
    batch = batch_of(task, "train", list(range(6)))
    assert waits_of_a_step(model, criterion, batch) == stock
    assert waits_of_the_end_of_an_update(task, model) == Counter()


def test_the_log_is_fetched_at_once(data_dir, store_dir):
    task, model, criterion = build(recipe(data_dir, store_dir))
    task.load_dataset("train")
    batch = batch_of(task, "train", list(range(6)))
    log = criterion(model, batch)[2]
    assert sum(torch.is_tensor(value) for value in log.values()) > 10
    with metrics.aggregate() as one, Waits() as waits:
        PtselWav2vecCriterion.reduce_metrics([log, log])
    assert waits.counts == Counter()
    fetched = {key: float(value) for key, value in log.items()}
    with metrics.aggregate() as other:
        PtselWav2vecCriterion.reduce_metrics([fetched, fetched])
    assert one.get_smoothed_values() == other.get_smoothed_values()
