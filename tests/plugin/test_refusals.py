"""What this plugin does not run with is refused before training, in one line that says what to do."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from conftest import ASTERISK, run_command, write_manifest
from omegaconf import OmegaConf
from plugin_tools import build, recipe

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.plugin.refusals import refuse_what_cannot_be_aligned


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"common__tpu": True}, r"common\.tpu: True is not supported: TPUs.*use GPUs or a CPU"),
        (
            {"distributed_training__ddp_backend": "fully_sharded"},
            r"ddp_backend: fully_sharded is not supported.*use legacy_ddp",
        ),
        (
            {"criterion__pretext_weights": {"pitch": 1.0}},
            "no label pitch in the store, which holds alpha_ratio",
        ),
        ({"criterion__pretext_weights": {"f0": 0.7}}, "found the sum 0.7; scale them"),
        ({"task__sample_rate": 8000}, r"window 400 samples at 16000 Hz, the encoder's hop 320 .* at 8000 Hz"),
        ({"task__store": ""}, r"task\.store: expected the label store that holds"),
        ({"task__store": "relative/store"}, "expected an absolute path, found 'relative/store'"),
        ({"task__data": "/nowhere"}, r"task\.data: expected the folder with train\.tsv"),
        (
            {"model__conv_feature_layers": "[(64, 10, 5)] + [(64, 3, 2)] * 4 + [(64, 2, 2)]"},
            "the encoder's hop 160 .*extract the labels for this encoder's grid",
        ),
    ],
)
def test_a_recipe_is_refused_before_its_model_is_built(data_dir, store_dir, changed, message):
    cfg = recipe(data_dir, store_dir)
    for key, value in changed.items():
        OmegaConf.update(cfg, key.replace("__", "."), value, force_add=True, merge=False)
    with pytest.raises(PtselError, match=message) as refused:
        build(cfg)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("binarized_dataset", True, r"use a \.tsv manifest"),
        ("multi_corpus_keys", "en,de", "write one manifest for all of them"),
        ("num_batch_buckets", 5, "buckets pad the audio after the labels are cut; set it to 0"),
        ("tpu", True, "use GPUs or a CPU"),
        ("precompute_mask_config", {"mask_prob": 0.5}, "leave it out"),
    ],
)
def test_data_that_cannot_be_aligned_are_refused(setting, value, message):
    with pytest.raises(PtselError, match=rf"task\.{setting}: .* is not supported: .*{message}"):
        refuse_what_cannot_be_aligned(OmegaConf.create({setting: value}))


def test_they_are_refused_before_anything_is_loaded(data_dir, store_dir):
    task, _, _ = build(recipe(data_dir, store_dir))
    OmegaConf.update(task.cfg, "num_batch_buckets", 5)
    with pytest.raises(PtselError, match=r"task\.num_batch_buckets"):
        task.load_dataset("train")
    assert not task.datasets


def test_a_store_of_another_manifest_is_refused(data_dir, store_dir, tmp_path):
    for split, every in (("train", 4), ("valid", 3)):
        write_manifest(ASTERISK / f"{split}.tsv", tmp_path / f"{split}.tsv", every=every)
    task, _, _ = build(recipe(tmp_path, store_dir))
    with pytest.raises(PtselError, match=r"train\.tsv.*was made from a manifest.*run `ptsel extract`"):
        task.load_dataset("train")
    task.load_dataset("valid")  # the same clips as those of the store


@pytest.mark.parametrize("fault", ["infinite", "not a number", "cut off"])
def test_a_damaged_store_is_refused_by_training_and_score(data_dir, store_dir, tmp_path, fault):
    """Rather than a loss of nan or a score of nothing."""
    shutil.copytree(store_dir, tmp_path / "store")
    file = tmp_path / "store" / "train" / "f0.npy"
    values = np.load(file)
    values[len(values) // 2 :] = np.inf if fault == "infinite" else np.nan
    if fault == "cut off":
        file.write_bytes(file.read_bytes()[:-100])
    else:
        np.save(file, values)

    def train() -> None:
        task, _, _ = build(recipe(data_dir, tmp_path / "store"))
        task.load_dataset("train")
        dataset = task.dataset("train")
        dataset.collater([dataset[i] for i in range(len(dataset))])

    with pytest.raises(PtselError, match=r"f0\.npy.*(damaged|cut off|expected)"):
        train()
    done = run_command(
        "ptsel", "score", data_dir, "--store", tmp_path / "store", "--out", tmp_path / "ci",
        "--classes", ASTERISK / "classes" / "voice.tsv", "--permutations", 0,
    )  # fmt: skip
    assert done.returncode == 2
    assert "f0.npy" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "ci" / "scores.json").exists()
