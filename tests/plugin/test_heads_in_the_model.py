"""Where heads attach in the encoder, and which weights, stores and checkpoints they take."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from plugin_tools import NO_DROPOUT, batch_of, build, recipe, run

from ptsel_fairseq.base.errors import PtselError


@pytest.mark.parametrize("layer", [0, 1, 3, -1])
def test_heads_attach_to_the_stated_layer(data_dir, store_dir, layer):
    _, model, _ = build(recipe(data_dir, store_dir, model__pretext_layer=layer, **NO_DROPOUT))
    task, _, _ = build(recipe(data_dir, store_dir))
    task.load_dataset("train")
    source = batch_of(task, "train", [0, 1])["net_input"]["source"]
    model.eval()
    with torch.no_grad():
        np.random.seed(0)
        predicted = model(source)["pretext"]["f0"]
        np.random.seed(0)
        frames = literal_layer(model, source, layer)
        expected = model.pretext_heads.by_label["f0"](frames)
    torch.testing.assert_close(predicted, expected)


def literal_layer(model, source, layer):
    """The frames of a layer, computed by hand from the model's parts (post-norm transformer, no padding)."""
    features = model.layer_norm(model.feature_extractor(source).transpose(1, 2))
    x, _ = model.apply_mask(model.post_extract_proj(features), None)
    length = x.size(1)
    encoder = model.encoder
    x = encoder.layer_norm(x + encoder.pos_conv(x.transpose(1, 2)).transpose(1, 2))
    padding = None
    if length % 2:  # fairseq pads to an even number of frames
        x = torch.nn.functional.pad(x, (0, 0, 0, 1))
        padding = torch.zeros(x.shape[:2], dtype=torch.bool)
        padding[:, -1] = True
    x = x.transpose(0, 1)
    for block in encoder.layers[: layer if layer >= 0 else len(encoder.layers)]:
        x = block(x, self_attn_padding_mask=padding)[0]
    return x.transpose(0, 1)[:, :length]


def test_heads_work_when_every_layer_is_dropped(data_dir, store_dir):
    cfg = recipe(data_dir, store_dir, model__encoder_layerdrop=1.0, model__pretext_layer=2)
    task, model, criterion = build(cfg)
    task.load_dataset("train")
    loss, _, _ = run(model, criterion, batch_of(task, "train", [0, 1]))
    assert torch.isfinite(loss)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"f0": 0.5, "pitch": 0.5}, "pitch"),
        ({"f0": 1.5, "zcr": -0.5}, "zcr"),
        ({"f0": 0.5, "zcr": 0.4}, "0.9"),
        ({"f0": float("nan")}, "f0"),
    ],
)
def test_weights_that_cannot_be_used_are_refused(data_dir, store_dir, weights, message):
    with pytest.raises(PtselError, match=message):
        build(recipe(data_dir, store_dir, weights=weights))


def test_weights_need_a_store_and_an_absolute_path(data_dir, store_dir):
    with pytest.raises(PtselError, match=r"task\.store"):
        build(recipe(data_dir, ""))
    with pytest.raises(PtselError, match="absolute"):
        build(recipe(data_dir, "store"))


def test_a_store_of_another_grid_is_refused(data_dir, store_dir):
    layers = "[(64, 10, 5)] + [(64, 3, 2)] * 4 + [(64, 2, 2)]"
    with pytest.raises(PtselError, match="hop 160"):
        build(recipe(data_dir, store_dir, model__conv_feature_layers=layers))


def test_the_checkpointed_configuration_rebuilds_the_heads_without_any_file(data_dir, store_dir):
    from fairseq import tasks
    from omegaconf import OmegaConf

    cfg = recipe(data_dir, store_dir)
    _, model, _ = build(cfg)
    saved = OmegaConf.create(
        {
            part: OmegaConf.to_container(cfg[part], resolve=True, enum_to_str=True)
            for part in ("task", "model")
        }
    )
    saved.task.data = saved.task.store = "/nowhere"
    task = tasks.setup_task(saved.task)
    again = task.build_model(saved.model, from_checkpoint=True)
    again.load_state_dict(model.state_dict(), strict=True)
    again.remove_pretraining_modules()
    again.load_state_dict(
        model.state_dict(), strict=True
    )  # heads of a checkpoint are ignored, not unexpected


def test_a_stock_checkpoint_gets_fresh_heads(data_dir, store_dir):
    _, model, _ = build(recipe(data_dir, store_dir))
    stock = {k: v + 1 for k, v in model.state_dict().items() if not k.startswith("pretext_heads")}
    heads = {k: v.clone() for k, v in model.state_dict().items() if k.startswith("pretext_heads")}
    model.load_state_dict(dict(stock), strict=True)  # fairseq's load_state_dict calls upgrade_state_dict
    for key, value in model.state_dict().items():
        assert torch.equal(value, heads.get(key, stock.get(key)))
