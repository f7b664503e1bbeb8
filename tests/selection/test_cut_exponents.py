"""Sums over pairs with cut exponents, against matrices made in full."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from ptsel_fairseq.labels.signal.compiled import compiled
from ptsel_fairseq.selection.weighting.cut_exponents import LANES, negative_exponents, slopes

CUT = 2.0


@pytest.mark.parametrize(
    ("points", "first", "rows"), [(7, 0, 7), (40, 16, 8), (LANES + 30, 0, 5), (LANES + 30, 500, 9)]
)
def test_sums_are_those_of_the_matrices(points, first, rows):
    draw = np.random.default_rng(points)
    labels = [draw.normal(size=(points, dim)) for dim in (1, 3, 1)]
    weights = np.array([0.3, 0.7, 0.0])
    E = np.array([np.minimum(cdist(z, z, "sqeuclidean") / 2, CUT) for z in labels])
    assert (E == CUT).any()
    block = (slice(first, first + rows), slice(first, None))
    values, starts = np.ascontiguousarray(np.concatenate(labels, axis=1).T), np.array([0, 1, 4, 5])
    found = compiled(negative_exponents, any_order=True)(values, starts, weights, CUT, first, rows)
    np.testing.assert_allclose(found, -np.tensordot(weights, E, 1)[block], rtol=1e-12)

    W = draw.normal(size=(points, points))
    W = (W + W.T)[block]
    inside = np.zeros((points, points))
    inside[block] = W
    inside[first:, first : first + rows] = W.T  # the mirror image; the square on the diagonal is its own
    found = compiled(slopes, any_order=True)(values, starts, np.ascontiguousarray(W), CUT, first)
    np.testing.assert_allclose(found, (E * inside).sum(axis=(1, 2)), rtol=1e-10)
