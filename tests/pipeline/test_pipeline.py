"""`ptsel run`: from a mixed folder to λ and a recipe by one file; what is done is not done again."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
from functools import partial

import numpy as np
import pytest
import soundfile
import yaml
from conftest import ASTERISK, ROOT
from mixed_audio import write_mixed

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.base.weights_file import read_weights
from ptsel_fairseq.cli import main
from ptsel_fairseq.cli.program import check_arguments
from ptsel_fairseq.pipeline import runner as running
from ptsel_fairseq.pipeline.road import steps_of
from ptsel_fairseq.pipeline.run import check_options, run_command
from ptsel_fairseq.pipeline.settings import EXAMPLE, as_overrides, as_words, read_settings
from ptsel_fairseq.pipeline.step import fingerprint

run_pipeline = partial(run_command, check=check_arguments)

PIPELINE = {
    "audio": "recordings",
    "convert": {"skip-bad": True, "resampler": "soxr", "valid-percent": 20},
    "classes": {"from-folders": 1},
    "extract": {"labels": ["loudness", "zcr", "alpha_ratio"]},
    "score": {"permutations": 20, "bootstrap": 20},
    "select": {"method": "direct", "support": 2},
    "recipe": "pretraining/tiny",
    "report": True,
}


def write(folder, **changes):
    values = {**PIPELINE, **changes}
    file = folder / "pipeline.yaml"
    file.write_text(yaml.safe_dump({key: value for key, value in values.items() if value is not ...}))
    return file


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A pipeline over a mixed folder, run to its end."""
    folder = tmp_path_factory.mktemp("road")
    write_mixed(folder / "recordings")
    (folder / "recordings" / "empty.wav").write_bytes(b"")
    file = write(folder)
    shown = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(shown):
        in_this_process(patch)
        run_pipeline(file)
    return file, shown.getvalue()


def test_from_a_mixed_folder_to_lambda_and_a_recipe(done):
    file, shown = done
    out = file.parent / "pipeline"
    weights, _ = read_weights(out / "weights.yaml")
    assert sum(weights.values()) == pytest.approx(1, abs=1e-3)
    assert read_weights(out / "recipe.yaml")[0] == weights
    assert (
        len(read_manifest(out / "data" / "train.tsv")) + len(read_manifest(out / "data" / "valid.tsv")) == 11
    )
    assert (out / "data" / "bad.txt").read_text() == "empty.wav\tis empty\n"
    assert "The chosen weights" in (out / "report.html").read_text()
    for step in ("convert", "classes", "check", "extract", "score", "select", "report"):
        assert f"\n== {step}\n" in shown
    commands = [shlex.split(line[2:]) for line in shown.splitlines() if line.startswith("$ ")]
    for command in commands:  # each is one that a person can type
        assert command[0] == "ptsel"
        check_arguments(command[1:], "")


def in_this_process(monkeypatch):
    """Run the commands without a process for each; the list of those that were run."""
    ran = []

    def run_one(command, base, *more):
        ran.append(command[1])
        monkeypatch.chdir(base)
        try:
            main(command[1:])
        except SystemExit as ended:
            return ended.code or 0
        return 0

    monkeypatch.setattr(running, "run_one", run_one)
    return ran


def test_a_second_run_does_nothing_and_a_changed_input_does_what_depends_on_it(done, monkeypatch, capsys):
    file, _ = done
    ran = in_this_process(monkeypatch)
    run_pipeline(file)
    assert ran == []
    assert capsys.readouterr().out.count("(done before)") == 7

    classes = file.parent / "pipeline" / "classes.tsv"
    kept = classes.read_text()
    classes.write_text(kept.replace("Zoë\n", "other\n"))
    run_pipeline(file)
    assert ran == ["check", "score", "recipe", "select", "report"]
    classes.write_text(kept)

    ran.clear()
    write(file.parent, select={"method": "naive", "support": 1})
    run_pipeline(file)
    assert ran == ["check", "score", "recipe", "select", "report"]
    weights, _ = read_weights(file.parent / "pipeline" / "recipe.yaml")
    assert sum(weight > 0 for weight in weights.values()) == 1

    ran.clear()
    run_pipeline(file, from_step="select")
    assert ran == ["recipe", "select", "report"]
    (file.parent / "pipeline" / "ci" / "scores.json").unlink()
    ran.clear()
    run_pipeline(file, dry_run=True)
    assert ran == []
    table = capsys.readouterr().out.split("$ ptsel convert")[-1]
    assert re.search(r"^score +to do$", table, re.M)
    run_pipeline(file)
    assert ran[0] == "score"


def test_a_step_that_fails_is_done_again_and_those_before_it_are_not(tmp_path, monkeypatch, capsys):
    in_this_process(monkeypatch)
    write_mixed(tmp_path / "recordings")
    file = write(tmp_path, extract={"labels": ["loudnes"]})
    with pytest.raises(
        PtselError, match="extract: ended with exit code 2; the same command goes on from here"
    ):
        run_pipeline(file)
    write(tmp_path, extract={"labels": ["loudness"]}, score=..., select=..., recipe=..., report=...)
    run_pipeline(file)
    shown = capsys.readouterr().out
    assert "everything is there" in shown
    assert shown.count("(done before)") == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"extarct": {}}, "no key 'extarct'; did you mean 'extract'"),
        ({"data": "d"}, "expected one of audio: FOLDER and data: DATA_DIR"),
        ({"extract": "f0"}, "extract: expected options such as"),
        ({"extract": {"labels": ["f0"], "lables": ["f0"]}}, "extract: .*--lables.*did you mean '--labels'"),
        ({"extract": {"labels": ["f0"], "store": "s"}}, "extract: store: is set by the pipeline"),
        ({"classes": ...}, "score: needs classes: FILE"),
        ({"values": "ages.tsv"}, "values: needs one of classes: ... and values: ..."),
        ({"classes": ..., "values": {"from-folders": 1}}, "values: needs a value file"),
        ({"check": {"values": "ages.tsv"}}, "check: values: is set by the pipeline"),
        ({"extract": ...}, "score: needs extract"),
        ({"recipe": "tiniest"}, "no recipe 'tiniest'"),
        ({"train": {}, "recipe": ...}, "train: needs select: {...} and recipe: NAME"),
        (
            {"train": {}, "recipe": "pretraining/tiny_filterbank"},
            r"takes log_mel \(model.frontend: filterbank\); .*zcr",
        ),
        ({"train": {"model.frontend": "filterbank"}}, r"train: the recipe .* takes log_mel \(model.frontend"),
        (
            {"train": {}, "recipe": "pretraining/tiny_multitask"},
            r"takes log_mel \(criterion.pretext_fixed_weights\), mf",
        ),
        ({"train": {}, "probe": {"folds": 2}}, "probe: needs folds: 3 or more, found 2"),
        ({"train": {}, "probe": {"folds": "many"}}, "probe: needs folds: 3 or more, found many"),
        ({"score": {"permutations": "many"}}, "score: argument --permutations: invalid int value"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_before_anything_is_done(changes, message, tmp_path):
    (tmp_path / "recordings").mkdir()
    file = write(tmp_path, **changes)
    with pytest.raises(PtselError, match=message):
        run_pipeline(file)
    assert not (tmp_path / "pipeline").exists()


def test_the_untrained_model_takes_the_labels_that_training_takes(tmp_path, capsys):
    """What `train` sets instead of the recipe holds for the model before its training."""
    file = write(
        tmp_path,
        recipe="pretraining/tiny_filterbank",
        train={"model.frontend": "waveform"},
        untrained=True,
    )
    run_pipeline(file, dry_run=True)
    assert capsys.readouterr().out.count("model.frontend=waveform") == 2


def test_the_whole_road_in_plain_commands(tmp_path, capsys):
    """Training, a random encoder, export, probe with folds and fine-tuning: only their commands are looked at."""
    file = write(
        tmp_path,
        audio="example-data",
        convert=...,
        classes="classes/phone.tsv",
        train={"optimization.max_update": 40, "optimization.lr": [0.001]},
        untrained=True,
        export=True,
        probe={"features": ["log_mel", "untrained", "pretrained"], "folds": 5},
        finetune={"recipe": "finetuning/tiny", "data": str(ROOT / "examples" / "asterisk" / "english")},
        decode=True,
    )
    run_pipeline(file, dry_run=True)
    shown = capsys.readouterr().out
    commands = [shlex.split(line.strip()[2:]) for line in shown.splitlines() if line.strip().startswith("$ ")]
    programs = [" ".join(words[:2]) if words[0] == "ptsel" else words[0] for words in commands]
    assert programs == [
        *(
            "ptsel example-data",
            "ptsel manifest",
            "ptsel check",
            "ptsel extract",
            "ptsel score",
            "ptsel recipe",
        ),
        *(
            "ptsel select",
            "ptsel report",
            "fairseq-hydra-train",
            "fairseq-hydra-train",
            "ptsel plot",
            "ptsel export",
        ),
        *("ptsel classes", "ptsel probe", "ptsel recipe", "fairseq-hydra-train", "ptsel decode"),
    ]
    train, untrained = [words for words in commands if words[0] == "fairseq-hydra-train"][:2]
    assert "optimization.max_update=40" in train
    assert "optimization.lr=[0.001]" in train
    assert "optimization.lr=[0.0]" in untrained
    assert "optimization.max_update=1" in untrained
    assert not (tmp_path / "pipeline").exists()


def test_a_number_is_predicted_in_place_of_a_class(data_dir, tmp_path, monkeypatch, capsys):
    """The value goes to check, score, select and probe; the label that it is made of weighs most."""
    ran = in_this_process(monkeypatch)
    utterances = [u for split in ("train", "valid") for u in read_manifest(data_dir / f"{split}.tsv")]
    root = read_manifest(data_dir / "train.tsv").root
    lines = [f"{u.path}\t{mean_zero_crossings(root / u.path)}" for u in utterances]
    (tmp_path / "values.tsv").write_text("\n".join(["path\tvalue", *lines]) + "\n")
    file = write(
        tmp_path,
        audio=...,
        data=str(data_dir),
        convert=...,
        classes=...,
        values="values.tsv",
        extract={"labels": ["zcr", "loudness"]},
        score={"permutations": 20},
        select={"method": "direct", "no-screening": True},
        recipe=...,
        report=...,
        probe={"features": ["zcr"], "folds": 3, "seeds": 1},
    )
    run_pipeline(file)
    assert ran == ["check", "extract", "score", "select", "classes", "probe"]
    assert "values from" in capsys.readouterr().out
    out = tmp_path / "pipeline"
    assert json.loads((out / "ci" / "scores.json").read_text())["values"].endswith("values.tsv")
    weights, _ = read_weights(out / "weights.yaml")
    assert weights["zcr"] > weights["loudness"]
    result = json.loads(next(out.glob("probe/**/result.json")).read_text())
    assert result["metrics"]["r2"]["value"] > 0.5


def mean_zero_crossings(file):
    waveform, _ = soundfile.read(file)
    return float((np.diff(np.signbit(waveform)) != 0).mean())


def test_without_fairseq_training_is_left_out_and_said(data_dir, tmp_path, monkeypatch, capsys):
    in_this_process(monkeypatch)
    monkeypatch.setattr(running, "find_program", lambda name: None)
    file = write(
        tmp_path,
        audio=...,
        data=str(data_dir),
        convert=...,
        classes=str(ASTERISK / "classes" / "voice.tsv"),
        check=False,
        train={},
        export=True,
        extract={"labels": ["zcr", "loudness"]},
        report=...,
    )
    run_pipeline(file)
    shown = capsys.readouterr().out
    assert "not run: fairseq is not installed here" in shown
    assert "export" in shown
    assert (tmp_path / "pipeline" / "recipe.yaml").is_file()


def test_options_in_words():
    assert as_words({"labels": ["f0", "zcr"], "skip-bad": True, "seed": 1, "no": False, "none": None}) == [
        *("--labels", "f0", "zcr", "--skip-bad", "--seed", "1")
    ]
    assert as_overrides({"a.b": [1, 2.5], "c": True, "d": None}) == ["a.b=[1,2.5]", "c=true", "d=null"]


def test_the_example_of_the_help_is_a_pipeline(tmp_path):
    (tmp_path / "p.yaml").write_text(EXAMPLE)
    assert [step.name for step in steps_of(read_settings(tmp_path / "p.yaml"))][:3] == [
        "convert",
        "classes",
        "check",
    ]


def test_a_fingerprint_changes_with_what_is_there(tmp_path):
    folder = tmp_path / "audio"
    folder.mkdir()
    found = [fingerprint(folder)]
    (folder / "a.wav").write_bytes(b"1")
    found.append(fingerprint(folder))
    (folder / "metadata.tsv").write_text("file\tspeaker\n")
    found.append(fingerprint(folder))
    (folder / "a.wav").write_bytes(b"12")
    found.append(fingerprint(folder))
    assert len(set(found)) == 4
    (folder / ".hidden").write_bytes(b"x")
    assert fingerprint(folder) == found[-1]
    assert json.dumps(fingerprint(tmp_path / "none")) == '"nothing"'


def test_the_pipeline_of_the_docs_is_one(tmp_path):
    page = (ROOT / "docs" / "pipeline.md").read_text()
    text = re.search(r"<!-- test: pipeline -->\n```yaml\n(.*?)```", page, re.S)[1]
    (tmp_path / "pipeline.yaml").write_text(text)
    steps = steps_of(read_settings(tmp_path / "pipeline.yaml"))
    check_options(steps, check_arguments)
    assert [step.name for step in steps] == [
        *(
            "convert",
            "classes",
            "check",
            "extract",
            "score",
            "select",
            "report",
            "train",
            "untrained",
            "plot",
            "probe",
        )
    ]
    commands = re.findall(r"^ptsel (?:convert|classes|run) .*$", page, re.M)
    assert len(commands) == 8
    for command in commands:
        check_arguments(shlex.split(command, comments=True)[1:], "")
