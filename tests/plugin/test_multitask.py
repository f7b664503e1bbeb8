"""The objective without contrastive loss: MSE of fixed labels + Σ λ · l1, from its formula to fine-tuning."""

from __future__ import annotations

import math
import shutil

import numpy as np
import pytest
import torch
from conftest import ROOT
from fairseq_tools import ptsel
from omegaconf import OmegaConf
from plugin_tools import NO_DROPOUT, batch_of, build, recipe, run
from test_criterion import gradients, reduced
from training_tools import arguments, english_words, read, train, without_plugin

from ptsel_fairseq.base.errors import PtselError

LAMBDAS = {"alpha_ratio": 0.4, "f0": 0.6, "log_mel": 0.0, "zcr": 0.0}
FIXED = {"log_mel": 1.0}


def multitask(data, store, **overrides):
    """The tiny recipe of this objective for the labels of the tests' store."""
    settings = {
        "criterion__contrastive": False,
        "criterion__pretext_fixed_weights": FIXED,
        "criterion__pretext_heads": {"log_mel": {"loss": "mse"}},
        **overrides,
    }
    return recipe(data, store, weights=settings.pop("weights", LAMBDAS), **settings)


@pytest.fixture
def parts(data_dir, store_dir):
    task, model, criterion = build(multitask(data_dir, store_dir, **NO_DROPOUT))
    task.load_dataset("train")
    return task, model, criterion, batch_of(task, "train", list(range(6)))


@pytest.mark.parametrize("padded", [False, True])
def test_the_loss_is_the_papers_formula_over_frames(data_dir, store_dir, padded):
    cfg = multitask(data_dir, store_dir, task__enable_padding=padded, **NO_DROPOUT)
    task, model, criterion = build(cfg)
    task.load_dataset("train")
    batch = batch_of(task, "train", list(range(6)))
    model.eval()
    with torch.no_grad():
        loss, sample_size, log = criterion(model, batch)
        predicted = {label: z.double().numpy() for label, z in model(**batch["net_input"])["pretext"].items()}
    expected, column = 0.0, 0
    for k, label in enumerate(task.dataset("train").labels):
        z = predicted[label]
        frames, dim = z.shape[1:]
        wanted = batch["pretext"]["target"].numpy()[:, :frames, column : column + dim]
        known = batch["pretext"]["valid"].numpy()[:, :frames, k]
        error = (z - wanted)[known]
        mean = np.mean(error**2) if label == "log_mel" else np.mean(np.abs(error))
        expected += {**LAMBDAS, **FIXED}[label] * mean
        column += dim
    lengths = (
        (~batch["net_input"]["padding_mask"]).sum(1).tolist()
        if padded
        else [batch["net_input"]["source"].size(1)] * 6
    )
    assert sample_size == sum(1 + (n - 400) // 320 for n in lengths)
    assert float(loss) == pytest.approx(expected * sample_size, rel=1e-5)
    logged = reduced([log])
    assert logged["loss"] == pytest.approx(expected, abs=1e-4)  # in standard deviations, not in bits
    assert logged["loss"] == logged["pretext_total"]
    shares = [logged[f"share_{label}"] for label in ("alpha_ratio", "f0", "log_mel")]
    assert sum(shares) == pytest.approx(1, abs=1e-3)


def test_every_parameter_of_the_optimizer_gets_a_gradient(parts):
    _, model, criterion, batch = parts
    run(model, criterion, batch)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert gradients(model).keys() == trained
    frozen = {name.split(".")[0] for name, _ in model.named_parameters()} - {n.split(".")[0] for n in trained}
    assert frozen == {"mask_emb", "quantizer", "project_q", "final_proj"}


def test_neither_mask_nor_negatives_are_drawn(parts):
    _, model, criterion, batch = parts
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    model.eval()
    first = criterion(model, batch)[0]
    assert torch.equal(states[0], torch.get_rng_state())
    assert np.array_equal(states[1], np.random.get_state()[1])
    assert torch.equal(first, criterion(model, batch)[0])


def test_summed_logs_weigh_batches_by_their_frames(parts):
    task, model, criterion, _ = parts
    logs = [run(model, criterion, batch_of(task, "train", ids))[2] for ids in ([0, 1], [2, 3, 4])]
    summed = {key: sum(log[key] for log in logs) for key in logs[0]}
    assert reduced(logs) == pytest.approx(reduced([summed]), rel=1e-6)
    weighted = sum(float(log["_pretext_weighted"]) for log in logs)
    frames = sum(log["sample_size"] for log in logs)
    assert reduced(logs)["loss"] == pytest.approx(weighted / frames, abs=1e-4)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"weights": {}, "criterion__pretext_fixed_weights": {}}, "leaves nothing to learn"),
        ({"criterion__pretext_fixed_weights": {"f0": 1.0}}, "f0 stand in pretext_weights with a positive λ"),
        ({"criterion__pretext_fixed_weights": {"mfcc": 1.0}}, "pretext_fixed_weights: no label mfcc"),
        ({"criterion__pretext_fixed_weights": {"log_mel": -1.0}}, "pretext_fixed_weights: expected a weight"),
        (
            {"criterion__pretext_heads": {"f0": {"frames": "masked"}}, "model__mask_prob": 0.0},
            "masked needs the mask",
        ),
        ({"criterion__pretext_heads": {"default": {"attach": 2}}}, "a head with a gradient at the encoder's"),
        ({"criterion__pretext_heads": {"default": {"grad_scale": 0}}}, "a head with a gradient"),
        ({"criterion__pretext_stop_updates": 100}, "expected pretext_stop_updates 0"),
    ],
)
def test_what_cannot_be_learned_this_way_is_refused(data_dir, store_dir, changed, message):
    with pytest.raises(PtselError, match=message):
        build(multitask(data_dir, store_dir, **changed))


def test_fixed_weights_stand_beside_the_contrastive_loss_too(data_dir, store_dir):
    cfg = multitask(data_dir, store_dir, criterion__contrastive=True)
    task, model, criterion = build(cfg)
    task.load_dataset("train")
    log = run(model, criterion, batch_of(task, "train", [0, 1]))[2]
    assert criterion.pretext_weights == {"alpha_ratio": 0.4, "f0": 0.6, "log_mel": 1.0}
    assert log["loss"] > 0
    assert "_pretext_log_mel_sum" in log


@pytest.fixture(scope="module")
def recipe_dir(tmp_path_factory):
    """The recipe as published, for a store that lacks mfcc."""
    from ptsel_fairseq.base.weights_file import write_into_recipe

    folder = tmp_path_factory.mktemp("recipe")
    file = folder / "tiny_multitask.yaml"
    text = (ROOT / "configs" / "pretraining" / "tiny_multitask.yaml").read_text()
    file.write_text(text.replace("{log_mel: 1.0, mfcc: 1.0}", "{log_mel: 1.0}"))
    write_into_recipe(file, LAMBDAS, {"method": "manual"})
    return folder


@pytest.mark.slow
def test_two_workers_agree_and_log_the_mean_over_all_frames(recipe_dir, data_dir, store_dir, tmp_path):
    few = {"optimization.max_update": 2, "dataset.validate_interval_updates": 2}
    words = arguments(recipe_dir, data_dir, store_dir, tmp_path / "run", recipe="tiny_multitask", **few)
    train(words, tmp_path / "record", processes=2)
    first, second = (read(tmp_path / f"record.{rank}") for rank in (0, 1))
    for update in (1, 2):
        assert first[update]["parameters"] == second[update]["parameters"]
        seen = first[update]["seen"] + second[update]["seen"]
        assert len(seen) == 4  # two micro-batches a rank
        total = {key: sum(log[key] for log in seen) for key in ("_pretext_weighted", "sample_size")}
        expected = total["_pretext_weighted"] / total["sample_size"]
        assert first[update]["logged"]["loss"] == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_the_chain_from_multitask_pretraining_to_fine_tuned_letters(
    recipe_dir, data_dir, store_dir, tmp_path
):
    """Pretrain, keep the best by validation, export, load and fine-tune where this package cannot be imported."""
    from fairseq.models.wav2vec.wav2vec2 import Wav2Vec2Config, Wav2Vec2Model

    from ptsel_fairseq.run_figures import plot_command
    from ptsel_fairseq.runs import read_run

    run = tmp_path / "run"
    train(arguments(recipe_dir, data_dir, store_dir, run, recipe="tiny_multitask"), tmp_path / "record")
    logged = read_run(run)
    assert len(logged.series("valid", "skill_log_mel")[1]) == len(logged.series("valid", "loss")[1]) >= 2
    assert "accuracy" not in logged.keys("valid")
    best = torch.load(run / "checkpoint_best.pt")["extra_state"]["best"]
    assert best == pytest.approx(min(logged.series("valid", "loss")[1]), abs=1e-3)
    plot_command([run], tmp_path / "run.png")
    assert (tmp_path / "run.png").stat().st_size > 10_000

    stock = tmp_path / "stock.pt"
    done = ptsel("export", run / "checkpoint_best.pt", "--out", stock)
    assert done.returncode == 0, done.stderr
    state = torch.load(stock, weights_only=True)
    settings = {key: value for key, value in state["cfg"]["model"].items() if key != "_name"}
    model = Wav2Vec2Model(OmegaConf.merge(OmegaConf.structured(Wav2Vec2Config), settings))
    model.load_state_dict(state["model"], strict=True)  # what only the contrastive loss needs is there too

    data, tuned = english_words(tmp_path / "english"), tmp_path / "tuned"
    done = without_plugin(
        "from fairseq_cli.hydra_train import cli_main\ncli_main()\n",
        "--config-dir", ROOT / "configs" / "finetuning", "--config-name", "tiny", f"task.data={data}",
        f"model.w2v_path={stock}", f"checkpoint.save_dir={tuned}", f"hydra.run.dir={tuned}",
        "optimization.max_update=4", "dataset.num_workers=0",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    rates = read_run(tuned).series("valid", "uer")[1]
    assert rates
    assert all(math.isfinite(rate) for rate in rates)
    carried = torch.load(tuned / "checkpoint_last.pt", weights_only=False)["model"]
    name = "encoder.layers.0.self_attn.k_proj.weight"
    moved = (carried[f"w2v_encoder.w2v_model.{name}"] - torch.load(stock)["model"][name]).abs().max()
    assert 0 < moved < 0.05  # what was fine-tuned is what was pretrained
    shutil.rmtree(tuned)
