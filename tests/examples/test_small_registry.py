"""examples/small_registry on miniatures of its corpora: every step, and a second run that repeats none."""

from __future__ import annotations

import importlib
import json
import shutil

import pytest
from conftest import ASTERISK, ROOT, run_command
from corpus_tools import write

DRIVER = ROOT / "examples" / "small_registry" / "run.py"
LANGUAGES = ("en", "es", "fr", "it", "ru")


@pytest.fixture
def corpora(tmp_path):
    """The bundled clips in the folders that `ptsel fetch` makes of two corpora."""
    root = tmp_path / "corpora"
    for name in ("asterisk", "amazon-queen"):
        shutil.copytree(ASTERISK / "audio", root / name / "audio")
        write(root / name / "report.md", "a miniature")
    bundled = {
        split: (ASTERISK / f"{split}.tsv").read_text().splitlines()[1:] for split in ("train", "valid")
    }
    texts = {split: (ASTERISK / f"{split}.wrd").read_text().splitlines() for split in ("train", "valid")}
    for language in LANGUAGES:
        for split, source in (("train", "train"), ("valid", "valid"), ("test", "valid")):
            rows = [i for i, line in enumerate(bundled[source]) if line.startswith(f"{language}/")]
            out = root / "asterisk" / language
            write(out / f"{split}.tsv", str(root / "asterisk" / "audio"), *(bundled[source][i] for i in rows))
            write(out / f"{split}.wrd", *(texts[source][i] for i in rows))
            write(out / f"{split}.ltr", *(" ".join(texts[source][i].replace(" ", "|")) + " |" for i in rows))
    for split, lines in (
        ("train", bundled["train"][::3]), ("untranscribed", bundled["train"][1::9]), ("valid", bundled["valid"]),
    ):  # fmt: skip
        write(root / "amazon-queen" / f"{split}.tsv", str(root / "amazon-queen" / "audio"), *lines)
    return root


def test_the_costs_come_first_and_cost_nothing(tmp_path):
    done = run_command(
        "python", DRIVER, "--out", tmp_path / "out", "--only-costs", "--tasks", "asr", "--seeds", 2
    )
    assert done.returncode == 0, done.stderr
    assert "16 models at most, 4000 updates" in done.stdout  # none, all, and six λ, of two seeds
    assert not (tmp_path / "out").exists()


@pytest.fixture
def steps(monkeypatch):
    monkeypatch.syspath_prepend(DRIVER.parent)
    return importlib.import_module("steps")


def copy(steps, source, target, **more):
    """A step that appends a file to another one, so that a repetition shows."""
    command = ("bash", "-c", 'cat "$0" >> "$1"', str(source), str(target))
    return steps.Step("copy", command, (source,), (target,), **more)


def test_a_step_is_done_again_only_if_something_changed(steps, tmp_path, capsys):
    runner = steps.Runner(tmp_path / "out")
    write(tmp_path / "source", "one")
    step = copy(steps, tmp_path / "source", tmp_path / "target")
    runner.run(step)
    runner.run(step)
    assert (tmp_path / "target").read_text() == "one\n"
    assert (runner.number, runner.repeated) == (2, 1)
    write(tmp_path / "source", "two")
    runner.run(step)
    assert (tmp_path / "target").read_text() == "one\ntwo\n"
    (tmp_path / "target").unlink()
    runner.run(step)
    assert (tmp_path / "target").read_text() == "two\n"
    runner.forget(step)
    runner.run(step)
    assert (tmp_path / "target").read_text() == "two\ntwo\n"
    assert "== 1. copy\n$ bash -c" in capsys.readouterr().out


def test_a_moved_checkout_or_environment_repeats_nothing(steps, monkeypatch):
    def key():
        return steps.Step("train", steps.train(steps.ROOT / "a.yaml", steps.Path("/runs/1"), "x=1")).key

    before = key()
    monkeypatch.setattr(steps, "ROOT", steps.Path("/elsewhere/clone"))
    monkeypatch.setattr(steps, "BIN", steps.Path("/elsewhere/venv/bin"))
    assert key() == before
    assert steps.Step("train", steps.train(steps.ROOT / "a.yaml", steps.Path("/runs/1"), "x=2")).key != before


def test_a_training_goes_on_unless_its_input_changed(steps, tmp_path):
    runner, run = steps.Runner(tmp_path / "out"), tmp_path / "run"
    write(tmp_path / "recipe", "a")
    script = 'mkdir -p "$1"; echo >> "$1/updates"; test -e "$0.allowed"'
    step = steps.Step("train", ("bash", "-c", script, str(tmp_path / "recipe"), str(run)),
                      (tmp_path / "recipe",), (run,), training=True)  # fmt: skip
    with pytest.raises(SystemExit, match="exit code 1; its whole output is in"):
        runner.run(step)
    with pytest.raises(SystemExit):
        runner.run(step)
    assert len((run / "updates").read_text()) == 2  # it went on
    write(tmp_path / "recipe", "b")
    write(tmp_path / "recipe.allowed", "")
    runner.run(step)
    assert len((run / "updates").read_text()) == 1  # of another recipe: from the start
    assert runner.is_done(step)


@pytest.mark.slow
def test_from_corpora_to_a_table_and_nothing_twice(corpora, tmp_path):
    pytest.importorskip("fairseq")
    out = tmp_path / "out"
    words = ("python", DRIVER, "--tiny", "--out", out, "--corpora", corpora, "--tasks", "asr",
             "--methods", "none", "sparsemax", "--seeds", 1)  # fmt: skip
    done = run_command(*words)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    table = (out / "table.md").read_text()
    assert "λ of sparsemax: " in table
    assert "none − sparsemax" in table
    content = json.loads((out / "results" / "asr" / "none.json").read_text())
    assert len(content["answers"]["ids"]) == 14
    # What is pretrained on, chosen on and tested on do not meet.
    parts = {
        name: {line.split("\t")[0] for line in (out / "data" / name).read_text().splitlines()[1:]}
        for name in ("speech/train.tsv", "asr/train.tsv", "asr/test.tsv")
    }
    assert parts["asr/train.tsv"]
    assert not parts["asr/test.tsv"] & (parts["asr/train.tsv"] | parts["speech/train.tsv"])
    phones = {
        line.split("\t")[0] for line in (out / "data" / "asr" / "classes.tsv").read_text().splitlines()[1:]
    }
    assert phones
    assert not phones & parts["asr/test.tsv"]

    again = run_command(*words)
    steps = len(list((out / "done").glob("*.txt")))
    assert f"{steps} steps, {steps} of them done before" in again.stdout
