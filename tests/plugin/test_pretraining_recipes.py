"""Every pretraining recipe: its settings are known to fairseq, its optimizer and schedule can be built and stepped."""

from __future__ import annotations

import pytest
import torch
from conftest import ROOT
from omegaconf import OmegaConf

pytest.importorskip("fairseq", reason="the recipes need the extra [fairseq]")

from ptsel_fairseq.plugin.estimate.cost import read_recipe

RECIPES = sorted((ROOT / "configs" / "pretraining").glob("*.yaml"))


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_a_recipe_is_whole(file):
    from fairseq import optim
    from fairseq.dataclass.configs import FairseqConfig
    from fairseq.optim.lr_scheduler import build_lr_scheduler

    recipe = read_recipe(file)  # an unknown setting is refused here
    cfg = OmegaConf.structured(FairseqConfig)
    OmegaConf.set_struct(cfg, False)
    cfg.merge_with(recipe)
    assert cfg.distributed_training.ddp_backend == "legacy_ddp"
    weight = torch.nn.Parameter(torch.zeros(3))
    optimizer = optim.build_optimizer(cfg.optimizer, [weight])
    schedule = build_lr_scheduler(cfg.lr_scheduler, optimizer)
    schedule.step_begin_epoch(1)
    schedule.step_update(1)
    assert 0 < optimizer.get_lr() <= cfg.optimization.lr[0]
    weight.grad = torch.ones(3)
    optimizer.step()
    assert (weight < 0).all()
    schedule.step(1, 2.0)
    schedule.load_state_dict(schedule.state_dict())


def test_an_unknown_setting_of_a_recipe_is_refused():
    with pytest.raises(Exception, match="pretext_hads"):
        read_recipe(RECIPES[0], ["criterion.pretext_hads=3"])
