"""The measures of examples/label_study against scipy, literal versions and what they must say of planted orders."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from example_tools import modules_of
from scipy.stats import spearmanr, weightedtau


@pytest.fixture(scope="module")
def label_study():
    with modules_of("label_study") as modules:
        yield modules


@pytest.fixture(scope="module")
def measures(label_study):
    return label_study.measures


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("ties", [False, True])
def test_weighted_tau_is_that_of_scipy_with_ranks_of_the_gain(measures, seed, ties):
    rng = np.random.default_rng(seed)
    gain = rng.normal(size=34)
    score = rng.integers(0, 5, 34).astype(float) if ties else gain + rng.normal(size=34)
    rank = np.empty(34, int)
    rank[np.argsort(-gain)] = np.arange(34)
    expected = weightedtau(score, gain, rank=rank).statistic
    assert measures.weighted_tau(score[None], gain)[0] == pytest.approx(expected, abs=1e-12)
    assert measures.spearman(score[None], gain)[0] == pytest.approx(
        spearmanr(score, gain).statistic, abs=1e-12
    )


def test_an_order_that_says_nothing_has_no_tau(measures):
    assert np.isnan(measures.weighted_tau(np.zeros((1, 5)), np.arange(5.0))).all()
    assert np.isnan(measures.spearman(np.arange(5.0)[None], np.zeros(5))).all()


def test_the_top_counts_more_than_the_bottom(measures):
    gain = np.arange(10.0)
    top, bottom = gain.copy(), gain.copy()
    top[[8, 9]] = top[[9, 8]]
    bottom[[0, 1]] = bottom[[1, 0]]
    taus = measures.weighted_tau(np.array([top, bottom]), gain)
    assert taus[0] < taus[1] < 1


def test_regret_by_hand(measures):
    rng = np.random.default_rng(0)
    gain = np.array([5.0, 3.0, 9.0, 1.0])
    scores = np.array([[4.0, 3.0, 2.0, 1.0], gain])
    assert measures.regret(scores, gain, (1, 2, 3), rng).tolist() == [[4, 4, 0], [0, 0, 0]]


def test_ties_of_a_score_are_averaged_over_orders(measures):
    gain = np.array([0.0, 1.0])
    lost = measures.regret(np.zeros((1, 2)), gain, (1,), np.random.default_rng(0), orders=4000)
    assert lost[0, 0] == pytest.approx(0.5, abs=0.03)


def test_holm_against_its_definition(measures):
    """Rejected at level α exactly where the adjusted p is at most α, by the literal step-down procedure."""
    rng = np.random.default_rng(1)
    for _ in range(50):
        p = dict(zip("abcdef", rng.random(6) ** 3, strict=True))
        adjusted = measures.holm(p)
        for alpha in (0.01, 0.05, 0.2, 0.5):
            rejected = set()
            for place, (name, value) in enumerate(sorted(p.items(), key=lambda item: item[1])):
                if value > alpha / (6 - place):
                    break
                rejected.add(name)
            assert rejected == {name for name, value in adjusted.items() if value <= alpha}


def test_spearman_brown_predicts_the_reliability_of_a_mean(measures):
    """Parallel measurements with correlation r: two means of k of them correlate as the formula says."""
    rng = np.random.default_rng(2)
    n, k = 200_000, 3
    truth = rng.normal(size=n)
    means = [(truth + rng.normal(size=(k, n))).mean(axis=0) for _ in range(2)]
    assert measures.spearman_brown(0.5, k) == pytest.approx(np.corrcoef(*means)[0, 1], abs=0.01)


def test_noise_ceiling_of_pure_noise_and_of_none(measures):
    rng = np.random.default_rng(3)
    truth = rng.normal(size=34)
    assert measures.noise_ceiling(np.tile(truth, (3, 1))) == pytest.approx((1, 1))
    found = [measures.noise_ceiling(rng.normal(size=(3, 34)))[0] for _ in range(200)]
    assert abs(np.median(found)) < 0.1


def test_bootstrap_covers_the_expected_tau_and_pairs_the_scores(measures):
    """Intervals of a good and of a useless score: apart; of two equal scores: no difference in any resampling."""
    rng = np.random.default_rng(4)
    gains, good, useless = [], [], []
    for _ in range(8):
        truth = rng.normal(size=30)
        gains.append(truth + 0.3 * rng.normal(size=(3, 30)))
        good.append(truth + 0.5 * rng.normal(size=30))
        useless.append(rng.normal(size=30))
    found = measures.bootstrap({"good": good, "again": good, "useless": useless}, gains, 60)
    tau = {name: values[:, 0] for name, values in found.items()}
    assert measures.interval(tau["good"])[0] > measures.interval(tau["useless"])[1]
    assert measures.interval(tau["useless"])[0] < 0 < measures.interval(tau["useless"])[1]
    np.testing.assert_array_equal(found["good"][:, :2], found["again"][:, :2])
    assert measures.two_sided_p(tau["good"] - tau["useless"]) == pytest.approx(2 / 61)
    assert measures.two_sided_p(tau["good"] - tau["again"]) == 1.0


def test_measured_puts_labels_without_a_score_last(measures):
    gain = np.array([1.0, 2.0, 3.0])
    scores = np.array([[np.nan, 1.0, 2.0], [np.nan, np.nan, np.nan]])
    found = measures.measured(scores, gain, np.random.default_rng(0))
    assert found[0].tolist() == pytest.approx([1, 1, 0, 0])
    assert np.isnan(found[1, :2]).all()


def test_every_pair_is_counted_once_a_side(measures):
    """Literal sum over pairs for a small case."""
    score, gain = np.array([1.0, 3.0, 2.0, 2.0]), np.array([4.0, 3.0, 2.0, 1.0])
    total = same = own = 0.0
    for i, j in itertools.combinations(range(4), 2):
        weight = 1 / (i + 1) + 1 / (j + 1)  # gains fall with the index
        total += weight * np.sign(score[i] - score[j]) * np.sign(gain[i] - gain[j])
        same += weight * (score[i] != score[j])
        own += weight
    assert measures.weighted_tau(score[None], gain)[0] == pytest.approx(total / np.sqrt(same * own))


def planted_study(label_study, tasks, scores):
    """A study of three labels in which the first gains most in every task."""
    gains = {task: np.array([[3.0, 1.0, 0.0], [3.1, 1.2, 0.1]]) for task in tasks}
    values = {name: dict.fromkeys(tasks, np.array(of)) for name, of in scores.items()}
    return label_study.analysis.Ranked(tuple(tasks), {task: ["a", "b", "c"] for task in tasks}, gains, values)


def test_the_rule_takes_the_best_estimator_that_ranks_no_noise_first(label_study):
    tasks = ["t1", "t2", "t3"]
    data = planted_study(label_study, tasks, {"good": [3, 2, 1], "noisy": [3, 2, 1], "bad": [1, 2, 3]})
    planted = [
        {"estimator": "good", "noise_first": 0},
        {"estimator": "noisy", "noise_first": 1},
        {"estimator": "bad", "noise_first": 0},
    ]
    rows = label_study.rules.default_by_rule(data, planted)
    assert [row["left_out"] for row in rows] == tasks
    assert {row["winner"] for row in rows} == {"good"}


def test_estimators_of_equal_tau_are_told_apart_by_regret(label_study):
    """Both orders have one pair wrong, of which only one costs anything at the top."""
    tasks = ["t1", "t2"]
    data = planted_study(label_study, tasks, {"top": [3, 2, 1], "also": [3, 2, 1]})
    same = [{"estimator": name, "noise_first": 0} for name in ("top", "also")]
    assert {row["winner"] for row in label_study.rules.default_by_rule(data, same)} == {"top"}


def test_the_default_way_leaves_out_the_task_that_is_judged(label_study):
    """A way that is best by one task alone is not taken for that task."""
    gained = {
        "steady": {"t1": np.array([2.0]), "t2": np.array([2.0]), "t3": np.array([2.0])},
        "lucky": {"t1": np.array([9.0]), "t2": np.array([0.0]), "t3": np.array([0.0])},
        "noisy": {"t1": np.array([9.0]), "t2": np.array([9.0]), "t3": np.array([9.0])},
        "partial": {"t1": np.array([99.0])},
    }
    rows = label_study.rules.default_way_by_rule(gained, ["noisy"], ["t1", "t2", "t3"])
    assert {row["left_out"]: row["winner"] for row in rows} == {"t1": "steady", "t2": "lucky", "t3": "lucky"}
    assert rows[0]["regret_there"] == 97
