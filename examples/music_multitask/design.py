"""Which encoders are trained, and in which order: any beginning of the grid is nearly balanced."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from settings import (
    CATALOGUE,
    ENCODERS,
    EQUAL,
    FAMILIES,
    NONE,
    NUM_RANDOM,
    RELEVANCE,
    TASKS,
    WEIGHTINGS,
    WORKERS,
    Settings,
)

from ptsel_fairseq.labels.pools import MUSIC, ZAIEM_SPEECH

BLOCK = len(ENCODERS) * len(WEIGHTINGS)  # cells of a block


@dataclass(frozen=True)
class Cell:
    """One combination of the factors and a seed."""

    encoder: str
    weighting: str
    workers: str
    seed: int


@dataclass(frozen=True)
class Training:
    """An encoder to train, or to leave as it is made (`none`), and the tasks that it is judged on."""

    cell: Cell
    tasks: tuple[str, ...] = field(default=tuple(TASKS))

    @property
    def row(self) -> dict[str, object]:
        """What all its rows have in common."""
        cell = self.cell
        return {
            "encoder": cell.encoder, "weighting": cell.weighting, "workers": cell.workers, "seed": cell.seed,
        }  # fmt: skip


def labels_of(workers: str, seed: int) -> tuple[str, ...]:
    """The labels of a level of the factor workers; those of `random` are drawn by the seed."""
    if workers in FAMILIES:
        return FAMILIES[workers]
    if workers == "random":
        rng = np.random.default_rng([7, seed])
        return tuple(sorted(rng.choice(CATALOGUE, NUM_RANDOM, replace=False).tolist()))
    return {"music": MUSIC, "speech": ZAIEM_SPEECH}[workers]


def cells(seed: int) -> Iterator[Cell]:
    """All cells of a seed in seven blocks.

    In a block each encoder meets each weighting once, and the workers go round as in a Latin square: each encoder has
    six of the seven, each weighting three. The order within a block and the levels' places in the square are drawn by
    the seed.
    """
    rng = np.random.default_rng([3, seed])
    weightings, workers = rng.permutation(WEIGHTINGS), rng.permutation(WORKERS)
    for block in rng.permutation(len(workers)):
        found = [
            Cell(encoder, str(weighting), str(workers[(block + w + 2 * e) % len(workers)]), seed)
            for e, encoder in enumerate(ENCODERS)
            for w, weighting in enumerate(weightings)
        ]
        yield from (found[i] for i in rng.permutation(len(found)))


def plan(settings: Settings) -> Iterator[Training]:
    """The random encoders of all seeds, then the cells of one seed after the other; λ for a task is for it alone.

    A tiny run has the first block of each seed, with λ for two tasks.
    """
    for seed in settings.seeds:
        for encoder in ENCODERS:
            yield Training(Cell(encoder, NONE, NONE, seed))
    for seed in settings.seeds:
        for cell in list(cells(seed))[: BLOCK if settings.tiny else None]:
            if cell.weighting == RELEVANCE:
                yield from (Training(cell, (task,)) for task in list(TASKS)[: 2 if settings.tiny else None])
            else:
                yield Training(cell)


def longer(settings: Settings) -> Iterator[Training]:
    """The cells with equal weights, to be trained `LONGER` times as long: each encoder with each set of workers."""
    for seed in settings.seeds:
        for cell in list(cells(seed))[: BLOCK if settings.tiny else None]:
            if cell.weighting == EQUAL:
                yield Training(cell)
