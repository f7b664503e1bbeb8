"""Relevance of single labels: against independent formulas, under changes that must not matter, and under chance."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from planted import task_arrays, utterance_noise
from scipy.stats import kstest
from sklearn.covariance import ledoit_wolf as sklearn_ledoit_wolf
from sklearn.linear_model import Ridge

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.selection.estimators.audible import PENALTIES, Audible, Plain
from ptsel_fairseq.selection.estimators.relevance import Relevance, relevance
from ptsel_fairseq.selection.estimators.shrinkage import ledoit_wolf
from ptsel_fairseq.selection.estimators.task import Task


def vector(hidden: np.ndarray, rng: np.random.Generator, d: int = 3) -> np.ndarray:
    return hidden @ rng.normal(size=(hidden.shape[1], d)) + rng.normal(size=(len(hidden), d))


def test_the_shrinkage_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    for n, d in ((30, 1), (30, 5), (20, 40)):
        values = rng.normal(size=(n, d)) * rng.uniform(0.5, 2, d)
        values -= values.mean(axis=0)
        S, share = ledoit_wolf(values)
        expected, expected_share = sklearn_ledoit_wolf(values, assume_centered=True)
        np.testing.assert_allclose(S, expected, atol=1e-12)
        assert share == pytest.approx(expected_share, abs=1e-12)


@pytest.mark.parametrize("d", [1, 3, 8])
def test_without_a_noise_floor_it_is_the_sum_of_squared_canonical_correlations(d):
    """`scipy.linalg.subspace_angles` between the label's columns and the classes' indicators, both centred."""
    x, y, group, hidden = task_arrays()
    z = vector(hidden, np.random.default_rng(1), d)
    found = Relevance(Task(x, y, group), {"z": z}, audible=False, shrinkage=False).score("z", gamma=0)
    indicators = (y[:, None] == np.unique(y)[:-1]).astype(float)
    angles = scipy.linalg.subspace_angles(z - z.mean(axis=0), indicators - indicators.mean(axis=0))
    assert found.raw == pytest.approx(float((np.cos(angles) ** 2).sum()), rel=1e-9)
    assert found.most == pytest.approx(min(d, 5))


def test_one_scalar_label_is_the_share_of_its_variance_between_classes():
    x, y, group, hidden = task_arrays()
    z = hidden[:, 0]
    found = Relevance(Task(x, y, group), {"z": z}, audible=False).score("z", gamma=0)
    inside = np.mean([(z[i] - z[y == y[i]].mean()) ** 2 for i in range(len(z))])
    assert found.raw == pytest.approx(1 - inside / z.var())


@pytest.mark.parametrize("speech", [20, 400])  # fewer and more dimensions than the 300 points
def test_the_audible_part_is_cross_fitted_ridge_by_scikit_learn(speech):
    x, y, group, hidden = task_arrays(speech=speech)
    task = Task(x, y, group)
    audible = Audible(task)
    z = vector(hidden, np.random.default_rng(2))
    z -= z.mean(axis=0)
    standard = (x - x.mean(axis=0)) / x.std(axis=0)
    heard = np.empty_like(z)
    for fold in range(5):
        train, test = task.folds != fold, task.folds == fold
        assert not set(group[train]) & set(group[test])
        model = Ridge(alpha=audible.penalty * train.sum(), fit_intercept=False)
        heard[test] = model.fit(standard[train], z[train]).predict(standard[test])
    np.testing.assert_allclose(audible.predict(audible.products(z)), heard, atol=1e-9)
    means = np.array([heard[y == name].mean(axis=0) for name in task.names])
    means -= heard.mean(axis=0)
    np.testing.assert_allclose(audible.class_means(audible.products(z)), means, atol=1e-9)
    np.testing.assert_allclose(audible.matrix @ z, means, atol=1e-9)
    np.testing.assert_allclose(audible.squared_norm(audible.products(z)), (heard**2).sum(axis=0))


@pytest.mark.parametrize("speech", [40, 400])
def test_the_penalty_is_the_one_that_predicts_the_classes_best(speech):
    x, y, group, _ = task_arrays(speech=speech)
    task = Task(x, y, group)
    standard = (x - x.mean(axis=0)) / x.std(axis=0)
    target = (y[:, None] == task.names).astype(float)
    target -= target.mean(axis=0)
    errors = []
    for share in PENALTIES:
        error = 0.0
        for fold in range(5):
            train, test = task.folds != fold, task.folds == fold
            model = Ridge(alpha=share * train.sum(), fit_intercept=False).fit(standard[train], target[train])
            error += ((model.predict(standard[test]) - target[test]) ** 2).sum()
        errors.append(error)
    assert Audible(task).penalty == PENALTIES[int(np.argmin(errors))]


@pytest.mark.parametrize("by_group", [False, True])
@pytest.mark.parametrize("speech", [20, 400])
def test_the_products_without_the_matrices_are_those_with_them(by_group, speech):
    x, y, group, _ = task_arrays(speech=speech)
    task = Task(x, y, group)
    audible, plain = Audible(task), Plain(task)
    A, G = plain.class_means(np.eye(len(task))), audible.matrix
    if by_group:
        A, G = (
            np.array([M[:, task.group_of == u].sum(axis=1) for u in range(task.groups)]).T for M in (A, G)
        )
    np.testing.assert_allclose(plain.gram_of_matrix(by_group), A @ A.T, atol=1e-12)
    np.testing.assert_allclose(audible.gram_of_matrix(by_group), G @ G.T, atol=1e-12)
    np.testing.assert_allclose(audible.product_with_plain(by_group), G @ A.T, atol=1e-12)


def test_the_score_is_its_formula():
    """Class means and heard class means point by point, chance from permutations one by one."""
    x, y, group, hidden = task_arrays()
    z, task = vector(hidden, np.random.default_rng(10)), Task(x, y, group)
    made, audible = Relevance(task, {"z": z}), Audible(task)
    z = (z - z.mean(axis=0)) / z.std(axis=0)
    S = sklearn_ledoit_wolf(z, assume_centered=True)[0]
    inverse = np.linalg.inv(S + 0.03 * 3 * np.eye(3))

    def raw(values: np.ndarray) -> float:
        heard = audible.predict(audible.products(values))
        found = 0.0
        for name in task.names:
            m, h = values[y == name].mean(axis=0) - values.mean(axis=0), heard[y == name].mean(axis=0)
            found += float(np.mean(y == name) * m @ inverse @ (h - heard.mean(axis=0)))
        return found

    chance = np.mean(
        [raw(z[task.transplant(np.random.default_rng([0, 3, number]))]) for number in range(200)]
    )
    spectrum = np.linalg.eigvalsh(S)
    most = float((spectrum / (spectrum + 0.09)).sum())
    found = made.score("z")
    assert found.raw == pytest.approx(raw(z), rel=1e-9)
    assert found.score == pytest.approx((raw(z) - chance) * most / (most - chance), rel=1e-9)
    assert found.per_class.sum() == pytest.approx(found.raw)


def test_a_unit_and_an_invertible_map_of_a_label_do_not_matter():
    x, y, group, hidden = task_arrays()
    rng = np.random.default_rng(3)
    z, task = vector(hidden, rng, 4), Task(x, y, group)
    turned = z @ rng.normal(size=(4, 4)) + 7
    for audible in (True, False):
        made = Relevance(
            task, {"z": z, "turned": turned, "unit": 1000 * z + 5}, audible=audible, shrinkage=False
        )
        assert made.score("turned", gamma=0).score == pytest.approx(made.score("z", gamma=0).score, rel=1e-8)
        assert made.score("unit").score == pytest.approx(made.score("z").score, rel=1e-10)
    found = relevance(1000 * x + 3, {"z": z}, y, group)["z"].score
    assert found == pytest.approx(relevance(x, {"z": z}, y, group)["z"].score, rel=1e-9)


def test_it_rises_with_planted_relevance_and_is_next_to_its_maximum_for_a_code_of_the_class():
    x, y, group, _ = task_arrays(points=600)
    rng = np.random.default_rng(4)
    code = rng.normal(size=6)[np.unique(y, return_inverse=True)[1]]
    code = (code - code.mean()) / code.std()
    noise = rng.normal(size=len(y))
    labels = {f"{share}": share * code + (1 - share) * noise for share in (0, 0.2, 0.4, 0.6, 0.8, 1.0)}
    for audible in (True, False):
        found = relevance(x, labels, y, group, audible=audible)
        scores = [found[name].score for name in labels]
        assert scores == sorted(scores)
        assert abs(scores[0]) < 0.02
    assert scores[-1] == pytest.approx(1 / 1.03, rel=1e-6)  # all of its variance, less the noise floor


def test_what_cannot_be_heard_does_not_count():
    x, y, group, _ = task_arrays(points=600)
    deaf = np.random.default_rng(5).normal(size=x.shape)
    code = np.unique(y, return_inverse=True)[1].astype(float)
    heard = relevance(x, {"z": code}, y, group)["z"].score
    assert heard > 0.25
    assert abs(relevance(deaf, {"z": code}, y, group)["z"].score) < 0.02
    assert relevance(deaf, {"z": code}, y, group, audible=False)["z"].score > 0.9


def test_an_undefined_point_says_nothing():
    """The same as the label's mean there, and no error."""
    x, y, group, hidden = task_arrays()
    z = hidden[:, 0].copy()
    z[::3] = np.nan
    filled = np.where(np.isnan(z), np.nanmean(z), z)
    assert relevance(x, {"z": z}, y, group)["z"].score == pytest.approx(
        relevance(x, {"z": filled}, y, group)["z"].score
    )


@pytest.mark.parametrize("together", [False, True])
def test_the_moments_used_for_large_tasks_are_those_of_permutations(together):
    x, y, group, hidden = task_arrays(points=400, groups=100)
    rng = np.random.default_rng(6)
    labels = {"noise": utterance_noise(rng, group), "vector": vector(hidden, rng)}
    made = Relevance(Task(x, y, group if together else None), labels)
    drawn = made.nulls(0.03, 2000)
    for name in labels:
        span, L, _ = made._floor(name, 0.03)
        moments = made._moments(span, L)
        assert moments.mean == pytest.approx(drawn[name].mean, abs=0.1 * moments.deviation)
        assert moments.deviation == pytest.approx(drawn[name].deviation, rel=0.2)
        assert made.score(name).chance == pytest.approx(drawn[name].mean, abs=0.2 * moments.deviation)


def test_all_labels_at_once_have_the_null_distribution_of_each_alone():
    x, y, group, hidden = task_arrays()
    labels = {"a": hidden[:, 0], "b": vector(hidden, np.random.default_rng(7))}
    made = Relevance(Task(x, y, group), labels)
    together = made.nulls(0.03, 50)
    for name in labels:
        alone = made.score(name, permutations=50).null
        np.testing.assert_allclose(together[name].drawn, alone.drawn, rtol=1e-9)


@pytest.mark.slow
def test_the_standard_error_is_that_of_new_utterances():
    """The jackknife's error of one task against the spread over tasks of new utterances, models and all."""
    scores, errors = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        y = rng.integers(0, 5, 400)
        group = np.repeat(np.arange(80), 5)
        centres = np.random.default_rng(99).normal(size=(5, 3))
        x = centres[y] + rng.normal(size=(400, 3)) + 0.7 * rng.normal(size=(80, 3))[group]
        made = Relevance(Task(x, y, group), {"z": x[:, 0] + 0.3 * rng.normal(size=400)})
        found = made.score("z", jackknife=True)
        scores.append(found.score)
        errors.append(found.standard_error)
    assert np.mean(errors) == pytest.approx(np.std(scores), rel=0.3)


@pytest.mark.slow
@pytest.mark.parametrize("audible", [True, False])
@pytest.mark.parametrize("shape", ["independent points", "constant in an utterance"])
def test_labels_of_chance_score_zero_in_the_mean_and_have_uniform_p(audible, shape):
    scores, ps = [], []
    repetitions = 1000 if shape == "independent points" else 500
    for seed in range(repetitions):
        rng = np.random.default_rng([8, seed])
        x, y, group, _ = task_arrays(seed % 20, points=90, classes=4, groups=30, speech=8)
        if shape == "independent points":
            label, group = rng.normal(size=90), None
        else:
            label = utterance_noise(rng, group, inside=0.0)
        made = Relevance(Task(x, y, group, seed), {"z": label}, audible=audible)
        found = made.score("z", permutations=99)
        scores.append(found.score)
        ps.append(found.null.p(found.raw))
    assert abs(np.mean(scores)) < 4 * np.std(scores) / np.sqrt(repetitions)
    jittered = np.array(ps) - np.random.default_rng(9).uniform(0, 0.01, repetitions)
    assert kstest(jittered, "uniform").pvalue > 0.01


def test_what_cannot_be_scored_is_an_error_in_one_line():
    x, y, group, hidden = task_arrays()
    with pytest.raises(PtselError, match="two classes or more"):
        Task(x, np.full(len(x), "a"), group)
    with pytest.raises(PtselError, match="two utterances"):
        Task(x, y, np.zeros(len(x)))
    with pytest.raises(PtselError, match="too many for 12 points"):
        relevance(
            x[:12],
            {"z": np.random.default_rng(0).normal(size=(12, 40))},
            np.array(["a", "b", "c"] * 4),
            audible=False,
            gamma=0,
        )
    made = Relevance(
        Task(x, y, group), {"same": np.ones(len(x)), "none": np.full(len(x), np.nan), "z": hidden}
    )
    assert made.names == ("z",)
    assert made.reasons == {
        "same": "constant: the same for every sample",
        "none": "undefined for every sample",
    }
