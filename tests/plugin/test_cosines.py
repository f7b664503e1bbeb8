"""Cosines of the pretext gradients and the contrastive one: their definition, and that training does not notice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from plugin_tools import NO_DROPOUT, batch_of, build, recipe
from test_criterion import reduced

from ptsel_fairseq.base.errors import PtselError

WEIGHTS = {"alpha_ratio": 0.5, "f0": 0.5}
PLACES = ["output", 2, "input", "conv"]


def parts(data_dir, store_dir, interval, weights=WEIGHTS, attach="output", **overrides):
    cfg = recipe(
        data_dir,
        store_dir,
        weights=weights,
        criterion__pretext_cosines_interval=interval,
        criterion__pretext_heads={"default": {"attach": attach}},
        **overrides,
    )
    task, model, criterion = build(cfg)
    task.load_dataset("train")
    return task, model, criterion


def forward(model, criterion, batch, update=0):
    """Loss and log of the first micro-batch of an update, with masks and negatives of one seed."""
    model.train()
    criterion.train()
    criterion.set_num_updates(update)
    torch.manual_seed(3)
    np.random.seed(3)
    loss, _, log = criterion(model, batch)
    return loss, log


def gradient_at(model, criterion, batch, place):
    """Of the whole loss at a place, by a backward pass with the tensor's own gradient kept."""
    kept = []

    def keep(tensor):
        tensor.retain_grad()
        kept.append(tensor)

    hooks = {
        "output": lambda: model.encoder.register_forward_hook(lambda m, i, o: keep(o[0])),
        2: lambda: model.encoder.layers[1].register_forward_hook(lambda m, i, o: keep(o[0])),
        "input": lambda: model.encoder.layers[0].register_forward_pre_hook(lambda m, i: keep(i[0])),
        "conv": lambda: model.layer_norm.register_forward_hook(lambda m, i, o: keep(o)),
    }
    handle = hooks[place]()
    forward(model, criterion, batch)[0].backward()
    handle.remove()
    return kept[0].grad.double().flatten().numpy()


@pytest.mark.parametrize("place", PLACES)
def test_the_cosine_is_that_of_the_two_gradients_at_the_heads_place(data_dir, store_dir, place):
    task, model, criterion = parts(data_dir, store_dir, 1, attach=place, **NO_DROPOUT)
    batch = batch_of(task, "train", list(range(4)))
    logged = reduced([forward(model, criterion, batch)[1]])
    criterion.cosines_interval = 0
    whole = {}
    for label in WEIGHTS:
        criterion.pretext_weights = {name: float(name == label) for name in WEIGHTS}
        criterion.pretext_scale = 1.0
        whole[label] = gradient_at(model, criterion, batch, place)
    criterion.pretext_scale = 0.0
    contrastive = gradient_at(model, criterion, batch, place)
    for label, both in whole.items():
        own = both - contrastive
        expected = own @ contrastive / np.linalg.norm(own) / np.linalg.norm(contrastive)
        assert logged[f"cosine_{label}"] == pytest.approx(expected, abs=2e-3)
        assert abs(expected) > 1e-4


def test_training_is_the_same_bit_for_bit(data_dir, store_dir):
    def trained(interval):
        task, model, criterion = parts(data_dir, store_dir, interval)  # with the recipe's dropout
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        for update in range(2):
            optimizer.zero_grad()
            forward(model, criterion, batch_of(task, "train", [update, update + 1]), update)[0].backward()
            optimizer.step()
        return model.state_dict()

    without, with_cosines = trained(0), trained(2)
    assert all(torch.equal(without[name], with_cosines[name]) for name in without)


def test_only_the_first_batch_of_each_nth_update_is_looked_at(data_dir, store_dir):
    task, model, criterion = parts(data_dir, store_dir, 2)
    batch = batch_of(task, "train", [0, 1])
    logs = {update: forward(model, criterion, batch, update)[1] for update in range(4)}
    assert [float(logs[update]["_cosines_f0"]) for update in range(4)] == [1, 0, 1, 0]
    criterion.set_num_updates(4)
    criterion.train()
    log = criterion(model, {**batch, "dummy": True})[2]  # of a worker without data
    assert float(log["_cosines_f0"]) == 0
    counts = [float(criterion(model, batch)[2]["_cosines_f0"]) for _ in range(2)]  # accumulated
    assert counts == [1, 0]
    kinds = [{key: getattr(value, "dtype", None) for key, value in log.items()} for log in logs.values()]
    assert all(kind == kinds[0] for kind in kinds)  # workers may sum them
    assert "cosine_f0" not in reduced([logs[1]])
    together = reduced([logs[0], logs[1], logs[2]])["cosine_f0"]
    mean = (float(logs[0]["_cosine_f0"]) + float(logs[2]["_cosine_f0"])) / 2
    assert together == pytest.approx(mean, abs=1e-4)
    criterion.eval()
    model.eval()
    assert "_cosine_f0" not in criterion(model, batch)[2]


def test_a_label_without_a_valid_frame_counts_nothing(data_dir, store_dir):
    task, model, criterion = parts(data_dir, store_dir, 1)
    batch = batch_of(task, "train", [0, 1])
    batch["pretext"]["valid"][..., 1] = False
    logged = reduced([forward(model, criterion, batch)[1]])
    assert "cosine_f0" not in logged
    assert -1 <= logged["cosine_alpha_ratio"] <= 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"criterion__contrastive": False}, "no contrastive gradient to compare with"),
        ({"interval": -1}, "expected a number of updates"),
        (
            {"attach": 2, "model__checkpoint_activations": True},
            r"inside the encoder, where heads attach \(2\)",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(data_dir, store_dir, changed, message):
    with pytest.raises(PtselError, match=message):
        parts(data_dir, store_dir, **{"interval": 10, **changed})
