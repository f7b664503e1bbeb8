"""Small products take one thread of BLAS, whatever the environment says; large ones keep what they have."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import scipy.linalg  # noqa: F401  (it has a BLAS of its own)
import threadpoolctl

from ptsel_fairseq import downstream, selection
from ptsel_fairseq.base.threads import WORTH_THREADS, few_threads, one_thread
from ptsel_fairseq.downstream.metrics.results import RESAMPLES


def threads() -> set[int]:
    """Of all BLAS libraries."""
    return {each["num_threads"] for each in threadpoolctl.threadpool_info() if each["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def two_threads():
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        if threads() != {2}:
            pytest.skip("this BLAS does not take two threads")
        yield


def test_small_products_take_one_thread_and_large_ones_all():
    with few_threads():
        assert threads() == {1}
        with few_threads(WORTH_THREADS):  # inside, nothing is raised again
            assert threads() == {1}
    assert threads() == {2}
    with few_threads(WORTH_THREADS):
        assert threads() == {2}
    with one_thread():
        assert threads() == {1}
    with pytest.raises(ZeroDivisionError), few_threads():
        raise ZeroDivisionError
    assert threads() == {2}


def test_of_torch_too_which_comes_back_after_an_error():
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(ZeroDivisionError), one_thread():
            _ = 1 // (torch.get_num_threads() - 1)
        assert torch.get_num_threads() == 2
        with few_threads():  # of BLAS only
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def task(points: int = 60, dim: int = 4):
    rng = np.random.default_rng(0)
    classes = np.repeat(["a", "b", "c"], points // 3)
    x = rng.normal(size=(points, dim)) + 2 * (classes == "a")[:, None]
    return x, classes, [f"u{i}" for i in range(points)]


def recording(monkeypatch, where: str) -> list[set[int]]:
    """Threads at each call of a function of numpy or of this package."""
    seen: list[set[int]] = []
    module, _, name = where.rpartition(".")
    found = getattr(importlib.import_module(module), name)
    monkeypatch.setattr(where, lambda *given, **more: seen.append(threads()) or found(*given, **more))
    return seen


@pytest.mark.parametrize("estimator", ["probe", "relevance", "cka", "logme"])
def test_scores(monkeypatch, estimator):
    x, classes, _ = task()
    seen = recording(monkeypatch, "ptsel_fairseq.selection.score.relevance_of")
    compared = recording(monkeypatch, "ptsel_fairseq.selection.score.compared_with_noise")
    selection.score_labels(x, {"z": x[:, 0]}, classes, estimator=estimator, permutations=5)
    assert seen == compared == [{1}]


def test_scores_of_many_points_take_all_threads(monkeypatch):
    x, classes, _ = task(600, 20)
    monkeypatch.setattr("ptsel_fairseq.base.threads.WORTH_THREADS", 1e5)
    seen = recording(monkeypatch, "ptsel_fairseq.selection.score.relevance_of")
    for estimator in ("relevance", "probe", "cka"):  # 600 times 9 times 20, or 9, and 200² times 20
        selection.score_labels(x, {"z": x[:, :9]}, classes, estimator=estimator, permutations=5)
    assert seen == [{2}, {1}, {2}]


def test_weights(monkeypatch):
    x, classes, _ = task()
    points = selection.Points(x, {"z": x[:, 0], "y": x[:, 1]}, classes)
    seen = recording(monkeypatch, "ptsel_fairseq.selection.weighting.method.below_noise")
    selection.select_weights(points)
    assert seen == [{1}]


def test_probes_and_intervals(monkeypatch):
    x, classes, names = task()
    split = np.tile(["train", "train", "valid", "test"], 15)
    fits = recording(monkeypatch, "sklearn.linear_model.LogisticRegression")
    resampled = recording(monkeypatch, "ptsel_fairseq.downstream.metrics.bootstrap.mean_values")
    downstream.probe_features(x, classes, split, ids=names)
    assert fits
    assert all(each == {1} for each in fits)
    assert resampled.count({1}) == RESAMPLES  # and once for the value itself
