"""LogME, the theory's term and the probe, against independent versions."""

from __future__ import annotations

import numpy as np
import pytest
from planted import task_arrays
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge

from ptsel_fairseq.selection.estimators import ESTIMATORS
from ptsel_fairseq.selection.estimators.audible import Audible
from ptsel_fairseq.selection.estimators.lee import independence_error, inverse_beta, lee
from ptsel_fairseq.selection.estimators.logme import log_evidence, logme
from ptsel_fairseq.selection.estimators.probe import discriminant, probe
from ptsel_fairseq.selection.estimators.shrinkage import ledoit_wolf
from ptsel_fairseq.selection.estimators.task import Task, stack


def published_fixed_point(features: np.ndarray, y: np.ndarray) -> float:
    """Algorithm 1 of You et al. 2021 for one target, with explicit matrices, to convergence."""
    n, d = features.shape
    alpha = beta = 1.0
    for _ in range(2000):
        A = alpha * np.eye(d) + beta * features.T @ features
        m = beta * np.linalg.solve(A, features.T @ y)
        g = float(np.trace(np.linalg.solve(A, beta * features.T @ features)))
        alpha, beta = g / float(m @ m), (n - g) / float(((features @ m - y) ** 2).sum())
    A = alpha * np.eye(d) + beta * features.T @ features
    m = beta * np.linalg.solve(A, features.T @ y)
    evidence = n / 2 * np.log(beta) + d / 2 * np.log(alpha) - n / 2 * np.log(2 * np.pi)
    evidence -= beta / 2 * ((features @ m - y) ** 2).sum() + alpha / 2 * m @ m
    return float(evidence - np.linalg.slogdet(A)[1] / 2) / n


@pytest.mark.parametrize("d", [1, 4])
def test_the_evidence_is_that_of_the_published_fixed_point(d):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(80, d))
    targets = features @ rng.normal(size=(d, 3)) + rng.normal(size=(80, 3))
    found = log_evidence(features.T @ features, features.T @ targets, (targets**2).sum(axis=0), 80)
    expected = [published_fixed_point(features, target) for target in targets.T]
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_logme_is_the_mean_over_classes_and_rises_with_what_a_label_says():
    x, y, group, hidden = task_arrays()
    task = Task(x, y, group)
    z = (hidden - hidden.mean(axis=0)) / hidden.std(axis=0)
    indicators = (y[:, None] == task.names).astype(float)
    indicators -= indicators.mean(axis=0)
    expected = np.mean([published_fixed_point(z, target) for target in indicators.T])
    assert logme(task, z) == pytest.approx(expected, abs=1e-7)
    noise = np.random.default_rng(1).normal(size=(len(y), 5))
    assert logme(task, noise) < logme(task, z + 3 * noise) < logme(task, z)


def test_the_term_of_the_theory_is_its_definition_by_ridge_of_scikit_learn():
    x, y, group, hidden = task_arrays()
    task = Task(x, y, group)
    audible = Audible(task)
    z = stack({"z": hidden[:, :2]}, len(y))[0].values
    standard = (x - x.mean(axis=0)) / x.std(axis=0)
    class_mean = np.array([z[y == name].mean(axis=0) for name in y])

    def given_speech(target: np.ndarray) -> np.ndarray:
        heard = np.empty_like(target)
        for fold in range(5):
            train, test = task.folds != fold, task.folds == fold
            model = Ridge(alpha=audible.penalty * train.sum(), fit_intercept=False)
            heard[test] = model.fit(standard[train], target[train]).predict(standard[test])
        return heard

    epsilon = float(((given_speech(z) - given_speech(class_mean)) ** 2).sum()) / len(y)
    assert independence_error(task, audible, z) == pytest.approx(epsilon, rel=1e-8)
    indicators = (y[:, None] == task.names).astype(float)
    spread = np.cov(indicators.T, bias=True)
    cross = z.T @ (indicators - indicators.mean(axis=0)) / len(y)
    expected = np.linalg.norm(spread @ np.linalg.pinv(cross), 2)
    assert inverse_beta(task, z) == pytest.approx(expected, rel=1e-8)
    assert lee(task, audible, z) == pytest.approx(epsilon * expected**2, rel=1e-8)
    assert lee(task, audible, 7 * z) == pytest.approx(lee(task, audible, z), rel=1e-8)


def test_the_term_of_the_theory_is_small_for_what_the_class_decides():
    x, y, group, hidden = task_arrays()
    task = Task(x, y, group)
    audible = Audible(task)
    code = np.unique(y, return_inverse=True)[1].astype(float)[:, None]
    assert lee(task, audible, code - code.mean()) == pytest.approx(0, abs=1e-20)
    assert lee(task, audible, hidden[:, :1] - hidden[:, :1].mean()) > 0.01


def test_the_probe_is_linear_discriminant_analysis_of_scikit_learn():
    x, y, group, hidden = task_arrays()
    task = Task(x, y, group)
    z = (hidden - hidden.mean(axis=0)) / hidden.std(axis=0)
    right = 0
    for fold in range(5):
        train, test = task.folds != fold, task.folds == fold
        means = np.array([z[train][y[train] == name].mean(axis=0) for name in y[train]])
        share = ledoit_wolf(z[train] - means)[1]
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=share).fit(z[train], y[train])
        right += int((model.predict(z[test]) == y[test]).sum())
    assert probe(task, z) == pytest.approx(right / len(y), abs=2 / len(y))
    noise = np.random.default_rng(2).normal(size=(len(y), 3))
    assert probe(task, noise) < 0.3 < probe(task, z)


def test_a_class_without_a_point_to_learn_from_is_never_told():
    z = np.random.default_rng(3).normal(size=(20, 2))
    coefficients, intercepts = discriminant(z, np.repeat([0, 2], 10), 3)
    assert intercepts[1] == -np.inf
    assert coefficients.shape == (3, 2)


def test_every_estimator_says_what_it_is():
    for estimator in ESTIMATORS.all():
        assert estimator.direction in estimator.says
        assert estimator.axis
        assert estimator.help
        assert estimator.least_points >= 1
