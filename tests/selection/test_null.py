"""Null distributions against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, pearson3

from ptsel_fairseq.selection.estimators.null import MIDDLE, Null


@pytest.mark.parametrize("skewness", [-3, -1, -0.2, -0.001, 0, 1e-5, 0.001, 0.3, 1, 2.5])
def test_tail_and_middle_are_those_of_the_pearson_iii_distribution(skewness):
    theirs = pearson3(skewness) if abs(skewness) > 1e-4 else norm()
    null = Null(mean=1.0, deviation=2.0, skewness=skewness)
    for z in np.linspace(-5, 8, 27):
        assert null.tail(1 + 2 * z) == pytest.approx(theirs.sf(z), rel=1e-9, abs=1e-250)
    assert null.middle() == pytest.approx(tuple(1 + 2 * theirs.ppf(MIDDLE)), rel=1e-9)
    assert null.mirrored().tail(-1.0) == pytest.approx(theirs.cdf(0), rel=1e-9)


def test_a_null_without_spread_says_nothing():
    assert Null(mean=1.0, deviation=0.0, skewness=0.0).tail(2.0) == 1.0
