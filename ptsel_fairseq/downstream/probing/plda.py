"""Two-covariance PLDA: is a pair of vectors of one speaker? By expectation maximisation, scored in closed form.

``x = mean + y + e`` with ``y ~ N(0, between)`` of the speaker and ``e ~ N(0, within)`` of the recording: Brummer and
de Villiers, "The speaker partitioning problem" (Odyssey 2010), section 2; the model is Prince and Elder's PLDA (ICCV
2007) with subspaces of full rank.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.threads import few_threads

TOLERANCE = 1e-7  # nats a vector that an iteration must gain
MAX_ITERATIONS = 2000


@dataclass(frozen=True)
class Plda:
    """A trained model.

    Attributes:
        mean: [dim].
        between: covariance of speakers, [dim, dim].
        within: covariance of a speaker's recordings, [dim, dim].
        log_likelihoods: of the training vectors, in nats a vector, before each iteration and at the end; they rise.
    """

    mean: np.ndarray
    between: np.ndarray
    within: np.ndarray
    log_likelihoods: tuple[float, ...]

    def scores(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Log-likelihood ratio of "same speaker" to "two speakers" of pairs of rows, in nats; float64 [pairs].

        Both covariances are made diagonal by one basis, in which a pair is a product of two-dimensional problems.
        """
        from scipy.linalg import eigh

        spread, basis = eigh(self.between, self.within)  # basis' within basis = 1
        d = np.maximum(spread, 0)
        u, v = (first - self.mean) @ basis, (second - self.mean) @ basis
        total = 1 + d
        determinant = total**2 - d**2
        squares = u**2 + v**2
        exponent = (total * squares - 2 * d * u * v) / determinant - squares / total
        return -0.5 * (np.log(determinant / total**2) + exponent).sum(axis=1)


@few_threads()
def train_plda(x: np.ndarray, speakers: np.ndarray) -> Plda:
    """Fit by expectation maximisation from the moments of the data to convergence.

    Args:
        x: vectors, [vectors, dim].
        speakers: names, [vectors].

    Raises:
        PtselError: fewer than two speakers, or none with two vectors.
    """
    check_speakers(speakers)
    names, codes, counts = np.unique(speakers, return_inverse=True, return_counts=True)
    x = np.asarray(x, dtype=np.float64)
    dim = x.shape[1]
    means = np.zeros((len(names), dim))
    np.add.at(means, codes, x)
    means /= counts[:, None]
    scatter = (x - means[codes]).T @ (x - means[codes])
    floor = 1e-8 * np.trace(np.cov(x.T).reshape(dim, dim)) / dim * np.eye(dim)
    within = scatter / (len(x) - len(names)) + floor
    mean = means.mean(axis=0)
    between = np.cov(means.T).reshape(dim, dim) + floor
    gained: list[float] = [log_likelihood(means, counts, scatter, mean, between, within) / len(x)]
    for _ in range(MAX_ITERATIONS):
        mean, between, within = _iterate(means, counts, scatter, mean, between, within)
        gained.append(log_likelihood(means, counts, scatter, mean, between, within) / len(x))
        if gained[-1] - gained[-2] < TOLERANCE:
            break
    return Plda(mean, between, within, tuple(gained))


def check_speakers(speakers: np.ndarray) -> None:
    """Raise PtselError unless there are two speakers or more, and two recordings or more of some."""
    counts = np.unique(speakers, return_counts=True)[1]
    if len(counts) < 2 or counts.max() < 2:
        raise PtselError(
            f"PLDA: expected two speakers or more, and two recordings or more of some; found {len(counts)} speakers "
            f"with at most {max(counts, default=0)} recordings"
        )


def _iterate(
    means: np.ndarray,
    counts: np.ndarray,
    scatter: np.ndarray,
    mean: np.ndarray,
    between: np.ndarray,
    within: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The posteriors of all speakers, then mean and covariances that fit them best."""
    precision_between, precision_within = np.linalg.inv(between), np.linalg.inv(within)
    expected = np.empty_like(means)
    uncertain, uncertain_within = np.zeros_like(between), np.zeros_like(between)
    for count in np.unique(counts):  # speakers with as many recordings share a posterior covariance
        rows = counts == count
        covariance = np.linalg.inv(precision_between + count * precision_within)
        gain = count * covariance @ precision_within
        expected[rows] = mean + (means[rows] - mean) @ gain.T
        uncertain += rows.sum() * covariance
        uncertain_within += rows.sum() * count * covariance
    new_mean = expected.mean(axis=0)
    spread = expected - new_mean
    residual = means - expected
    new_between = (uncertain + spread.T @ spread) / len(means)
    new_within = (scatter + uncertain_within + (residual * counts[:, None]).T @ residual) / counts.sum()
    return new_mean, new_between, new_within


def log_likelihood(
    means: np.ndarray,
    counts: np.ndarray,
    scatter: np.ndarray,
    mean: np.ndarray,
    between: np.ndarray,
    within: np.ndarray,
) -> float:
    """Of all training vectors, from the means of the speakers and the scatter around them, in nats."""
    dim = len(mean)
    total = counts.sum()
    value = -0.5 * np.trace(np.linalg.solve(within, scatter))
    value -= 0.5 * (total - len(counts)) * (dim * np.log(2 * np.pi) + np.linalg.slogdet(within)[1])
    for count in np.unique(counts):
        rows = counts == count
        covariance = between + within / count
        away = means[rows] - mean
        value -= 0.5 * np.einsum("ij,ij->", away, np.linalg.solve(covariance, away.T).T)
        log_determinant = np.linalg.slogdet(covariance)[1] + dim * np.log(count)
        value -= 0.5 * rows.sum() * (dim * np.log(2 * np.pi) + log_determinant)
    return float(value)
