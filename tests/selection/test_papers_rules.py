"""The released code of both papers, written out, against the estimators that are named after it."""

from __future__ import annotations

import numpy as np
import pytest

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.selection import cosine_kernel, score_labels
from ptsel_fairseq.selection.estimators import ESTIMATORS, KernelEstimator, TaskEstimator
from ptsel_fairseq.selection.weighting import WAYS, Way


def released(x: np.ndarray, z: np.ndarray, classes: np.ndarray, first_paper: bool) -> float:
    """The mean over classes as the scripts compute it: H = I - 11'/n², variance 0.05, labels in their unit."""
    scores = []
    for name in np.unique(classes):
        rows = classes == name
        n = int(rows.sum())
        if first_paper and n <= 3:
            scores.append(0.0)
            continue
        if n < 2:
            continue
        K, H = cosine_kernel(x[rows]), np.eye(n) - np.ones((n, n)) / n**2
        L = np.exp(-((z[rows, None] - z[rows]) ** 2) / (2 * 0.05))
        scores.append(np.trace(K @ H @ L @ H) / ((n - 1) ** 2 if first_paper else n**2))
    return float(np.mean(scores))


@pytest.mark.parametrize(("estimator", "first_paper"), [("reference", False), ("reference_first", True)])
def test_both_papers_rules_are_their_scripts(estimator, first_paper):
    rng = np.random.default_rng(0)
    classes = np.array(["a"] * 9 + ["b"] * 3 + ["c"] * 2 + ["d"] + ["e"] * 14)
    x, z = rng.normal(size=(29, 6)) + 3, rng.normal(size=29)
    record = score_labels(x, {"z": z}, classes, estimator=estimator, permutations=9)["z"]
    assert record.score == pytest.approx(released(x, z, classes, first_paper), rel=1e-10)
    assert record.classes == (5 if first_paper else 4)
    assert record.classes_too_small == (0 if first_paper else 1)


def test_an_estimator_and_a_way_that_cannot_be_are_refused():
    words = {"title": "t", "axis": "a", "better": "b", "help": "h"}
    with pytest.raises(PtselError, match="expected the form unbiased"):
        KernelEstimator("own", form="biased", **words)
    with pytest.raises(PtselError, match="a variance above 0"):
        KernelEstimator("own", variance=0.0, **words)
    with pytest.raises(PtselError, match="neither a function nor one that hears"):
        score_labels(
            np.eye(8),
            {"z": np.arange(8.0)},
            np.repeat(["a", "b"], 4),
            estimator=TaskEstimator("own", **words),
        )
    with pytest.raises(PtselError, match="expected options among"):
        Way("own", help="h", run=lambda candidates, options: (np.ones(1), {}), options=("colour",))


def test_an_estimator_of_kernels_with_a_fixed_width_is_used_everywhere():
    """A kind that the package does not have: unbiased, in standard deviations, one width for all labels."""
    rng = np.random.default_rng(1)
    x, z = rng.normal(size=(60, 4)), rng.normal(size=60)
    wide = KernelEstimator(
        "wide", title="t", axis="a", better="b", help="h", least_points=4, variance=2.0, normalised=True
    )
    from ptsel_fairseq.selection import cka

    z = (z - z.mean()) / z.std()
    expected = cka(cosine_kernel(x), np.exp(-((z[:, None] - z) ** 2) / 4))
    found = score_labels(x, {"z": z}, np.full(60, "a"), estimator=wide, permutations=0)["z"].score
    assert found == pytest.approx(expected, rel=1e-9)


def test_names_are_those_of_the_registries():
    assert set(ESTIMATORS.names()) >= {
        "relevance",
        "pillai",
        "cka",
        "hsic",
        "reference",
        "logme",
        "lee",
        "probe",
    }
    assert set(WAYS.names()) >= {"relevance", "group", "direct", "redundancy", "all", "mrmr", "rfe", "naive"}
    assert sum(way.recommends for way in WAYS.all()) == 4
