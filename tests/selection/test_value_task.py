"""Tasks whose target is a number: estimators against scikit-learn, literal versions, and two classes as 0 and 1."""

from __future__ import annotations

import numpy as np
import pytest
from planted import task_arrays, utterance_noise
from scipy.stats import kstest
from sklearn.linear_model import LinearRegression, Ridge
from test_task_estimators import published_fixed_point

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.selection.estimators import ESTIMATORS, KernelEstimator, TaskEstimator
from ptsel_fairseq.selection.estimators.audible import PENALTIES, Audible, Plain
from ptsel_fairseq.selection.estimators.logme import logme
from ptsel_fairseq.selection.estimators.relevance import Relevance
from ptsel_fairseq.selection.estimators.ridge_probe import ridge_probe
from ptsel_fairseq.selection.estimators.task import Task, stack
from ptsel_fairseq.selection.estimators.value_task import ValueTask
from ptsel_fairseq.selection.score_tasks import score_by_task


def value_arrays(seed: int = 0, **sizes: int):
    """As `task_arrays`, with a value of each point that speech and label know something of in place of a class."""
    x, _, group, hidden = task_arrays(seed, **sizes)
    rng = np.random.default_rng(seed + 1000)
    return x, hidden @ [1.0, -0.5, 0, 0, 0] + 0.7 * rng.normal(size=len(x)), group, hidden


def standard(values):
    return (values - values.mean(axis=0)) / values.std(axis=0)


def test_all_of_a_label_at_no_noise_floor_is_the_adjusted_r2_of_scikit_learn():
    x, value, _, hidden = value_arrays()
    made = Relevance(ValueTask(x, value), {"h": hidden}, audible=False, shrinkage=False)
    found = made.score("h", gamma=0.0)
    r2 = LinearRegression().fit(hidden, value).score(hidden, value)
    n, d = hidden.shape
    assert found.raw == pytest.approx(r2, rel=1e-10)
    assert found.score == pytest.approx(1 - (1 - r2) * (n - 1) / (n - 1 - d), rel=1e-10)


@pytest.mark.parametrize("audible", [True, False])
@pytest.mark.parametrize("grouped", [True, False])
def test_two_classes_are_the_values_0_and_1(audible, grouped):
    """The indicators of two classes span one direction, that of the value: everything must be the same."""
    x, y, group, hidden = task_arrays(classes=2)
    groups = group if grouped else None
    noise = utterance_noise(np.random.default_rng(0), group)
    labels = {"h": hidden, "noise": noise}
    of_classes = Relevance(Task(x, y, groups), labels, audible)
    of_value = Relevance(ValueTask(x, 3.0 * (y == "c1") - 7, groups), labels, audible)
    if audible:
        assert of_value.audible.penalty == of_classes.audible.penalty
    nulls = of_classes.nulls(0.03, 50), of_value.nulls(0.03, 50)
    for name in labels:
        one, other = (made.score(name, permutations=20, jackknife=True) for made in (of_classes, of_value))
        for field in ("score", "raw", "chance", "most", "standard_error", "blocks"):
            assert getattr(other, field) == pytest.approx(getattr(one, field), rel=1e-8), field
        np.testing.assert_allclose(other.null.drawn, one.null.drawn, atol=1e-12)
        np.testing.assert_allclose(nulls[1][name].drawn, nulls[0][name].drawn, atol=1e-12)
        span, L, _ = of_value._floor(name, 0.03)
        moments = of_classes._moments(span, L), of_value._moments(span, L)
        for field in ("mean", "deviation", "skewness"):
            assert getattr(moments[1], field) == pytest.approx(getattr(moments[0], field), rel=1e-8)
    np.testing.assert_allclose(of_value.adjusted_factor()[0], of_classes.adjusted_factor()[0], rtol=1e-10)
    F, G = (made.adjusted_factor()[1] for made in (of_value, of_classes))
    np.testing.assert_allclose(F @ F.T, G @ G.T, atol=1e-10)


def test_the_audible_part_is_cross_fitted_ridge_by_scikit_learn():
    x, value, group, hidden = value_arrays()
    task = ValueTask(x, value, group)
    audible = Audible(task)
    z, t, speech = standard(hidden), standard(value), standard(x)

    def heard(target, share):
        found = np.empty_like(target)
        for fold in range(5):
            train, test = task.folds != fold, task.folds == fold
            model = Ridge(alpha=share * train.sum(), fit_intercept=False)
            found[test] = model.fit(speech[train], target[train]).predict(speech[test])
        return found

    np.testing.assert_allclose(
        audible.class_means(audible.products(z)), t[None] @ heard(z, audible.penalty) / len(t), atol=1e-9
    )
    np.testing.assert_allclose(Plain(task).class_means(z), t[None] @ z / len(t), atol=1e-12)
    errors = [np.square(heard(t, share) - t).sum() for share in PENALTIES]
    assert audible.penalty == PENALTIES[int(np.argmin(errors))]


@pytest.mark.parametrize("by_group", [False, True])
def test_the_products_without_the_matrices_are_those_with_them(by_group):
    x, value, group, _ = value_arrays()
    task = ValueTask(x, value, group)
    G, A = Audible(task).matrix, Plain(task).class_means(np.eye(len(task)))
    if by_group:
        G, A = (task.group_sums(each.T).T for each in (G, A))
    np.testing.assert_allclose(Audible(task).gram_of_matrix(by_group), G @ G.T, rtol=1e-9)
    np.testing.assert_allclose(Audible(task).product_with_plain(by_group), G @ A.T, rtol=1e-9)
    np.testing.assert_allclose(Plain(task).gram_of_matrix(by_group), A @ A.T, rtol=1e-9)


def test_relevance_is_its_formula():
    x, value, group, hidden = value_arrays(points=120, groups=30)
    task, gamma = ValueTask(x, value, group), 0.03
    made, audible = Relevance(task, {"h": hidden}), Audible(task)
    z, t, n = standard(hidden), standard(value), len(value)
    S, d = made.covariance, hidden.shape[1]

    def raw(values):
        m, h = values.T @ t / n, audible.class_means(audible.products(values))[0]
        return float(m @ np.linalg.solve(S + gamma * d * np.eye(d), h))

    chance = np.mean([raw(z[task.transplant(np.random.default_rng([task.seed, 3, k]))]) for k in range(200)])
    spectrum = np.linalg.eigvalsh(S)
    most = (spectrum / (spectrum + gamma * d)).max()
    found = made.score("h", gamma)
    assert found.raw == pytest.approx(raw(z), rel=1e-9)
    assert found.score == pytest.approx((raw(z) - chance) * most / (most - chance), rel=1e-7)


@pytest.mark.parametrize("columns", [slice(0, 1), slice(0, 5)])
def test_the_probe_is_ridge_by_scikit_learn_with_a_penalty_that_no_tested_point_chose(columns):
    x, value, group, hidden = value_arrays()
    task = ValueTask(x, value, group)
    z, t = standard(hidden[:, columns]), standard(value)

    def error(share, train, test):
        model = Ridge(alpha=share * train.sum()).fit(z[train], t[train])
        return float(np.square(model.predict(z[test]) - t[test]).sum())

    missed = 0.0
    for fold in range(5):
        rest = task.folds != fold
        inner = [
            sum(
                error(share, rest & (task.folds != other), task.folds == other)
                for other in range(5)
                if other != fold
            )
            for share in PENALTIES
        ]
        missed += error(PENALTIES[int(np.argmin(inner))], rest, ~rest)
    assert ridge_probe(task, z) == pytest.approx(1 - missed / len(t), rel=1e-8)


def test_the_probe_knows_its_ends_and_two_groups():
    x, value, group, _ = value_arrays()
    task = ValueTask(x, value, group)
    assert ridge_probe(task, standard(value)[:, None]) == pytest.approx(1, abs=1e-6)
    noise = np.random.default_rng(1).normal(size=(len(value), 3))
    assert -0.1 < ridge_probe(task, noise) < 0.05
    two = ValueTask(x, value, group < 30)
    assert ridge_probe(two, standard(value)[:, None]) > 0.9
    with pytest.raises(PtselError, match="expected a task of values"):
        ridge_probe(Task(x, np.repeat(["a", "b"], 150), group), noise)


def test_logme_is_the_published_fixed_point():
    x, value, group, hidden = value_arrays()
    z, t = standard(hidden), standard(value)
    assert logme(ValueTask(x, value, group), z) == pytest.approx(published_fixed_point(z, t), abs=1e-8)


SHAPES = ("independent points", "utterances of equal length", "constant in an utterance")


def chance_scores(estimator: str, shape: str, repetitions: int, permutations: int):
    """Scores and p of labels of chance, for a value that is nearly the same throughout an utterance."""
    form = ESTIMATORS.get(estimator).of_values()
    found = []
    for seed in range(repetitions):
        x, _, group, _ = task_arrays(seed % 20, points=90, groups=30, speech=8)
        rng = np.random.default_rng([8, seed])
        group = group if shape == "constant in an utterance" else np.repeat(np.arange(30), 3)
        value = utterance_noise(rng, group) + 0.3 * x[:, 0]
        if shape == "constant in an utterance":
            z = utterance_noise(rng, group, inside=0.0)
        else:
            z = np.column_stack([utterance_noise(rng, group), rng.normal(size=(90, 2))])
        if shape == "independent points":
            z, group = rng.normal(size=(90, 3)), None
        record = score_by_task(
            x, {"z": z}, value.astype(str), form, group, seed, permutations, False, values=value
        )["z"]
        found.append((record.score, record.p))
    return np.array(found).T


def assert_calibrated(estimator: str, scores: np.ndarray, p: np.ndarray, permutations: int) -> None:
    """p is uniform; of logme, whose evidence is the same for all labels that say nothing, it may be larger."""
    # p are multiples of 1 / (permutations + 1): spread them evenly below each
    spread = p - np.random.default_rng(1).uniform(0, 1 / (permutations + 1), len(p))
    side = "greater" if estimator == "logme" else "two-sided"  # greater: more small p than there should be
    assert kstest(spread, "uniform", alternative=side).pvalue > 0.01
    if estimator in ("relevance", "pillai"):
        assert abs(scores.mean()) < 4 * scores.std() / np.sqrt(len(scores))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("estimator", ["relevance", "probe"])
def test_p_of_chance_is_uniform(estimator, shape):
    assert_calibrated(estimator, *chance_scores(estimator, shape, 60, 19), 19)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("estimator", ["relevance", "pillai", "probe", "logme"])
def test_p_of_chance_is_uniform_over_many_tasks(estimator, shape):
    scores, p = chance_scores(estimator, shape, 500, 39)
    assert_calibrated(estimator, scores, p, 39)
    assert np.mean(p <= 0.05) < 0.08


def test_the_jackknife_is_computed_anew_without_each_block():
    x, value, group, hidden = value_arrays()
    task = ValueTask(x, value, group)
    made = Relevance(task, {"h": hidden}, audible=False, shrinkage=False)
    found = made.score("h", jackknife=True)
    d, values = hidden.shape[1], []
    for block in range(int(task.blocks.max()) + 1):
        rows = task.blocks != block
        # in the units of the whole task, as the noise floor is
        z, t = standard(hidden)[rows], standard(value[rows])
        m = (z - z.mean(axis=0)).T @ t / len(t)
        S = np.cov(z.T, bias=True)
        raw = m @ np.linalg.solve(S + 0.03 * d * np.eye(d), m)
        values.append((raw - found.chance) * found.most / (found.most - found.chance))
    count, spread = len(values), np.array(values) - np.mean(values)
    assert found.standard_error == pytest.approx(np.sqrt((count - 1) / count * spread @ spread), rel=1e-8)


def test_which_estimators_have_a_form_for_values():
    for estimator in ESTIMATORS.all():
        if not estimator.has_values:
            with pytest.raises(PtselError, match=f"{estimator.name}: it has no form for values; .*probe"):
                estimator.of_values()
            continue
        form = estimator.of_values()
        assert (form.name, form.direction) == (estimator.name, estimator.direction)
        assert form.of_values() is form
        assert form.has_values
        if isinstance(estimator, TaskEstimator):
            assert "class" not in form.says + form.axis
        else:
            assert isinstance(form, KernelEstimator)
    assert not ESTIMATORS.get("lee").has_values


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones(10), "values: expected numbers that differ, found the same for all 10 points"),
        (np.arange(9.0), r"values: expected one for each of 10 points, found an array of shape \(9,\)"),
        (np.array([1.0] * 9 + [np.nan]), "values: expected finite values, found nan"),
        (np.array(["a"] * 10), "values: expected numbers, found <U1"),
    ],
)
def test_what_is_no_value(values, message):
    with pytest.raises(PtselError, match=message):
        ValueTask(np.eye(10), values)
    with pytest.raises(PtselError, match="points of two utterances"):
        ValueTask(np.eye(10), np.arange(10.0), np.zeros(10))


def test_stacked_labels_are_those_of_any_task():
    x, value, group, hidden = value_arrays()
    made = Relevance(ValueTask(x, value, group), {"h": hidden})
    np.testing.assert_array_equal(made.stacked.values, stack({"h": hidden}, len(value))[0].values)


def test_an_estimator_of_a_user_for_values():
    def correlation(task, z):
        return float(np.abs(z.T @ task.target).max()) / len(task)

    words = {"title": "t", "axis": "a", "better": "b", "help": "h", "higher_is_better": True}
    own = TaskEstimator(
        "own",
        function=lambda task, z: 0.0,
        values_form=TaskEstimator("any", function=correlation, **words),
        **words,
    )
    x, value, group, hidden = value_arrays()
    form = own.of_values()
    assert (form.name, form.has_values) == ("own", True)
    found = score_by_task(x, {"h": hidden[:, 0]}, value.astype(str), form, group, values=value)["h"]
    assert found.score == pytest.approx(abs(np.corrcoef(hidden[:, 0], value)[0, 1]))
