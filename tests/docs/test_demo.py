"""`make demo` with fewer updates and folds: the whole road, its tables and its pictures."""

from __future__ import annotations

import re

import pytest
from conftest import ROOT, run_command

pytest.importorskip("fairseq", reason="the demo trains")
pytestmark = pytest.mark.slow


def test_the_demo_goes_the_whole_road_and_a_second_run_repeats_nothing(tmp_path):
    command = (
        "python",
        ROOT / "examples" / "demo" / "demo.py",
        "--out",
        tmp_path,
        "--pretrain-updates",
        "20",
        "--folds",
        "3",
    )
    done = run_command(*command)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    table = (tmp_path / "table.txt").read_text()
    for row in ("f0", "mfcc", "contrastive loss", "s each", "3 folds"):
        assert row in table
    accuracies = [float(number) for number in re.findall(r"accuracy +([\d.]+) %", table)]
    assert len(accuracies) == 4
    assert min(accuracies) > 10  # guessing the most frequent of 38 phones reaches about 8 %
    assert table.strip() in done.stdout
    for picture in ("ci/scores.png", "weights.png", "losses.png", "utterance.png", "probe/comparison.png"):
        assert (tmp_path / picture).stat().st_size > 10_000
    assert str(tmp_path) in done.stdout.strip().splitlines()[-1]

    before = (tmp_path / "pretrain" / "checkpoint_last.pt").stat().st_mtime_ns
    again = run_command(*command)
    assert again.returncode == 0, again.stderr[-3000:]
    assert again.stdout.count("(done before)") == again.stdout.count("\n== ")
    assert (tmp_path / "pretrain" / "checkpoint_last.pt").stat().st_mtime_ns == before
