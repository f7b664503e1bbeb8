"""R² and the concordance correlation coefficient of a number for each item."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class ValueScorer:
    """Metrics of one system's predictions of numbers; NaN where the reference, or both sides, are constant.

    - ``r2``: 1 - Σ (y - ŷ)² / Σ (y - ȳ)², the coefficient of determination. 1 is perfect, 0 what the mean of the tested
      items would reach, and a bad system is below.
    - ``ccc``: 2 cov(y, ŷ) / (var y + var ŷ + (ȳ - mean ŷ)²), the concordance correlation coefficient (Lin 1989, "A
      concordance correlation coefficient to evaluate reproducibility"), with moments over n. -1 to 1; it is below
      Pearson's correlation by as much as the predictions are off in mean or scale.

    Args:
        reference: value of each item.
        hypothesis: the system's.
    """

    def __init__(self, reference: Sequence[float], hypothesis: Sequence[float]) -> None:
        self.reference = np.asarray(reference, dtype=np.float64)
        self.hypothesis = np.asarray(hypothesis, dtype=np.float64)

    def __call__(self, weights: np.ndarray) -> dict[str, float]:
        share = weights / weights.sum()
        means = share @ self.reference, share @ self.hypothesis
        y, predicted = self.reference - means[0], self.hypothesis - means[1]
        spread = float(share @ y**2), float(share @ predicted**2)
        missed = float(share @ (self.reference - self.hypothesis) ** 2)
        apart = spread[0] + spread[1] + float(means[0] - means[1]) ** 2
        return {
            "r2": 1 - missed / spread[0] if spread[0] > 0 else np.nan,
            "ccc": 2 * float(share @ (y * predicted)) / apart if apart > 0 else np.nan,
        }
