"""Projections onto the simplex: sparsemax, softmax and entmax."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptsel_fairseq.selection.weighting import simplex as solve

GOLDEN = Path(__file__).parents[1] / "golden" / "sparsemax.json"
vectors = st.lists(st.floats(-10, 10), min_size=1, max_size=12).map(np.array)


def bisected(w: np.ndarray, power: float) -> np.ndarray:
    """max(w - t, 0)^power that sums to one, t found by halving: sparsemax for 1, entmax 1.5 of 2 w for 2."""
    low, high = w.max() - 1, w.max()
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if (np.maximum(w - middle, 0) ** power).sum() >= 1 else (low, middle)
    return np.maximum(w - low, 0) ** power


def test_sparsemax_golden():
    for case in json.loads(GOLDEN.read_text()):
        np.testing.assert_allclose(
            solve.sparsemax(np.array(case["in"], float)), case["sparsemax"], atol=1e-12
        )


@given(w=vectors, scale=st.sampled_from([1e-5, 1e-2, 1.0, 1e2, 1e4]))
def test_projections_equal_a_bisection(w, scale):
    np.testing.assert_allclose(solve.sparsemax(scale * w), bisected(scale * w, 1), atol=1e-9)
    np.testing.assert_allclose(solve.entmax15(scale * w), bisected(scale * w / 2, 2), atol=1e-6)


@given(w=vectors, projection=st.sampled_from(sorted(solve.PROJECTED)), shift=st.floats(-100, 100))
def test_projections_lie_on_the_simplex_and_ignore_a_shift(w, projection, shift):
    weights = solve.project(w, projection)
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(solve.project(w + shift, projection), weights, atol=1e-6)
    assert (np.diff(weights[np.argsort(w, kind="stable")]) >= -1e-12).all()


def test_projections_equal_the_entmax_package():
    entmax = pytest.importorskip("entmax")
    torch = pytest.importorskip("torch")
    theirs = {"sparsemax": entmax.sparsemax, "entmax15": entmax.entmax15, "softmax": torch.softmax}
    for seed in range(20):
        w = np.random.default_rng(seed).normal(size=7) * 2
        upstream = np.random.default_rng(seed + 100).normal(size=7)
        for name, function in theirs.items():
            tensor = torch.tensor(w, requires_grad=True)
            weights = function(tensor, dim=-1)
            (weights * torch.tensor(upstream)).sum().backward()
            ours = solve.project(w, name)
            np.testing.assert_allclose(ours, weights.detach(), atol=1e-9)
            np.testing.assert_allclose(solve.pull_back(upstream, ours, name), tensor.grad, atol=1e-9)
