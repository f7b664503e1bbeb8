"""Bins of a value, for whatever needs classes: estimators of kernels, and the ways to weights that use them.

The rule: as many bins as there are twenties of points, at least 2 and at most 10, with edges at equally spaced
quantiles. Equal values are in the same bin, so that a value of few levels has fewer bins.
"""

from __future__ import annotations

import numpy as np

from ptsel_fairseq.selection.estimators.value_task import checked_values

POINTS_A_BIN, FEWEST_BINS, MOST_BINS = 20, 2, 10


def value_bins(values: np.ndarray) -> np.ndarray:
    """The bin of each value, a name such as ``03 (1.25 to 1.75)``, str [N]; names sort as the values do.

    Raises:
        PtselError: values that are not finite numbers or all the same.
    """
    values = checked_values(values, len(values))
    count = int(np.clip(len(values) // POINTS_A_BIN, FEWEST_BINS, MOST_BINS))
    edges = np.unique(np.quantile(values, np.arange(1, count) / count))
    edges = edges[edges > values.min()]  # at the least value nothing is below
    if not len(edges):  # most points have the least value: those, and the others
        edges = np.array([values[values > values.min()].min()])
    number = np.unique(np.searchsorted(edges, values, side="right"), return_inverse=True)[1]
    names = [
        f"{k + 1:02d} ({values[number == k].min():.4g} to {values[number == k].max():.4g})"
        for k in range(int(number.max()) + 1)
    ]
    return np.array(names)[number]
