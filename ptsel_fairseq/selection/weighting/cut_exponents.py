"""Sums over pairs with exponents that are cut, as the papers' code cuts them: loops that numba compiles.

E_h[i, j] = min(|a_hi - a_hj|² / 2, cut) of each label h. Nothing of the size [labels, rows, columns] is made: what is
needed of a pair is summed over labels, or over pairs, while its difference is at hand.
"""

from __future__ import annotations

from typing import Any

import numpy as np

LANES = 512  # columns done together: what is held of them fits the processor's first cache


def negative_exponents(values: Any, starts: Any, weights: Any, cut: float, first: int, rows: int) -> Any:
    """-sum_h λ_h E_h[i, j] for `rows` rows i from `first` on and all columns j from `first` on.

    Args:
        values: float64 [columns of labels, points].
        starts: of each label's columns, and their end: int [labels + 1].
        weights: λ, float64 [labels].

    Returns:
        float64 [rows, points - first].
    """
    points = values.shape[1]
    found = np.zeros((rows, points - first))
    square = np.empty(LANES)
    for begin in range(first, points, LANES):
        here = min(LANES, points - begin)
        for i in range(rows):
            row = found[i, begin - first : begin - first + here]
            for h in range(len(weights)):
                weight = weights[h]
                if weight == 0:
                    continue
                for column in range(starts[h], starts[h + 1]):
                    value, others = values[column, first + i], values[column, begin : begin + here]
                    if column == starts[h]:
                        for j in range(here):
                            square[j] = 0.5 * (value - others[j]) * (value - others[j])
                    else:
                        for j in range(here):
                            square[j] += 0.5 * (value - others[j]) * (value - others[j])
                for j in range(here):
                    exponent = square[j] if square[j] < cut else cut
                    row[j] -= weight * exponent
    return found


def slopes(values: Any, starts: Any, W: Any, cut: float, first: int) -> Any:
    """sum over both halves of W_ij E_h[i, j] for each label, from a block of rows of the symmetric W.

    Args:
        values, starts, cut, first: as for `negative_exponents`.
        W: float64 [rows, points - first]; its first columns, as many as rows, lie around the diagonal.

    Returns:
        float64 [labels].
    """
    points, rows = values.shape[1], len(W)
    total = np.zeros(len(starts) - 1)
    square, row = np.empty(LANES), np.empty(LANES)
    for begin in range(first, points, LANES):
        here = min(LANES, points - begin)
        once = min(max(first + rows - begin, 0), here)  # columns whose mirror image is in the block
        for i in range(rows):
            row[:once] = W[i, begin - first : begin - first + once]
            row[once:here] = 2 * W[i, begin - first + once : begin - first + here]
            for h in range(len(total)):
                for column in range(starts[h], starts[h + 1]):
                    value, others = values[column, first + i], values[column, begin : begin + here]
                    if column == starts[h]:
                        for j in range(here):
                            square[j] = 0.5 * (value - others[j]) * (value - others[j])
                    else:
                        for j in range(here):
                            square[j] += 0.5 * (value - others[j]) * (value - others[j])
                both = 0.0  # one sum in one loop: two would not be added several at a time
                for j in range(here):
                    both += row[j] * (square[j] if square[j] < cut else cut)
                total[h] += both
    return total
