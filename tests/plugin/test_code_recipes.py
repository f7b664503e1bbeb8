"""The recipes of codes train as published, in two processes, which agree."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import ROOT
from training_tools import arguments, read, train

from ptsel_fairseq.labels import extract, make_codes

CONFIGS = ROOT / "configs" / "pretraining"


@pytest.fixture(scope="module")
def code_store(data_dir, store_dir, tmp_path_factory) -> Path:
    store = Path(shutil.copytree(store_dir, tmp_path_factory.mktemp("codes") / "store"))
    for split in ("train", "valid"):
        extract(data_dir / f"{split}.tsv", ["mfcc", "loudness"], store)
    make_codes(data_dir, "hubert", store)
    make_codes(data_dir, "bestrq", store, random="log_mel", codes=512)
    return store


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "label"),
    [("tiny_hubert", "hubert"), ("tiny_bestrq", "bestrq"), ("tiny_codes_and_values", "hubert")],
)
def test_two_workers_agree_and_log_the_accuracy_of_all_frames(data_dir, code_store, tmp_path, recipe, label):
    few = {
        "optimization.max_update": 2,
        "dataset.validate_interval_updates": 2,
        "optimization.update_freq": "[1]",
    }
    train(arguments(CONFIGS, data_dir, code_store, tmp_path / "run", recipe, **few), tmp_path / "record", 2)
    first, second = (read(tmp_path / f"record.{rank}") for rank in (0, 1))
    for update in (1, 2):
        assert first[update]["parameters"] == second[update]["parameters"]
        seen = first[update]["seen"] + second[update]["seen"]
        hits, frames, loss, constant = (
            sum(log[key] for log in seen)
            for key in (
                f"_hits_{label}",
                *(f"_pretext_{label}_{part}" for part in ("frames", "sum", "of_constant")),
            )
        )
        logged = first[update]["logged"]
        assert logged[f"accuracy_{label}"] == pytest.approx(hits / frames, abs=1e-4)
        assert logged[f"skill_{label}"] == pytest.approx(1 - loss / constant, abs=1e-3)
        assert (logged["loss"] == logged["pretext_total"]) == (recipe != "tiny_codes_and_values")
