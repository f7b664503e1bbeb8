"""Heads, losses and balancing are torch modules that need no fairseq; the docs name what the registries hold."""

from __future__ import annotations

import re
import subprocess
import sys

from conftest import ROOT

from ptsel_fairseq import heads
from ptsel_fairseq.heads.balancing import RULES
from ptsel_fairseq.heads.loss import LOSSES
from ptsel_fairseq.heads.settings import HeadSettings

WITHOUT_FAIRSEQ = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("fairseq", "omegaconf", "hydra"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import torch
from ptsel_fairseq.heads.balancing import RULES, build_balancing, check_balancing
from ptsel_fairseq.heads.heads import PtselHeads
from ptsel_fairseq.heads.losses import pretext_errors
from ptsel_fairseq.heads.settings import read_head_settings

block = {"f0": {"type": "mlp", "loss": "smooth_l1", "grad_scale": 0.5}}
settings = read_head_settings(block, ["f0", "mfcc"], [1, 3], layer=-1, depth=2)
heads = PtselHeads({"output": 8}, ["f0", "mfcc"], [1, 3], settings)
frames = torch.randn(2, 5, 8, requires_grad=True)
output = {"pretext": heads({"output": frames}), "padding_mask": None}
sample = {"pretext": {"target": torch.randn(2, 5, 4).double(), "valid": torch.ones(2, 5, 2, dtype=torch.bool)}}
errors = pretext_errors(output, sample, heads.settings)
sum(error.loss for error in errors.values()).backward()
assert frames.grad.abs().sum() > 0
for name in RULES.names():
    build_balancing(name, check_balancing(name, {}), [0.5, 0.5])
from ptsel_fairseq.heads import PretextLoss
from ptsel_fairseq.labels import CropDataset, UpdateBatches
loss = PretextLoss({"f0": 0.5, "mfcc": 0.5}, {"f0": 1, "mfcc": 3}, 8, block)(frames, sample["pretext"]).loss
loss.backward()
sys.path.insert(0, sys.argv[1])
import pretrain
assert not any(name.split(".")[0] == "fairseq" for name in sys.modules)
"""


def test_they_work_where_fairseq_cannot_be_imported():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_FAIRSEQ, str(ROOT / "examples" / "plain_pytorch")],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


def test_every_name_of_the_face_is_there_and_documented():
    for name in heads.__all__:
        assert getattr(heads, name).__doc__, name
    assert set(heads.__all__) <= set(dir(heads))


def test_no_file_of_the_room_names_the_plugin_or_fairseq():
    for file in (ROOT / "ptsel_fairseq" / "heads").rglob("*.py"):
        found = re.findall(
            r"^\s*(?:from|import) (fairseq|omegaconf|ptsel_fairseq\.plugin)\b", file.read_text(), re.M
        )
        assert not found, file


def test_the_documentation_names_every_rule_with_its_options_and_every_loss():
    text = (ROOT / "docs" / "training.md").read_text()
    table = text[text.index("## Balancing") : text.index("## Schedule")]
    for rule in RULES.all():
        (row,) = [
            line
            for line in table.splitlines()
            if line.startswith("|") and f"`{rule.name}`" in line.split("|")[1]
        ]
        for name, option in rule.options.items():
            assert f"`{name}` {option.default:g}" in row, (rule.name, name)
    section = text[text.index("## Heads\n") : text.index("## Balancing")]
    assert all(f"`{loss}`" in section for loss in LOSSES.names())
    assert HeadSettings().loss in LOSSES.names()
