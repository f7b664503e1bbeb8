"""Every command of the README does what it says.

A comment before each block of commands says how it is run here: `run` (as it stands, with the overrides given
added to each training), `compose` (fairseq composes and shows the configuration, for machines we do not have), or
`elsewhere` with the place.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from conftest import BIN, ROOT

pytest.importorskip("fairseq", reason="the README's training commands need the extra [fairseq]")
pytestmark = pytest.mark.slow

BLOCK = re.compile(r"<!-- test: (?P<how>\w+)(?P<more>[^\n]*?) -->\n```sh\n(?P<commands>.*?)```", re.S)
PYTHON = re.compile(r"<!-- test: python -->\n```python\n(.*?)```", re.S)
SHORT = {"finetuning": "optimization.max_update=4"}


def blocks() -> list[re.Match]:
    return list(BLOCK.finditer((ROOT / "README.md").read_text()))


def shell(commands: str, work: Path) -> subprocess.CompletedProcess[str]:
    script = "set -euo pipefail\n" + commands
    return subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        env={
            **os.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "WORK": str(work),
            "PYTHONWARNINGS": "ignore",
        },
        capture_output=True,
        text=True,
        timeout=900,
    )


def test_every_block_of_commands_says_how_it_is_tested():
    text = (ROOT / "README.md").read_text()
    assert text.count("```sh\n") == len(blocks())
    assert {block["how"] for block in blocks()} <= {"run", "compose", "elsewhere"}
    for block in blocks():
        if block["how"] == "elsewhere":
            named = re.findall(r"tests/[\w/]+\.py", block["more"])
            assert named
            assert all((ROOT / name).is_file() for name in named)


def test_the_commands_run_one_after_the_other(tmp_path):
    setup = ""
    for block in blocks():
        if block["how"] != "run":
            continue
        # The first lines are what a user changes; the work folder is this test's.
        commands = re.sub(r"^WORK=.*$", f"WORK={tmp_path}", block["commands"], flags=re.M)
        setup += "".join(line + "\n" for line in commands.splitlines() if re.match(r"[A-Z]+=", line))
        override = block["more"].strip(", ")
        if override:
            commands = commands.replace("fairseq-hydra-train ", f"fairseq-hydra-train {override} ")
            # Hydra wants options before overrides.
            commands = re.sub(rf"fairseq-hydra-train {re.escape(override)} (.*?--config-name \w+)",
                              rf"fairseq-hydra-train \1 {override}", commands, flags=re.S)  # fmt: skip
        done = shell(commands, tmp_path)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for made in ("data/train.tsv", "store/train/header.json", "ci/scores.json", "ci/scores.png", "weights.yaml",
                 "pretrain/checkpoint_last.pt", "wav2vec2.pt", "finetune/checkpoint_last.pt"):  # fmt: skip
        assert (tmp_path / made).is_file(), made
    check_overlay(tmp_path)


def check_overlay(work: Path) -> None:
    """`+weights=weights`, as the README says, gives the recipe the same weights as `ptsel select --config`."""
    from ptsel_fairseq.base.weights_file import read_weights

    recipes = work / "recipes"
    (recipes / "weights").mkdir(parents=True)
    (recipes / "tiny.yaml").write_text((ROOT / "configs" / "pretraining" / "tiny.yaml").read_text())
    (recipes / "weights" / "weights.yaml").write_text((work / "weights.yaml").read_text())
    done = shell(
        f"fairseq-hydra-train --config-dir {recipes} --config-name tiny +weights=weights task.data=/d "
        "task.store=/s --cfg job",
        work,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    composed = re.search(r"  pretext_weights:\n((?:    .*\n)+)", done.stdout)[1]
    expected = {label: f"{weight:g}" for label, weight in read_weights(work / "tiny.yaml")[0].items()}
    found = {line.split(":")[0].strip(): f"{float(line.split(':')[1]):g}" for line in composed.splitlines()}
    assert found == expected


def test_commands_for_machines_we_do_not_have_compose(tmp_path):
    composed = [block for block in blocks() if block["how"] == "compose"]
    assert composed
    for block in composed:
        update_freq = re.compile(r"optimization\.update_freq='\[\d+\]'")
        commands = update_freq.sub(lambda found: f"{found[0]} --cfg job", block["commands"])
        done = shell(commands, tmp_path)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.count("_name: ptsel_wav2vec2") == commands.count("--cfg job") == 2


def test_the_python_example_runs():
    examples = PYTHON.findall((ROOT / "README.md").read_text())
    assert examples
    for example in examples:
        done = subprocess.run(
            [BIN / "python", "-W", "error", "-c", example],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        assert re.match(r"\(\d+, 1\) \d", done.stdout)


def test_no_line_is_longer_than_120_characters():
    assert not [line for line in (ROOT / "README.md").read_text().splitlines() if len(line) > 120]
