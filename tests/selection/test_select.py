"""From scores to weights: projections, gradients, optimisers and the methods, on random and recorded data."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from ptsel_fairseq.selection import (
    GroupObjective,
    Points,
    cka,
    cosine_kernel,
    hsic,
    label_kernel,
    score_labels,
    select_weights,
)
from ptsel_fairseq.selection.estimators.kernels import median_variance, squared_distances, standardise
from ptsel_fairseq.selection.weighting import simplex as solve

ESTIMATORS = ("cka", "hsic", "reference")


def make_points(seed: int = 0, sizes=(14, 10, 20), labels: int = 5, alike: bool = True) -> Points:
    """Speech and labels of several kinds: some follow the speech, some only the class, one is a vector."""
    rng = np.random.default_rng(seed)
    number = np.repeat(np.arange(len(sizes)), sizes)
    x = rng.normal(size=(len(number), 8)) + 2 * rng.normal(size=(len(sizes), 8))[number] + (3 if alike else 0)
    values = {
        f"l{i}": (0.3 * i * x[:, i % 8] + rng.normal(size=len(x)) + number)[:, None] * 0.4
        for i in range(labels - 1)
    }
    values[f"l{labels - 1}"] = np.column_stack([x[:, 0], rng.normal(size=len(x))])
    return Points(x.astype(np.float32), values, np.array([f"c{i}" for i in number]))


def objective(points: Points, estimator: str) -> GroupObjective:
    return GroupObjective(points.x, points.labels, points.classes, estimator)


# The group's objective


def literal_objective(points: Points, estimator: str, weights: np.ndarray) -> float:
    """The mean over classes of the score of the product kernel, from the matrices themselves."""
    values, counts = [], []
    scaled = {name: standardise(z) for name, z in points.labels.items()}
    for name in np.unique(points.classes):
        rows = points.classes == name
        K = cosine_kernel(points.x[rows])
        kernels = []
        for label in sorted(points.labels):
            if estimator == "reference":
                kernels.append(np.maximum(label_kernel(points.labels[label][rows]), np.exp(-10)))
            else:
                z = scaled[label][rows]
                kernels.append(label_kernel(z, median_variance(squared_distances(z))))
        product = np.prod([L**w for L, w in zip(kernels, weights, strict=True)], axis=0)
        values.append(cka(K, product) if estimator == "cka" else hsic(K, product, FORM[estimator]))
        counts.append(rows.sum())
    return float(np.average(values, weights=None if estimator == "reference" else counts))


FORM = {"hsic": "unbiased", "reference": "reference"}


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_objective_is_the_score_of_the_product_kernel(estimator):
    points = make_points()
    J = objective(points, estimator)
    for seed in range(5):
        weights = np.random.default_rng(seed).dirichlet(np.ones(5))
        assert J(weights)[0] == pytest.approx(
            literal_objective(points, estimator, weights), rel=1e-10, abs=1e-14
        )


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_at_a_vertex_it_is_the_labels_own_score(estimator):
    points = make_points(labels=4)
    points = Points(points.x, {f"l{i}": points.labels[f"l{i}"] for i in range(3)}, points.classes)
    if estimator == "reference":  # the group cuts exponents at 10, the score does not
        points = Points(points.x, {name: 0.05 * z for name, z in points.labels.items()}, points.classes)
    scores = score_labels(
        points.x, points.labels, points.classes, estimator=estimator, permutations=0, bootstrap=0
    )
    J = objective(points, estimator)
    for vertex, name in zip(np.eye(3), J.labels, strict=True):
        assert J(vertex)[0] == pytest.approx(scores[name].score, rel=1e-9)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_gradient_equals_autograd_and_differences(estimator):
    torch = pytest.importorskip("torch")
    points = make_points()
    J = objective(points, estimator)
    weights = np.array([0.1, 0.3, 0.2, 0.15, 0.25])
    gradient = J(weights)[1]
    step = 1e-6
    differences = [(J(weights + step * e)[0] - J(weights - step * e)[0]) / (2 * step) for e in np.eye(5)]
    np.testing.assert_allclose(gradient, differences, rtol=1e-5, atol=1e-9)

    w = torch.tensor(weights, requires_grad=True)
    total, shares = 0.0, []
    for name in np.unique(points.classes):
        rows = points.classes == name
        n = int(rows.sum())
        K = torch.tensor(cosine_kernel(points.x[rows]))
        logs = []
        for label in sorted(points.labels):
            z = points.labels[label] if estimator == "reference" else standardise(points.labels[label])
            distances = squared_distances(z[rows])
            variance = 0.05 if estimator == "reference" else median_variance(distances)
            log = torch.tensor(np.log(np.maximum(label_kernel(z[rows], variance), 1e-300)))
            logs.append(log.clamp(min=-10) if estimator == "reference" else log)
        L = torch.exp((w[:, None, None] * torch.stack(logs)).sum(0))
        if estimator == "reference":
            H = torch.eye(n, dtype=torch.float64) - 1 / n**2
            value, share = torch.trace(K @ H @ L @ H) / n**2, 1.0
        else:
            off = 1 - torch.eye(n, dtype=torch.float64)

            def song(A, B, n=n, off=off):
                A, B = A * off, B * off
                return (
                    (A * B).sum()
                    + A.sum() * B.sum() / ((n - 1) * (n - 2))
                    - 2 / (n - 2) * A.sum(0) @ B.sum(0)
                ) / (n * (n - 3))

            value, share = song(K, L), float(n)
            if estimator == "cka":
                value = value / torch.sqrt(song(K, K) * song(L, L))
        total = total + share * value
        shares.append(share)
    (total / sum(shares)).backward()
    np.testing.assert_allclose(gradient, w.grad.numpy(), rtol=0, atol=1e-10)


def test_the_group_uses_the_samples_where_all_labels_are_defined():
    points = make_points()
    points.labels["l0"][:9] = np.nan
    points.labels["l2"][20] = np.nan
    J = objective(points, "hsic")
    assert (J.points, J.points_given) == (len(points) - 10, len(points))
    weights = np.full(5, 0.2)
    kept = ~np.any([np.isnan(z[:, 0]) for z in points.labels.values()], axis=0)
    # As scores do, labels are standardised over all the samples where they are defined.
    assert J.classes == 3
    points.labels["l0"][:12] = np.nan  # three samples of c0 remain, too few
    assert objective(points, "hsic").classes == 2
    assert np.isfinite(J(weights)[0])
    assert kept.sum() == J.points


# Optimisers


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("seed", [0, 1])
def test_no_random_weights_and_no_vertex_are_better(estimator, seed):
    points = make_points(seed)
    J = objective(points, estimator)
    found = select_weights(points, method="group", estimator=estimator, screen=False)
    best = found.details["objective"]
    assert list(found.weights) == sorted(points.labels)
    assert J(np.array(list(found.weights.values())))[0] == pytest.approx(best, rel=1e-9)
    candidates = [*np.random.default_rng(seed).dirichlet(np.ones(5), 1000), *np.eye(5)]
    assert best <= min(J(weights)[0] for weights in candidates) + 1e-12
    assert found.details["residual"] < 1e-6
    assert sum(found.weights.values()) == pytest.approx(1)


def test_projected_gradient_solves_a_quadratic_programme():
    rng = np.random.default_rng(0)
    for _ in range(20):
        A = rng.normal(size=(8, 8))
        A, b = A @ A.T, rng.normal(size=8) * 3

        def quadratic(w, A=A, b=b):
            return float(w @ A @ w / 2 + b @ w), A @ w + b

        found = solve.projected_gradient(quadratic, np.full(8, 1 / 8))
        theirs = minimize(
            lambda w, f=quadratic: f(w)[0],
            np.full(8, 1 / 8),
            jac=lambda w, f=quadratic: f(w)[1],
            bounds=[(0, 1)] * 8,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
            method="SLSQP",
            options={"ftol": 1e-15, "maxiter": 1000},
        )
        assert found.objective <= theirs.fun + 1e-9
        assert found.gap < 1e-6
        assert found.residual < 1e-6


def test_the_gap_bounds_what_is_left_of_a_convex_objective():
    def quadratic(w):
        return float((w - 0.1) @ (w - 0.1)), 2 * (w - 0.1)

    best = solve.projected_gradient(quadratic, np.eye(4)[0])
    for seed in range(20):
        there = solve.describe(quadratic, np.random.default_rng(seed).dirichlet(np.ones(4)), 0)
        assert there.gap >= there.objective - best.objective - 1e-12


def test_softmax_approaches_the_same_minimum():
    points = make_points(3)
    sparse = select_weights(
        points, method="group", projection="sparsemax", estimator="cka", screen=False
    ).details["objective"]
    dense = select_weights(points, method="group", projection="softmax", estimator="cka", screen=False)
    assert dense.details["objective"] >= sparse - 1e-9
    assert dense.details["objective"] == pytest.approx(sparse, abs=1e-4)
    assert min(dense.weights.values()) >= 0
    assert "softmax reaches no edge" in dense.details["note"]


def released_optimiser(J: GroupObjective, w: np.ndarray, projection: str) -> np.ndarray:
    """The papers' loop on torch's own optimiser and entmax's own projection."""
    import entmax
    import torch

    function = {"softmax": torch.softmax, "sparsemax": entmax.sparsemax, "entmax15": entmax.entmax15}[
        projection
    ]
    parameter = torch.nn.Parameter(torch.tensor(w))
    optimiser = torch.optim.SGD([parameter], lr=0.01, momentum=0.9)
    for _ in range(1000):
        optimiser.zero_grad()
        weights = function(parameter, dim=-1)
        weights.backward(torch.tensor(J(weights.detach().numpy())[1]))
        optimiser.step()
    return weights.detach().numpy()


@pytest.mark.parametrize("projection", ["softmax", "sparsemax", "entmax15"])
def test_the_reference_optimiser_is_torchs(projection):
    pytest.importorskip("entmax")
    J = objective(make_points(4, sizes=(6, 5)), "reference")
    start = np.random.default_rng(1).standard_normal(5)
    found = solve.reference_descent(J, start, projection)
    np.testing.assert_allclose(found.weights, released_optimiser(J, start, projection), atol=1e-10)


def test_the_reference_optimiser_restarts_ten_times_and_keeps_the_lowest():
    points = make_points(4, sizes=(6, 5))
    found = select_weights(
        points,
        method="group",
        projection="softmax",
        estimator="reference",
        reference_optimizer=True,
        screen=False,
    )
    J = objective(points, "reference")
    starts = np.random.default_rng(0).standard_normal((10, 5))
    runs = [solve.reference_descent(J, start, "softmax") for start in starts]
    assert found.details["objective"] == min(run.objective for run in runs)
    assert found.details["restarts"] == 10
    converged = select_weights(
        points, method="group", projection="sparsemax", estimator="reference", screen=False
    )
    assert converged.details["objective"] <= found.details["objective"] + 1e-12


# Methods


def test_a_constant_label_gets_no_weight_in_a_group():
    points = make_points()
    points.labels["l1"][:] = 4.2
    found = select_weights(points, method="group", estimator="cka", screen=False)
    assert found.weights["l1"] == 0
    assert "constant" in found.details["left_out"]["l1"]


def test_duplicated_labels_are_no_trouble():
    points = make_points()
    points.labels["twin"] = points.labels["l3"].copy()
    found = select_weights(points, method="group", estimator="hsic", screen=False)
    without = select_weights(make_points(), method="group", estimator="hsic", screen=False)
    assert sum(found.weights.values()) == pytest.approx(1)
    assert found.details["objective"] == pytest.approx(without.details["objective"], rel=1e-6)


def test_more_labels_than_points():
    rng = np.random.default_rng(0)
    x, classes = rng.normal(size=(12, 5)), np.repeat(["a", "b"], 6)
    points = Points(x, {f"l{i:02d}": rng.normal(size=(12, 1)) for i in range(40)}, classes)
    scores = score_labels(points.x, points.labels, classes, permutations=9, estimator="cka")
    assert all(record.score is not None and record.points == 12 for record in scores.values())
    for method in ("group", "direct", "redundancy", "mrmr", "rfe"):
        found = select_weights(points, method=method, scores=scores, estimator="cka", screen=False)
        assert len(found.weights) == 40
        assert sum(found.weights.values()) == pytest.approx(1)
