"""Balancing rules give the weights of version 0.1, but for how a processor rounds, and go on from its checkpoints."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ptsel_fairseq.heads.balancing import RULES, from_json

# Made by version 0.1; the file says how.
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "balancing_0_1.json").read_text())["rules"]


def update(balancing, t, rng):
    """One update of the golden file's losses and gradients."""
    losses = torch.tensor([100.0, 1.0, 7.0]) * torch.tensor([0.995, 0.98, 0.9]) ** t
    frames = torch.tensor([10.0, 12.0, 8.0])
    g = rng.standard_normal((3, 5))
    balancing.observe(losses * frames, frames, torch.tensor(g @ g.T) if balancing.of_gradients else None)
    balancing.end_update(lambda values: values)
    return balancing.weights.clone()


def test_every_rule_of_version_0_1_is_there():
    assert set(GOLDEN) <= set(RULES.names())


@pytest.mark.parametrize("name", GOLDEN)
def test_the_weights_are_those_of_version_0_1(name):
    balancing, rng = from_json(GOLDEN[name]["json"]), np.random.default_rng(3)
    for t, expected in enumerate(GOLDEN[name]["weights"]):
        torch.testing.assert_close(update(balancing, t, rng), torch.tensor(expected), rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", GOLDEN)
def test_a_checkpoint_of_version_0_1_is_continued(name):
    balancing, rng = from_json(GOLDEN[name]["json"]), np.random.default_rng(3)
    rng.standard_normal((6, 3, 5))  # of the updates before it
    saved = {key: torch.tensor(value) for key, value in GOLDEN[name]["state_after_6"].items()}
    assert set(saved) >= set(balancing.state_dict())
    balancing.load_state_dict(saved, strict=True)
    for t in range(6, 12):
        expected = torch.tensor(GOLDEN[name]["weights"][t])
        torch.testing.assert_close(update(balancing, t, rng), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", GOLDEN)
def test_a_rule_keeps_only_what_it_uses(name):
    balancing, rng = from_json(GOLDEN[name]["json"]), np.random.default_rng(3)
    before = {key: value.clone() for key, value in balancing.state_dict().items()}
    for t in range(11):
        update(balancing, t, rng)
    still = {key for key, value in balancing.state_dict().items() if torch.equal(value, before[key])}
    assert still <= ({"weights"} if name == "equal" else set())
