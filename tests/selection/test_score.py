"""Scores: what they do not depend on, that their p-values are calibrated, and what is left out is counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest, norm

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.selection import (
    cka,
    cosine_kernel,
    estimators,
    hsic,
    label_kernel,
    score_labels,
)
from ptsel_fairseq.selection.estimators.kernels import median_variance, squared_distances, standardise
from ptsel_fairseq.selection.estimators.known import CKA, REFERENCE
from ptsel_fairseq.selection.output.text import indifferent_lines
from ptsel_fairseq.selection.score_kernels import Compute, KernelSettings, score_by_kernels, small_sample_tail

ESTIMATORS = ("cka", "hsic", "reference")
PERMUTATIONS = 99


def points_given_classes(seed: int, sizes=(12, 9, 15), dim: int = 6):
    """Speech and a label that depend on each other, but only through the class."""
    rng = np.random.default_rng(seed)
    classes = np.repeat([f"c{i}" for i in range(len(sizes))], sizes)
    means = rng.normal(size=(len(sizes), dim + 1)) * 3
    number = np.repeat(np.arange(len(sizes)), sizes)
    x = means[number, :dim] + rng.normal(size=(len(classes), dim))
    z = means[number, dim] + rng.normal(size=len(classes))
    return x, z, classes


def by_kernels_alone(x, labels, classes, estimator: str, seed: int, permutations: int, bootstrap: int = 1000):
    """The records of `score_labels` but for the comparison with noise, which takes most of the time of few points."""
    chosen = estimators.ESTIMATORS.get(estimator)
    settings = KernelSettings(chosen, seed, permutations, bootstrap, chosen.average)
    return score_by_kernels(x, labels, classes, None, settings, Compute(jobs=1))


def p_values(estimator: str, repetitions: int, score=score_labels) -> list[float]:
    found = []
    for seed in range(repetitions):
        x, z, classes = points_given_classes(seed)
        record = score(
            x, {"z": z}, classes, estimator=estimator, seed=seed, permutations=PERMUTATIONS, bootstrap=0
        )["z"]
        found.append(record.p)
    return found


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_comparison_with_noise_changes_no_other_field(estimator):
    x, z, classes = points_given_classes(4)
    given = (x, {"z": z}, classes)
    options = {"estimator": estimator, "seed": 4, "permutations": PERMUTATIONS}
    whole, alone = score_labels(*given, **options)["z"], by_kernels_alone(*given, **options)["z"]
    assert (whole.p, whole.interval, whole.score) == (alone.p, alone.interval, alone.score)


def uniform_over_its_steps(p: list[float]) -> float:
    """KS test of p-values that are multiples of 1/100, spread evenly below each multiple."""
    spread = np.random.default_rng(1).uniform(0, 1 / (PERMUTATIONS + 1), len(p))
    return kstest(np.array(p) - spread, "uniform").pvalue


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_p_is_uniform_under_conditional_independence(estimator):
    assert uniform_over_its_steps(p_values(estimator, 200)) > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_p_is_uniform_over_a_thousand_repetitions(estimator):
    p = p_values(estimator, 1000, by_kernels_alone)
    assert uniform_over_its_steps(p) > 0.01
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.02)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_score_is_conditional_not_marginal(estimator):
    rng = np.random.default_rng(7)
    x, through_class, classes = points_given_classes(7, sizes=(30, 30, 30))
    labels = {"through_class": through_class, "inside_class": x[:, 0] + 0.3 * rng.normal(size=len(x))}
    scores = score_labels(x, labels, classes, estimator=estimator, permutations=199)
    assert scores["inside_class"].p == pytest.approx(1 / 200)
    assert scores["inside_class"].z > 4
    assert scores["through_class"].p > 0.05
    # Without the classes it is found as well: the label does depend on the speech marginally.
    everything_one_class = score_labels(
        x, labels, np.full(len(x), "all"), estimator=estimator, permutations=199
    )
    assert everything_one_class["through_class"].p == pytest.approx(1 / 200)


@settings(deadline=None, max_examples=30)
@given(
    scale=st.sampled_from([-1000.0, -1.0, 1e-6, 0.01, 3.0, 1e5]),
    offset=st.floats(-1e4, 1e4),
    estimator=st.sampled_from(["cka", "hsic"]),
)
def test_units_do_not_matter(scale, offset, estimator):
    x, z, classes = points_given_classes(3)
    offset *= abs(scale)  # an offset of many widths leaves fewer digits
    options = {"permutations": 0, "bootstrap": 0}
    before = score_labels(x, {"z": z}, classes, estimator=estimator, **options)["z"].score
    after = score_labels(x * abs(scale), {"z": scale * z + offset}, classes, estimator=estimator, **options)[
        "z"
    ].score
    assert after == pytest.approx(before, rel=1e-6, abs=1e-9)


def test_the_reference_follows_the_unit_and_says_its_floor():
    x, z, classes = points_given_classes(3)
    labels = {"hertz": 100 * z, "kilohertz": z / 1000}
    scores = score_labels(x, labels, classes, estimator="reference", permutations=0)
    assert scores["hertz"].score < scores["kilohertz"].score
    floor = np.mean([1 / 12, 1 / 9, 1 / 15])
    assert scores["hertz"].floor == pytest.approx(floor)
    assert scores["hertz"].score == pytest.approx(floor, rel=0.2)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_order_of_points_does_not_matter(estimator):
    x, z, classes = points_given_classes(5)
    order = np.random.default_rng(0).permutation(len(x))
    one = score_labels(x, {"z": z}, classes, estimator=estimator, permutations=0)["z"]
    other = score_labels(x[order], {"z": z[order]}, classes[order], estimator=estimator, permutations=0)["z"]
    assert other.score == pytest.approx(one.score, rel=1e-10)
    assert other.interval == pytest.approx(one.interval, rel=1e-10)


def test_scores_are_the_means_of_the_classes():
    x, z, classes = points_given_classes(1)
    scaled = standardise(z[:, None])
    by_class = {}
    for name in np.unique(classes):
        rows = classes == name
        K = cosine_kernel(x[rows])
        L = label_kernel(scaled[rows], median_variance(squared_distances(scaled[rows])))
        by_class[str(name)] = {
            "cka": cka(K, L),
            "hsic": hsic(K, L),
            "reference": hsic(K, label_kernel(z[rows]), "reference"),
        }
    for estimator in ESTIMATORS:
        record = score_labels(x, {"z": z}, classes, estimator=estimator, permutations=0)["z"]
        expected = {name: values[estimator] for name, values in by_class.items()}
        assert record.per_class == pytest.approx(expected, rel=1e-9)
        assert record["points_per_class"] == {"c0": 12, "c1": 9, "c2": 15}
        for average, weights in (("plain", None), ("count", [12, 9, 15])):
            averaged = score_labels(
                x, {"z": z}, classes, estimator=estimator, permutations=0, average=average
            )["z"]
            assert averaged.score == pytest.approx(
                np.average(list(expected.values()), weights=weights), rel=1e-9
            )


def test_permutations_are_inside_the_classes():
    # Two points a class: the only other order swaps both, which is the same kernel.
    x, z, _ = points_given_classes(0)
    classes = np.arange(len(x)) // 2
    record = score_labels(x, {"z": z}, classes.astype(str), estimator="reference", permutations=50)["z"]
    assert record.p == 1
    assert record.z is None


def test_the_same_seed_gives_the_same_record():
    x, z, classes = points_given_classes(2)
    first, second = (
        score_labels(x, {"z": z, "y": z**2}, classes, seed=4, permutations=50, estimator="cka")
        for _ in range(2)
    )
    assert first == second
    assert list(first) == ["y", "z"]
    # What else is scored in the same run does not matter, but for the last digit of a matrix product.
    alone = score_labels(x, {"z": z}, classes, seed=4, permutations=50, estimator="cka")["z"]
    assert alone.p == first["z"].p
    for number in ("score", "z", "interval", "null_interval"):
        assert alone[number] == pytest.approx(first["z"][number], rel=1e-9)


def test_undefined_samples_are_left_out_for_that_label_only():
    x, z, classes = points_given_classes(2)
    holes = z.copy()
    holes[[0, 5, 20]] = np.nan
    scores = score_labels(x, {"holes": holes, "z": z}, classes, permutations=20, estimator="cka")
    kept = ~np.isnan(holes)
    alone = score_labels(x[kept], {"holes": z[kept]}, classes[kept], permutations=20, estimator="cka")[
        "holes"
    ]
    assert scores["holes"].score == pytest.approx(alone.score, rel=1e-12)
    assert (scores["holes"].points, scores["holes"].points_undefined) == (33, 3)
    assert (scores["z"].points, scores["z"].points_undefined) == (36, 0)


def test_small_classes_are_left_out_and_counted_not_scored_zero():
    x, z, classes = points_given_classes(2)
    more = np.concatenate([classes, ["three"] * 3, ["one"]])
    rng = np.random.default_rng(0)
    x2, z2 = np.concatenate([x, rng.normal(size=(4, 6))]), np.concatenate([z, rng.normal(size=4)])
    whole = score_labels(x, {"z": z}, classes, estimator="reference", permutations=0)["z"]
    for estimator, left_out, classes_used in (("cka", 2, 3), ("hsic", 2, 3), ("reference", 1, 4)):
        record = score_labels(x2, {"z": z2}, more, estimator=estimator, permutations=0)["z"]
        assert (record.classes_too_small, record.classes) == (left_out, classes_used)
        assert "one" not in record.per_class
    assert whole.classes == 3


def test_a_label_that_does_not_vary_has_no_score_but_a_reason():
    x, z, classes = points_given_classes(2)
    scores = score_labels(
        x, {"fixed": np.full(len(x), 0.1), "never": np.full(len(x), np.nan), "z": z}, classes
    )
    assert scores["fixed"].score is None
    assert scores["fixed"].reason.startswith("constant")
    assert scores["never"].reason.startswith("undefined")
    assert scores["z"].score is not None
    # Constant inside one class only: that class is left out.
    z[classes == "c1"] = 1.0
    assert score_labels(x, {"z": z}, classes, estimator="cka")["z"].classes_constant == 1


def test_one_outlier_in_a_class_has_nothing_to_align():
    x, z, classes = points_given_classes(2)
    z[classes == "c1"] = [0.0] * 8 + [5.0]
    record = score_labels(x, {"z": z}, classes, estimator="cka")["z"]
    assert record.classes_constant == 1
    assert all(np.isfinite(list(record.per_class.values())))


def test_vector_labels():
    x, z, classes = points_given_classes(6, sizes=(20, 20))
    vector = np.column_stack([z, x[:, 0] * 100, np.full(len(x), 3.0)])
    record = score_labels(x, {"v": vector}, classes, permutations=99, estimator="cka")["v"]
    assert record.p == pytest.approx(0.01)


def covers_zero(estimator: str, sizes: tuple[int, ...], repetitions: int, score=score_labels) -> float:
    """How often the interval holds 0, the expected score of a label that is independent given the class."""
    inside = 0
    for seed in range(repetitions):
        x, z, classes = points_given_classes(seed, sizes)
        record = score(x, {"z": z}, classes, estimator=estimator, seed=seed, permutations=0)["z"]
        inside += record.interval[0] <= 0 <= record.interval[1]
    return inside / repetitions


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["hsic", "cka"])
@pytest.mark.parametrize(
    "sizes", [(12,) * 10, (8,) * 20, (10,) * 50, (30, 5, 22, 9, 14, 38, 6, 25, 17, 11) * 2]
)
def test_the_interval_covers_as_often_as_it_says(estimator, sizes):
    assert covers_zero(estimator, sizes, 1000, by_kernels_alone) == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize("estimator", ["hsic", "cka"])
def test_the_interval_covers_over_few_classes(estimator):
    assert covers_zero(estimator, (12,) * 5, 200) > 0.85
    assert covers_zero(estimator, (8,) * 20, 200) == pytest.approx(0.95, abs=0.05)


def test_little_is_left_out_of_an_interval_over_few_classes():
    tails = [small_sample_tail(classes) for classes in (1, 2, 5, 10, 30, 1000)]
    assert tails == sorted(tails)
    assert tails[0] < 1e-9
    # sqrt(5 / 4) times Student's 2.776 for four degrees of freedom, as a normal tail
    assert tails[2] == pytest.approx(norm.sf(np.sqrt(5 / 4) * 2.776445), rel=1e-4)
    assert tails[-1] == pytest.approx(0.025, rel=0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a["x"].__setitem__((3, 1), np.nan), "x: expected finite values, found nan in sample 3"),
        (lambda a: a["labels"]["z"].__setitem__(2, np.inf), "label z: .*inf in sample 2"),
        (lambda a: a.update(classes=a["classes"][:-1]), "classes: expected one for each of 36 points"),
        (
            lambda a: a["labels"].update(z=np.ones(7)),
            "label z: expected a value for each of 36 points, found 7",
        ),
        (lambda a: a.update(labels={}), "at least one label"),
        (lambda a: a.update(estimator="kci"), "no estimator .kci.; the estimators are relevance"),
        (lambda a: a.update(average="median"), "an average among count, plain"),
        (lambda a: a.update(permutations=-1), "at least 0"),
        (lambda a: a.update(classes=np.arange(36).astype(str)), "at least one class with 4 or more points"),
    ],
)
def test_bad_points_are_named(change, message):
    x, z, classes = points_given_classes(2)
    arguments = {"x": x, "labels": {"z": z}, "classes": classes, "estimator": "cka"}
    change(arguments)
    with pytest.raises(PtselError, match=message):
        score_labels(**arguments)


def test_stronger_dependence_is_found_more_often():
    def power(strength: float) -> float:
        found = []
        for seed in range(40):
            x, z, classes = points_given_classes(seed)
            inside = x[:, 0] - [x[classes == name, 0].mean() for name in classes]
            record = score_labels(
                x,
                {"z": z + strength * inside},
                classes,
                estimator="cka",
                seed=seed,
                permutations=PERMUTATIONS,
                bootstrap=0,
            )["z"]
            found.append(record.p <= 0.05)
        return float(np.mean(found))

    none, some, much = power(0.0), power(0.7), power(4.0)
    assert none < 0.2
    assert none + 0.1 < some < much
    assert much > 0.8


def test_averages_over_classes():
    x, z, classes = points_given_classes(3)
    plain = score_labels(x, {"z": z}, classes, average="plain", permutations=0, bootstrap=0, estimator="cka")[
        "z"
    ]
    counted = score_labels(
        x, {"z": z}, classes, average="count", permutations=0, bootstrap=0, estimator="cka"
    )["z"]
    values = list(plain.per_class.values())
    assert plain.score == pytest.approx(np.mean(values))
    assert counted.score == pytest.approx(np.average(values, weights=[12, 9, 15]))
    assert plain.effective_classes == pytest.approx(3)
    assert counted.effective_classes == pytest.approx(36**2 / (12**2 + 9**2 + 15**2))


def test_a_reference_score_that_every_order_gives_is_called_so():
    x, z, classes = points_given_classes(3)
    labels = {"far_apart": 1e6 * z, "near": 0.1 * z}
    scores = score_labels(x, labels, classes, estimator="reference", permutations=50)
    (line,) = indifferent_lines(scores, REFERENCE)
    assert "far_apart" in line
    assert "near" not in line
    assert scores["far_apart"].p == 1
    of_cka = score_labels(x, labels, classes, estimator="cka", permutations=50)
    assert indifferent_lines(of_cka, CKA) == []
    unpermuted = score_labels(x, labels, classes, estimator="reference", permutations=0)
    assert indifferent_lines(unpermuted, REFERENCE) == []
