"""The example for Hugging Face: the stated loss, training, going on after a stop, two processes."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import BIN, ROOT, run_command
from example_tools import modules_of

pytest.importorskip("transformers", reason="transformers is not installed")

from ptsel_fairseq.base.weights_file import write_weights
from ptsel_fairseq.heads import PretextLoss
from ptsel_fairseq.labels import CropDataset, LabelStore

WEIGHTS = {"alpha_ratio": 0.4, "f0": 0.3, "log_mel": 0.3, "zcr": 0.0}
ACTIVE = {label: weight for label, weight in WEIGHTS.items() if weight > 0}
TINY = ROOT / "examples" / "huggingface" / "tiny.json"


@pytest.fixture(scope="module")
def example():
    with modules_of("huggingface") as modules:
        yield modules


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("weights") / "weights.yaml"
    write_weights(file, WEIGHTS, {"method": "manual"})
    return file


def calm_config(**changes) -> dict:
    """The tiny configuration without dropout."""
    config = json.loads(TINY.read_text())
    return {**config, **{key: 0.0 for key in config if "dropout" in key}, **changes}


def words(data_dir: Path, store_dir: Path, weights_file: Path, out: Path, *more: object) -> list[str]:
    given = (data_dir, "--store", store_dir, "--weights", weights_file, "--out", out, "--batch-size", 4,
             "--longest", 20_000, "--warmup", 4, *more)  # fmt: skip
    return [str(word) for word in given]


@pytest.mark.parametrize("padded", [False, True])
def test_the_loss_is_hugging_faces_and_that_of_the_heads(example, data_dir, store_dir, padded):
    from transformers import Wav2Vec2Config, Wav2Vec2ForPreTraining

    torch.manual_seed(0)
    config = Wav2Vec2Config(**calm_config())
    model = Wav2Vec2ForPreTraining(config).eval()  # the quantiser draws nothing then
    store = LabelStore(store_dir, "train")
    grid = example.headed.grid_of(config, 16_000)
    dataset = CropDataset(
        data_dir / "train.tsv", store, list(ACTIVE), seed=1, longest=20_000, padded=padded, grid=grid
    )
    batch = example.headed.MaskedBatches(dataset, config)([dataset[1, n] for n in (0, 4, 7)])
    pretext = PretextLoss(ACTIVE, dataset.dims, config.hidden_size)
    headed = example.headed.HeadedWav2Vec2(model, pretext).eval()
    found = headed(batch)
    theirs = {
        "attention_mask": batch["attention_mask"],
        "mask_time_indices": batch["mask"],
    }
    stock = model(batch["source"], **theirs, sampled_negative_indices=batch["negatives"])
    encoder = model.wav2vec2(batch["source"], **theirs).last_hidden_state
    assert encoder.shape[1] == batch["pretext"]["target"].shape[1] == batch["mask"].shape[1]
    expected = stock.loss / batch["mask"].sum() + pretext(encoder, batch["pretext"]).loss
    assert found.loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert example.headed.HeadedWav2Vec2(model, None)(batch).loss.item() == pytest.approx(
        (stock.loss / batch["mask"].sum()).item(), rel=1e-5
    )


def test_negatives_are_other_masked_frames_of_the_same_utterance(example, data_dir, store_dir):
    from transformers import Wav2Vec2Config

    config = Wav2Vec2Config(**calm_config())
    dataset = CropDataset(
        data_dir / "train.tsv", LabelStore(store_dir, "train"), [], seed=1, padded=True, longest=40_000
    )
    collate = example.headed.MaskedBatches(dataset, config)
    numbers = [0, 2, 5, 8]
    state = np.random.get_state()[1].copy()
    batch = collate([dataset[1, number] for number in numbers])
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # nobody else's draws are disturbed
    frames = batch["mask"].shape[1]
    counts = [dataset.grid.num_frames(int(n)) for n in (~batch["padding_mask"]).sum(1)]
    assert len(set(counts)) > 1
    for row, count in enumerate(counts):
        masked = set(batch["mask"][row].nonzero()[:, 0].tolist())
        assert max(masked) < count
        assert len(masked) >= config.mask_time_length
        for frame in masked:
            drawn = batch["negatives"][row, frame] - row * frames
            assert set(drawn.tolist()) <= masked - {frame}
        alone = collate([dataset[1, numbers[row]]])
        assert torch.equal(alone["mask"][0], batch["mask"][row, :count])  # whatever else is in the batch
    other = collate([dataset[2, number] for number in numbers])
    assert not torch.equal(other["mask"], batch["mask"])


def test_frames_of_the_encoder_are_those_of_the_store(example):
    from transformers import Wav2Vec2Config, Wav2Vec2ForPreTraining

    config = Wav2Vec2Config(**calm_config())
    grid = example.headed.grid_of(config, 16_000)
    assert (grid.hop, grid.window) == (320, 400)
    model = Wav2Vec2ForPreTraining(config)
    samples = torch.arange(400, 5000)
    frames = model._get_feat_extract_output_lengths(samples)
    assert frames.tolist() == [grid.num_frames(int(n)) for n in samples]


@pytest.mark.slow
def test_it_trains_on_the_bundled_speech_and_goes_on_after_a_stop(
    example, data_dir, store_dir, weights_file, tmp_path, monkeypatch
):
    from transformers import Wav2Vec2Model

    def run(out: str, *more: object) -> None:
        settings = ("--updates", 40, "--save-every", 10, "--log-every", 1, "--lr", 3e-3)
        example.pretrain.main(words(data_dir, store_dir, weights_file, tmp_path / out, *settings, *more))

    run("whole")
    lines = [json.loads(line) for line in (tmp_path / "whole" / "losses.jsonl").read_text().splitlines()]
    assert [line["updates"] for line in lines] == list(range(1, 41))
    assert all(np.isfinite(list(line.values())).all() for line in lines)
    for name in ("pretext", *(f"pretext_{label}" for label in ACTIVE)):
        assert np.mean([line[name] for line in lines[-8:]]) < np.mean([line[name] for line in lines[:8]]), (
            name
        )
    total = [line["contrastive"] + line["pretext"] for line in lines]
    assert np.mean(total[-8:]) < np.mean(total[:8]) - 0.05
    _, info = Wav2Vec2Model.from_pretrained(tmp_path / "whole" / "model", output_loading_info=True)
    assert not info["missing_keys"]

    class StoppedError(Exception):
        pass

    summary, looked = example.pretrain.summary, []

    def stop(*args):
        looked.append(args)
        if len(looked) == 17:  # between two checkpoints
            raise StoppedError
        return summary(*args)

    monkeypatch.setattr(example.pretrain, "summary", stop)
    with pytest.raises(StoppedError):
        run("stopped")
    monkeypatch.setattr(example.pretrain, "summary", summary)
    run("stopped")
    whole, stopped = (
        torch.load(tmp_path / out / "checkpoint.pt", weights_only=True) for out in ("whole", "stopped")
    )
    assert whole["model"].keys() == stopped["model"].keys()
    assert all(torch.equal(whole["model"][name], stopped["model"][name]) for name in whole["model"])
    assert (tmp_path / "whole" / "losses.jsonl").read_bytes() == (
        tmp_path / "stopped" / "losses.jsonl"
    ).read_bytes()

    with pytest.raises(SystemExit) as refused:
        run("whole", "--seed", 2)
    assert refused.value.code == 2

    run("further", "--model", tmp_path / "whole" / "model", "--updates", 1, "--log-every", 1)
    first = json.loads((tmp_path / "further" / "losses.jsonl").read_text())
    assert first["perplexity"] == pytest.approx(
        lines[-1]["perplexity"], rel=0.3
    )  # not those of an untrained model
    assert abs(lines[0]["perplexity"] / first["perplexity"] - 1) > 0.3


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["huggingface", "plain_pytorch"])
def test_the_commands_of_the_readme_run(data_dir, store_dir, weights_file, tmp_path, folder):
    (tmp_path / "data").symlink_to(data_dir)
    (tmp_path / "store").symlink_to(store_dir)
    (tmp_path / "weights.yaml").symlink_to(weights_file)
    page = (ROOT / "examples" / folder / "README.md").read_text()
    commands = re.findall(r"```sh\n(.*?)```", page, re.S)
    assert commands
    for command in commands:
        out = re.search(r'--out "\$WORK/(\w+)"', command)[1]
        short = command.rstrip() + " --updates 1 --longest 16000"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", short],
            cwd=ROOT,
            env={**os.environ, "WORK": str(tmp_path), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert (tmp_path / out / "checkpoint.pt").is_file()


@pytest.mark.slow
def test_two_processes_come_to_the_parameters_of_one(data_dir, store_dir, weights_file, tmp_path):
    """Without dropout and noise, and without the diversity of codes, which is that of each process's batch."""
    (tmp_path / "config.json").write_text(json.dumps(calm_config(diversity_loss_weight=0.0)))
    script = ROOT / "tests" / "examples" / "hugging_face_processes.py"
    heads = {
        "default": {"type": "mlp", "hidden": 16},
        "f0": {"attach": "conv"},
        "log_mel": {"frames": "masked"},
    }
    more = ("--config", tmp_path / "config.json", "--updates", 4, "--padded", "--device", "cpu",
            "--heads", json.dumps(heads), "--balancing", "uncertainty")  # fmt: skip
    done = {}
    for count in (1, 2):
        out = tmp_path / str(count)
        start = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", count)
        arguments = words(data_dir, store_dir, weights_file, out, *more)
        process = run_command("python", *start, script, *arguments)
        assert process.returncode == 0, process.stderr[-3000:]
        done[count] = torch.load(out / "checkpoint.pt", weights_only=True)["model"]
        done[f"log {count}"] = json.loads((out / "losses.jsonl").read_text().splitlines()[-1])
    assert done[1].keys() == done[2].keys()
    assert done[1]["pretext.balancing.weights"].std() > 0
    for name, value in done[1].items():
        torch.testing.assert_close(
            done[2][name], value, rtol=0, atol=3e-5, msg=lambda m, name=name: f"{name}: {m}"
        )
    # The codes' perplexity and the best constant of a skill are those of each process's batch.
    means = {name for name in done["log 1"] if name.startswith(("contrastive", "pretext"))}
    assert len(means) == 2 + len(ACTIVE)
    for name in means:
        assert done["log 2"][name] == pytest.approx(done["log 1"][name], rel=1e-4), name


@pytest.mark.parametrize(
    ("weights", "more", "message"),
    [
        ({"loudness": 1.0}, (), "no label loudness in the store"),
        ({"f0": 0.5}, (), "expected weights that sum to 1"),
        ({"f0": 1.0}, ("--heads", '{"f0": {"loss": "l3"}}'), "criterion.pretext_heads.f0.loss"),
        ({"f0": 1.0}, ("--batch-size", "1000"), "batch_size: expected at most the"),
        ({"f0": 1.0}, ("--config", "nowhere.json"), "found no file nowhere.json"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_line(
    example, data_dir, store_dir, tmp_path, capsys, weights, more, message
):
    write_weights(tmp_path / "weights.yaml", weights, {})
    with pytest.raises(SystemExit) as refused:
        example.pretrain.main(words(data_dir, store_dir, tmp_path / "weights.yaml", tmp_path / "out", *more))
    assert refused.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_tiny_configuration_is_complete(example):
    from transformers import Wav2Vec2Config

    given = json.loads(TINY.read_text())
    assert given.keys() <= Wav2Vec2Config().to_dict().keys()
