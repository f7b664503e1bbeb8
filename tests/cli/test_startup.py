"""Commands that need no large library import none, so that they answer at once."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from conftest import ASTERISK

LARGE = {
    "torch",
    "scipy.stats",
    "librosa",
    "numba",
    "sklearn",
    "matplotlib.pyplot",
    "transformers",
    "fairseq",
}
PROGRAM = """
import json, sys
from ptsel_fairseq.cli.program import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    if ended.code:
        raise
print()
print(json.dumps(sorted(sys.modules)))
"""


def imported_by(*arguments: object) -> set[str]:
    """Every module that a process has imported once it has run a command."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",), ("extract", "--help"), ("score", "--help"), ("labels",), ("labels", "f0", "zaiem_speech"),
        ("check", str(ASTERISK), "--headers-only"), ("recipe",), ("recipe", "pretraining/tiny"), ("classes", "--help"),
    ],
    ids=lambda words: " ".join(words[:2]).replace(str(ASTERISK), "DATA"),
)  # fmt: skip
def test_a_command_that_computes_nothing_imports_nothing_large(arguments):
    found = imported_by(*arguments)
    assert not found & LARGE
    assert not found & {"scipy", "matplotlib"}


@pytest.mark.slow
def test_weights_from_scores_need_no_torch(data_dir, store_dir, tmp_path):
    classes = ASTERISK / "classes" / "voice.tsv"
    settings = ("--permutations", 20, "--bootstrap", 20, "--jobs", 1)
    found = imported_by(
        "score", data_dir, "--store", store_dir, "--classes", classes, "--out", tmp_path / "scores", *settings
    )
    assert not found & (LARGE - {"librosa", "numba"})
    for method in ("direct", "group"):
        out = tmp_path / f"{method}.yaml"
        found = imported_by("select", tmp_path / "scores", "--method", method, "--out", out)
        assert not found & LARGE, method
        assert out.exists()
