"""Building the plugin's objects as fairseq does, without its command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf

pytest.importorskip("fairseq", reason="the plugin's tests need the extra [fairseq]")

from fairseq import tasks
from fairseq.dataclass.initialize import add_defaults
from fairseq.dataclass.utils import convert_namespace_to_omegaconf  # noqa: F401  (registers the config store)

import ptsel_fairseq.plugin  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent
NO_DROPOUT = {
    f"model__{name}": 0.0 for name in ("dropout", "attention_dropout", "dropout_input", "dropout_features")
}
WEIGHTS = {"alpha_ratio": 0.4, "f0": 0.3, "log_mel": 0.3, "zcr": 0.0}


def recipe(
    data: Path,
    store: Path | str,
    weights: dict[str, float] | None = None,
    name: str = "tiny",
    **overrides: Any,
) -> DictConfig:
    """A recipe with data, store and weights filled in; overrides as ``model__dropout=0.0``."""
    cfg = OmegaConf.load(ROOT / "configs" / "pretraining" / f"{name}.yaml")
    cfg.task.data, cfg.task.store = str(data), str(store)
    cfg.task.tpu, cfg.task.seed = False, 1
    cfg.criterion.pretext_weights = WEIGHTS if weights is None else weights
    for key, value in overrides.items():
        OmegaConf.update(cfg, key.replace("__", "."), value, force_add=True)
    add_defaults(cfg)
    return cfg


def build(cfg: DictConfig, seed: int = 0):
    """Task, model and criterion of a recipe, with the model's weights drawn from `seed`."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    task = tasks.setup_task(cfg.task)
    model = task.build_model(cfg.model)
    return task, model, task.build_criterion(cfg.criterion)


def batch_of(task, split: str, indices: list[int]) -> dict:
    dataset = task.dataset(split)
    return dataset.collater([dataset[i] for i in indices])


def run(model, criterion, batch, seed=3):
    """One training forward and backward with masks and negatives from `seed`."""
    model.train()
    model.zero_grad()
    torch.manual_seed(seed)
    np.random.seed(seed)
    loss, sample_size, log = criterion(model, batch)
    loss.backward()
    return loss.detach(), sample_size, log
