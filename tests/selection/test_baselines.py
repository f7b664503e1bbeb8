"""Weights that avoid redundancy or tell the classes: against scikit-learn, scipy, and the published selection."""

from __future__ import annotations

import csv
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from test_select import make_points
from test_select_by_scores import records

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.selection import Points, cka, label_kernel, score_labels, select_weights
from ptsel_fairseq.selection.estimators.kernels import median_variance, squared_distances, standardise
from ptsel_fairseq.selection.weighting.dependence import label_dependence, mutual_information, semidefinite
from ptsel_fairseq.selection.weighting.direct import direct_weights
from ptsel_fairseq.selection.weighting.mrmr import mrmr_set, mrmr_value
from ptsel_fairseq.selection.weighting.redundancy import redundancy_weights
from ptsel_fairseq.selection.weighting.rfe import rfe_order

GOLDEN = Path(__file__).parents[1] / "golden"


def random_dependence(seed: int, k: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(k, k + 1))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors @ vectors.T


# Dependence of labels on each other


def test_dependence_is_the_mean_alignment_of_the_kernels():
    points = make_points()
    names, R, left_out = label_dependence(points.x, points.labels, points.classes)
    assert (list(names), left_out) == (sorted(points.labels), {})
    scaled = {name: standardise(z) for name, z in points.labels.items()}
    for i, j in combinations(range(len(names)), 2):
        values, counts = [], []
        for name in np.unique(points.classes):
            rows = points.classes == name
            kernels = [
                label_kernel(z[rows], median_variance(squared_distances(z[rows])))
                for z in (scaled[names[i]], scaled[names[j]])
            ]
            values.append(cka(*kernels))
            counts.append(rows.sum())
        assert R[i, j] == pytest.approx(np.average(values, weights=counts), rel=1e-9, abs=1e-12)
    np.testing.assert_array_equal(R, R.T)
    np.testing.assert_array_equal(np.diag(R), 1)
    assert np.linalg.eigvalsh(R)[0] > -1e-12


def test_dependence_in_blocks_is_the_same(monkeypatch):
    points = make_points(sizes=(80, 60))
    whole = label_dependence(points.x, points.labels, points.classes)[1]
    monkeypatch.setattr("ptsel_fairseq.selection.weighting.dependence.BLOCK_BYTES", 20_000)
    np.testing.assert_allclose(
        label_dependence(points.x, points.labels, points.classes)[1], whole, rtol=1e-11
    )


def test_a_copy_in_another_unit_depends_fully():
    points = make_points()
    points.labels["copy"] = -1000 * points.labels["l3"] + 7
    names, R, _ = label_dependence(points.x, points.labels, points.classes)
    assert R[names.index("copy"), names.index("l3")] == pytest.approx(1)
    assert R[names.index("copy"), names.index("l0")] < 0.5


def test_dependence_without_common_points_is_refused():
    points = make_points()
    points.labels["l0"][:22], points.labels["l1"][22:] = np.nan, np.nan
    with pytest.raises(PtselError, match="found none among 0 of 44 such points; leave out labels"):
        label_dependence(points.x, points.labels, points.classes)


def test_mutual_information_of_gaussians():
    rng = np.random.default_rng(0)
    for correlation in (0.0, 0.6, 0.95):
        a, b = rng.normal(size=(2, 4000))
        names, found = mutual_information({"b": correlation * a + np.sqrt(1 - correlation**2) * b, "a": a})
        assert names == ("a", "b")
        assert found[0, 1] == pytest.approx(-0.5 * np.log(1 - correlation**2), abs=0.04)
    with pytest.raises(PtselError, match="labels of one dimension, found v"):
        mutual_information({"a": a, "v": np.column_stack([a, b])})


# Redundancy


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), k=st.integers(2, 9), gamma=st.sampled_from([1e-3, 0.05, 1.0, 40.0]))
def test_redundancy_solves_its_quadratic_programme(seed, k, gamma):
    s, R = np.random.default_rng(seed).normal(size=k), random_dependence(seed, k)
    found = redundancy_weights(s, R, gamma)
    theirs = minimize(
        lambda w: w @ s + gamma * w @ R @ w,
        np.full(k, 1 / k),
        jac=lambda w: s + 2 * gamma * R @ w,
        bounds=[(0, 1)] * k,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    assert found.weights @ s + gamma * found.weights @ R @ found.weights == pytest.approx(
        found.objective, abs=1e-9
    )
    assert found.objective <= theirs.fun + 1e-7 * max(1, gamma)
    assert found.residual < 1e-6
    assert found.weights.sum() == pytest.approx(1)
    assert found.weights.min() >= 0


def test_with_labels_that_share_nothing_it_is_direct():
    s = np.array([0.3, 0.1, 0.12, 0.2])
    np.testing.assert_allclose(
        redundancy_weights(s, np.eye(4), 0.05).weights, direct_weights(s, 0.1), atol=1e-7
    )


def test_twins_share_the_weight_of_one():
    s, R = np.array([0.1, 0.1, 0.1]), np.eye(3)
    R[0, 1] = R[1, 0] = 1.0
    weights = redundancy_weights(s, R, 0.05).weights
    assert weights[2] == pytest.approx(0.5, abs=1e-6)
    assert weights[0] + weights[1] == pytest.approx(0.5, abs=1e-6)


def test_negative_eigenvalues_are_removed():
    R = np.array([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]])
    mended, lowest = semidefinite(R)
    assert lowest == pytest.approx(np.linalg.eigvalsh(R)[0])
    assert np.linalg.eigvalsh(mended)[0] > -1e-12
    np.testing.assert_array_equal(semidefinite(np.eye(2))[0], np.eye(2))


# MRMR


def test_mrmr_gives_the_published_set():
    with (GOLDEN / "published_label_mi.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = [row["label"] for row in rows]
    information = np.array([[float(row[name]) for name in names] for row in rows])
    with (GOLDEN / "published_ci_vc_from_figure.csv").open() as file:
        ci = {row["label"].lower(): float(row["ci_approx"]) for row in csv.DictReader(file)}
    short = {
        "logHNR_sma": "loghnr",
        "alphaRatio_sma3": "alpharatio",
        "F0final_sma": "f0",
        "pcm_zcr_sma": "zcr",
    }
    short |= {"audspecRasta_lengthL1norm_sma": "audspecrasta", "pcm_RMSenergy_sma": "loudness"}
    short |= {"voicingFinalUnclipped_sma": "voicing"}
    chosen, _, exact = mrmr_set(np.array([ci[short[name]] for name in names]), information, 3)
    assert exact
    assert {names[i] for i in chosen} == {"logHNR_sma", "alphaRatio_sma3", "audspecRasta_lengthL1norm_sma"}


def test_mrmr_is_the_best_of_all_sets_and_greedy_beyond_twenty():
    rng = np.random.default_rng(3)
    s, R = rng.uniform(size=9), np.abs(random_dependence(3, 9))
    chosen, value, exact = mrmr_set(s, R, 4)
    assert exact
    for other in combinations(range(9), 4):
        pairs = [R[i, j] for i, j in combinations(other, 2)]
        assert -np.mean(s[list(other)]) - np.mean(pairs) <= value + 1e-12
    s, R = rng.uniform(size=25), np.abs(random_dependence(4, 25))
    chosen, value, exact = mrmr_set(s, R, 3)
    assert not exact
    assert int(np.argmin(s)) in chosen
    assert value == pytest.approx(mrmr_value(s, R, chosen))


# RFE


@pytest.mark.parametrize("seed", range(3))
def test_rfe_is_scikit_learns(seed):
    from sklearn.feature_selection import RFE
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    rng = np.random.default_rng(seed)
    classes = np.repeat(["a", "b", "c"], [40, 50, 60])
    means = rng.normal(size=(3, 6)) * np.linspace(0, 2, 6)
    columns = rng.normal(size=(150, 6)) + means[np.unique(classes, return_inverse=True)[1]]
    order, learned_from = rfe_order({f"l{i}": columns[:, i] * 100 for i in range(6)}, classes)
    theirs = RFE(LinearSVC(dual=False), n_features_to_select=1).fit(
        StandardScaler().fit_transform(columns), classes
    )
    assert [f"l{i}" for i in np.argsort(-theirs.ranking_)] == order
    assert learned_from == "150 points of 3 classes"


def test_rfe_keeps_the_label_that_tells_the_classes():
    points = make_points()
    tells = (points.classes == "c0").astype(float)[:, None] + (points.classes == "c1") * 3.0
    labels = {**points.labels, "tells": tells.reshape(len(points), -1)[:, :1]}
    labels["vector"] = np.random.default_rng(0).normal(size=(len(points), 5))
    order, _ = rfe_order(labels, points.classes)
    assert order[-1] == "tells"
    labels["l0"] = labels["l0"].copy()
    labels["l0"][points.classes != "c1"] = np.nan
    with pytest.raises(PtselError, match=r"rfe: expected points of two classes or more .* found 1"):
        rfe_order(labels, points.classes)


# Through select_weights


def test_the_methods_on_points():
    points = make_points(2, sizes=(20, 20, 20))
    scores = score_labels(
        points.x, points.labels, points.classes, permutations=0, bootstrap=200, estimator="cka"
    )
    for method, support in (("mrmr", 3), ("rfe", 4)):
        found = select_weights(points, method=method, scores=scores, estimator="cka", screen=False)
        assert sorted(found.weights.values())[-support:] == [pytest.approx(1 / support)] * support
        assert found.sum_to_one
        assert (
            select_weights(
                points, method=method, scores=scores, support=1, estimator="cka", screen=False
            ).weights.keys()
            == points.labels.keys()
        )
    found = select_weights(points, method="redundancy", scores=scores, estimator="cka", screen=False)
    again = select_weights(
        points,
        method="redundancy",
        scores=scores,
        gamma=found.details["gamma"],
        estimator="cka",
        screen=False,
    )
    assert again.weights == found.weights
    assert found.details["residual"] < 1e-6
    gamma = 2 * np.sqrt(2) * np.median([record.standard_error for record in scores.values()]) / 2
    assert found.details["gamma"] == pytest.approx(gamma)
    scalars = Points(points.x, {f"l{i}": points.labels[f"l{i}"] for i in range(4)}, points.classes)
    for method in ("redundancy", "mrmr"):
        assert sum(
            select_weights(
                scalars, method=method, dependence="mi", estimator="cka", screen=False
            ).weights.values()
        ) == pytest.approx(1)


def test_manual_weights_are_taken_as_they_are():
    scores = records(a=0.3, b=0.1, c=None)
    found = select_weights(
        scores, method="manual", given={"a": 0.25, "b": 0.75}, estimator="cka", screen=False
    )
    assert found.weights == {"a": 0.25, "b": 0.75, "c": 0.0}
    assert found.sum_to_one
    assert not select_weights(
        scores, method="manual", given={"a": 2.0}, estimator="cka", screen=False
    ).sum_to_one


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "manual"}, "manual: expected --weights LABEL=WEIGHT"),
        ({"method": "manual", "given": {"a": 0.0}}, "with a weight above 0, found none"),
        ({"method": "manual", "given": {"x": 1.0}}, "no label x"),
        ({"method": "manual", "given": {"a": -1.0}}, "expected a weight of at least 0 for a"),
        ({"method": "manual", "given": {"c": 1.0}}, "c has no score"),
        ({"method": "direct", "given": {"a": 1.0}}, "--weights belongs to manual"),
        ({"method": "mrmr"}, "mrmr: expected points"),
        ({"method": "rfe"}, "rfe: expected points"),
        ({"method": "redundancy"}, "redundancy: expected points"),
        ({"method": "direct", "gamma": 1.0}, "--gamma belongs to relevance and redundancy"),
        (
            {"method": "naive", "dependence": "mi"},
            "--dependence other than cka belongs to redundancy and mrmr",
        ),
        ({"method": "mrmr", "dependence": "hsic"}, "a dependence among cka, mi"),
    ],
)
def test_what_does_not_fit_a_method_is_refused(options, message):
    with pytest.raises(PtselError, match=message):
        select_weights(records(a=0.3, b=0.1, c=None), **{"estimator": "cka", "screen": False, **options})


@pytest.mark.parametrize("gamma", [0.0, -1.0, float("nan")])
def test_gamma_must_be_above_zero(gamma):
    with pytest.raises(PtselError, match="--gamma above 0"):
        redundancy_weights(np.array([0.1, 0.2]), np.eye(2), gamma)
