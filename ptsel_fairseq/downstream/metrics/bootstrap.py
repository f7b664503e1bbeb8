"""How far a metric would move with another test set: percentile bootstrap, and the paired test of two systems.

Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapters 13 and 15; for two systems on the same items
Koehn, "Statistical significance tests for machine translation evaluation" (2004).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.base.threads import one_thread

LEVEL = 0.95

# Times that each item counts, float64 [items] -> metrics by name; NaN where a resample leaves one undefined.
Values = Callable[[np.ndarray], dict[str, float]]


def check_resamples(resamples: int) -> None:
    """Raise PtselError unless there are enough resamples for an interval of 95 %."""
    if resamples < 100:
        raise PtselError(f"--resamples: expected at least 100, found {resamples}")


def resampled_weights(groups: Sequence[str], resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each item is in each resample: whole groups are drawn with replacement, as many as there are.

    The draws depend on the groups and the seed alone, so that two systems are resampled together.

    Yields:
        float64 [items].
    """
    names, codes = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    draw = np.random.default_rng(seed)
    for _ in range(resamples):
        drawn = draw.integers(len(names), size=len(names))
        yield np.bincount(drawn, minlength=len(names)).astype(np.float64)[codes]


def replicates(
    systems: Sequence[Sequence[Values]], groups: Sequence[str], resamples: int, seed: int
) -> list[dict[str, np.ndarray]]:
    """The metrics of each system on the same resamples, each a mean over the system's runs.

    Returns:
        For each system, float64 [resamples] by metric.
    """
    rows: list[list[dict[str, float]]] = [[] for _ in systems]
    drawn = resampled_weights(groups, resamples, seed)
    with one_thread():
        for weights in progress_bar(
            drawn, desc="bootstrap", total=resamples, unit="resample", leave=False, delay=2
        ):
            for system, found in zip(systems, rows, strict=True):
                found.append(mean_values(system, weights))
    return [{name: np.array([row[name] for row in found]) for name in found[0]} for found in rows]


def mean_values(runs: Sequence[Values], weights: np.ndarray) -> dict[str, float]:
    """Each metric averaged over the runs of a system (its seeds)."""
    values = [run(weights) for run in runs]
    return {name: float(np.mean([value[name] for value in values])) for name in values[0]}


def interval(replicate: np.ndarray) -> tuple[float, float] | None:
    """Percentile interval of 95 %; None unless nearly all resamples have a value."""
    defined = replicate[np.isfinite(replicate)]
    if len(defined) < LEVEL * len(replicate):
        return None
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def smallest_p(resamples: int, pairs: int, groups: int) -> float:
    """The least p that `paired_p` and `holm` can give to one of so many pairs."""
    return min(1.0, pairs * _two_sided(0, resamples, groups))


def paired_p(first: np.ndarray, second: np.ndarray, groups: int) -> float:
    """Two-sided p of "both systems are equally good", from their metrics on the same resamples.

    Twice the share of resamples in which the sign of the difference is not the more frequent one, counting
    the observed sample as one more, so that no p is 0; resamples without a difference count on both sides, so that
    p is rather too large where ties are frequent. It is the level at which the percentile
    interval of the difference begins to hold 0. Few groups are nearly always drawn with the same sign, which says
    little: p is never less than ``2 ** (1 - groups)``, that of the exact test in which all `groups` have one sign.
    """
    difference = first - second
    difference = difference[np.isfinite(difference)]
    fewer = min(np.count_nonzero(difference <= 0), np.count_nonzero(difference >= 0))
    return _two_sided(int(fewer), len(difference), groups)


def _two_sided(fewer: int, resamples: int, groups: int) -> float:
    """p of so many resamples with the less frequent sign, not below the exact test's of so many groups."""
    return min(1.0, max(2 * (1 + fewer) / (1 + resamples), 2.0 ** (1 - groups)))


def holm(p: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """p adjusted for the number of comparisons: Holm, "A simple sequentially rejective procedure" (1979)."""
    adjusted: dict[tuple[str, str], float] = {}
    largest = 0.0
    for done, pair in enumerate(sorted(p, key=lambda pair: p[pair])):
        largest = max(largest, min(1.0, (len(p) - done) * p[pair]))
        adjusted[pair] = largest
    return {pair: adjusted[pair] for pair in p}
