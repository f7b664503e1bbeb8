"""Permutations of labels inside classes that keep together what belongs to one group.

A label that is the same throughout each group is permuted as it is: each group takes the value of another one,
in all classes alike, which is exact. Of any other label a class keeps its values, and takes over the *order*
that the label has, inside classes, in another group.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

VALUES_AT_ONCE = 2**20  # of permutations, a number for each point


def ranks_in_classes(values: Mapping[str, np.ndarray], class_of: np.ndarray) -> dict[str, np.ndarray]:
    """For each label, the rank of each point's value inside its class, over the number of points there, [N] in (0, 1).

    Of a vector label, the rank of its largest principal component in the class. NaN where undefined.

    Args:
        values: name -> [N, dim], NaN where undefined.
        class_of: int [N].
    """
    by_class = np.split(np.argsort(class_of, kind="stable"), np.cumsum(np.bincount(class_of))[:-1])
    found = {}
    for name, z in values.items():
        ranks = np.full(len(z), np.nan)
        for rows in by_class:
            rows = rows[~np.isnan(z[rows, 0])]
            if len(rows):
                ranks[rows] = (_ranks(_one_column(z[rows])) - 0.5) / len(rows)
        found[name] = ranks
    return found


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, ties by their mean, as ``scipy.stats.rankdata``, whose import takes half a second."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def _one_column(z: np.ndarray) -> np.ndarray:
    if z.shape[1] == 1:
        return z[:, 0]
    centred = z - z.mean(axis=0)
    direction = np.linalg.svd(centred, full_matrices=False)[2][0]
    return np.round(centred @ direction, 10)  # equal points stay equal


def values_of_groups(values: Mapping[str, np.ndarray], groups: np.ndarray) -> dict[str, np.ndarray]:
    """The value of each group [groups, dim] of the labels that are the same throughout every group, NaN if undefined.

    Args:
        values: name -> [N, dim], NaN where undefined.
        groups: number of each point's group, int [N].
    """
    found = {}
    first = np.unique(groups, return_index=True)[1]
    for name, z in values.items():
        own = z[first]
        if np.array_equal(own[groups], z, equal_nan=True):
            found[name] = own
    return found


@dataclass(frozen=True)
class GroupedOrders:
    """How the points of one class are permuted.

    Attributes:
        group: number of the group of each point of the class [n].
        place: of the point in its group, from 0 [n].
        sizes, starts: of every group, in `by_group` [groups].
        by_group: all points of the task, one group after the other [N].
        ranks: of all points, by label; see `ranks_in_classes`.
        constant: the groups' values, by label; see `values_of_groups`.
    """

    group: np.ndarray
    place: np.ndarray
    sizes: np.ndarray
    starts: np.ndarray
    by_group: np.ndarray
    ranks: Mapping[str, np.ndarray]
    seed: int
    constant: Mapping[str, np.ndarray]

    @classmethod
    def of(
        cls,
        groups: np.ndarray,
        rows: np.ndarray,
        ranks: Mapping[str, np.ndarray],
        seed: int,
        constant: Mapping[str, np.ndarray] | None = None,
    ) -> GroupedOrders:
        """For the points `rows` of a task with these groups [N]."""
        number = np.unique(groups, return_inverse=True)[1]
        sizes = np.bincount(number)
        starts = np.cumsum(sizes) - sizes
        by_group = np.argsort(number, kind="stable")
        place = np.empty(len(groups), dtype=np.int64)
        place[by_group] = np.arange(len(groups)) - np.repeat(starts, sizes)
        return cls(number[rows], place[rows], sizes, starts, by_group, ranks, seed, constant or {})

    def of_constant(self, name: str, members: np.ndarray, count: int) -> Iterator[np.ndarray]:
        """Values [n, dim] of the points `members` of a label in `constant`, permuted by group, `count` times."""
        own = self.constant[name]
        defined = np.flatnonzero(~np.isnan(own[:, 0]))
        for number in range(count):
            moved = own.copy()
            moved[defined] = own[np.random.default_rng([self.seed, 3, number]).permutation(defined)]
            yield moved[self.group[members]]

    def of_labels(
        self, names: Iterable[str], members: np.ndarray, count: int
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Each label with `count` orders of the points `members` of the class, int [count, n].

        As in `hsic.inner_products`, an order says which point's speech comes to each point's label. All labels have the
        same draws: they are kept, unless that takes much memory.
        """
        n = len(members)
        at_once = max(1, VALUES_AT_ONCE // n)
        blocks = [range(first, min(first + at_once, count)) for first in range(0, count, at_once)]
        kept = self._draws(members, blocks[0]) if len(blocks) == 1 else None
        for name in names:
            own = np.argsort(self.ranks[name][self._rows[members]], kind="stable")
            orders = np.empty((count, n), dtype=np.intp)
            for block in blocks:
                taken, spare, tie = kept or self._draws(members, block)
                ranks = self.ranks[name][taken]
                ranks = np.where(np.isnan(ranks), spare, ranks)
                # The point whose new rank is the r-th lowest gets the label of the one whose own is the r-th lowest.
                orders[block.start : block.stop, own] = np.lexsort((tie, ranks), axis=-1)
            yield name, orders

    def _draws(self, members: np.ndarray, numbers: range) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of some permutations: whose ranks each point takes, ranks where these are undefined, and what breaks ties."""
        group, place, shape = self.group[members], self.place[members], (len(numbers), len(members))
        donors, spare, tie = np.empty(shape, dtype=np.intp), np.empty(shape), np.empty(shape)
        for row, number in enumerate(numbers):
            rng = np.random.default_rng([self.seed, 3, number])
            donors[row] = rng.permutation(len(self.sizes))[group]
            rng.random(out=spare[row])
            rng.random(out=tie[row])
        taken = self.by_group[self.starts[donors] + place * self.sizes[donors] // self.sizes[group]]
        return taken, spare, tie

    @property
    def _rows(self) -> np.ndarray:
        """The points of the class among all."""
        return self.by_group[self.starts[self.group] + self.place]
