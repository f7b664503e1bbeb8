"""examples/label_study on miniatures of its corpora: every stage, and a second run that computes nothing again."""

from __future__ import annotations

import csv
import shutil

import pytest
from conftest import ASTERISK, ROOT, run_command
from corpus_tools import write

DRIVER = ROOT / "examples" / "label_study" / "run.py"
LANGUAGES = {"en": "en_US", "es": "es_MX", "fr": "fr_CA", "it": "it_IT", "ru": "ru_RU"}


def bundled(language: str) -> list[tuple[str, str]]:
    """Name and samples of the bundled clips of a language."""
    rows = [
        line
        for split in ("train", "valid")
        for line in (ASTERISK / f"{split}.tsv").read_text().splitlines()[1:]
    ]
    found = [
        line.removeprefix(f"{language}/").split("\t") for line in rows if line.startswith(f"{language}/")
    ]
    return [(name, samples) for name, samples in found]


def place(root, folder: str, clips, splits: str, classes: dict[str, list[str]], name_of=lambda i, name: name):
    """Copy clips below ``root/folder/audio`` with manifests and class files as `ptsel fetch` writes them."""
    corpus = root / folder.split("/")[0]
    rows = []
    for i, (language, name, samples) in enumerate(clips):
        path = name_of(i, name)
        target = corpus / "audio" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ASTERISK / "audio" / language / name, target)
        rows.append(f"{path}\t{samples}")
    out = root / folder
    for number, split in enumerate(splits.split()):
        write(out / f"{split}.tsv", str(corpus / "audio"), *rows[number :: len(splits.split())])
    for kind, names in classes.items():
        lines = [f"{row.split(chr(9))[0]}\t{names[i % len(names)]}" for i, row in enumerate(rows)]
        write(corpus / "classes" / f"{kind}.tsv", "path\tclass", *lines)
    write(corpus / "report.md", "a miniature")


@pytest.fixture
def corpora(tmp_path):
    """The bundled clips in the folders that `ptsel fetch` makes of the six corpora, and their bundled alignment."""
    root = tmp_path / "corpora"
    english = [("en", *clip) for clip in bundled("en")]
    for language, voice in LANGUAGES.items():
        clips = [(language, *clip) for clip in bundled(language)[:12]]
        place(root, f"asterisk/{language}", clips, "train valid test", {},
              lambda i, name, voice=voice: f"sounds/{voice}_f/{name}")  # fmt: skip
    speech = english[12:44]
    place(root, "amazon-queen", speech, "train valid test",
          {"character_sure": ["BOB", "SPARKY"], "sentence": ["question", "statement", "statement"]})  # fmt: skip
    place(root, "fish-fillets/cs", speech[:24], "train valid test",
          {"role_cs": ["big", "small"], "sentence_cs": ["statement", "statement", "question"]},
          lambda i, name: f"sound/cs/{i}{name}")  # fmt: skip
    place(root, "fish-fillets/nl", speech[:12], "train valid test", {}, lambda i, name: f"sound/nl/{i}{name}")
    place(root, "polish-emotions", english[44:64], "train valid test", {"emotion": ["anger", "fear"]},
          lambda i, name: f"m1.a_nie_{i}_{1 + i // 2 % 5}.ogg")  # fmt: skip
    notes = [("en", *clip) for clip in bundled("en")[40:84]]
    place(
        root,
        "tonejs",
        notes,
        "train valid test",
        {"instrument": ["cello", "harp"], "note": ["A4", "Cs5"]},
    )
    place(root, "fluidr3mono", notes, "train other", {"instrument": ["oboe", "harp"]})
    for kind in ("phone", "word"):
        rows = (ASTERISK / "classes" / f"{kind}.tsv").read_text().splitlines()
        lines = [row.replace("en/", "sounds/en_US_f/", 1) for row in rows[1:]]
        write(tmp_path / "out" / "aligned" / f"{kind}.tsv", rows[0], *lines)
    return root


def rows_of(file):
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.slow
def test_from_corpora_to_a_page_and_nothing_twice(corpora, tmp_path):
    out, page = tmp_path / "out", tmp_path / "docs" / "study.md"
    page.parent.mkdir()
    shutil.copy(ROOT / "docs" / "study.md", page)
    words = ("python", DRIVER, "--tiny", "--out", out, "--corpora", corpora, "--seeds", 1, "--page", page)
    done = run_command(*words)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    results = out / "results"
    second = rows_of(results / "tier2.csv")
    assert {row["task"] for row in second} >= {
        "phones",
        "characters",
        "language",
        "emotion",
        "question",
        "instruments",
    }
    for row in second:
        assert 0 <= float(row["accuracy"]) <= 1
        assert (row["kind"], row["features"]) != ("single", "joined")
    seeds = {
        (row["pool"], row["model"], row["seed"]) for row in second if row["kind"] in ("single", "random")
    }
    assert len(seeds) == 2 * (10 + 1)  # pools, labels and the random encoder
    for row in rows_of(results / "lambda.csv"):
        assert 0 < float(row["weight"]) <= 1
    scores = rows_of(results / "scores.csv")
    assert {row["estimator"] for row in scores} >= {"reference", "cka", "relevance", "logme", "lee", "probe"}
    assert {row["better"] for row in scores if row["estimator"] in ("cka", "hsic", "reference", "lee")} == {
        "lower"
    }
    assert "| 2 | single | speech | 10 |" in page.read_text()
    assert (page.parent / "study_gains.png").stat().st_size > 1000
    before = {file: file.read_bytes() for file in results.glob("*.csv")}
    again = run_command(*words)
    assert again.returncode == 0, again.stderr[-3000:]
    assert {file: file.read_bytes() for file in results.glob("*.csv")} == before
    assert " rows, " not in again.stdout


def test_a_wrong_number_of_seeds_is_told(tmp_path):
    done = run_command("python", DRIVER, "--out", tmp_path, "--seeds", 9)
    assert done.returncode == 2
    assert "--seeds: expected 1 to 3, found 9" in done.stderr
