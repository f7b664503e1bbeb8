"""Real training runs on a CPU: one process, two processes, stopped and resumed, exported and fine-tuned."""

from __future__ import annotations

import argparse
import math
import re

import numpy as np
import pytest
import torch
from conftest import ROOT
from fairseq_tools import ptsel
from omegaconf import OmegaConf
from training_tools import (
    UPDATES,
    arguments,
    english_words,
    finish,
    model_of,
    read,
    start,
    tiny_at_half_width,
    torchrun,
    train,
    without_plugin,
)

pytest.importorskip("fairseq", reason="training needs the extra [fairseq]")
pytestmark = pytest.mark.slow

BALANCED = {"criterion.pretext_balancing": "gradnorm"}  # its state too must be alike, saved and found again


@pytest.fixture(scope="session")
def recipe_dir(tmp_path_factory, store_dir):
    """The tiny recipe at half its width, with weights as `ptsel select` writes them."""
    from ptsel_fairseq.base.weights_file import write_into_recipe

    folder = tmp_path_factory.mktemp("recipe")
    OmegaConf.save(tiny_at_half_width(), folder / "tiny.yaml")
    weights = {"alpha_ratio": 0.5, "f0": 0.3, "log_mel": 0.2, "zcr": 0.0}
    write_into_recipe(folder / "tiny.yaml", weights, {"method": "manual"})
    return folder


@pytest.fixture(scope="session")
def trained(recipe_dir, data_dir, store_dir, tmp_path_factory):
    """A finished run in one process: its folder and its record."""
    run = tmp_path_factory.mktemp("run")
    train(arguments(recipe_dir, data_dir, store_dir, run), run / "record")
    return run


def test_a_run_logs_each_pretext_loss_by_name(trained):
    from ptsel_fairseq.runs import read_run

    run = read_run(trained)
    for label in ("alpha_ratio", "f0", "log_mel"):
        for kind in ("train_inner", "valid"):
            updates, values = run.series(kind, f"pretext_{label}")
            assert updates
            assert all(0 < value < 5 for value in values)
    assert "pretext_zcr" not in run.keys("train_inner")
    assert run.updates_and_seconds()[0] == UPDATES


@pytest.mark.parametrize(
    "settings",
    [
        {"common.bf16": "true"},
        # What fairseq can do of fp16 without a GPU: an overflow, which the usual loss scale begins with, needs one.
        {"common.fp16": "true", "common.fp16_no_flatten_grads": "true", "common.fp16_init_scale": 2},
    ],
    ids=["bf16", "fp16"],
)
def test_training_in_half_precision_stays_near_float32(
    recipe_dir, data_dir, store_dir, trained, tmp_path, settings
):
    train(arguments(recipe_dir, data_dir, store_dir, tmp_path / "run", **settings), tmp_path / "record")
    exact, half = read(trained / "record"), read(tmp_path / "record")
    assert sorted(half) == sorted(exact)
    for update, record in half.items():
        for label in ("alpha_ratio", "f0", "log_mel"):
            expected = exact[update]["logged"][f"pretext_{label}"]
            assert record["logged"][f"pretext_{label}"] == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(("processes", "signal"), [(1, "SIGTERM"), (1, "SIGINT"), (2, "SIGUSR1")])
def test_killed_and_asked_to_stop_at_random_it_ends_as_if_never_stopped(
    recipe_dir, data_dir, store_dir, tmp_path, request, processes, signal
):
    rng = np.random.default_rng(processes)
    dies = int(rng.integers(2, UPDATES - 1))  # before this update, on all ranks
    asked = int(rng.integers(dies, UPDATES - 1))  # after this one, on the first rank
    run, record = tmp_path / "run", tmp_path / "record"
    words = arguments(recipe_dir, data_dir, store_dir, run, **(BALANCED if processes == 2 else {}))
    first = record if processes == 1 else record.with_suffix(".0")
    train(words, record, processes, die_before=dies)
    assert max(read(first)) == dies - 1
    train(words, record, processes, signal_after=f"{asked}:{signal}")
    last = max(read(first))
    assert last in (asked, asked + 1)  # the update after the signal, or the validation if one comes before it
    log = (run / "hydra_train.log").read_text()
    assert f"{signal}: a checkpoint is written after the next update, then training ends" in log
    assert torch.load(run / "checkpoint_last.pt")["optimizer_history"][-1]["num_updates"] == last
    train(words, record, processes)
    if processes == 1:
        whole = read(request.getfixturevalue("trained") / "record")
    else:
        whole = request.getfixturevalue("two_processes")[0]
    stopped = read(first)
    assert sorted(stopped) == sorted(whole)
    assert all(stopped[update]["parameters"] == whole[update]["parameters"] for update in whole)
    if processes == 1:  # once more, as a batch system's jobs that were left over
        checkpoint = (run / "checkpoint_last.pt").read_bytes()
        train(words, record)
        assert sorted(read(record)) == sorted(whole)
        assert (run / "checkpoint_last.pt").read_bytes() == checkpoint
        assert "the training has ended before, at update 8 of 8" in (run / "hydra_train.log").read_text()


def test_a_cut_off_checkpoint_is_replaced_and_data_loaders_outlive_the_signal(
    recipe_dir, data_dir, store_dir, tmp_path, trained
):
    """A batch system sends the signal to every process of a job."""
    run, record = tmp_path / "run", tmp_path / "record"
    words = arguments(recipe_dir, data_dir, store_dir, run, **{"dataset.num_workers": 2})
    train(words, record, signal_after="4:SIGTERM,all")  # validation after update 4 tells all ranks
    assert max(read(record)) == 4
    last = run / "checkpoint_last.pt"
    last.write_bytes(last.read_bytes()[:-5000])
    train(words, record)
    log = (run / "hydra_train.log").read_text()
    assert "checkpoint_last.pt.damaged is cut off: training goes on from" in log
    assert (run / "checkpoint_last.pt.damaged").exists()
    resumed, whole = read(record), read(trained / "record")
    assert resumed[UPDATES]["parameters"] == whole[UPDATES]["parameters"]


@pytest.fixture(scope="session")
def two_processes(recipe_dir, data_dir, store_dir, tmp_path_factory):
    """The records of both ranks of a run with a balancing rule."""
    folder = tmp_path_factory.mktemp("two")
    words = arguments(recipe_dir, data_dir, store_dir, folder / "run", **BALANCED)
    train(words, folder / "record", processes=2)
    return [read(folder / f"record.{rank}") for rank in (0, 1)]


def test_two_processes_keep_the_same_parameters(two_processes):
    first, second = two_processes
    assert sorted(first) == sorted(second) == list(range(1, UPDATES + 1))
    for update in first:
        assert first[update]["parameters"] == second[update]["parameters"]
        assert first[update]["seen"] != second[update]["seen"]  # each rank has its own batches
        weights = [
            rank[update]["logged"]["weight_f0"] for rank in two_processes
        ]  # the digest holds the rule's state
        assert weights[0] == weights[1]
    assert len({first[update]["parameters"] for update in first}) == UPDATES
    assert len({first[update]["logged"]["weight_f0"] for update in first}) == UPDATES


def test_torchrun_and_c10d_train_the_same_model(recipe_dir, data_dir, store_dir, tmp_path, two_processes):
    """Gradient accumulation included; legacy_ddp adds the same gradients in another way."""
    settings = {**BALANCED, "distributed_training.ddp_backend": "c10d"}
    torchrun(arguments(recipe_dir, data_dir, store_dir, tmp_path / "run", **settings), tmp_path / "record", 2)
    for rank in (0, 1):
        record = read(tmp_path / f"record.{rank}")
        assert sorted(record) == sorted(two_processes[rank])
        for update, line in record.items():
            assert line["parameters"] == two_processes[rank][update]["parameters"]


def test_two_processes_log_the_weighted_mean_of_what_they_saw(two_processes):
    first, second = two_processes
    for update in first:
        seen = first[update]["seen"] + second[update]["seen"]
        assert len(seen) in (2, 4)  # two ranks with two micro-batches, with one at the end of an epoch
        total = {key: sum(log[key] for log in seen) for key in seen[0]}
        for logged in (first[update]["logged"], second[update]["logged"]):
            for label in ("alpha_ratio", "f0", "log_mel"):
                mean = total[f"_pretext_{label}_sum"] / total[f"_pretext_{label}_frames"]
                assert logged[f"pretext_{label}"] == pytest.approx(mean, abs=2e-4)
            assert logged["loss"] == pytest.approx(
                total["loss"] / total["sample_size"] / math.log(2), abs=2e-3
            )
            assert logged["temp"] == pytest.approx(total["temp"] / len(seen), abs=2e-3)
            assert logged["code_perplexity"] == pytest.approx(total["code_perplexity"] / len(seen), abs=2e-3)
            assert logged["accuracy"] == pytest.approx(total["correct"] / total["count"], abs=1e-4)


@pytest.fixture(scope="session")
def exported(trained, tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / "stock.pt"
    done = ptsel("export", trained / "checkpoint_last.pt", "--out", out)
    assert done.returncode == 0, done.stderr
    return out


def test_the_export_holds_what_stock_holds(exported, trained):
    from fairseq.models.wav2vec.wav2vec2 import Wav2Vec2Config, Wav2Vec2Model
    from omegaconf import OmegaConf

    state = torch.load(exported, weights_only=True)
    assert [state["cfg"][part]["_name"] for part in ("task", "model", "criterion")] == [
        "audio_pretraining",
        "wav2vec2",
        "wav2vec",
    ]
    stock_fields = {k: v for k, v in state["cfg"]["model"].items() if k != "_name"}
    model = Wav2Vec2Model(OmegaConf.merge(OmegaConf.structured(Wav2Vec2Config), stock_fields))
    model.load_state_dict(state["model"], strict=True)
    ours = model_of(trained)
    assert all(torch.equal(value, ours[name]) for name, value in state["model"].items())


def test_stock_fairseq_loads_fine_tunes_and_loads_again(exported, tmp_path):
    load = (
        "from fairseq import checkpoint_utils\n"
        "models, cfg, task = checkpoint_utils.load_model_ensemble_and_task([sys.argv[1]])\n"
        "print(type(models[0]).__name__, type(task).__name__)\n"
    )
    loaded = without_plugin(load, exported)
    assert loaded.returncode == 0, loaded.stderr[-2000:]
    assert loaded.stdout.split() == ["Wav2Vec2Model", "AudioPretrainingTask"]

    data = english_words(tmp_path / "english")
    run = tmp_path / "finetune"
    tuned = without_plugin(
        "from fairseq_cli.hydra_train import cli_main\ncli_main()\n",
        "--config-dir", ROOT / "configs" / "finetuning", "--config-name", "tiny", f"task.data={data}",
        f"model.w2v_path={exported}", f"checkpoint.save_dir={run}", f"hydra.run.dir={run}",
        "optimization.max_update=4", "dataset.num_workers=0",
    )  # fmt: skip
    assert tuned.returncode == 0, tuned.stdout[-3000:] + tuned.stderr[-3000:]

    from ptsel_fairseq.runs import read_run

    assert read_run(run).series("valid", "uer")[1]
    again = without_plugin(load, run / "checkpoint_last.pt", TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD="1")
    assert again.returncode == 0, again.stderr[-2000:]
    assert again.stdout.split() == ["Wav2VecCtc", "AudioFinetuningTask"]


def in_the_layout_of_2020(exported, out):
    """The checkpoint as fairseq wrote it when the published ones were made: a command line in place of a config."""
    state = torch.load(exported, weights_only=True)
    settings = {}
    for section in (
        "common",
        "checkpoint",
        "optimization",
        "optimizer",
        "lr_scheduler",
        "task",
        "model",
        "criterion",
    ):
        settings.update({key: value for key, value in state["cfg"][section].items() if key != "_name"})
    names = {"arch": "wav2vec2", "task": "audio_pretraining", "criterion": "wav2vec", "optimizer": "adam"}
    settings |= names | {"lr_scheduler": "polynomial_decay"}
    history = [{**entry, "best_loss": 1.0} for entry in state["optimizer_history"]]
    older = {"args": argparse.Namespace(**settings), "model": state["model"], "optimizer_history": history}
    torch.save({**older, "extra_state": {"train_iterator": {"epoch": 5}}, "last_optimizer_state": None}, out)
    return out


@pytest.mark.parametrize("layout", ["now", "2020"])
def test_a_stock_checkpoint_is_continued_with_new_heads(
    exported, recipe_dir, data_dir, store_dir, tmp_path, layout
):
    record = tmp_path / "record"
    published = exported if layout == "now" else in_the_layout_of_2020(exported, tmp_path / "published.pt")
    words = arguments(
        recipe_dir, data_dir, store_dir, tmp_path / "run", **{"checkpoint.finetune_from_model": published}
    )
    training = start([*words, "optimization.max_update=3"], record, TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD="1")
    (output,) = finish(training)
    assert "6 started afresh" in output  # weight and bias of three heads
    stock = torch.load(exported, weights_only=True)["model"]
    continued = model_of(tmp_path / "run")
    moved = max(
        (continued[name] - value).abs().max().item()
        for name, value in stock.items()
        if value.is_floating_point()
    )
    assert 0 < moved < 0.05  # a few updates away from the checkpoint, not from a fresh model


def test_the_heads_learn_at_the_rate_that_the_docs_give_them(recipe_dir, data_dir, store_dir, tmp_path):
    from ptsel_fairseq.runs import read_run

    text = (ROOT / "docs" / "training.md").read_text()
    block = re.search(r"```yaml\n(optimizer:.*?)```", text, re.S)[1]
    recipe = (recipe_dir / "tiny.yaml").read_text()
    before, after = re.search(r"(.*)^optimizer:.*?(^model:.*)", recipe, re.S | re.M).groups()
    (tmp_path / "tiny.yaml").write_text(before + block + "\n" + after)
    few = {"optimization.max_update": 2, "common.bf16": "true", "common.fp16_no_flatten_grads": "true"}
    words = arguments(tmp_path, data_dir, store_dir, tmp_path / "run", **few)
    train([word for word in words if "warmup" not in word], tmp_path / "record")
    run = read_run(tmp_path / "run")
    assert run.series("train_inner", "lr_default")[1][-1] == pytest.approx(2 * 0.0005 / 32000, rel=0.01)
    assert run.series("train_inner", "lr_pretext")[1][-1] == pytest.approx(2 * 0.002 / 1000, rel=0.01)
    state = torch.load(tmp_path / "run" / "checkpoint_last.pt")["last_optimizer_state"]
    assert len(state["pretext"]["state"]) == 6  # weight and bias of three heads
    assert len(state["default"]["state"]) > 60


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"criterion.pretext_weights": {"pitch": 1.0}}, "no label pitch in the store"),
        ({"criterion.pretext_weights": {"f0": 0.5}}, "found the sum 0.5"),
        ({"criterion.pretext_weights": {"f0": 1.5, "zcr": -0.5}}, "at least 0 for zcr"),
        ({"task.data": "/nowhere"}, "task.data: expected the folder"),
        ({"task.store": "/nowhere"}, "/nowhere/train: expected a label store"),
        ({"task.num_batch_buckets": 3}, "task.num_batch_buckets: 3 is not supported"),
    ],
)
def test_a_run_that_cannot_work_ends_at_its_start_with_one_line(
    recipe_dir, data_dir, store_dir, tmp_path, changed, message
):
    recipe = OmegaConf.load(recipe_dir / "tiny.yaml")
    recipe.task.data, recipe.task.store = str(data_dir), str(store_dir)
    for key, value in changed.items():
        OmegaConf.update(recipe, key, value, merge=False)
    OmegaConf.save(recipe, tmp_path / "bad.yaml")
    training = start(
        ["--config-dir", str(tmp_path), "--config-name", "bad", f"hydra.run.dir={tmp_path}",
         f"checkpoint.save_dir={tmp_path}", f"common.user_dir={ROOT / 'ptsel_fairseq'}"],
        tmp_path / "record",
    )  # fmt: skip
    (output,) = finish(training, code=2)
    assert message in output
    assert "Traceback" not in output


def test_export_refuses_what_it_cannot_export(exported, tmp_path):
    stock = ptsel("export", exported, "--out", tmp_path / "again.pt")
    assert stock.returncode == 2
    assert "it is stock already" in stock.stderr
    (tmp_path / "broken.pt").write_bytes(exported.read_bytes()[:1000])
    broken = ptsel("export", tmp_path / "broken.pt", "--out", tmp_path / "out.pt")
    assert broken.returncode == 2
    assert "cannot be read" in broken.stderr
    assert not (tmp_path / "out.pt").exists()
    missing = ptsel("export", tmp_path / "absent.pt", "--out", tmp_path / "out.pt")
    assert missing.returncode == 2
