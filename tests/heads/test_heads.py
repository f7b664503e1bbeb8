"""Heads: their settings, what they see and predict, where they sit, and the losses they are judged by."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from plugin_tools import WEIGHTS, batch_of, build, recipe
from scipy import special
from scipy.spatial.distance import cosine

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.heads.heads import PtselHeads
from ptsel_fairseq.heads.losses import pretext_errors
from ptsel_fairseq.heads.settings import HeadSettings, read_head_settings

HEADS = {
    "default": {"type": "mlp", "hidden": 16, "layers": 2, "dropout": 0.1, "activation": "gelu"},
    "alpha_ratio": {"attach": "conv", "loss": "smooth_l1", "frames": "masked"},
    "f0": {"type": "linear", "attach": 1, "output_frames": 3, "loss": "mse"},
    "log_mel": {"attach": "input", "loss": "cosine", "input_frames": 5, "frames": "unmasked"},
}


def with_heads(data_dir, store_dir, heads, **overrides):
    cfg = recipe(data_dir, store_dir, criterion__pretext_heads=heads, **overrides)
    task, model, criterion = build(cfg)
    task.load_dataset("train")
    return cfg, task, model, criterion


def literal_loss(kind, predicted, target):
    """One frame's loss as its definition says."""
    difference = predicted - target
    return {
        "l1": lambda: np.mean(np.abs(difference)),
        "mse": lambda: np.mean(difference**2),
        "smooth_l1": lambda: np.mean(special.huber(1.0, difference)),
        "cosine": lambda: cosine(predicted, target),
        "bce": lambda: np.mean(
            special.xlogy(target, 1 / special.expit(predicted))
            + special.xlogy(1 - target, 1 / special.expit(-predicted))
        ),
    }[kind]()


@pytest.mark.parametrize("kind", ["l1", "mse", "smooth_l1", "cosine", "bce"])
@pytest.mark.parametrize("frames", ["all", "masked", "unmasked"])
@pytest.mark.parametrize("count", [1, 3])
def test_each_loss_is_the_mean_over_the_frames_it_names(kind, frames, count):
    rng = np.random.default_rng(5)
    batch, length, dim = 2, 9, 3
    predicted = rng.normal(0, 2, (batch, length, count * dim))
    target = (
        rng.uniform(0, 1, (batch, length, dim)) if kind == "bce" else rng.normal(0, 2, (batch, length, dim))
    )
    valid, mask = rng.random((batch, length, 1)) < 0.7, rng.random((batch, length)) < 0.5
    padding = np.zeros((batch, length), dtype=bool)
    padding[1, -2:] = True
    output = {
        "pretext": {"x": torch.tensor(predicted)},
        "padding_mask": torch.tensor(padding),
        "pretext_mask": torch.tensor(mask),
    }
    sample = {"pretext": {"target": torch.tensor(target), "valid": torch.tensor(valid)}}
    head = HeadSettings(loss=kind, frames=frames, output_frames=count)
    error, number, of_constant = pretext_errors(output, sample, {"x": head})["x"]
    expected, wanted = [], []
    for b in range(batch):
        for t in range(length):
            if frames != "all" and mask[b, t] != (frames == "masked"):
                continue
            for j in range(count):
                other = t + j - count // 2
                if 0 <= other < length and valid[b, other, 0] and not padding[b, other]:
                    wanted.append(target[b, other])
                    expected.append(
                        literal_loss(kind, predicted[b, t, j * dim : (j + 1) * dim], target[b, other])
                    )
    assert int(number) == len(expected) > 3
    assert float(error) == pytest.approx(sum(expected), rel=1e-5)
    # And the loss of the best constant, with the lower median of an even number.
    middle = np.percentile(wanted, 50, axis=0, method="lower")
    mean = np.mean(wanted, axis=0)
    constant = {"bce": special.logit(mean), "mse": mean}.get(kind, middle)
    ignorant = [1.0 if kind == "cosine" else literal_loss(kind, constant, each) for each in wanted]
    assert float(of_constant) == pytest.approx(sum(ignorant), rel=1e-5)


def test_a_head_sees_the_stated_number_of_frames():
    torch.manual_seed(0)
    heads = PtselHeads({"output": 4}, ["x"], [2], [HeadSettings(type="mlp", hidden=8, input_frames=5)])
    frames = torch.randn(1, 20, 4, requires_grad=True)
    heads({"output": frames})["x"][0, 10].sum().backward()
    touched = frames.grad[0].abs().sum(-1).nonzero().flatten().tolist()
    assert touched == [8, 9, 10, 11, 12]


@pytest.mark.parametrize("scale", [0.0, 0.25, 2.0])
def test_the_gradient_into_the_encoder_is_scaled_and_the_heads_own_is_not(scale):
    def gradients(factor):
        torch.manual_seed(0)
        heads = PtselHeads({"output": 4}, ["x"], [2], [HeadSettings(grad_scale=factor)])
        frames = torch.ones(1, 3, 4, requires_grad=True)
        heads({"output": frames})["x"].square().sum().backward()
        return frames.grad, heads.by_label["x"].weight.grad

    for got, plain, factor in zip(gradients(scale), gradients(1.0), (scale, 1.0), strict=True):
        torch.testing.assert_close(got, factor * plain)


def test_every_setting_at_once_trains_and_returns_from_its_checkpoint(data_dir, store_dir):
    from fairseq import tasks
    from omegaconf import OmegaConf

    cfg, task, model, criterion = with_heads(data_dir, store_dir, HEADS)
    batch = batch_of(task, "train", [0, 1, 2])
    model.train()
    np.random.seed(0)
    loss, _, log = criterion(model, batch)
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.pretext_heads.parameters())
    frames = batch["pretext"]["target"].shape[1]
    everywhere = 3 * frames
    assert 0 < log["_pretext_alpha_ratio_frames"] < everywhere
    assert log["_pretext_alpha_ratio_frames"] + log["_pretext_log_mel_frames"] == everywhere
    saved = OmegaConf.create({"task": cfg.task, "model": cfg.model})
    saved.task.data = saved.task.store = "/nowhere"
    again = tasks.setup_task(saved.task).build_model(saved.model, from_checkpoint=True)
    again.load_state_dict(model.state_dict(), strict=True)
    assert again.pretext_heads.settings == model.pretext_heads.settings
    model.eval(), again.eval()
    with torch.no_grad():
        results = []
        for each in (model, again):
            np.random.seed(0)
            results.append(each(**batch["net_input"])["pretext"])
    assert all(torch.equal(results[0][label], results[1][label]) for label in results[0])


def test_heads_on_the_convolutions_get_their_normalised_output(data_dir, store_dir):
    _, task, model, _ = with_heads(data_dir, store_dir, {"default": {"attach": "conv"}})
    source = batch_of(task, "train", [0, 1])["net_input"]["source"]
    model.eval()
    with torch.no_grad():
        frames = model.layer_norm(model.feature_extractor(source).transpose(1, 2))
        expected = model.pretext_heads.by_label["f0"](frames)
        torch.testing.assert_close(model(source)["pretext"]["f0"], expected)


def test_bce_is_of_the_values_themselves_and_refused_outside_zero_to_one(data_dir, store_dir):
    with pytest.raises(PtselError, match=r"pretext_heads\.f0\.loss: bce needs values between 0 and 1"):
        with_heads(data_dir, store_dir, {"f0": {"loss": "bce"}})
    _, task, _, _ = with_heads(data_dir, store_dir, {"zcr": {"loss": "bce"}}, weights={"zcr": 1.0})
    batch = batch_of(task, "train", [0, 1])
    target = batch["pretext"]["target"][batch["pretext"]["valid"]]
    assert 0 <= target.min() < target.max() <= 1


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        ({"f0": {"kind": "mlp"}}, r"pretext_heads\.f0: expected settings among .*found kind"),
        ({"default": {"type": "deep"}}, r"default\.type: expected linear or mlp, found 'deep'"),
        ({"f0": "mlp"}, r"pretext_heads\.f0: expected settings"),
        ({"f0": {"hidden": 0}}, r"f0\.hidden"),
        ({"f0": {"layers": 1.5}}, r"f0\.layers"),
        ({"f0": {"output_frames": 4}}, r"f0\.output_frames: expected an odd number"),
        ({"f0": {"dropout": 1.0}}, r"f0\.dropout"),
        ({"f0": {"grad_scale": -1}}, r"f0\.grad_scale"),
        ({"f0": {"attach": 7}}, r"f0\.attach: expected .* a layer from 1 to 3, found 7"),
        ({"f0": {"attach": "top"}}, r"f0\.attach"),
        ({"f0": {"loss": "cosine"}}, r"f0\.loss: cosine needs at least 2"),
        ({"zcr": {"frames": "some"}}, r"zcr\.frames"),  # also of a label without a weight
    ],
)
def test_settings_that_cannot_be_used_are_refused(heads, message):
    with pytest.raises(PtselError, match=message):
        read_head_settings(heads, ["f0", "log_mel"], [1, 80], -1, 3)


def test_the_default_entry_holds_for_every_label_and_gives_way_to_its_own():
    first, second = read_head_settings(
        {"default": {"type": "mlp", "loss": "mse"}, "f0": {"loss": "l1"}}, ["f0", "log_mel"], [1, 80], 2, 3
    )
    assert (first.type, first.loss, first.attach) == ("mlp", "l1", 2)
    assert (second.type, second.loss, second.attach) == ("mlp", "mse", 2)


def test_heads_are_their_own_parameter_group(data_dir, store_dir):
    _, _, model, _ = with_heads(data_dir, store_dir, {})
    groups = {getattr(p, "param_group", "default") for p in model.pretext_heads.parameters()}
    assert groups == {"pretext"}
    assert len([label for label in WEIGHTS if WEIGHTS[label] > 0]) == len(model.pretext_heads.by_label)
