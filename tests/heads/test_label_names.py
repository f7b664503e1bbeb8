"""Labels may have any name: those of torch's attributes, names with dots, and names that look like another's logs."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.heads import PretextLoss
from ptsel_fairseq.heads.heads import ByLabel, PtselHeads
from ptsel_fairseq.heads.settings import HeadSettings
from ptsel_fairseq.labels.registry import NAME, TAKEN, check_name

ATTRIBUTES = sorted(set(dir(nn.ModuleDict())) | set(vars(nn.ModuleDict())))
ODD = ["a", "a.0", "a%2E0", "a.0.weight", "0", "%", ".", "ä ö"]
MLP = HeadSettings(type="mlp", hidden=3)


def heads_of(labels):
    torch.manual_seed(0)
    return PtselHeads({"output": 4}, labels, [2] * len(labels), [MLP] * len(labels))


@pytest.mark.parametrize("labels", [ATTRIBUTES, ODD], ids=["attributes", "odd"])
def test_a_label_of_any_name_has_a_head_that_learns_and_is_kept(labels):
    heads = heads_of(labels)
    frames = torch.randn(1, 6, 4)
    found = heads({"output": frames})
    assert list(found) == labels
    torch.stack([value.sum() for value in found.values()]).sum().backward()
    assert all(parameter.grad is not None for parameter in heads.parameters())
    state = heads.state_dict()
    assert len(state) == 5 * len(labels)  # two layers of weight and bias, and the activation's
    again = heads_of(labels)
    nn.init.zeros_(next(again.parameters()))
    again.load_state_dict(state)
    for other in (again, copy.deepcopy(heads), pickle.loads(pickle.dumps(heads)), heads.double().float()):
        for label, value in other({"output": frames}).items():
            torch.testing.assert_close(value, found[label])


def test_names_that_torch_takes_are_kept_as_torch_keeps_them():
    plain = nn.ModuleDict({"f0": nn.Linear(4, 1), "log_mel": nn.Linear(4, 2)})
    ours = ByLabel({"f0": nn.Linear(4, 1), "log_mel": nn.Linear(4, 2)})
    assert list(ours.state_dict()) == list(plain.state_dict())
    ours.load_state_dict(plain.state_dict())
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in plain.named_parameters()]
    assert len(ours) == 2
    assert list(ours) == list(plain)


def test_the_loss_of_any_trainer_has_them_too():
    labels = ["keys", "values", "items", "type", "training", "x.y"]
    pretext = PretextLoss(dict.fromkeys(labels, 1 / 6), dict.fromkeys(labels, 1), 4, balancing="gradnorm")
    batch = {"target": torch.randn(2, 5, 6), "valid": torch.ones(2, 5, 6, dtype=torch.bool)}
    pretext.begin_update()
    found = pretext(torch.randn(2, 5, 4, requires_grad=True), batch)
    found.loss.backward()
    pretext.end_update()
    assert list(found.means()) == labels


def test_names_that_mean_something_else_are_refused():
    for name in TAKEN:
        with pytest.raises(PtselError, match=f"label {name}: this is the name of .*choose another"):
            check_name(name)
    for name in filter(NAME.fullmatch, ATTRIBUTES):
        check_name(name)
