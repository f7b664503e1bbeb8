"""Codes of a user that are named as torch's attributes are: from the files to the checkpoint and the log."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from plugin_tools import batch_of, build, recipe, run
from test_criterion import reduced

from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.labels import LabelStore, make_codes

# `keys` as torch's attribute; the others could be taken for each other's logs.
NAMES = ("keys", "type", "x", "x_hits", "x_of_constant")


@pytest.fixture(scope="module")
def named_store(data_dir, store_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("named")
    store = shutil.copytree(store_dir, folder / "store")
    rng = np.random.default_rng(1)
    for split in ("train", "valid"):
        reader = LabelStore(store, split)
        lines = [
            " ".join(map(str, rng.integers(5, size=reader.num_frames(utterance.index))))
            for utterance in read_manifest(data_dir / f"{split}.tsv")
        ]
        (folder / f"{split}.km").write_text("\n".join(lines) + "\n")
    for name in NAMES:
        make_codes(data_dir, name, store, file=folder, codes=5)
    return store


def test_they_train_are_logged_apart_and_are_loaded_again(data_dir, named_store):
    cfg = recipe(data_dir, named_store, weights=dict.fromkeys(NAMES, 0.2))
    task, model, criterion = build(cfg)
    task.load_dataset("train")
    _, _, log = run(model, criterion, batch_of(task, "train", [0, 1, 2]))
    logged = reduced([log])
    frames = {int(log[f"_pretext_{name}_frames"]) for name in NAMES}
    assert len(frames) == 1
    hits = {name: float(log[f"_hits_{name}"]) for name in NAMES}
    assert len(set(hits.values())) > 1
    for name in NAMES:
        assert logged[f"accuracy_{name}"] == pytest.approx(hits[name] / frames.copy().pop(), abs=1e-4)
        assert {f"skill_{name}", f"pretext_{name}"} <= set(logged)
    again = build(cfg, seed=5)[1]
    state = model.state_dict()
    assert "pretext_heads.by_label.keys.weight" in state
    again.upgrade_state_dict_named(state, "")
    again.load_state_dict(state)
    assert torch.equal(
        again.pretext_heads.by_label["keys"].weight, model.pretext_heads.by_label["keys"].weight
    )
