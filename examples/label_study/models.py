"""Which encoders tier 2 trains, and in which order: an unfinished run has whole blocks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from controls import oracle_names
from settings import CONTROLS, ORACLE_NOISE, PAPERS, POOLS, TASKS, Settings

RANDOM = "random"


@dataclass(frozen=True)
class Model:
    """An encoder to train.

    Attributes:
        kind: ``random`` (not trained), ``single``, ``control``, ``oracle``, ``group`` (random λ) or ``named``.
        weights: λ, which sum to one; empty for the encoder that is not trained.
    """

    name: str
    kind: str
    pool: str
    seed: int
    weights: Mapping[str, float] = field(default_factory=dict)


def single(name: str, kind: str, pool: str, seed: int) -> Model:
    return Model(name, kind, pool, seed, {name: 1.0})


def plan(settings: Settings, labels: Sequence[str], chosen: Sequence[Model] = ()) -> Iterator[Model]:
    """All encoders in blocks; in a block pools take turns.

    Singles, controls and named groups of the first seed; half of the random groups; what the ways to λ chose; the
    other seeds of singles and of what was chosen; the other half of the random groups; oracles.

    Args:
        labels: of the catalogue.
        chosen: groups whose λ a way chose for a task, for the first seed.
    """
    first, *others = settings.seeds
    groups = {pool: random_groups(labels, pool, settings.num_groups, first) for pool in POOLS}
    half = settings.num_groups // 2
    yield from in_turn([singles(labels, pool, first) + named(labels, pool, first) for pool in POOLS])
    yield from in_turn([groups[pool][:half] for pool in POOLS])
    yield from chosen
    for seed in others:
        yield from in_turn([singles(labels, pool, seed) + named(labels, pool, seed) for pool in POOLS])
    for model in chosen:
        yield from (Model(model.name, model.kind, model.pool, seed, model.weights) for seed in others)
    yield from in_turn([groups[pool][half:] for pool in POOLS])
    for seed in settings.seeds:
        yield from in_turn(
            [[single(n, "oracle", pool, seed) for n in oracles(settings, pool)] for pool in POOLS]
        )


def oracles(settings: Settings, pool: str) -> list[str]:
    """The oracles of a pool's tasks; of a tiny run those with the least noise."""
    names = oracle_names(pool)
    return names[:: len(ORACLE_NOISE)] if settings.tiny else names


def singles(labels: Sequence[str], pool: str, seed: int) -> list[Model]:
    return [
        Model(RANDOM, "random", pool, seed),
        *(single(name, "single", pool, seed) for name in labels),
        *(single(name, "control", pool, seed) for name in CONTROLS),
    ]


def named(labels: Sequence[str], pool: str, seed: int) -> list[Model]:
    """Every label with the same weight, and the papers' seven."""
    groups = {"grp_equal": tuple(labels), "grp_papers_equal": PAPERS}
    return [
        Model(name, "named", pool, seed, {label: 1 / len(members) for label in members})
        for name, members in groups.items()
    ]


def random_groups(labels: Sequence[str], pool: str, number: int, seed: int) -> list[Model]:
    """Groups of one to ten labels with λ uniform on the simplex."""
    models = []
    for i in range(number):
        name = f"grp_{i:03d}"
        digest = hashlib.sha256(f"{pool} {name}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
        members = sorted(rng.choice(list(labels), rng.integers(1, 11), replace=False))
        weights = rng.dirichlet(np.ones(len(members)))
        models.append(
            Model(
                name, "group", pool, seed, {str(m): float(w) for m, w in zip(members, weights, strict=True)}
            )
        )
    return models


def in_turn(lists: Sequence[Sequence[Model]]) -> Iterator[Model]:
    """One of each list after the other, until all are through."""
    for i in range(max(map(len, lists))):
        yield from (models[i] for models in lists if i < len(models))


def task_of_way(model: str) -> str:
    """The task that a chosen group was chosen for, by the name of its encoder."""
    rest = model.removeprefix("way_")
    return max((task for task in TASKS if rest.startswith(f"{task}_")), key=len)
