"""`ptsel score` on recorded speech: its files, and what it refuses."""

from __future__ import annotations

import json

import pytest
from conftest import ASTERISK, run_command

from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.class_file import read_classes
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.labels.store.reader import LabelStore
from ptsel_fairseq.selection import (
    Points,
    build_points,
    score_labels,
)
from ptsel_fairseq.selection.estimators import DEFAULT_ESTIMATOR
from ptsel_fairseq.selection.label_score import read_scores
from ptsel_fairseq.selection.output.text import interval_text


@pytest.fixture(scope="module")
def scored(data_dir, store_dir, tmp_path_factory):
    out = tmp_path_factory.mktemp("ci")
    classes = ASTERISK / "classes" / "voice.tsv"
    done = run_command(
        "ptsel", "score", data_dir, "--store", store_dir, "--classes", classes, "--out", out,
        "--permutations", 99, "--bootstrap", 100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done, out


def test_the_command_writes_scores_points_and_picture(scored, store_dir, data_dir):
    done, out = scored
    assert sorted(file.name for file in out.iterdir()) == ["points.npz", "scores.json", "scores.png"]
    assert "Warning" not in done.stderr
    content = json.loads((out / "scores.json").read_text())
    assert content["estimator"] == DEFAULT_ESTIMATOR
    assert content["manifest_checksum"] == read_manifest(data_dir / "train.tsv").checksum
    assert content["command"].startswith("ptsel score")
    assert content["seed"] == 0
    assert {"ptsel_fairseq", "numpy", "scipy", "python"} <= set(content["versions"])
    assert sorted(content["scores"]) == list(LabelStore(store_dir, "train").labels)
    for record in content["scores"].values():
        assert record["interval"][0] <= record["score"] <= record["interval"][1]
        assert 0.01 <= record["p"] <= 1
    points = Points.load(out / "points.npz")
    again = score_labels(
        points.x, points.labels, points.classes, groups=points.groups, permutations=99, bootstrap=100
    )
    assert read_scores(out / "scores.json")[0] == again
    for name in content["scores"]:
        assert name in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--labels", "loudnes"], "loudnes"),
        (["--split", "dev"], "dev.tsv: no such file"),
        (["--classes", "absent.tsv"], "absent.tsv: no such file"),
        (["--permutations", "-3"], "at least 0"),
    ],
)
def test_the_command_refuses_in_one_line(arguments, message, data_dir, store_dir, tmp_path):
    given = ["--classes", ASTERISK / "classes" / "voice.tsv"] if "--classes" not in arguments else []
    done = run_command(
        "ptsel", "score", data_dir, "--store", store_dir, "--out", tmp_path / "ci", *given, *arguments
    )
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "ci").exists()


def test_a_class_with_one_member_is_left_out_aloud(data_dir, store_dir, tmp_path):
    lines = (ASTERISK / "classes" / "voice.tsv").read_text().splitlines()
    wanted = read_manifest(data_dir / "train.tsv").utterances[0].path
    changed = [f"{wanted}\tlonely" if line.startswith(wanted + "\t") else line for line in lines]
    (tmp_path / "classes.tsv").write_text("\n".join(changed) + "\n")
    done = run_command(
        "ptsel", "score", data_dir, "--store", store_dir, "--classes", tmp_path / "classes.tsv",
        "--out", tmp_path / "ci", "--labels", "zcr", "--permutations", 9, "--bootstrap", 9,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "left out: 1 classes of fewer than 2 points: lonely" in done.stdout
    assert (
        json.loads((tmp_path / "ci" / "scores.json").read_text())["scores"]["zcr"]["classes_too_small"] == 1
    )


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 0}', '{"format": 1, "scores": {"f0": {}}}'])
def test_damaged_scores_are_named(tmp_path, content):
    (tmp_path / "scores.json").write_text(content)
    with pytest.raises(PtselError, match=r"scores\.json"):
        read_scores(tmp_path / "scores.json")


def test_audio_of_another_length_is_named(data_dir, store_dir, tmp_path):
    import soundfile

    manifest = read_manifest(data_dir / "train.tsv")
    broken, root = manifest.utterances[3], tmp_path / "audio"
    for utterance in manifest:
        file = root / utterance.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(manifest.audio_path(utterance))
    waveform = read_audio(manifest.audio_path(broken), 16_000)
    (root / broken.path).unlink()
    soundfile.write(root / broken.path, waveform[:-700], 16_000)
    lines = (data_dir / "train.tsv").read_text().split("\n")
    (tmp_path / "train.tsv").write_text("\n".join([str(root), *lines[1:]]))
    moved = read_manifest(tmp_path / "train.tsv")
    class_file = read_classes(ASTERISK / "classes" / "voice.tsv", moved, 16_000)
    for jobs in (1, 2):
        with pytest.raises(PtselError, match=rf"line 5 .*{broken.samples} samples, the audio has"):
            build_points(moved, LabelStore(store_dir, "train"), class_file, ["zcr"], jobs=jobs)


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        ((0.0312, 0.3), "0.031 .. 0.300"),
        ((-0.00123, 0.0456), "-0.0012 .. 0.0456"),
        ((9.87, 123.456), "10 .. 123"),
        ((0.0, 0.0), "0.00 .. 0.00"),
        ((1.5e-6, 2.4e-5), "1.5e-06 .. 2.4e-05"),
    ],
)
def test_both_bounds_of_an_interval_have_as_many_decimals(bounds, text):
    assert interval_text(*bounds) == text
