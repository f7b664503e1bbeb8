"""Distributions of a score without any tie between label and task: what p, z and chance's range come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MIDDLE = (0.025, 0.975)
NO_SKEWNESS = 1e-4  # below it the distribution is taken as normal


@dataclass(frozen=True)
class Null:
    """A null distribution.

    Attributes:
        mean, deviation, skewness: its moments.
        drawn: the permutations' scores, sorted; None if only the moments are known.
    """

    mean: float
    deviation: float
    skewness: float
    drawn: np.ndarray | None = None

    def p(self, score: float) -> float:
        """Probability of a score at least this high: share of the permutations and the score itself, or `tail`."""
        if self.drawn is None:
            return self.tail(score)
        slack = 1e-10 * max(abs(score), float(np.abs(self.drawn).max()))  # ties are equal up to rounding
        return least_p(int(np.count_nonzero(self.drawn >= score - slack)), len(self.drawn))

    def tail(self, score: float) -> float:
        """The same by the Pearson III distribution of the same moments, which reaches below 1 / permutations."""
        from scipy.special import gammainc, gammaincc, ndtr  # scipy.stats takes half a second to import

        if not self.deviation > 0:
            return 1.0
        z = (score - self.mean) / self.deviation
        if abs(self.skewness) < NO_SKEWNESS:
            return float(ndtr(-z))
        # A gamma variable of this shape, moved and scaled; from below where the skewness is negative.
        shape = 4 / self.skewness**2
        beyond = gammaincc if self.skewness > 0 else gammainc
        return float(beyond(shape, max(shape + 2 * z / self.skewness, 0.0)))

    def z(self, score: float) -> float | None:
        """Distance from the mean in standard deviations."""
        return (score - self.mean) / self.deviation if self.deviation > 0 else None

    def middle(self) -> tuple[float, float]:
        """Where 95 % lie."""
        from scipy.special import gammaincinv, ndtri

        if self.drawn is not None:
            low, high = np.quantile(self.drawn, MIDDLE)
        elif abs(self.skewness) < NO_SKEWNESS:
            low, high = self.mean + self.deviation * ndtri(MIDDLE)
        else:
            shape = 4 / self.skewness**2
            gamma = gammaincinv(shape, MIDDLE if self.skewness > 0 else MIDDLE[::-1])
            low, high = self.mean + self.deviation * (gamma - shape) * self.skewness / 2
        return float(low), float(high)

    def scaled(self, shift: float, factor: float) -> Null:
        """Of (score - shift) * factor, factor > 0."""
        drawn = None if self.drawn is None else (self.drawn - shift) * factor
        return Null((self.mean - shift) * factor, self.deviation * factor, self.skewness, drawn)

    def mirrored(self) -> Null:
        """Of -score."""
        drawn = None if self.drawn is None else -self.drawn[::-1]
        return Null(-self.mean, self.deviation, -self.skewness, drawn)


def least_p(as_high: int, permutations: int) -> float:
    """p of a score that so many of the permutations reach: the score itself is one of them, so never 0."""
    return float((1 + as_high) / (1 + permutations))


def permuted(scores: np.ndarray) -> Null:
    """From the scores of permutations [P]."""
    scores = np.sort(scores)
    mean, deviation = float(scores.mean()), float(scores.std())
    if not deviation > 1e-12 * max(abs(mean), 1e-300):
        return Null(mean, 0.0, 0.0, scores)
    skewness = float((((scores - mean) / deviation) ** 3).mean())
    return Null(mean, deviation, skewness, scores)


def sum_of_chi_squares(powers: tuple[float, float, float], second: np.ndarray) -> Null:
    """Of Σ_ij a_i b_j χ²_ij, independent with one degree of freedom each; three moments are exact.

    Args:
        powers: sums of the a_i, of their squares and of their cubes; they may be of any sign.
        second: the b_j.
    """
    one, two, three = (power * float((second**order).sum()) for order, power in enumerate(powers, start=1))
    if not two > 0:
        return Null(one, 0.0, 0.0)
    return Null(one, float(np.sqrt(2 * two)), 8 * three / (2 * two) ** 1.5)
