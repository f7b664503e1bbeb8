"""Metrics and their intervals against independent implementations: fractions, scikit-learn, scipy, Levenshtein."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from ptsel_fairseq.downstream.metrics.bootstrap import (
    holm,
    interval,
    mean_values,
    paired_p,
    replicates,
    resampled_weights,
)
from ptsel_fairseq.downstream.metrics.classification import ClassScorer, MultilabelScorer
from ptsel_fairseq.downstream.metrics.eer import TrialScorer
from ptsel_fairseq.downstream.metrics.error_rates import TranscriptScorer, count_errors


def literal_trial_metrics(targets, scores, prior):
    """EER by intersecting every edge of the curve with the diagonal, minimum cost by every threshold; in fractions."""
    same = [s for t, s in zip(targets, scores, strict=True) if t]
    other = [s for t, s in zip(targets, scores, strict=True) if not t]
    thresholds = [-np.inf, *sorted(set(scores))]
    points = [
        (Fraction(sum(s > x for s in other), len(other)), Fraction(sum(s <= x for s in same), len(same)))
        for x in thresholds
    ]
    crossings = set()
    for (fa, miss), (next_fa, next_miss) in itertools.pairwise(points):
        gap, next_gap = miss - fa, next_miss - next_fa
        if gap <= 0 <= next_gap and gap != next_gap:
            crossings.add(miss + (next_miss - miss) * gap / (gap - next_gap))
    assert len(crossings) == 1
    p = Fraction(prior).limit_denominator(1000)
    cost = min(p * miss + (1 - p) * fa for fa, miss in points) / min(p, 1 - p)
    return float(crossings.pop()), float(cost)


trials = st.lists(st.tuples(st.booleans(), st.integers(-4, 4)), min_size=2, max_size=40).filter(
    lambda found: len({target for target, _ in found}) == 2
)


@settings(deadline=None)
@given(trials)
def test_trial_metrics_are_the_literal_ones_with_ties(found):
    targets, scores = zip(*found, strict=True)
    values = TrialScorer(targets, scores)(np.ones(len(targets)))
    for prior in (0.01, 0.05):
        eer, cost = literal_trial_metrics(targets, scores, prior)
        assert values["eer"] == pytest.approx(eer, abs=1e-12)
        assert values[f"min_dcf_{prior:g}"] == pytest.approx(cost, abs=1e-12)


@settings(deadline=None)
@given(trials, st.integers(0, 99))
def test_a_weight_is_a_repetition(found, seed):
    targets, scores = (np.array(column) for column in zip(*found, strict=True))
    weights = np.random.default_rng(seed).integers(0, 4, size=len(targets))
    repeated = np.repeat(np.arange(len(targets)), weights)
    if len(set(targets[repeated])) == 2:
        once = TrialScorer(targets, scores)(weights)
        again = TrialScorer(targets[repeated], scores[repeated])(np.ones(len(repeated)))
        assert once == pytest.approx(again, abs=1e-12)


@pytest.mark.parametrize(
    ("targets", "scores", "eer", "cost"),
    [
        ([1, 1, 0, 0], [4, 3, 2, 1], 0, 0),  # apart
        ([1, 1, 0, 0], [1, 2, 3, 4], 1, 1),  # the wrong way round; accepting none costs 1
        ([1, 0, 1, 0], [4, 3, 2, 1], 0.5, 0.5),  # the first target alone: P_miss 0.5, P_fa 0
        ([1, 0], [1, 1], 0.5, 1),  # a tie
        ([1, 1, 1, 1, 0, 0, 0, 0], [5, 4, 3, 1, 2, 0, 0, 0], 0.25, 0.25),
    ],
)
def test_trial_metrics_made_by_hand(targets, scores, eer, cost):
    values = TrialScorer(targets, scores)(np.ones(len(targets)))
    assert values == pytest.approx({"eer": eer, "min_dcf_0.01": cost, "min_dcf_0.05": cost})


def test_trial_metrics_of_two_normal_distributions():
    draw = np.random.default_rng(0)
    targets = np.repeat([1, 0], 200_000)
    scores = np.concatenate([draw.normal(2, 1, 200_000), draw.normal(0, 1, 200_000)])
    values = TrialScorer(targets, scores)(np.ones(400_000))
    assert values["eer"] == pytest.approx(stats.norm.sf(1), abs=0.002)
    threshold = 1 + np.log(0.95 / 0.05) / 2  # where the likelihood ratio equals the odds of a non-target
    cost = stats.norm.cdf(threshold - 2) + stats.norm.sf(threshold) * 0.95 / 0.05
    assert values["min_dcf_0.05"] == pytest.approx(cost, abs=0.01)


def test_trial_metrics_follow_scikit_learns_curve():
    draw = np.random.default_rng(1)
    targets, scores = draw.integers(0, 2, 500), draw.normal(size=500).round(1)
    false_alarm, hit, _ = sk.roc_curve(targets, scores, drop_intermediate=False)
    miss, own = TrialScorer(targets, scores).curve(np.ones(500))
    np.testing.assert_allclose(own[::-1], false_alarm, atol=1e-12)
    np.testing.assert_allclose(miss[::-1], 1 - hit, atol=1e-12)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=30), st.integers(0, 99))
def test_class_metrics_are_scikit_learns(found, seed):
    reference, hypothesis = ([f"c{code}" for code in column] for column in zip(*found, strict=True))
    weights = np.random.default_rng(seed).integers(1, 5, len(found)).astype(float)
    values = ClassScorer(reference, hypothesis)(weights)
    assert values["accuracy"] == pytest.approx(
        sk.accuracy_score(reference, hypothesis, sample_weight=weights)
    )
    recall = sk.recall_score(
        reference, hypothesis, labels=sorted(set(reference)), average="macro", sample_weight=weights
    )
    assert values["uar"] == pytest.approx(recall)
    f1 = sk.f1_score(reference, hypothesis, average="macro", sample_weight=weights, zero_division=0)
    assert values["macro_f1"] == pytest.approx(f1)


def test_uar_is_balanced_accuracy():
    draw = np.random.default_rng(2)
    reference, hypothesis = draw.integers(0, 5, (2, 300)).astype(str)
    values = ClassScorer(reference, hypothesis)(np.ones(300))
    assert values["uar"] == pytest.approx(sk.balanced_accuracy_score(reference, hypothesis))


@pytest.mark.parametrize("decimals", [1, 9])  # with ties and without
def test_multilabel_metrics_are_scikit_learns_on_what_is_labelled(decimals):
    draw = np.random.default_rng(3)
    relevance, score = draw.random((60, 4)), draw.random((60, 4)).round(decimals)
    labelled = draw.random((60, 4)) < 0.4
    items, classes = np.nonzero(labelled)
    weights = draw.integers(0, 4, 60).astype(float)
    values = MultilabelScorer(classes.astype(str), relevance[labelled], score[labelled])(weights[items])
    expected = []
    for k in range(4):
        rows = labelled[:, k]
        truth, answer, weight = relevance[rows, k] >= 0.5, score[rows, k] >= 0.5, weights[rows]
        both = sk.f1_score(truth, answer, average=None, sample_weight=weight)
        precision = sk.average_precision_score(truth, score[rows, k], sample_weight=weight)
        expected.append((both[1], both.mean(), precision))
    assert list(values.values()) == pytest.approx(np.mean(expected, axis=0).tolist())
    assert list(values) == ["mean_f1", "mean_f1_both", "map"]


def test_a_class_without_a_positive_is_left_out():
    values = MultilabelScorer(["a", "a", "b"], [1.0, 0.0, 0.2], [0.9, 0.1, 0.7])(np.ones(3))
    assert values == {"mean_f1": 1.0, "mean_f1_both": 1.0, "map": 1.0}


def levenshtein(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        corner, row[0] = row[0], i
        for j, y in enumerate(b, start=1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (x != y))
    return row[-1]


texts = st.lists(
    st.lists(st.sampled_from(["A", "AB", "C"]), max_size=6).map(" ".join), min_size=1, max_size=4
)


@settings(max_examples=50, deadline=None)
@given(texts, st.integers(0, 99))
def test_errors_are_the_edit_distance(reference, seed):
    hypothesis = [reference[i] for i in np.random.default_rng(seed).permutation(len(reference))]
    for characters in (False, True):
        rows = count_errors(reference, hypothesis, characters)
        for (substituted, deleted, inserted, length), right, heard in zip(
            rows, reference, hypothesis, strict=True
        ):
            sides = (right, heard) if characters else (right.split(), heard.split())
            assert substituted + deleted + inserted == levenshtein(*sides)
            assert length == len(sides[0])
            assert inserted - deleted == len(sides[1]) - length


def test_error_rates_made_by_hand():
    scorer = TranscriptScorer(["THE CAT SAT", "  ON A   MAT"], ["THE CAT", "ON THE BIG MAT"])
    assert scorer(np.ones(2))["wer"] == pytest.approx(3 / 6)
    assert scorer.counts()["wer"] == {"substitutions": 1, "deletions": 1, "insertions": 1, "reference": 6}
    assert scorer(np.array([0.0, 2.0]))["wer"] == pytest.approx(2 / 3)
    assert TranscriptScorer(["AH N"], ["AH M"], "phone")(np.ones(1)) == {"per": 0.5}
    assert np.isnan(TranscriptScorer([""], ["A"])(np.ones(1))["wer"])


def accuracy_of(right):
    return lambda weights: {"accuracy": float(weights @ right / weights.sum())}


def test_the_interval_is_scipys_percentile_bootstrap():
    right = (np.random.default_rng(4).random(150) < 0.7).astype(float)
    drawn = replicates([[accuracy_of(right)]], [str(i) for i in range(150)], 4000, 0)[0]["accuracy"]
    own = interval(drawn)
    peer = stats.bootstrap((right,), np.mean, n_resamples=4000, method="percentile").confidence_interval
    assert own == pytest.approx(tuple(peer), abs=0.01)


def test_groups_are_drawn_as_a_whole():
    groups = ["a", "b", "a", "c", "b"]
    for weights in resampled_weights(groups, 20, 0):
        assert weights[0] == weights[2]
        assert weights[1] == weights[4]
        assert weights[0] + weights[1] + weights[3] == 3
    # Items that always err together say less: the interval over groups is wider.
    right = np.repeat(np.random.default_rng(5).random(30) < 0.5, 10).astype(float)
    widths = []
    for names in (np.arange(300), np.repeat(np.arange(30), 10)):
        low, high = interval(replicates([[accuracy_of(right)]], names.astype(str), 500, 0)[0]["accuracy"])
        widths.append(high - low)
    assert widths[1] > 2.5 * widths[0]


def test_an_interval_needs_values():
    assert interval(np.array([np.nan] * 6 + [1.0] * 94)) is None
    assert interval(np.array([np.nan] * 4 + [1.0] * 96)) == (1.0, 1.0)


def test_runs_are_averaged():
    runs = [accuracy_of(np.array([1.0, 0.0])), accuracy_of(np.array([1.0, 1.0]))]
    assert mean_values(runs, np.ones(2)) == {"accuracy": 0.75}


def paired(first, second, seed=0, resamples=500):
    items = [str(i) for i in range(len(first))]
    drawn = replicates([[accuracy_of(first)], [accuracy_of(second)]], items, resamples, seed)
    return paired_p(*(found["accuracy"] for found in drawn), groups=len(set(items)))


def test_p_of_equal_systems_is_one_and_sides_do_not_matter():
    draw = np.random.default_rng(6)
    first, second = (draw.random((2, 100)) < 0.6).astype(float)
    assert paired(first, first) == 1
    assert paired(first, second) == paired(second, first)


def test_p_is_about_that_of_students_test():
    draw = np.random.default_rng(7)
    first = draw.random(
        400
    )  # partly right answers: a sum of them has no ties, which the bootstrap counts against both
    for shift in (0.01, 0.03, 0.06):
        second = first + draw.normal(shift, 0.4, 400)
        expected = stats.ttest_rel(first, second).pvalue
        assert paired(first, second, resamples=4000) == pytest.approx(expected, abs=0.04)


def test_p_is_calibrated_where_both_systems_are_equally_good():
    draw = np.random.default_rng(8)
    found = [paired(*(draw.random((2, 80)) < 0.6).astype(float), seed=i) for i in range(150)]
    assert 0.01 <= np.mean(np.array(found) < 0.05) <= 0.12
    assert 0.35 <= np.mean(np.array(found) < 0.5) <= 0.65


@pytest.mark.parametrize("groups", [1, 2, 4, 5])
def test_p_of_few_groups_is_not_less_than_chance_allows(groups):
    """Of systems that are equally good but for the groups that were drawn, p is below 0.05 in one of twenty at most."""
    draw = np.random.default_rng(groups)
    names = [f"g{i % groups}" for i in range(20 * groups)]
    below = 0
    for seed in range(60):
        shift = np.repeat(draw.normal(size=(1, groups)), 20, axis=0).ravel()  # of each group's items alike
        replicated = replicates([[accuracy_of(shift)], [accuracy_of(np.zeros(len(shift)))]], names, 200, seed)
        below += paired_p(*(found["accuracy"] for found in replicated), groups=groups) < 0.05
    assert below <= 60 * 0.05 + 3 * np.sqrt(60 * 0.05 * 0.95)


def test_holm_made_by_hand():
    p = {("a", "b"): 0.01, ("a", "c"): 0.04, ("b", "c"): 0.03}
    assert holm(p) == pytest.approx({("a", "b"): 0.03, ("a", "c"): 0.06, ("b", "c"): 0.06})
