"""Every benchmark runs at its smallest size and gives the figures that it is there for; nothing is timed here."""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent.parent / "benchmarks"
# The least number of figures that a benchmark gives at its smallest size, and the package it needs beyond the rest.
FIGURES = {"agreement_torch": 1, "bench_device": 3, "bench_group": 1, "bench_large_selection": 2, "bench_loading": 2,
           "bench_online": 3, "bench_selection": 2, "fuzz": 1, "power_of_test": 21}  # fmt: skip
SLOW = {
    "accuracy_of_alignment": 2, "agreement_backends": 0, "agreement_music21": 0, "agreement_opensmile": 0,
    "bench_estimate": 1,
    "bench_corpus": 3, "bench_frontend": 1,
    "bench_labels": 3, "code_recipes": 2, "bench_updates": 3,
    "bench_long": 1, "bench_music_labels": 3, "bench_startup": 5, "bench_step": 3,
    "full_disk": 1, "kill_commands": 1, "two_writers": 1,
    "kill_extraction": 1, "kill_training": 2, "learning_curves": 2, "mfcc_baselines": 6, "music_at_16_khz": 1,
    "music_meter": 1,
}  # fmt: skip
NEEDS = {"accuracy_of_alignment": "pocketsphinx"} | dict.fromkeys(
    (
        "bench_corpus",
        "bench_frontend",
        "bench_loading",
        "bench_online",
        "bench_step",
        "bench_updates",
        "code_recipes",
        "kill_training",
        "learning_curves",
    ),
    "fairseq",
)
# Their figures are faults: each must be 0.
ALL_KEPT = ("fuzz", "kill_commands", "kill_extraction", "kill_training", "two_writers")
PARTS = {
    "commands",
    "common",
    "every_command",
    "file_kinds",
    "mutations",
    "on_gpu",
    "phones",
    "table",
    "trainings",
}  # of benchmarks, none themselves


@pytest.fixture(autouse=True)
def benchmarks_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))


def test_all_benchmarks_are_run_here():
    found = {file.stem for file in FOLDER.glob("*.py")} - PARTS
    assert found == FIGURES.keys() | SLOW.keys()


@pytest.mark.parametrize(
    "name",
    [*FIGURES, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)],
)
def test_runs_at_its_smallest_size(name, tmp_path, capsys):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    file = tmp_path / "figures.json"
    figures = importlib.import_module(name).main(["--tiny", "--figures", str(file)])
    assert len(figures) >= {**FIGURES, **SLOW}[name]
    assert all(math.isfinite(figure.value) for figure in figures)
    if name in ALL_KEPT:
        assert [figure.value for figure in figures] == [0] * len(figures)
    if figures:
        said = capsys.readouterr().out
        assert all(figure.what in said for figure in figures)
        assert [entry["what"] for entry in json.loads(file.read_text())] == [
            figure.what for figure in figures
        ]


def test_the_table_has_a_row_for_each_goal_and_a_failure_is_one(capsys, monkeypatch):
    table = importlib.import_module("table")
    assert table.main(["--tiny", "--only", "bench_selection"]) == 0
    said = capsys.readouterr().out
    rows = [line for line in said.splitlines() if line.startswith("| bench_selection")]
    assert len(rows) == 2
    assert all(" at least " in row or " at most " in row for row in rows)
    monkeypatch.setitem(table.PLAN, "bench_selection", ["--no-such-option"])
    assert table.main(["--only", "bench_selection"]) == 1
    assert "| bench_selection | FAILED |" in capsys.readouterr().out


def test_what_is_timed_takes_turns():
    common = importlib.import_module("common")
    order, ticks = [], iter(range(100))
    work = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    times = common.in_turns(work, 2, clock=lambda: next(ticks))
    assert order == ["a", "b"] * 3  # the first round is not counted
    assert times == {"a": [1, 1], "b": [1, 1]}
    assert common.ratio({"a": [2.0, 6.0, 9.0], "b": [1.0, 2.0, 9.0]}, "a", "b") == 2.0


@pytest.mark.parametrize(
    ("value", "at_most", "met"), [(2, True, True), (4, True, False), (4, False, True), (2, False, False)]
)
def test_a_goal_has_a_side(value, at_most, met):
    assert importlib.import_module("common").Figure("x", value, 3, at_most).met is met


def test_waveforms_are_spread_over_the_manifest():
    common = importlib.import_module("common")
    some = common.read_waveforms(common.bundled(), 5)
    assert len(some) == 5
    assert min(map(len, some)) >= common.SHORTEST
    half_a_minute = common.read_waveforms(common.bundled(), minutes=0.5)
    assert 15 < common.seconds_of(half_a_minute) < 60
