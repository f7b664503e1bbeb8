"""Kernels against literal loops, and their behaviour on labels that hardly vary."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.selection.estimators.kernels import (
    cosine_kernel,
    gaussian,
    label_kernel,
    median_variance,
    squared_distances,
    standardise,
)


def test_cosine_is_the_cosine_of_each_pair():
    x = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
    K = cosine_kernel(x)
    for i in range(9):
        for j in range(9):
            a, b = x[i].astype(float), x[j].astype(float)
            assert K[i, j] == pytest.approx(a @ b / np.sqrt((a @ a) * (b @ b)), abs=1e-12)
    assert K.dtype == np.float64


@given(scale=st.floats(1e-6, 1e6), seed=st.integers(0, 100))
def test_cosine_ignores_loudness(scale, seed):
    x = np.random.default_rng(seed).normal(size=(6, 4))
    np.testing.assert_allclose(cosine_kernel(scale * x), cosine_kernel(x), atol=1e-12)


@pytest.mark.parametrize("dim", [1, 3])
def test_label_kernel_is_the_papers_formula(dim):
    z = np.random.default_rng(dim).normal(size=(8, dim)) * 0.3
    L = label_kernel(z)
    for i in range(8):
        for j in range(8):
            distance = np.sum((z[i] - z[j]) ** 2)
            assert L[i, j] == pytest.approx(np.exp(-distance / (2 * 0.05)), abs=1e-14)
    np.testing.assert_array_equal(label_kernel(z[:, 0]), label_kernel(z[:, :1]))


def test_a_large_offset_costs_no_digits():
    z = np.random.default_rng(0).normal(size=50)
    np.testing.assert_allclose(label_kernel(z + 1e6), label_kernel(z), atol=1e-8)


def test_the_bandwidth_knows_no_unit():
    z = np.random.default_rng(1).normal(size=40)
    hertz = 120 + 35 * z
    for first, second in ((z, hertz), (z, -z)):
        one, other = squared_distances(first), squared_distances(second)
        np.testing.assert_allclose(
            gaussian(one, median_variance(one)), gaussian(other, median_variance(other)), atol=1e-10
        )
    pairs = [(a - b) ** 2 for i, a in enumerate(z) for b in z[:i]]
    assert median_variance(squared_distances(z)) == pytest.approx(np.median(pairs))


def test_ties_do_not_make_the_kernel_an_identity():
    mostly_zero = np.concatenate([np.zeros(30), [1.0, 2.0, 4.0]])
    distances = squared_distances(mostly_zero)
    assert np.median(distances) == 0
    assert median_variance(distances) == np.median(distances[distances > 0])
    assert median_variance(squared_distances(np.full(5, 3.0))) is None


def test_standardising():
    rng = np.random.default_rng(2)
    z = np.column_stack([rng.normal(5, 3, 100), np.full(100, 0.1), rng.normal(0, 1e-9, 100)])
    scaled = standardise(z)
    assert scaled.shape == (100, 2)  # the dimension that does not vary is gone, the small one is not
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=1e-12)
    assert standardise(np.full((10, 1), 0.1)) is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cosine_kernel(np.ones(4)), r"shape \[N, d\], found \(4,\)"),
        (lambda: cosine_kernel(np.array([[1.0, 2.0], [np.nan, 1.0], [3.0, 1.0]])), "nan in sample 1"),
        (lambda: cosine_kernel(np.array([[1.0, 2.0], [0.0, 0.0]])), "sample 1 is zero"),
        (lambda: label_kernel(np.array([1.0, 2.0, np.inf])), "inf in sample 2"),
        (lambda: label_kernel(np.ones((2, 2, 2))), r"\[N\] or \[N, d\]"),
        (lambda: label_kernel(np.ones(3), variance=0.0), "variance above 0, found 0"),
    ],
)
def test_what_has_no_kernel_is_named(call, message):
    with pytest.raises(PtselError, match=message):
        call()
