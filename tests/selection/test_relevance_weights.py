"""The weighted group's relevance and its largest value: literal formulas, concavity, certificates, parts."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from planted import task_arrays, utterance_noise
from scipy.optimize import minimize

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.selection.estimators.relevance import Relevance
from ptsel_fairseq.selection.estimators.task import Task
from ptsel_fairseq.selection.weighting import parts as parts_module
from ptsel_fairseq.selection.weighting.parts import parts
from ptsel_fairseq.selection.weighting.relevance import (
    GroupRelevance,
    gamma_of_effective,
    gamma_of_support,
    maximise,
    relevance_path,
)


def random_objective(
    seed: int = 0, dims: tuple[int, ...] = (1, 3, 2, 1), gamma: float = 0.05
) -> GroupRelevance:
    rng = np.random.default_rng(seed)
    D = sum(dims)
    S = np.cov(rng.normal(size=(D, 3 * D)) + rng.normal(size=(1, 3 * D)))
    F = np.linalg.cholesky(S) @ rng.normal(size=(D, 4)) * 0.3
    return GroupRelevance(S, F, np.array(dims), gamma)


def literal(objective: GroupRelevance, weights: np.ndarray) -> float:
    a = np.repeat(weights / objective.dims, objective.dims)
    B = objective.F @ objective.F.T
    return float(np.trace(np.linalg.inv(objective.S + objective.gamma * np.diag(1 / a)) @ B))


def test_the_value_is_the_formula_and_needs_no_division_by_a_weight_of_zero():
    objective = random_objective()
    weights = np.random.default_rng(1).dirichlet(np.ones(4))
    assert objective.value(weights) == pytest.approx(literal(objective, weights), rel=1e-12)
    without = np.array([0.0, 0.7, 0.3, 0.0])
    nearly = np.array([1e-13, 0.7, 0.3, 1e-13])
    assert objective.value(without) == pytest.approx(literal(objective, nearly), rel=1e-9)
    assert objective.value(np.zeros(4)) == 0


def test_gradient_and_curvature_are_those_of_differences():
    objective = random_objective()
    for weights in (np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.5, 0.0, 0.5, 0.0])):
        value, gradient, curvature = objective(weights)
        assert value == pytest.approx(objective.value(weights))
        step = 1e-6
        for h in range(4):
            aside = np.eye(4)[h] * step
            low = weights - aside if weights[h] else weights
            slope = (objective.value(weights + aside) - objective.value(low)) / (
                step * (2 if weights[h] else 1)
            )
            assert gradient[h] == pytest.approx(slope, rel=1e-4)
            if weights[h]:
                bend = (
                    objective.value_and_gradient(weights + aside)[1] - objective.value_and_gradient(low)[1]
                ) / (2 * step)
                np.testing.assert_allclose(curvature[h], bend, rtol=1e-4, atol=1e-6)


def test_it_is_concave_on_random_segments():
    rng = np.random.default_rng(2)
    for seed in range(200):
        objective = random_objective(seed, tuple(rng.integers(1, 4, 5)), float(10 ** rng.uniform(-3, 1)))
        for _ in range(10):
            a, b = rng.dirichlet(np.full(5, 0.5), 2)
            t = rng.uniform()
            chord = t * objective.value(a) + (1 - t) * objective.value(b)
            assert objective.value(t * a + (1 - t) * b) >= chord - 1e-12


@pytest.mark.parametrize("seed", range(5))
def test_the_maximum_is_certified_and_no_other_solver_finds_more(seed):
    objective = random_objective(seed, (1, 3, 2, 1, 4, 1), gamma=10.0 ** (-seed))
    found = maximise(objective)
    assert found.gap <= 1e-9 * found.value
    assert found.weights.sum() == pytest.approx(1, abs=1e-14)
    assert (found.weights >= 0).all()
    other = minimize(
        lambda w: -objective.value(np.maximum(w, 0)),
        np.full(6, 1 / 6),
        jac=lambda w: -objective.value_and_gradient(np.maximum(w, 0))[1],
        bounds=[(0, 1)] * 6,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(6)},
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-14},
    )
    assert found.value >= -other.fun - 1e-9
    np.testing.assert_allclose(found.weights, other.x, atol=2e-4)


def test_a_large_floor_takes_one_label_and_equal_labels_share():
    objective = random_objective(3, (1, 1, 1), gamma=1e4)
    assert sorted(maximise(objective).weights) == pytest.approx([0, 0, 1])
    S = np.array([[1.0, 0.0], [0.0, 1.0]])
    twins = GroupRelevance(S, np.sqrt(0.4) * np.eye(2), np.array([1, 1]), 0.03)
    np.testing.assert_allclose(maximise(twins).weights, [0.5, 0.5], atol=1e-9)
    # V = 0.4 Σ λ / (λ + γ)
    assert maximise(twins).value == pytest.approx(2 * 0.4 * 0.5 / 0.53)


def test_noise_gets_no_weight_and_what_the_classes_need_does():
    x, y, group, hidden = task_arrays(points=1000, groups=200)
    for seed in range(5):
        rng = np.random.default_rng([3, seed])
        labels = {f"h{i}": hidden[:, i] + 0.2 * rng.normal(size=len(y)) for i in range(5)}
        labels |= {f"noise{i}": utterance_noise(rng, group) for i in range(3)}
        labels["noises"] = rng.normal(size=(len(y), 20))
        made = Relevance(Task(x, y, group, seed), labels)
        S, F = made.adjusted_factor()
        weights = dict(zip(made.names, maximise(GroupRelevance(S, F, made.dims, 0.03)).weights, strict=True))
        assert sum(weights[f"h{i}"] for i in range(5)) == pytest.approx(1)
        assert max(weights[name] for name in labels if name.startswith("noise")) == 0


def test_gamma_from_how_many_labels_are_wished():
    objective = random_objective(4, (1, 3, 2, 1, 4, 1))
    weights = maximise(objective.at(gamma_of_effective(objective, 3.2))).weights
    assert 1 / (weights @ weights) == pytest.approx(3.2, abs=1e-3)
    for support in (1, 2, 4):
        weights = maximise(objective.at(gamma_of_support(objective, support))).weights
        assert np.count_nonzero(weights > 1e-3) == support
    with pytest.raises(PtselError, match="--effective 9"):
        gamma_of_effective(objective, 9)
    with pytest.raises(PtselError, match="--support 7"):
        gamma_of_support(objective, 7)
    path = relevance_path(objective, np.array([0.01, 1.0, 100.0]))
    np.testing.assert_allclose(path[1], maximise(objective.at(1.0)).weights)
    with pytest.raises(PtselError, match="--gamma above 0"):
        objective.at(0.0)


def test_a_group_without_any_relevance_is_an_error():
    with pytest.raises(PtselError, match="no label tells the classes apart"):
        maximise(GroupRelevance(np.eye(2), np.zeros((2, 1)), np.array([1, 1]), 0.03))


def test_parts_are_the_shapley_values_of_their_definition():
    objective, weights = random_objective(5), np.array([0.1, 0.4, 0.2, 0.3])
    expected = np.zeros(4)
    for order in permutations(range(4)):
        before = np.zeros(4)
        for label in order:
            after = before.copy()
            after[label] = weights[label]
            expected[label] += (objective.value(after) - objective.value(before)) / 24
            before = after
    found = parts(objective, weights)
    np.testing.assert_allclose(found.shapley, expected, atol=1e-12)
    assert found.shapley.sum() == pytest.approx(objective.value(weights))
    without = weights * [1, 0, 1, 1]
    assert found.lost[1] == pytest.approx(objective.value(weights) - objective.value(without))
    assert parts(objective, np.array([0.5, 0.0, 0.5, 0.0])).shapley[1] == 0


def test_drawn_parts_are_the_exact_ones_within_their_error(monkeypatch):
    objective, weights = random_objective(6, (1,) * 6), np.full(6, 1 / 6)
    exact = parts(objective, weights)
    monkeypatch.setattr(parts_module, "MOST_EXACT", 3)
    drawn = parts(objective, weights)
    assert (np.abs(drawn.shapley - exact.shapley) < 5 * drawn.error + 1e-12).all()
    assert drawn.shapley.sum() == pytest.approx(objective.value(weights))


@pytest.mark.slow
def test_forty_labels_of_five_hundred_columns_take_seconds_and_are_certified():
    rng = np.random.default_rng(7)
    dims = np.array([12, 13] * 20)
    D = int(dims.sum())
    S = np.cov(rng.normal(size=(D, 60)) @ rng.normal(size=(60, 4000)) * 0.1 + rng.normal(size=(D, 4000)))
    F = np.linalg.cholesky(S) @ rng.normal(size=(D, 37)) * 0.05
    found = maximise(GroupRelevance(S, F, dims, 0.03))
    assert found.gap <= 1e-9 * found.value
    assert found.steps < 50
