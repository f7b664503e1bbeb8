"""`labels.CropDataset` and `heads.PretextLoss`, for other trainers, against the plugin: batches, losses, gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from plugin_tools import WEIGHTS, batch_of, build, recipe

from ptsel_fairseq.heads import PretextLoss
from ptsel_fairseq.labels import CropDataset, LabelStore

ACTIVE = {label: weight for label, weight in WEIGHTS.items() if weight > 0}
CALM = {
    f"model__{name}": 0.0 for name in ("dropout", "attention_dropout", "dropout_input", "dropout_features")
}
HEADS = {
    "default": {"type": "mlp", "hidden": 16, "input_frames": 3},
    "f0": {"loss": "smooth_l1", "frames": "masked"},
    "log_mel": {"loss": "mse", "output_frames": 3, "grad_scale": 0.5},
    "alpha_ratio": {"type": "linear", "frames": "unmasked"},
}
NUMBERS = [0, 3, 4, 9, 11, 14]


def twin(data_dir, store_dir, **settings) -> CropDataset:
    """The dataset of other trainers with the settings of the recipe."""
    store = LabelStore(store_dir, "train")
    given = {"seed": 1, "longest": 96_000, "shortest": 16_000, **settings}
    return CropDataset(data_dir / "train.tsv", store, list(ACTIVE), **given)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("normalize", [False, True])
def test_batches_are_those_of_the_plugin(data_dir, store_dir, padded, normalize):
    changed = {"task__enable_padding": padded, "task__normalize": normalize, "task__max_sample_size": 30_000}
    task, _, _ = build(recipe(data_dir, store_dir, **changed))
    task.load_dataset("train")
    dataset = twin(data_dir, store_dir, padded=padded, normalize=normalize, longest=30_000)
    assert dataset.lines.tolist() == task.dataset("train").lines.tolist()
    for epoch in (1, 2, 7):
        task.dataset("train").set_epoch(epoch)
        theirs = batch_of(task, "train", NUMBERS)
        ours = dataset.collate([dataset[epoch, number] for number in NUMBERS])
        torch.testing.assert_close(ours["source"], theirs["net_input"]["source"], rtol=0, atol=0)
        if padded:
            torch.testing.assert_close(ours["padding_mask"], theirs["net_input"]["padding_mask"])
        assert ours["pretext"].keys() == theirs["pretext"].keys()
        torch.testing.assert_close(
            ours["pretext"]["target"].double(), theirs["pretext"]["target"], rtol=0, atol=0
        )
        for name in ("valid", "samples"):
            assert torch.equal(ours["pretext"][name], theirs["pretext"][name])


def pretext_of(model, heads, **settings) -> PretextLoss:
    """The module of other trainers with the parameters of the plugin's heads."""
    dims = dict(zip(model.cfg.pretext_labels, model.cfg.pretext_dims, strict=True))
    pretext = PretextLoss(ACTIVE, dims, model.cfg.encoder_embed_dim, heads, **settings)
    pretext.heads.load_state_dict(model.pretext_heads.state_dict())
    return pretext.train()


def seeded() -> None:
    torch.manual_seed(3)
    np.random.seed(3)


def gradients(*modules) -> dict[str, torch.Tensor]:
    found = {}
    for module in modules:
        for name, parameter in module.named_parameters():
            if parameter.grad is not None:
                found[name] = parameter.grad.clone()
                parameter.grad = None
    return found


@pytest.mark.parametrize(
    "heads", [{}, {k: {n: v for n, v in h.items() if n != "frames"} for k, h in HEADS.items()}]
)
@pytest.mark.parametrize("padded", [False, True])
def test_losses_and_gradients_are_those_of_the_criterion(data_dir, store_dir, heads, padded):
    """Without contrastive loss, whose gradients would lie over those of the labels."""
    cfg = recipe(data_dir, store_dir, criterion__contrastive=False, criterion__pretext_heads=heads,
                 criterion__pretext_scale=0.7, task__enable_padding=padded, **CALM)  # fmt: skip
    task, model, criterion = build(cfg)
    task.load_dataset("train")
    model.train()
    batch = batch_of(task, "train", NUMBERS)
    loss, size, log = criterion(model, batch)
    (loss / size).backward()
    expected = gradients(model)

    dataset = twin(data_dir, store_dir, padded=padded)
    own = dataset.collate([dataset[1, number] for number in NUMBERS])
    pretext = pretext_of(model, heads, scale=0.7)
    output = model(own["source"], padding_mask=own["padding_mask"] if padded else None)
    found = pretext(output["pretext_origins"]["f0"], own["pretext"])
    found.loss.backward()
    assert found.loss.item() == pytest.approx(loss.item() / size, abs=1e-6, rel=1e-6)
    for label, mean in found.means().items():
        theirs = (log[f"_pretext_{label}_sum"] / log[f"_pretext_{label}_frames"]).item()
        assert mean == pytest.approx(theirs, abs=1e-6)
    renamed = {
        name.replace("heads.", "pretext_heads.", 1) if name.startswith("heads.") else name: gradient
        for name, gradient in gradients(model, pretext).items()
    }
    assert renamed.keys() == expected.keys()
    assert any(gradient.abs().max() > 1e-3 for gradient in expected.values())
    for name, gradient in expected.items():
        torch.testing.assert_close(renamed[name], gradient, rtol=1e-6, atol=1e-6, msg=name)


@pytest.mark.parametrize("balancing", ["none", "uncertainty", "gradnorm"])
def test_beside_the_contrastive_loss_over_three_updates(data_dir, store_dir, balancing):
    """Heads of masked and unmasked frames, and the weights that a balancing rule comes to."""
    cfg = recipe(data_dir, store_dir, criterion__pretext_heads=HEADS,
                 criterion__pretext_balancing=balancing, **CALM)  # fmt: skip
    task, model, criterion = build(cfg)
    task.load_dataset("train")
    model.train()
    pretext = pretext_of(model, HEADS, balancing=balancing)
    dataset = twin(data_dir, store_dir)
    for update in range(3):
        numbers = [number + update for number in NUMBERS]
        criterion.train()
        seeded()
        _, size, log = criterion(model, batch_of(task, "train", numbers))
        own = dataset.collate([dataset[1, number] for number in numbers])
        seeded()
        output = model(own["source"])
        pretext.begin_update()
        found = pretext(output["pretext_origins"]["f0"], own["pretext"], mask=output["pretext_mask"])
        assert found.loss.item() == pytest.approx(log["_pretext_weighted"].item() / size, rel=1e-6)
        pretext.end_update()
        if balancing != "none":
            model.pretext_balancing.end_update(lambda values: values)
            assert torch.equal(pretext.balancing.weights, model.pretext_balancing.weights)
            assert not torch.equal(pretext.balancing.weights, torch.ones(3))
