"""examples/small_registry on miniatures of its corpora: every step, and a second run that repeats none."""

from __future__ import annotations

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
    steps = len(list((out / ".ptsel-run").glob("*.done.json")))
    assert f"{steps} steps, {steps} of them done before" in again.stdout
