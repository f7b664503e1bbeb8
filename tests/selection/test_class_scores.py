"""The forms for large classes give the numbers of the direct ones."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.selection.estimators import ESTIMATORS
from ptsel_fairseq.selection.estimators import one_class as class_scores
from ptsel_fairseq.selection.estimators.features import EPS, feature_count, gaussian_features
from ptsel_fairseq.selection.estimators.kernels import (
    label_kernel,
    median_variance,
    scalar_median_variance,
    squared_distances,
)
from ptsel_fairseq.selection.weighting import group
from ptsel_fairseq.selection.weighting.group import GroupObjective

KERNELS = ("cka", "hsic", "reference", "reference_first")


def sample(n: int, seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Speech [n, 40] and labels of every awkward kind that depend on it."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 40)) - 3
    z = x[:, 0] + rng.normal(size=n)
    return x, {
        "plain": z[:, None],
        "large_mean": z[:, None] + 1e6,
        "ties": np.maximum(z, 0)[:, None],
        "outlier": np.where(np.arange(n) == 3, 60.0, z)[:, None],
        "steps": np.round(z)[:, None],
        "vector": x[:, :5] + rng.normal(size=(n, 5)),
    }


@pytest.mark.parametrize("spread", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("kind", ["plain", "ties", "steps", "outlier"])
def test_features_are_the_gaussian_kernel_in_few_columns(spread, kind):
    z = spread * sample(300)[1][kind][:, 0] + 1e3
    features, kernel = gaussian_features(z, 0.7), label_kernel(z, 0.7)
    np.testing.assert_allclose(features @ features.T, kernel, atol=1.1 * EPS)  # and rounding
    assert features.shape[1] <= min(feature_count(z, 0.7), len(np.unique(z)))
    # No fewer would do: the best approximation of a rank is that of the largest eigenvalues.
    assert features.shape[1] <= 1.3 * (np.linalg.eigvalsh(kernel) > EPS).sum() + 1


def test_features_of_one_value_are_one_column():
    np.testing.assert_allclose(gaussian_features(np.full(5, 3.0), 0.7), np.ones((5, 1)))


@pytest.mark.parametrize("n", [2, 3, 10, 101, 400])
@pytest.mark.parametrize("kind", ["plain", "ties", "steps", "outlier", "constant"])
def test_the_median_distance_of_scalars_needs_no_pairs(n, kind):
    z = np.full(n, 2.0) if kind == "constant" else sample(max(n, 4))[1][kind][:n, 0]
    expected = median_variance(squared_distances(z))
    found = scalar_median_variance(z)
    assert (found is None) == (expected is None)
    if expected is not None:
        assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("estimator", KERNELS)
@pytest.mark.parametrize("n", [5, 60, 333])
@pytest.mark.parametrize("memory", [4e9, 3e7])
def test_blocks_equal_matrices(estimator, n, memory):
    x, labels = sample(n)
    rng = np.random.default_rng(2)
    orders = np.array([np.arange(n), *(rng.permutation(n) for _ in range(4))])
    direct = class_scores._by_matrices(x, labels, ESTIMATORS.get(estimator), orders)
    blocks = class_scores._by_blocks(x, labels, ESTIMATORS.get(estimator), orders, memory)
    assert list(direct) == list(blocks)
    for name, values in direct.items():
        np.testing.assert_allclose(blocks[name], values, atol=1e-9, rtol=1e-7, err_msg=name)


def test_labels_that_do_not_vary_are_missing_in_every_form():
    x, labels = sample(50)
    labels = {"constant": np.full((50, 1), 4.0), "plain": labels["plain"]}
    orders = np.arange(50)[None]
    for form in (class_scores._by_matrices, lambda *given: class_scores._by_blocks(*given, 1e9)):
        assert list(form(x, labels, ESTIMATORS.get("cka"), orders)) == ["plain"]


@pytest.mark.parametrize("estimator", KERNELS)
def test_the_tiled_group_objective_equals_the_direct_one(estimator, monkeypatch):
    x, labels = sample(300)
    labels = {name: labels[name] for name in ("plain", "ties", "vector")}
    classes = np.repeat(["a", "b"], [180, 120])
    weights = np.array([0.5, 0.2, 0.3])
    value, gradient = GroupObjective(x, labels, classes, estimator)(weights)
    monkeypatch.setattr(group, "LARGE", 4)
    for memory in (4e9, 3 * group.MEMORY_OF_A_BLOCK + 3e5):  # kernels kept, kernels made again
        tiled = GroupObjective(x, labels, classes, estimator, memory=memory)
        found, slope = tiled(weights)
        assert found == pytest.approx(value, rel=1e-8)
        np.testing.assert_allclose(slope, gradient, rtol=1e-7, atol=1e-9)


def test_a_class_that_cannot_fit_says_what_it_needs():
    x, labels = sample(400)
    with pytest.raises(PtselError, match=r"needs \d+ MB, found a limit of 1 MB; raise --memory"):
        class_scores.score_class(x, labels, ESTIMATORS.get("cka"), np.arange(400)[None], memory=1e6)


@pytest.mark.slow
def test_the_memory_limit_is_kept():
    """8,000 points, whose kernel alone takes 512 MB, within 200 MB beside the data."""
    code = """
import resource
import numpy as np
from ptsel_fairseq.selection.score import score_labels
rng = np.random.default_rng(0)
x = rng.normal(size=(8000, 400)).astype(np.float32)
labels = {f"l{i}": x[:, i] + rng.normal(size=8000) for i in range(5)}
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
scores = score_labels(x, labels, np.zeros(8000, int), estimator="cka", permutations=0, bootstrap=0, memory=200e6)
assert all(record.score > 0 for record in scores.values())
print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 200e6
