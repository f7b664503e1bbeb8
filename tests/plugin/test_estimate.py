"""`ptsel estimate` against the model that is trained: its parameters, what it saves, what it reads."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from conftest import ROOT
from plugin_tools import WEIGHTS, batch_of, build, recipe

from ptsel_fairseq import cli
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.labels.store.reader import LabelStore
from ptsel_fairseq.plugin.estimate.cost import LabelsOfTheCatalogue, estimate, read_recipe, report
from ptsel_fairseq.plugin.estimate.measuring import measure

RECIPES = ROOT / "configs" / "pretraining"
GIVEN = [f"criterion.pretext_weights.{label}={weight}" for label, weight in WEIGHTS.items()]
TOLERANCE = 0.1  # of the activations: masks and negatives are drawn


def estimated(*overrides, name="tiny", labels=None):
    cfg = read_recipe(RECIPES / f"{name}.yaml", [*GIVEN, *overrides])
    return estimate(cfg, labels or LabelsOfTheCatalogue())


def test_the_parameters_are_those_of_the_model_that_is_trained(data_dir, store_dir):
    found = estimated(labels=LabelStore(store_dir, "train"))
    _, model, _ = build(recipe(data_dir, store_dir))
    numbers = {name: p.numel() for name, p in model.named_parameters()}
    assert found.heads == sum(n for name, n in numbers.items() if name.startswith("pretext_heads"))
    assert found.encoder + found.heads == sum(numbers.values())
    assert found.frozen == 0
    assert found.weights == 4 * sum(numbers.values())
    assert found.optimizer == 2 * found.weights  # Adam's two moments


def test_without_contrastive_loss_what_is_not_trained_costs_only_its_weights(data_dir, store_dir):
    found = estimated("criterion.contrastive=false")
    _, model, _ = build(recipe(data_dir, store_dir, criterion__contrastive=False))
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert found.frozen == sum(p.numel() for p in model.parameters()) - trained > 0
    assert found.gradients == 4 * trained
    assert found.optimizer == 8 * trained


@pytest.mark.parametrize("contrastive", [True, False])
def test_activations_are_what_autograd_saves_for_a_real_batch(data_dir, store_dir, contrastive):
    task, model, criterion = build(recipe(data_dir, store_dir, criterion__contrastive=contrastive))
    task.load_dataset("train")
    sizes = task.dataset("train").sizes
    batch = batch_of(task, "train", np.argsort(sizes)[-6:].tolist())
    kept, total = {}, 0

    def keep(tensor):
        storage = tensor.untyped_storage()
        kept.setdefault(storage.data_ptr(), storage)  # alive, so an address means one storage
        return tensor

    model.train()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss, _, _ = criterion(model, batch)
        own = {p.untyped_storage().data_ptr() for p in (*model.parameters(), *model.buffers())}
        total = sum(storage.nbytes() for place, storage in kept.items() if place not in own)
    assert loss.requires_grad
    number, crop = batch["net_input"]["source"].shape
    saved, _, _ = measure(model, crop, half=False)
    assert saved * number == pytest.approx(total, rel=TOLERANCE)


def test_the_flops_of_linear_heads_are_two_for_each_weight_and_frame(data_dir, store_dir):
    cfg = recipe(data_dir, store_dir)
    _, model, _ = build(cfg)
    _, flops, heads = measure(model, 32_000, half=False)
    frames, width, dims = 99, cfg.model.encoder_embed_dim, 1 + 1 + 80
    assert heads == 2 * frames * width * dims
    # A transformer layer: 4 products of the width, 2 of the hidden width, and attention's two of frames by frames.
    hidden = cfg.model.encoder_ffn_embed_dim
    layer = 2 * frames * (4 * width * width + 2 * width * hidden) + 4 * frames * frames * width
    assert flops > 3 * layer + heads


def test_an_update_is_what_all_gpus_read_before_a_step():
    found = estimated("optimization.update_freq=[4]", "distributed_training.distributed_world_size=8")
    assert found.seconds == 640_000 * 4 * 8 / 16_000
    assert found.exchange == found.weights  # legacy_ddp gathers all parameters of a model this small
    assert (found.samples, found.crop) == (640_000, 96_000)
    assert found.audio == 32_000


def test_labels_are_read_as_the_store_holds_them(store_dir, monkeypatch):
    dims = 1 + 1 + 80
    assert estimated().labels == 50 * (4 * dims + 3)  # values and the masks of three labels
    online = estimated("criterion.pretext_heads.log_mel.source=online")
    assert online.labels == 50 * (4 * 2 + 2)  # computed from the audio, not read
    monkeypatch.setattr(LabelStore, "itemsize", lambda self, label: 2)
    assert estimated(labels=LabelStore(store_dir, "train")).labels == 50 * (2 * dims + 3)


def test_the_store_knows_its_items(store_dir):
    assert LabelStore(store_dir, "train").itemsize("f0") == 4


def test_mixed_precision_halves_weights_and_adds_masters():
    whole, half = estimated(), estimated("common.bf16=true")
    assert half.weights * 2 == whole.weights
    assert half.optimizer == 2 * whole.optimizer  # 8 bytes of moments, 8 of master weights and gradients
    assert 0.4 * whole.activations < half.activations < 0.8 * whole.activations


def test_the_filterbank_encoder_is_estimated_too():
    found = estimated("criterion.pretext_weights.log_mel=0", name="tiny_crdnn")
    assert found.encoder > 100_000
    assert 0 < found.head_flops < found.encoder_flops


def test_the_command_prints_each_need(tmp_path, capsys):
    (tmp_path / "weights.yaml").write_text("criterion: {pretext_weights: {f0: 1.0}}\n")
    cli.main(["estimate", str(RECIPES / "tiny.yaml"), "--weights", str(tmp_path / "weights.yaml")])
    shown = capsys.readouterr().out
    for word in ("parameters", "heads 129", "GFLOP", "weights", "optimizer", "activations", "40 s of audio"):
        assert word in shown
    cli.main(["estimate", str(RECIPES / "tiny.yaml"), "--weights", str(tmp_path / "weights.yaml"), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["heads"] == 129
    parts = ("weights", "gradients", "optimizer", "exchange", "activations")
    assert found["memory"] == sum(found[part] for part in parts)
    cli.main(["estimate", str(RECIPES / "tiny.yaml")])
    assert "without heads; give --weights" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([ROOT / "configs" / "finetuning" / "tiny.yaml"], "expected the task ptsel_pretraining"),
        ([ROOT / "absent.yaml"], "absent.yaml: no such file; expected the recipe"),
        ([RECIPES / "tiny.yaml", "criterion.pretext_weights.pitch=1.0"], "no label 'pitch'"),
        ([RECIPES / "tiny.yaml", "dataset.max_tokens=null"], "expected max_tokens"),
        (
            [RECIPES / "tiny.yaml", "dataset.max_tokens=null", "task.max_sample_size=null"],
            "a batch has no largest size",
        ),
    ],
)
def test_a_recipe_that_cannot_be_estimated_ends_with_one_line(words, message, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["estimate", *map(str, words)])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_an_optimizer_of_unknown_states_is_said_to_be_unknown():
    found = estimated("optimizer._name=lamb")
    assert found.optimizer is None
    assert any("unknown for this optimizer" in line for line in report(found))
    with pytest.raises(PtselError, match="no section model"):
        read_recipe(RECIPES / "tiny.yaml", ["model=null"])


@pytest.mark.parametrize(
    "code", ["__import__('pathlib').Path('RAN').write_text('') or [(64, 10, 5)]", "[x for x in []]"]
)
def test_a_recipe_runs_nothing(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = tmp_path / "recipe.yaml"
    before = (RECIPES / "tiny.yaml").read_text()
    recipe.write_text(before.replace('"[(64, 10, 5)] + [(64, 3, 2)] * 4 + [(64, 2, 2)] * 2"', f'"{code}"'))
    assert recipe.read_text() != before
    with pytest.raises(PtselError, match="not evaluated"):
        estimate(read_recipe(recipe, GIVEN), LabelsOfTheCatalogue())
    assert not (tmp_path / "RAN").exists()
