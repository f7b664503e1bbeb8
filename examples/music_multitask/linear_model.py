"""A plain linear model over the grid: main effects and two-way interactions by least squares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations

import numpy as np
from scipy.stats import f as f_distribution

Term = tuple[str, ...]  # one factor: its main effect; two: their interaction


@dataclass(frozen=True)
class Rows:
    """Observations and the level of each factor, as strings [rows]."""

    y: np.ndarray
    factors: Mapping[str, np.ndarray]
    _designs: dict[tuple, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.y)

    @cached_property
    def levels(self) -> dict[str, list[str]]:
        return {name: list(dict.fromkeys(sorted(values.tolist()))) for name, values in self.factors.items()}


def terms_of(factors: Sequence[str]) -> list[Term]:
    """Main effects, then all pairs."""
    return [*((name,) for name in factors), *combinations(factors, 2)]


def contrasts(values: np.ndarray, levels: Sequence[str]) -> np.ndarray:
    """Sum-to-zero coding [rows, levels - 1]: the last level is minus the sum of the others."""
    found = (values[:, None] == np.array(levels)).astype(np.float64)
    return found[:, :-1] - found[:, -1:]


def columns(rows: Rows, term: Term) -> np.ndarray:
    """The columns of a term: those of its factor, or all products of those of its two."""
    parts = [contrasts(rows.factors[name], rows.levels[name]) for name in term]
    if len(parts) == 1:
        return parts[0]
    return (parts[0][:, :, None] * parts[1][:, None, :]).reshape(len(rows), -1)


@dataclass(frozen=True)
class Fit:
    """A fitted model.

    Attributes:
        mean: the constant: the mean over all combinations of levels.
        effects: term -> effect of each level [levels], or of each pair of levels [levels, levels]; they sum to zero
            along each axis.
        rank, parameters: of the design: equal if every effect can be told.
        residual: sum of squares that is left.
    """

    mean: float
    effects: dict[Term, np.ndarray]
    rank: int
    parameters: int
    residual: float


def design(rows: Rows, terms: Sequence[Term], blocks: str | None = None) -> np.ndarray:
    """The matrix: a constant, the contrasts of a factor of no interest, those of the terms; made once."""
    key = (*terms, blocks)
    if key not in rows._designs:
        before = [] if blocks is None else [columns(rows, (blocks,))]
        parts = [np.ones((len(rows), 1)), *before, *(columns(rows, term) for term in terms)]
        rows._designs[key] = np.hstack(parts)
    return rows._designs[key]


def fit(
    rows: Rows, terms: Sequence[Term], *, blocks: str | None = None, weights: np.ndarray | None = None
) -> Fit:
    """Least squares.

    Args:
        terms: with an interaction its factors' main effects should be there.
        blocks: a factor whose main effect is taken off and not reported, such as the task.
        weights: how often each row counts [rows]; default, once.
    """
    x = design(rows, terms, blocks)
    times = np.ones(len(rows)) if weights is None else weights
    weighted = (x * times[:, None]).T
    # Of the normal equations: contrasts are far from collinear, and where effects cannot be told the least are taken.
    beta, _, rank, _ = np.linalg.lstsq(weighted @ x, weighted @ rows.y, rcond=1e-10)
    left = rows.y - x @ beta
    place = 1 + (len(rows.levels[blocks]) - 1 if blocks is not None else 0)
    effects: dict[Term, np.ndarray] = {}
    for term in terms:
        sizes = [len(rows.levels[name]) - 1 for name in term]
        own = beta[place : place + int(np.prod(sizes))].reshape(sizes)
        place += own.size
        for axis in range(own.ndim):
            own = np.concatenate([own, -own.sum(axis=axis, keepdims=True)], axis=axis)
        effects[term] = own
    return Fit(float(beta[0]), effects, int(rank), x.shape[1], float(times @ left**2))


@dataclass(frozen=True)
class Share:
    """How much a term explains.

    Attributes:
        freedom: degrees of freedom.
        squares: sum of squares beyond the terms that do not contain it.
        partial: this sum over it and the residual (partial η²).
        chance: what `partial` is expected to be about where the term does nothing.
        p: of the F test, which takes the rows' residuals for independent; NaN where nothing is left over.
    """

    term: Term
    freedom: int
    squares: float
    partial: float
    chance: float
    p: float


def shares(
    rows: Rows, terms: Sequence[Term], *, blocks: str | None = None, weights: np.ndarray | None = None
) -> list[Share]:
    """Type II sums of squares: each term against the model of all terms that do not contain it."""
    everything = fit(rows, terms, blocks=blocks, weights=weights)
    whole = everything.residual
    left = len(rows) - everything.rank
    found = []
    for term in terms:
        beside = [other for other in terms if not set(term) <= set(other)]
        without = fit(rows, beside, blocks=blocks, weights=weights)
        with_it = fit(rows, [*beside, term], blocks=blocks, weights=weights)
        squares = max(0.0, without.residual - with_it.residual)
        partial = squares / (squares + whole) if squares + whole > 0 else 0.0
        freedom = with_it.rank - without.rank
        p = (
            float(f_distribution.sf(squares / freedom / (whole / left), freedom, left))
            if left > 0 < freedom
            else np.nan
        )
        found.append(Share(term, freedom, squares, partial, freedom / (freedom + left), p))
    return found


def resampled_weights(tasks: np.ndarray, cells: np.ndarray, resamplings: int, seed: int = 0) -> np.ndarray:
    """How often each row counts in each resampling, float64 [resamplings, rows].

    Tasks are drawn as a whole; within each cell and task as many of its rows, one for each seed, are drawn as there
    are. A cell of one seed counts once, so its interval says nothing of other seeds.

    Args:
        tasks: of each row.
        cells: the combination of the factors' levels of each row.
    """
    rng = np.random.default_rng(seed)
    names, task = np.unique(tasks, return_inverse=True)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), resamplings)[:, task]
    pairs = np.array([f"{a}\t{b}" for a, b in zip(tasks.tolist(), cells.tolist(), strict=True)])
    _, group, sizes = np.unique(pairs, return_inverse=True, return_counts=True)
    found = drawn.astype(np.float64)
    for number in np.flatnonzero(sizes > 1):
        rows = np.flatnonzero(group == number)
        found[:, rows] *= rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), resamplings)
    return found
