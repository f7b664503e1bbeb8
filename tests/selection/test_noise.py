"""Noise under an innocent name gets no weight from anything that recommends; an oracle is first."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import ASTERISK
from planted import task_arrays, utterance_noise

from ptsel_fairseq.base.class_file import read_classes
from ptsel_fairseq.base.manifest import manifest_file, read_manifest
from ptsel_fairseq.labels.extraction.extract import extract
from ptsel_fairseq.labels.store.reader import LabelStore
from ptsel_fairseq.selection import Points, build_points, score_labels, select_weights
from ptsel_fairseq.selection.controls import NOISE, ORACLE, TIME, class_code, planted_controls
from ptsel_fairseq.selection.estimators import DEFAULT_ESTIMATOR, ESTIMATORS
from ptsel_fairseq.selection.label_score import LabelScore
from ptsel_fairseq.selection.noise import holm, relevance_of
from ptsel_fairseq.selection.score import score_with_controls
from ptsel_fairseq.selection.weighting import WAYS
from ptsel_fairseq.selection.weighting.screening import EQUAL_NOISE, EQUAL_SCORES, NOT_BETTER, told_apart

RECOMMENDING = [way.name for way in WAYS.all() if way.recommends]


def planted_points(seed: int) -> Points:
    x, y, group, hidden = task_arrays(seed, points=400, groups=80)
    rng = np.random.default_rng([seed, 1])
    labels = {f"h{i}": hidden[:, i] + 0.3 * rng.normal(size=len(y)) for i in range(3)}
    labels["innocent"] = utterance_noise(rng, group)
    return Points(x, labels, y, utterance=group)


def test_there_are_ways_that_recommend_and_ways_that_do_not():
    assert {"relevance", "group", "direct"} <= set(RECOMMENDING)
    assert not {"all", "random", "manual", "naive"} & set(RECOMMENDING)


@pytest.mark.parametrize("estimator", ["relevance", "cka"])
def test_noise_gets_no_weight_and_is_named(estimator):
    points = planted_points(0)
    scores = score_labels(
        points.x, points.labels, points.classes, groups=points.groups, estimator=estimator, permutations=0
    )
    assert scores["innocent"].better_than_noise is False
    assert all(scores[f"h{i}"].better_than_noise for i in range(3))
    for method in RECOMMENDING:
        found = select_weights(points, method=method, estimator=estimator, scores=scores)
        assert found.weights["innocent"] == 0, method
        assert found.details["left_out"]["innocent"] == NOT_BETTER
        assert sum(found.weights.values()) == pytest.approx(1)
    unscreened = select_weights(points, method="direct", estimator="cka", scores=scores, screen=False)
    assert estimator == "relevance" or unscreened.weights["innocent"] > 0.5  # what the screening prevents


def test_where_no_label_is_better_than_noise_weights_are_equal():
    x, y, group, _ = task_arrays()
    rng = np.random.default_rng(1)
    labels = {name: utterance_noise(rng, group) for name in ("a", "b", "c")}
    for method in RECOMMENDING:
        found = select_weights(Points(x, labels, y, utterance=group), method=method)
        assert found.weights == pytest.approx(dict.fromkeys(labels, 1 / 3))
        assert found.details["finding"] == EQUAL_NOISE


def test_where_scores_cannot_be_told_apart_weights_are_equal():
    """40 points of 4 classes: intervals of `cka` are far wider than the differences of its scores."""
    x, y, group, hidden = task_arrays(2, points=40, classes=4, groups=40)
    labels = {f"h{i}": hidden[:, i] for i in range(3)}
    points = Points(x, labels, y, utterance=group)
    scores = score_labels(x, labels, y, groups=group, estimator="cka", permutations=0)
    scores = {
        name: record.__class__(**{**record.to_dict(), "better_than_noise": True})
        for name, record in scores.items()
    }
    for method in ("direct", "group", "redundancy"):
        found = select_weights(points, method=method, estimator="cka", scores=scores)
        assert found.weights == pytest.approx(dict.fromkeys(labels, 1 / 3))
        assert found.details["finding"] == EQUAL_SCORES
    asked = select_weights(points, method="direct", estimator="cka", scores=scores, support=1)
    assert sorted(asked.weights.values()) == [0, 0, 1]


def test_scores_are_told_apart_as_often_by_chance_as_the_level_says():
    rng = np.random.default_rng(2)
    k, units, times = 6, 20, 2000
    samples = rng.normal(size=(times, units, k))
    means, errors = samples.mean(axis=1), samples.std(axis=1, ddof=1) / np.sqrt(units)
    wrong = np.mean([told_apart(list(m), list(e), units) for m, e in zip(means, errors, strict=True)])
    assert 0.01 < wrong < 0.06
    assert told_apart([0.0, 1.0], [0.01, 0.01], 20)
    assert told_apart([0.0, 0.0], [None, None], 0)  # no errors known: nothing speaks against the scores
    assert not told_apart([0.0, 0.1], [0.2, 0.2], 20)


def test_holm_is_the_step_down_rule():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}


def test_scores_of_one_class_have_no_standing_against_noise():
    x, _, group, hidden = task_arrays()
    record = score_labels(x, {"h": hidden[:, 0]}, np.full(len(x), "a"), groups=group, estimator="cka")["h"]
    assert record.better_than_noise is None
    assert select_weights({"h": record}, method="direct", estimator="cka", tau=1.0).weights == {"h": 1.0}


def test_speech_of_which_all_points_are_used_is_not_copied():
    points = planted_points(2)
    whole = relevance_of(points.x, points.labels, points.classes, points.groups)
    assert np.shares_memory(whole.task.x, points.x)
    single = np.where(np.arange(len(points)) == 0, "a class of one", points.classes.astype(str))
    assert len(relevance_of(points.x, points.labels, single, points.groups).task) == len(points) - 1


def test_controls_change_nothing_in_the_labels_scores():
    points = planted_points(3)
    controls = {ORACLE: class_code(points.classes), NOISE: np.random.default_rng(0).normal(size=len(points))}
    for estimator in ("relevance", "cka"):
        given = (points.x, points.labels)
        settings = {"estimator": estimator, "permutations": 19, "groups": points.groups}
        alone, none = score_with_controls(*given, {}, points.classes, **settings)
        beside, of_controls = score_with_controls(*given, controls, points.classes, **settings)
        assert not none
        assert set(of_controls) == set(controls)
        for name, record in alone.items():
            assert beside[name].score == pytest.approx(record.score, rel=1e-9)
            assert beside[name].better_than_noise == record.better_than_noise


@pytest.fixture(scope="module")
def bundled(data_dir, store_dir):
    """Points and controls of a fifth of the bundled clips, by class file."""
    return points_and_controls(data_dir, store_dir)


@pytest.fixture(scope="module")
def all_bundled(tmp_path_factory):
    """The same of all bundled clips."""
    folder = tmp_path_factory.mktemp("all_bundled")
    extract(ASTERISK / "train.tsv", ["alpha_ratio", "f0", "loudness", "mfcc", "zcr"], folder)
    return points_and_controls(ASTERISK, folder)


def points_and_controls(data_dir, store_dir):
    manifest = read_manifest(manifest_file(data_dir, "train"))
    store = LabelStore(store_dir, "train")
    found = {}
    for name in ("phone", "voice"):
        class_file = read_classes(ASTERISK / "classes" / f"{name}.tsv", manifest, 16_000)
        points = build_points(manifest, store, class_file, store.labels)
        segments = class_file.in_order()
        controls = [planted_controls(manifest, store.grid, segments, "mean", 10, seed) for seed in range(20)]
        found[name] = points, controls
    return found


@pytest.mark.slow
@pytest.mark.parametrize("task", ["phone", "voice"])
def test_noise_as_a_label_of_the_user_on_recorded_speech(bundled, task):
    """20 seeds of noise: λ is 0 by all ways that recommend, on the scores of an estimator that noise wins."""
    points, controls = bundled[task]
    for seed, planted in enumerate(controls):
        labels = {**points.labels, "innocent": planted[NOISE]}
        with_noise = Points(points.x, labels, points.classes, points.utterance)
        by_cka = score_labels(
            points.x, labels, points.classes, groups=points.groups, estimator="cka", permutations=0, seed=seed
        )
        for method in RECOMMENDING:
            found = select_weights(with_noise, method=method, estimator="cka", scores=by_cka, seed=seed)
            assert found.weights["innocent"] == 0 or found.details["finding"] in (
                EQUAL_NOISE,
                EQUAL_SCORES,
            ), seed
            assert found.weights["innocent"] == 0, (seed, method, found.details)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["phone", "voice"])
def test_the_default_gives_noise_nothing_and_puts_an_oracle_first(all_bundled, task):
    """On all bundled clips, for 20 seeds of noise, whether `relevance` weighs by its own scores or beside others."""
    points, controls = all_bundled[task]
    for seed, planted in enumerate(controls):
        labels = {**points.labels, "innocent": planted[NOISE]}
        with_noise = Points(points.x, labels, points.classes, points.utterance)
        for estimator in (DEFAULT_ESTIMATOR, "relevance"):
            scores, oracle = score_with_controls(
                points.x, labels, {ORACLE: planted[ORACLE]}, points.classes,
                groups=points.groups, permutations=0, seed=seed, estimator=estimator,
            )  # fmt: skip
            if estimator == DEFAULT_ESTIMATOR:
                assert oracle[ORACLE].score > max(record.score for record in scores.values()), seed
            assert scores["innocent"].better_than_noise is False, (seed, estimator)
            found = select_weights(with_noise, scores=scores, estimator=estimator, seed=seed)
            assert found.weights["innocent"] == 0
            assert max(found.weights.values()) > 0


def test_the_controls_are_what_they_say(bundled):
    points, controls = bundled["phone"]
    first, second = controls[:2]
    np.testing.assert_allclose(first[TIME][:, 0], (points.start + points.end) / 2, atol=0.025)
    assert not np.allclose(first[NOISE], second[NOISE])
    one = first[NOISE][points.utterance == points.utterance[0], 0]
    assert one.std() < first[NOISE].std() / 2  # about the same number throughout an utterance
    codes = first[ORACLE]
    assert codes.shape[1] == min(64, len(np.unique(points.classes)) - 1)
    inside = np.mean([codes[points.classes == name].var(axis=0) for name in np.unique(points.classes)[:5]])
    assert inside == pytest.approx(0.09, rel=0.3)


def test_every_estimator_gives_a_record_for_every_control():
    points = planted_points(4)
    controls = {ORACLE: class_code(points.classes), NOISE: points.labels["innocent"]}
    for estimator in ESTIMATORS.all():
        _, found = score_with_controls(
            points.x, points.labels, controls, points.classes, groups=points.groups,
            estimator=estimator, permutations=5, bootstrap=10,
        )  # fmt: skip
        assert all(isinstance(record, LabelScore) and record.score is not None for record in found.values())
        if estimator.higher_is_better:
            assert found[ORACLE].score > found[NOISE].score
