"""`benchmarks/on_gpu.sh` from the wheels to the table, on the CPU at the smallest size."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from conftest import ROOT

FOLDER = ROOT / "benchmarks"
SCRIPT = FOLDER / "on_gpu.sh"


def script(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(SCRIPT), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=3000,
        env={**os.environ, **environment},
    )


@pytest.mark.slow
def test_a_dry_run_goes_through_every_part(wheel, tmp_path):
    pytest.importorskip("fairseq")
    wheels = wheel.parent
    # The environment's own packages are this package alone; what it needs is found where this test finds it.
    done = script(
        *(
            "--wheels",
            wheels,
            "--python",
            sys.executable,
            "--out",
            tmp_path / "out",
            "--device",
            "cpu",
            "--tiny",
        ),
        PYTHONPATH=sysconfig.get_path("purelib"),
        PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    table = (tmp_path / "out" / "table.md").read_text()
    assert "FAILED" not in table
    assert table.startswith("No GPU: a dry run; ")
    rows = [line.split(" | ")[0] for line in table.splitlines()[4:]]
    parts = importlib.import_module("on_gpu").PARTS
    assert list(dict.fromkeys(rows)) == [f"| {part.name}" for part in parts]
    assert len(rows) == 1 + 4 * 3 + 3
    assert "skipped" in table.splitlines()[4]
    assert "backward" in (tmp_path / "out" / "profile.txt").read_text()


@pytest.mark.slow
def test_a_part_that_fails_or_is_late_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    on_gpu = importlib.import_module("on_gpu")
    parts = (
        on_gpu.Part("fails", ("bench_step.py", "--no-such-option"), 60),
        on_gpu.Part("is late", ("-c", "import time; time.sleep(600)"), 0.1, figures=False),
        on_gpu.Part("runs", ("-c", "print('3 passed, 1 skipped')"), 60, figures=False),
    )
    monkeypatch.setattr(on_gpu, "PARTS", parts)
    assert on_gpu.main(["--out", str(tmp_path), "--device", "cpu", "--tiny"]) == 1
    said = capsys.readouterr().out
    assert "| fails | FAILED with 2 after " in said
    assert "| is late | FAILED: not done after 1 s; is_late.txt | | | |" in said
    assert "| runs | 3 passed, 1 skipped | | | |" in said
    assert said.endswith(f"2 parts failed; {tmp_path / 'table.md'}\n")


def test_a_machine_without_a_gpu_is_told_so(tmp_path):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    done = script("--wheels", tmp_path / "none", "--python", sys.executable, "--out", tmp_path)
    assert done.returncode == 2
    assert "finds no GPU here; --device cpu --tiny is a dry run" in done.stderr


@pytest.mark.parametrize(("words", "what"), [(["--fast"], "found --fast"), (["--out"], "expected a value")])
def test_words_it_does_not_know_are_refused(words, what):
    done = script(*words)
    assert done.returncode == 2
    assert what in done.stderr


def test_its_help_is_its_head():
    said = script("--help").stdout
    assert said.startswith("Does everything work on a GPU")
    assert "--wheels" in said
    assert "set -uo" not in said


@pytest.fixture(autouse=True)
def benchmarks_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
