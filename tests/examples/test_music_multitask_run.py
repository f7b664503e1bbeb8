"""examples/music_multitask by one command from an empty folder; a second run does nothing again."""

from __future__ import annotations

import csv
import shutil

import music_miniature
import pytest
from conftest import ROOT, run_command

DRIVER = ROOT / "examples" / "music_multitask" / "run.py"


def rows_of(file):
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.slow
def test_from_an_empty_folder_to_a_page_and_nothing_twice(tmp_path):
    corpora, out, page = tmp_path / "corpora", tmp_path / "out", tmp_path / "docs" / "music.md"
    music_miniature.make(corpora)
    page.parent.mkdir()
    shutil.copy(ROOT / "docs" / "music.md", page)
    words = ("python", DRIVER, "--tiny", "--seeds", 1, "--out", out, "--corpora", corpora, "--page", page)
    done = run_command(*words)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "core-hours" in done.stdout.splitlines()[0]  # the cost comes first
    results = out / "results"
    rows = rows_of(results / "grid.csv")
    assert len({tuple(row.values())[:5] for row in rows}) == len(rows) == 6 * (3 + 15) + 2 * 3
    assert all(0 <= float(row["score"]) <= 1 for row in rows)
    assert {row["weighting"] for row in rows} >= {"none", "gradnorm", "relevance"}
    longer = rows_of(results / "longer.csv")
    assert {(row["encoder"], row["weighting"]) for row in longer} == {
        (encoder, "equal") for encoder in ("transformer", "crdnn", "cnn")
    }
    assert len(longer) == 18
    weights: dict[tuple[str, ...], float] = {}
    for row in rows_of(results / "lambda.csv"):
        key = row["task"], row["workers"], row["labels"]
        weights[key] = weights.get(key, 0.0) + float(row["weight"])
    assert all(total == pytest.approx(1, abs=1e-4) for total in weights.values())
    baselines = rows_of(results / "baselines.csv")
    pitch = {row["features"]: float(row["score"]) for row in baselines if row["task"] == "pitch_class"}
    assert pitch["chroma"] == 1  # two pitch classes, told by chroma alone
    text = page.read_text()
    assert "| 1 | 126 | 15 | 3 | 96 |" in text
    assert "Fitted to 96 rows" in text
    assert "| eight times as long |" in text
    assert (page.parent / "music_effects.png").stat().st_size > 1000
    before = {file: file.read_bytes() for file in results.glob("*.csv")}
    again = run_command(*words)
    assert again.returncode == 0, again.stderr[-3000:]
    assert {file: file.read_bytes() for file in results.glob("*.csv")} == before
    assert "s of CPU time" not in again.stdout  # which is said of every training

    # A row that was lost is made again, with the same numbers; the others stay.
    grid = results / "grid.csv"
    lines = grid.read_text().splitlines()
    lost = next(line for line in lines if line.startswith("cnn,equal,"))
    grid.write_text("\n".join(line for line in lines if line != lost) + "\n")
    third = run_command(*words)
    assert third.returncode == 0, third.stderr[-3000:]
    assert third.stdout.count(": 1 rows, ") == 1
    assert sorted(grid.read_text().splitlines()) == sorted(lines)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--seeds", 9), "--seeds: expected 1 to 2, found 9"),
        (("--minutes", -1), "--minutes: expected a number above 0, found -1"),
    ],
)
def test_wrong_settings_are_told(tmp_path, words, message):
    done = run_command("python", DRIVER, "--out", tmp_path, *words)
    assert done.returncode == 2
    assert message in done.stderr
