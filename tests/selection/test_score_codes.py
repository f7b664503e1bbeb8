"""Scores of labels of codes: shares for estimators of tasks, a discrete kernel for those of kernels."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import ASTERISK, run_command
from sklearn.preprocessing import OneHotEncoder

from ptsel_fairseq.base.class_file import read_classes
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.labels import LabelStore, make_codes
from ptsel_fairseq.selection import Points, cosine_kernel, score_labels
from ptsel_fairseq.selection.estimators import ESTIMATORS
from ptsel_fairseq.selection.estimators.hsic import centred
from ptsel_fairseq.selection.label_score import read_scores
from ptsel_fairseq.selection.points import check_label, summarise_label
from ptsel_fairseq.selection.weighting.dependence import label_dependence


def one_code_each(seed: int = 2):
    """Speech, one code a point that depends on it, and classes."""
    rng = np.random.default_rng(seed)
    classes = np.repeat(["a", "b", "c"], [14, 9, 20])
    x = rng.normal(size=(len(classes), 5)) + rng.normal(size=(3, 5))[np.repeat(range(3), [14, 9, 20])]
    number = np.digitize(x[:, 0] + 0.3 * rng.normal(size=len(x)), [-1.5, -0.2, 0.4, 2.5])
    shares = OneHotEncoder(sparse_output=False, categories=[range(5)]).fit_transform(number[:, None])
    return x, number, shares, classes


def discrete_cka(x: np.ndarray, number: np.ndarray) -> float:
    """Debiased CKA of the cosine kernel and the kernel that is 1 for equal codes and 0 for others, literally."""
    K = centred(cosine_kernel(x), "unbiased")
    L = centred((number[:, None] == number).astype(float), "unbiased")
    return float((K * L).sum() / np.sqrt((K * K).sum() * (L * L).sum()))


def test_the_kernel_of_single_codes_is_the_discrete_one():
    x, number, shares, classes = one_code_each()
    found = score_labels(
        x, {"z": shares}, classes, estimator="cka", codes=["z"], permutations=0, bootstrap=0
    )["z"]
    for name in "abc":
        rows = classes == name
        assert found.per_class[name] == pytest.approx(discrete_cka(x[rows], number[rows]), abs=1e-9)
    scaled = score_labels(x, {"z": shares}, classes, estimator="cka", permutations=0, bootstrap=0)["z"]
    assert abs(scaled.score - found.score) > 1e-3  # in standard deviations rare codes would be farther apart


def test_labels_of_codes_that_say_the_same_depend_wholly():
    x, _, shares, classes = one_code_each()
    other = shares[:, [3, 0, 4, 1, 2]]  # the same codes by other names
    names, R, _ = label_dependence(x, {"a": shares, "b": other, "v": x[:, 1]}, classes, codes=["a", "b"])
    assert names == ("a", "b", "v")
    assert R[0, 1] == pytest.approx(1, abs=1e-9)
    assert abs(R[0, 2]) < 0.5


@pytest.fixture(scope="module")
def code_store(data_dir, store_dir, tmp_path_factory) -> Path:
    store = Path(shutil.copytree(store_dir, tmp_path_factory.mktemp("codes") / "store"))
    make_codes(data_dir, "cluster", store, kmeans="log_mel", codes=20)
    make_codes(data_dir, "pitch", store, kmeans="f0", codes=6)
    make_codes(data_dir, "many", store, random="log_mel", codes=2000)
    return store


def test_the_summary_is_the_share_of_each_code(data_dir, code_store):
    manifest, store = read_manifest(data_dir / "valid.tsv"), LabelStore(code_store, "valid")
    segments = read_classes(ASTERISK / "classes" / "word.tsv", manifest, 16_000).in_order()[:40]
    for label, codes in (("cluster", 20), ("pitch", 6)):
        found = summarise_label(store, label, manifest, segments)
        assert found.shape == (len(segments), codes)
        for row, segment in zip(found, segments, strict=True):
            samples = manifest.utterances[segment.utterance].samples
            frames = slice(*store.grid.frames_between(segment.start, segment.end, samples))
            known = store.valid(label, segment.utterance)[frames]
            track = store.track(label, segment.utterance)[frames, 0][known].astype(int)
            if not known.any():
                assert np.isnan(row).all()
                continue
            np.testing.assert_allclose(row, np.bincount(track, minlength=codes) / len(track))


def test_points_keep_which_labels_are_codes(tmp_path):
    x, _, shares, classes = one_code_each()
    labels = {"z": shares, "v": x[:, :1]}
    Points(x=x.astype(np.float32), labels=labels, classes=classes, codes=np.array(["z"])).save(
        tmp_path / "p.npz"
    )
    again = Points.load(tmp_path / "p.npz")
    assert again.codes.tolist() == ["z"]
    assert again.only(["v"]).codes.tolist() == []
    Points(x=x.astype(np.float32), labels=labels, classes=classes).save(tmp_path / "q.npz")
    assert "codes" not in np.load(tmp_path / "q.npz").files  # as points have always been


@pytest.mark.parametrize("estimator", ["probe", "cka", "relevance", "pillai", "logme", "lee", "reference"])
def test_every_kind_of_estimator_takes_them(estimator):
    x, _, shares, classes = one_code_each()
    found = score_labels(
        x,
        {"z": shares, "v": x[:, 1]},
        classes,
        estimator=estimator,
        codes=["z"],
        permutations=5,
        bootstrap=20,
    )
    assert estimator in ESTIMATORS.names()
    assert np.isfinite(found["z"].score)


@pytest.mark.slow
def test_clusters_are_scored_selected_and_reported(data_dir, code_store, tmp_path):
    words = ["--store", code_store, "--classes", ASTERISK / "classes" / "word.tsv", "--out", tmp_path / "ci"]
    labels = ["--labels", "cluster", "zcr", "log_mel"]
    for estimator in ("probe", "cka"):
        options = ["--split", "train", "--permutations", 20, "--estimator", estimator]
        done = run_command("ptsel", "score", data_dir, *words, *labels, *options)
        assert done.returncode == 0, done.stderr
        scores, made = read_scores(tmp_path / "ci" / "scores.json")
        assert set(scores) == {"cluster", "zcr", "log_mel"}
        assert made["labels"]["cluster"]["unit"] == "code"
        assert scores["cluster"].score is not None
    chosen = run_command(
        "ptsel", "select", tmp_path / "ci", "--method", "group", "--out", tmp_path / "weights.yaml"
    )
    assert chosen.returncode == 0, chosen.stderr
    report = run_command("ptsel", "report", tmp_path / "ci", "--out", tmp_path / "report.html")
    assert report.returncode == 0, report.stderr


def test_more_codes_than_columns_can_be_had_of_are_refused(data_dir, code_store, tmp_path):
    words = ["--store", code_store, "--classes", ASTERISK / "classes" / "word.tsv", "--out", tmp_path / "ci"]
    done = run_command("ptsel", "score", data_dir, *words, "--split", "train")
    assert done.returncode == 2
    assert "many has 2000 codes" in done.stderr
    with pytest.raises(PtselError, match="many has 2000 codes"):
        check_label(LabelStore(code_store, "train"), "many")
