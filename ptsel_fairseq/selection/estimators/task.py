"""The points of one downstream task as whole-task estimators take them: target, independent groups, folds, labels.

The target is a matrix with a row for each point: the indicators of its class, or, of a task of values, the value in
standard deviations (`value_task`). Estimators that take nothing but `Task`'s sums and means of it work for both.

Points of one utterance are not independent of each other, so whatever assumes independence (folds, permutations,
jackknife) takes whole groups of points. By default a group is an utterance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.selection.estimators.kernels import as_columns, check_finite

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

FOLDS = 5
BLOCKS = 40  # of groups, left out one at a time for a standard error
ROWS_AT_ONCE = 8192
FEW_COLUMNS = 4  # so many are summed one by one: a sparse matrix takes longer to make


class Task:
    """Speech, classes and groups of the points of one task.

    Attributes:
        x: speech vectors [n, p].
        names: of the classes [k], sorted.
        class_of: number of each point's class, int [n].
        counts: points of each class [k].
        shares: of the points in each class [k].
        group_of: number of each point's group, int [n].
        groups: how many groups there are.
        constant: what a point's row of the target adds up to: 1 for indicators, 0 for a value without its mean.
        directions: in which labels can tell the target, its rank.

    Args:
        x: speech vectors [n, p], finite.
        classes: downstream class of each point [n].
        groups: what each point belongs to, such as its utterance [n]; points of different groups are independent.
            Default: each point is its own group.
        seed: of folds, blocks and permutations.

    Raises:
        PtselError: arrays of different length, fewer than two classes, or fewer than two groups.
    """

    constant = 1.0

    def __init__(
        self, x: np.ndarray, classes: np.ndarray, groups: np.ndarray | None = None, seed: int = 0
    ) -> None:
        x, classes = np.asarray(x), np.asarray(classes)
        if x.ndim != 2 or classes.shape != (len(x),):
            raise PtselError(
                f"expected x [N, d] and a class for each point, found x {x.shape} and classes {classes.shape}"
            )
        self._set_points(x, groups, seed)
        self.names, self.class_of = np.unique(classes, return_inverse=True)
        self.counts = np.bincount(self.class_of).astype(np.float64)
        self.shares = self.counts / len(classes)
        self.directions = len(self.names) - 1
        if len(self.names) < 2:
            raise PtselError(
                f"classes: expected two classes or more, found {len(self.names)} ({', '.join(map(str, self.names))})"
            )
        self._check_groups()

    def _set_points(self, x: np.ndarray, groups: np.ndarray | None, seed: int) -> None:
        """Speech and groups, whatever the target is."""
        groups = np.arange(len(x)) if groups is None else np.asarray(groups)
        if groups.shape != (len(x),):
            raise PtselError(
                f"groups: expected one for each of {len(x)} points, found an array of shape {groups.shape}"
            )
        check_finite(x, "x")
        self.x, self.seed = x, seed
        group_of = np.unique(groups, return_inverse=True)[1]
        self.group_of, self.groups = group_of, int(group_of.max(initial=-1)) + 1
        self._by_group = np.argsort(group_of, kind="stable")
        self._sizes = np.bincount(group_of)
        self._starts = np.cumsum(self._sizes) - self._sizes
        places = np.empty(len(x), dtype=np.int64)
        places[self._by_group] = np.arange(len(x)) - np.repeat(self._starts, self._sizes)
        self._places = places

    def _check_groups(self) -> None:
        if self.groups < 2:
            raise PtselError(
                "groups: expected points of two utterances (or groups) or more, found all in one; points of one "
                "utterance are not independent, so nothing can be estimated from them"
            )

    @property
    def of_classes(self) -> bool:
        """Whether classes are to be told, rather than a value."""
        return True

    def can_be_told(self, rows: np.ndarray) -> bool:
        """Whether there is more than one class among some points."""
        return len(np.unique(self.class_of[rows])) > 1

    def only(self, rows: np.ndarray) -> Task:
        """The task of some of its points."""
        return Task(self.x[rows], self.class_of[rows], self.group_of[rows], self.seed)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def independent(self) -> bool:
        """Whether each point is its own group."""
        return self.groups == len(self)

    @cached_property
    def folds(self) -> np.ndarray:
        """Fold of each point, int [n]; whole groups, in random order, in `FOLDS` folds of about equally many points."""
        return self._parts(FOLDS, 1)

    @cached_property
    def learnt_and_held(self) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        """For each fold the points of all others, and its own."""
        count = int(self.folds.max()) + 1
        return tuple(
            (np.flatnonzero(self.folds != fold), np.flatnonzero(self.folds == fold)) for fold in range(count)
        )

    @cached_property
    def blocks(self) -> np.ndarray:
        """Block of each point, int [n], as `folds`, but up to `BLOCKS` of them."""
        return self._parts(BLOCKS, 2)

    def _parts(self, most: int, stream: int) -> np.ndarray:
        """Whole groups in random order, cut into parts of about equally many points; no part is empty."""
        count = min(most, self.groups)
        order = np.random.default_rng([self.seed, stream]).permutation(self.groups)
        before = np.cumsum(self._sizes[order]) - self._sizes[order] / 2
        part = np.minimum((before * count / len(self)).astype(np.int64), count - 1)
        used, part = np.unique(part, return_inverse=True)
        if len(used) < 2:
            part = (np.arange(self.groups) > 0).astype(np.int64)
        of_group = np.empty(self.groups, dtype=np.int64)
        of_group[order] = part
        return of_group[self.group_of]

    def transplant(self, rng: np.random.Generator) -> np.ndarray:
        """A permutation by group: for each point, the point whose label values it takes, int [n].

        Each group takes the label values of another one, in their order; one of fewer points repeats them, one of
        more leaves some out. Labels keep how much they vary inside a group, and lose any tie to class and speech.
        """
        donor = rng.permutation(self.groups)[self.group_of]
        places = self._places * self._sizes[donor] // self._sizes[self.group_of]
        return self._by_group[self._starts[donor] + places]

    def class_sums(self, values: np.ndarray) -> np.ndarray:
        """Sums [k, d] of values [n, d] over the points of each class: target' values."""
        return sums_by(self.class_of, values, len(self.names))

    def sums_of(self, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
        """The same over some points, with their values [m, d] only."""
        return sums_by(self.class_of[rows], values, len(self.names))

    def without_blocks(self, *values: np.ndarray) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
        """Shares [k'] of the classes and centred class means [k', d] of each of `values` without a block at a time.

        k' classes have points outside the block.
        """
        count, k = int(self.blocks.max()) + 1, len(self.names)
        sums = [np.zeros((count, k, each.shape[1])) for each in values]
        sizes = np.zeros((count, k))
        for block in range(count):
            rows = np.flatnonzero(self.blocks == block)
            for into, each in zip(sums, values, strict=True):
                into[block] = self.sums_of(rows, each[rows])
            sizes[block] = np.bincount(self.class_of[rows], minlength=k)
        whole, totals = sizes.sum(axis=0), [each.sum(axis=0) for each in sums]
        for block in range(count):
            held = whole - sizes[block]
            used = held > 0
            shares = held[used] / held.sum()
            means = [
                (total - each[block])[used] / held[used, None]
                for total, each in zip(totals, sums, strict=True)
            ]
            yield shares, [each - shares @ each for each in means]

    def group_sums(self, values: np.ndarray) -> np.ndarray:
        """Sums [groups, d] of values [n, d] over the points of each group."""
        return sums_by(self.group_of, values, self.groups)

    @cached_property
    def members(self) -> csr_matrix:
        """Points of each group in each class, sparse [groups, k]; the sums of the target over each group."""
        from scipy.sparse import csr_matrix

        entries = (np.ones(len(self)), (self.group_of, self.class_of))
        return csr_matrix(entries, shape=(self.groups, len(self.names)))

    def rows(self) -> Iterator[slice]:
        """The points, some thousands at a time."""
        for first in range(0, len(self), ROWS_AT_ONCE):
            yield slice(first, min(len(self), first + ROWS_AT_ONCE))


def large_classes(classes: np.ndarray, least: int) -> np.ndarray | slice:
    """The points of classes of at least as many; where these are all points, a slice, which copies nothing."""
    _, class_of, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    large = sizes[class_of] >= least
    return slice(None) if large.all() else np.flatnonzero(large)


def sums_by(number: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """Sums [count, d] of the rows of values [n, d] with the same number [n]."""
    if values.dtype == np.float64 and values.shape[1] <= FEW_COLUMNS:
        return np.stack([np.bincount(number, column, count) for column in values.T], axis=1)
    from scipy.sparse import csc_matrix

    indicator = csc_matrix(
        (np.ones(len(number), dtype=values.dtype), number, np.arange(len(number) + 1)),
        shape=(count, len(number)),
    )
    return np.asarray(indicator @ values)


@dataclass(frozen=True)
class Stacked:
    """Labels side by side, in standard deviations.

    Attributes:
        names: of the labels, in the order of their columns.
        values: float64 [n, D]: mean 0 and variance 1 in each column. A point at which a label is undefined has the
            label's mean there, 0: it says nothing.
        spans: columns of each label.
        undefined: number of such points by label.
    """

    names: tuple[str, ...]
    values: np.ndarray
    spans: tuple[slice, ...]
    undefined: dict[str, int]

    @property
    def dims(self) -> np.ndarray:
        """Columns of each label, int."""
        return np.array([span.stop - span.start for span in self.spans])

    def of(self, name: str) -> np.ndarray:
        """Columns of one label [n, d]."""
        return self.values[:, self.spans[self.names.index(name)]]


def stack(labels: Mapping[str, np.ndarray], points: int) -> tuple[Stacked, dict[str, str]]:
    """Put labels, values [n] or [n, d] with NaN where undefined, side by side; and why some cannot be.

    Columns that do not vary are dropped. Raises PtselError for values of another length or infinite ones.
    """
    kept: list[tuple[str, np.ndarray]] = []
    undefined: dict[str, int] = {}
    reasons: dict[str, str] = {}
    for name in sorted(labels):
        z = as_columns(labels[name])
        if len(z) != points:
            raise PtselError(f"label {name}: expected a value for each of {points} points, found {len(z)}")
        defined = ~np.isnan(z).any(axis=1)
        undefined[name] = int(np.count_nonzero(~defined))
        if not defined.any():
            reasons[name] = "undefined for every sample"
            continue
        filled = np.where(defined[:, None], z, z[defined].mean(axis=0))
        check_finite(filled, f"label {name}")
        mean, deviation = filled.mean(axis=0), filled.std(axis=0)
        varies = deviation > 1e-12 * np.abs(mean)
        if not varies.any():
            reasons[name] = "constant: the same for every sample"
            continue
        kept.append((name, (filled[:, varies] - mean[varies]) / deviation[varies]))
    ends = np.cumsum([0, *(z.shape[1] for _, z in kept)])
    spans = tuple(slice(int(a), int(b)) for a, b in pairwise(ends))
    names = tuple(name for name, _ in kept)
    values = np.empty((points, int(ends[-1])))
    for span in reversed(spans):  # each is let go once it is copied: labels may take most of the memory
        values[:, span] = kept.pop()[1]
    return Stacked(names, values, spans, undefined), reasons


def joined(dims: Sequence[int]) -> np.ndarray:
    """Number of the label of each column, for labels of `dims` columns."""
    return np.repeat(np.arange(len(dims)), dims)
