"""Verification: PLDA against closed forms and joint Gaussians, cosine against its formula, real voices, faults."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import ASTERISK, run_command
from scipy.stats import multivariate_normal, ortho_group

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.downstream.features.front_end import front_ends
from ptsel_fairseq.downstream.metrics.eer import TrialScorer
from ptsel_fairseq.downstream.metrics.results import read_result
from ptsel_fairseq.downstream.probing.plda import log_likelihood, train_plda
from ptsel_fairseq.downstream.probing.verify import (
    Trained,
    plda_backend,
    unit_length,
    vectors,
    verify_command,
)


def simulate(speakers, counts, dim=3, seed=0):
    """Vectors of the model itself, with known mean and covariances."""
    draw = np.random.default_rng(seed)
    basis = ortho_group.rvs(dim, random_state=seed)
    between, within = basis @ np.diag(np.arange(1, dim + 1.0)) @ basis.T, np.diag(np.linspace(0.3, 1.0, dim))
    mean = np.arange(dim, dtype=float)
    names, rows = [], []
    for i in range(speakers):
        y = draw.multivariate_normal(mean, between)
        count = counts[i % len(counts)]
        rows.append(draw.multivariate_normal(y, within, size=count))
        names += [f"s{i}"] * count
    return np.concatenate(rows), np.array(names), (mean, between, within)


def test_balanced_data_give_the_closed_form():
    x, names, _ = simulate(40, [6])
    plda = train_plda(x, names)
    means = x.reshape(40, 6, 3).mean(axis=1)
    residual = x.reshape(40, 6, 3) - means[:, None]
    within = np.einsum("sni,snj->ij", residual, residual) / (40 * 5)
    away = means - means.mean(axis=0)
    between = away.T @ away / 40 - within / 6  # maximum likelihood of the one-way random effects model
    assert np.linalg.eigvalsh(between).min() > 0
    np.testing.assert_allclose(plda.mean, means.mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(plda.within, within, atol=2e-3)
    np.testing.assert_allclose(plda.between, between, atol=2e-2)


def test_unbalanced_data_give_back_what_made_them_and_the_likelihood_rises():
    x, names, (mean, between, within) = simulate(600, [1, 2, 5, 9], dim=2)
    plda = train_plda(x, names)
    assert (np.diff(plda.log_likelihoods) > -1e-10).all()
    np.testing.assert_allclose(plda.mean, mean, atol=0.2)
    np.testing.assert_allclose(plda.between, between, atol=0.25)
    np.testing.assert_allclose(plda.within, within, atol=0.05)
    best = plda.log_likelihoods[-1]
    codes = np.unique(names, return_inverse=True)[1]
    counts = np.bincount(codes)
    means = np.array([x[codes == i].mean(axis=0) for i in range(len(counts))])
    scatter = (x - means[codes]).T @ (x - means[codes])
    for change in (0.97, 1.03):  # a maximum
        for b, w in ((change, 1), (1, change)):
            other = log_likelihood(
                means, counts, scatter, plda.mean, b * plda.between, w * plda.within
            ) / len(x)
            assert other < best


def test_the_likelihood_is_that_of_the_joint_gaussian():
    x, names, (mean, between, within) = simulate(4, [1, 3, 2], dim=2, seed=3)
    expected = 0.0
    codes = np.unique(names, return_inverse=True)[1]
    for i in range(4):
        rows = x[codes == i]
        n = len(rows)
        covariance = np.kron(np.ones((n, n)), between) + np.kron(np.eye(n), within)
        expected += multivariate_normal(np.tile(mean, n), covariance).logpdf(rows.ravel())
    means = np.array([x[codes == i].mean(axis=0) for i in range(4)])
    scatter = (x - means[codes]).T @ (x - means[codes])
    found = log_likelihood(means, np.bincount(codes), scatter, mean, between, within)
    assert found == pytest.approx(expected)


def test_scores_are_ratios_of_joint_gaussians():
    x, names, _ = simulate(30, [2, 4], dim=3)
    plda = train_plda(x, names)
    total = plda.between + plda.within
    same = np.block([[total, plda.between], [plda.between, total]])
    alone = multivariate_normal(plda.mean, total)
    together = multivariate_normal(np.tile(plda.mean, 2), same)
    found = plda.scores(x[:20], x[20:40])
    for a, b, value in zip(x[:20], x[20:40], found, strict=True):
        assert value == pytest.approx(together.logpdf([*a, *b]) - alone.logpdf(a) - alone.logpdf(b), rel=1e-6)
    np.testing.assert_allclose(found, plda.scores(x[20:40], x[:20]))


def test_plda_beats_cosine_where_its_model_holds():
    x, names, _ = simulate(200, [4], dim=6, seed=1)
    x[:, 0] += np.random.default_rng(0).normal(
        0, 8, len(x)
    )  # a direction that does not depend on the speaker
    plda = train_plda(x[:400], names[:400])
    draw = np.random.default_rng(2)
    first = draw.integers(400, 800, 3000)
    second = np.where(
        draw.random(3000) < 0.5,
        400 + (first - 400) // 4 * 4 + draw.integers(0, 4, 3000),
        draw.integers(400, 800, 3000),
    )
    keep = first != second
    first, second = first[keep], second[keep]
    targets = (names[first] == names[second]).astype(int)
    centred = x - x[:400].mean(axis=0)
    cosine = (unit_length(centred[first]) * unit_length(centred[second])).sum(axis=1)
    eer = [
        TrialScorer(targets, s)(np.ones(len(s)))["eer"] for s in (plda.scores(x[first], x[second]), cosine)
    ]
    assert eer[0] < 0.75 * eer[1]


@pytest.mark.parametrize(
    ("names", "message"),
    [(["a"] * 6, "found 1 speakers with at most 6"), (list("abcdef"), "found 6 speakers with at most 1 rec")],
)
def test_plda_needs_speakers_with_several_recordings(names, message):
    with pytest.raises(PtselError, match=message):
        train_plda(np.random.default_rng(0).normal(size=(6, 2)), np.array(names))


@pytest.fixture(scope="module")
def voices(tmp_path_factory):
    """Trials between clips of two voices; three other voices to train on."""
    folder = tmp_path_factory.mktemp("voices")
    lines = (ASTERISK / "train.tsv").read_text().splitlines()[1:]
    split = {"train": [], "test": []}
    for line in lines:
        language = line.split("/")[0]
        split["test" if language in ("it", "ru") else "train"].append(line)
    split["test"] = [
        line for lang in ("it", "ru") for line in [x for x in split["test"] if x.startswith(lang)][:12]
    ]
    split["train"] = split["train"][::5]
    for name, chosen in split.items():
        (folder / f"{name}.tsv").write_text("\n".join([str(ASTERISK / "audio"), *chosen]) + "\n")
    paths = [line.split("\t")[0] for line in split["test"]]
    trials = [f"{int(a[:2] == b[:2])} {a} {b}" for i, a in enumerate(paths) for b in paths[i + 1 :: 2]]
    (folder / "trials.txt").write_text("\n".join(trials) + "\n")
    return folder


SPEAKERS = ASTERISK / "classes" / "voice.tsv"


def test_cosine_scores_are_the_formulas_and_are_evaluated(voices, tmp_path):
    words = (
        "--trials",
        voices / "trials.txt",
        "--features",
        "mfcc",
        "--train-split",
        "train",
        "--out",
        tmp_path,
    )
    done = run_command("ptsel", "verify", voices, *words)
    assert done.returncode == 0, done.stderr
    end = front_ends(["mfcc"])[0]
    tested, trained = (read_manifest(voices / f"{name}.tsv") for name in ("test", "train"))
    x, mean = vectors(end, tested, tmp_path / "features", None, 1), None
    mean = vectors(end, trained, tmp_path / "features", None, 1).mean(axis=0)
    place = {utterance.path: utterance.index for utterance in tested}
    lines = (tmp_path / "mfcc" / "scores.txt").read_text().splitlines()
    for line in lines[::37]:
        a, b, value = line.split()
        u, v = x[place[a]] - mean, x[place[b]] - mean
        assert float(value) == pytest.approx(u @ v / np.linalg.norm(u) / np.linalg.norm(v), abs=1e-5)
    result = read_result(tmp_path / "mfcc" / "result.json")
    assert result.metrics["eer"].value < 0.2
    evaluated = run_command(
        *("ptsel", "evaluate", "verification", "--reference", voices / "trials.txt"),
        *("--hypothesis", tmp_path / "mfcc" / "scores.txt", "--out", tmp_path / "again.json"),
    )
    assert evaluated.returncode == 0, evaluated.stderr
    again = json.loads((tmp_path / "again.json").read_text())["metrics"]["eer"]["value"]
    assert again == pytest.approx(result.metrics["eer"].value, abs=1e-4)


def test_plda_tells_voices_apart_that_it_was_trained_on(voices, tmp_path):
    """Three voices to train on say nothing about others, so the same voices are tested, in other recordings."""
    rows = (voices / "test.tsv").read_text().splitlines()[1:]
    rows += [row for row in (voices / "train.tsv").read_text().splitlines()[1:] if row.startswith("en")][:12]
    for name, chosen in (("train", rows[::2]), ("test", rows[1::2])):
        (tmp_path / f"{name}.tsv").write_text("\n".join([str(ASTERISK / "audio"), *chosen]) + "\n")
    paths = [row.split("\t")[0] for row in rows]
    speakers = [
        f"{path}\t{path[:2]}" for path in paths[::2]
    ]  # none of the tested ones, which would be refused
    (tmp_path / "speakers.tsv").write_text("\n".join(["path\tclass", *speakers]) + "\n")
    tested = paths[1::2]
    trials = [f"{int(a[:2] == b[:2])} {a} {b}" for i, a in enumerate(tested) for b in tested[i + 1 :]]
    (tmp_path / "trials.txt").write_text("\n".join(trials) + "\n")
    verify_command(
        *(tmp_path, tmp_path / "trials.txt", ["mfcc"], tmp_path, "plda"),
        **{"train_split": "train", "speakers": tmp_path / "speakers.tsv"},
    )
    result = read_result(tmp_path / "mfcc" / "result.json")
    assert result.metrics["eer"].value < 0.1
    assert result.provenance["backend"]["dimensions"] == 2
    assert result.provenance["backend"]["speakers"] == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "plda"}, "--backend plda: give --train-split and --speakers"),
        ({"dimensions": 0}, "--dimensions: expected at least 1"),
        ({"split": "train"}, r"24 of its 24 utterances are not in .*train.tsv \(first: it/"),
        ({"layer": 1}, "--layer: expected 0 to 0 of mfcc, found 1"),
        (
            {"train_split": "test", "speakers": SPEAKERS},
            r"2 speakers of the trials are in the training split test too \(first: it_carlo; ru_ivrvoice\)",
        ),
        ({"features": ["none"]}, "expected a label or a pool"),
        ({"kept": "1"}, r"expected trials of the same .* found only 1"),
    ],
)
def test_what_cannot_be_verified(options, message, voices, tmp_path):
    words = {"features": ["mfcc"], **options}
    trials = voices / "trials.txt"
    if kept := words.pop("kept", ""):
        trials = tmp_path / "trials.txt"
        rows = (voices / "trials.txt").read_text().splitlines(True)
        trials.write_text("".join(row for row in rows if row.startswith(kept)))
    with pytest.raises(PtselError, match=message):
        verify_command(voices, trials, words.pop("features"), tmp_path / "out", **words)
    assert not (tmp_path / "out" / "mfcc").exists()


@pytest.mark.parametrize(
    ("each", "message"),
    [
        (1, "found 16 speakers with at most 1 recordings"),
        (2, "16 recordings of 8 speakers do not say how the 8 features of one vary"),
        (16, "found 1 speakers with at most 16"),
    ],
)
def test_plda_of_too_few_recordings(each, message):
    x = np.random.default_rng(0).normal(size=(16, 8))
    x[:, 7] = np.arange(16) // each  # the same in all recordings of a speaker
    with pytest.raises(PtselError, match=message):
        plda_backend(Trained(x, np.array([f"s{i // each}" for i in range(16)])), 150)
