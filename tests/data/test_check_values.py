"""`ptsel check --values`: a value file against the manifests."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import run_command

from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.data.check_targets import FAR, far_from_the_others


def write_values(data_dir, file, value_of, splits=("train", "valid")):
    """A value file of all utterances of some splits."""
    utterances = [u for split in splits for u in read_manifest(data_dir / f"{split}.tsv")]
    lines = [f"{u.path}\t{value_of(number, u)}" for number, u in enumerate(utterances)]
    file.write_text("\n".join(["path\tvalue", *lines]) + "\n")
    return file


def check(data_dir, file, *more):
    return run_command("ptsel", "check", data_dir, "--headers-only", "--values", file, *more)


def test_the_values_of_each_split_are_described(data_dir, tmp_path):
    file = write_values(data_dir, tmp_path / "seconds.tsv", lambda _, u: u.samples / 16000)
    done = check(data_dir, file)
    assert done.returncode == 0, done.stdout + done.stderr
    for split in ("train", "valid"):
        seconds = np.array([u.samples for u in read_manifest(data_dir / f"{split}.tsv")]) / 16000
        assert (
            f"{split}: {len(seconds)} points, values from {seconds.min():g} to {seconds.max():g}, mean "
            f"{seconds.mean():g}, standard deviation {seconds.std():g}, 0 utterances without a value"
        ) in done.stdout
    assert "warning: values" not in done.stdout


def test_what_spoils_a_regression_is_a_warning(data_dir, tmp_path):
    file = write_values(data_dir, tmp_path / "ages.tsv", lambda i, _: 999 if i == 3 else 20 + i, ("train",))
    shown = check(data_dir, file).stdout
    assert "warning: values far from the others: 1" in shown
    assert "(first: 999.0); if they stand for missing values, take their lines out" in shown
    assert "warning: no values: 1\n" in shown
    assert "no line is about the split valid" in shown
    shown = check(data_dir, write_values(data_dir, tmp_path / "same.tsv", lambda i, _: 4)).stdout
    assert "warning: one value only: 2" in shown


def test_a_file_about_other_recordings_and_one_of_classes(data_dir, tmp_path):
    (tmp_path / "other.tsv").write_text("path\tvalue\nelsewhere.flac\t1\n")
    done = check(data_dir, tmp_path / "other.tsv", "--json")
    assert done.returncode == 2
    found = json.loads(done.stdout)["findings"]
    assert [(each["kind"], each["fatal"]) for each in found] == [("no values", False)] * 2 + [
        ("no values", True)
    ]
    (tmp_path / "classes.tsv").write_text("path\tclass\nelsewhere.flac\t1\n")
    done = check(data_dir, tmp_path / "classes.tsv")
    assert done.returncode == 2
    assert "the header of a class file; give that as --classes" in done.stderr


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_far_values_in_any_unit(scale):
    values = scale * np.random.default_rng(0).normal(50, 10, 500)
    assert far_from_the_others(values) == []
    low, median, high = np.percentile(values, (25, 50, 75))
    outside = median - 1.2 * FAR * (high - low)
    assert far_from_the_others(np.append(values, outside)) == [outside]
    assert far_from_the_others(np.array([0.0] * 90 + [1.0] * 10)) == []
