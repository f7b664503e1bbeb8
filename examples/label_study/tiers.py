"""The outcomes: features of one kind after the other, judged by both heads on every task of their pool."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from controls import planted, task_of_oracle
from encoder import features, new_encoder, pretrain
from models import RANDOM, Model, oracles, task_of_way
from points import points_of
from pool import Pool, Track
from probes import few_examples, linear, mlp
from ridge import RandomFeatures
from settings import CONTROLS, EXAMPLES, POOLS, SAME_AS_ANOTHER, SEEDS, TASKS, TIER3_DEFAULT, Settings
from study_tools.points import Points
from study_tools.tables import Table

HEADS = ("linear", "mlp")
OUTCOMES = (
    "tier", "pool", "kind", "model", "features", "task", "head", "examples", "seed",
    "dim", "classes", "n_train", "n_test", "accuracy", "uar", "nll",
)  # fmt: skip
OUTCOME_KEY = OUTCOMES[:9]
CURVE_DRAWS = 2
LOSSES = ("pool", "model", "seed", "label", "loss")


@dataclass
class Study:
    """Pools, points and tables of a run; pools are loaded when they are asked for."""

    settings: Settings
    _pools: dict[str, Pool] = field(default_factory=dict)
    _planted: dict[tuple[str, str], Track] = field(default_factory=dict)
    _needed: dict[tuple[str, tuple[str, ...]], np.ndarray] = field(default_factory=dict)

    def pool(self, name: str) -> Pool:
        if name not in self._pools:
            self._pools[name] = Pool(self.settings, name)
        return self._pools[name]

    @cached_property
    def points(self) -> dict[str, Points]:
        return {task.name: points_of(self.settings, self.pool(task.pool), task) for task in TASKS.values()}

    @property
    def labels(self) -> tuple[str, ...]:
        """The catalogue without labels whose values are another one's."""
        return tuple(name for name in self.pool(POOLS[0]).labels if name not in SAME_AS_ANOTHER)

    def track(self, pool: str, name: str) -> Track:
        """A label, a control or an oracle of a pool."""
        if not name.startswith(("ctl_", "orc_")):
            return self.pool(pool).track(name)
        if (pool, name) not in self._planted:
            self._planted[pool, name] = planted(self.pool(pool), name, self.points)
        return self._planted[pool, name]

    def tasks(self, pool: str) -> list[Points]:
        return [self.points[task.name] for task in TASKS.values() if task.pool == pool]

    def needed(self, pool: str, tasks: tuple[str, ...] = ()) -> np.ndarray:
        """The frames of a pool's stream in points of some tasks (default: all of the pool), bool [frames]."""
        if (pool, tasks) not in self._needed:
            found = np.zeros(self.pool(pool).total, bool)
            for points in self.tasks(pool):
                if not tasks or points.task.name in tasks:
                    for first, last in zip(points.start, points.end, strict=True):
                        found[first:last] = True
            self._needed[pool, tasks] = found
        return self._needed[pool, tasks]

    def table(self, name: str) -> Table:
        return Table(self.settings.results / f"{name}.csv", OUTCOMES, OUTCOME_KEY)

    @cached_property
    def summaries(self) -> dict[str, np.ndarray]:
        """The summaries of all labels side by side, by task: the features without any encoder."""
        return {
            name: np.hstack(
                [points.summarise_track(self.track(points.task.pool, label)) for label in self.labels]
            )
            for name, points in self.points.items()
        }


@dataclass(frozen=True)
class Judged:
    """Features of some kind for the tasks of a pool.

    Attributes:
        row: what their rows have in common.
        heads: by which they are judged.
        curves: whether also by few labelled examples (linear head).
        make: gives the vectors of a task's points, when they are needed.
        tasks: names; all tasks of the pool if empty.
    """

    row: dict[str, object]
    make: Callable[[], Callable[[Points], np.ndarray]]
    heads: tuple[str, ...] = HEADS
    curves: bool = False
    tasks: tuple[str, ...] = ()


def judge(study: Study, table: Table, judged: Judged) -> int:
    """Add the rows that are lacking; returns how many."""
    wanted = []
    for points in study.tasks(str(judged.row["pool"])):
        if judged.tasks and points.task.name not in judged.tasks:
            continue
        settings = [(head, "all") for head in judged.heads]
        settings += [("linear", str(number)) for number in EXAMPLES if judged.curves]
        for head, examples in settings:
            row = {**judged.row, "task": points.task.name, "head": head, "examples": examples}
            if row not in table:
                wanted.append((points, row))
    vectors = judged.make() if wanted else None
    made: dict[str, np.ndarray] = {}
    for points, row in wanted:
        name = points.task.name
        if name not in made:
            made[name] = vectors(points)
        table.add({**row, **outcome_of(made[name], points, row, study.settings.iterations)})
    return len(wanted)


def outcome_of(x: np.ndarray, points: Points, row: dict[str, object], iterations: int) -> dict[str, object]:
    """The columns of an outcome by the head and number of examples of a row."""
    seed, nobody = int(row["seed"]), np.zeros(len(points), bool)
    train, test = ~points.test, points.test
    if row["examples"] != "all":
        number = int(row["examples"])
        chosen = [few_examples(points.y, train, number, draw) for draw in range(CURVE_DRAWS)]
        results = [linear(x, points.y, few, nobody, test, iterations) for few in chosen]
        used = int(chosen[0].sum())
    else:
        used = int(train.sum())
        parts = (x, points.y, train, points.valid, test)
        results = [linear(*parts, iterations) if row["head"] == "linear" else mlp(*parts, seed)]
    return {
        "dim": x.shape[1],
        "classes": len(points.names),
        "n_train": used,
        "n_test": int(test.sum()),
        "accuracy": float(np.mean([r.accuracy for r in results])),
        "uar": float(np.mean([r.uar for r in results])),
        "nll": float(np.mean([r.nll for r in results])),
    }


def baselines(study: Study) -> Iterator[Judged]:
    """Without any encoder: front ends, all labels' own summaries side by side, and those of each label alone."""
    for pool in POOLS:
        common = {"tier": "baseline", "pool": pool, "features": "summaries", "seed": SEEDS[0]}
        yield Judged(
            {**common, "kind": "baseline", "model": "all_labels"},
            lambda: lambda points: study.summaries[points.task.name],
            curves=True,
        )
        for name in (*study.labels, *CONTROLS):
            yield Judged(
                {**common, "kind": "control" if name in CONTROLS else "single", "model": name},
                lambda name=name: lambda points: points.summarise_track(study.track(points.task.pool, name)),
                heads=("linear",) if name not in ("log_mel", "mfcc") else HEADS,
                curves=name in ("log_mel", "mfcc"),
            )


def tier1(study: Study, seed: int) -> Iterator[Judged]:
    """Closed form: ridge regression of a label on random features, and what the prediction is worth."""
    for pool in POOLS:
        shared = RandomFeatures(study.pool(pool), seed)
        for name in (*study.labels, *CONTROLS, *oracles(study.settings, pool)):
            kind = "oracle" if name.startswith("orc_") else "control" if name in CONTROLS else "single"
            own = (task_of_oracle(name),) if kind == "oracle" else ()
            scalar = study.track(pool, name).values.shape[1] == 1
            for what in ("prediction",) if scalar else ("prediction", "span"):
                yield Judged(
                    {"tier": "1", "pool": pool, "kind": kind, "model": name, "features": what, "seed": seed},
                    lambda name=name, what=what, pool=pool, shared=shared: shared.vectors(
                        study.track(pool, name), what
                    ),
                    heads=("linear",) if seed != SEEDS[0] or what == "span" else HEADS,
                    tasks=own,
                )


def tier2(study: Study, models: Iterable[Model]) -> Iterator[Judged]:
    """Small encoders trained on the plugin's pretext loss alone."""
    losses = Table(study.settings.results / "losses.csv", LOSSES, LOSSES[:-1])
    weights = Table(
        study.settings.results / "lambda.csv",
        ("pool", "model", "label", "weight"),
        ("pool", "model", "label"),
    )
    for model in models:
        for label, weight in model.weights.items():
            weights.add({"pool": model.pool, "model": model.name, "label": label, "weight": weight})
        own = tasks_of(model)
        encoded = Encoded(study, model, losses, own)
        row = {"tier": "2", "pool": model.pool, "kind": model.kind, "model": model.name, "seed": model.seed}
        curves = model.seed == SEEDS[0] and model.kind in ("random", "named", "chosen")
        yield Judged({**row, "features": "encoder"}, encoded.vectors, curves=curves, tasks=own)
        if model.seed == SEEDS[0] and model.kind in ("random", "named"):
            yield Judged({**row, "features": "joined"}, encoded.joined)
        if model.seed == SEEDS[0] and model.kind == "single" and not study.settings.tiny:
            yield Judged({**row, "features": "joined"}, encoded.joined, heads=("linear",))


def tier2_joined(study: Study, models: Iterable[Model]) -> Iterator[Judged]:
    """The encoders of the package's own λ with the summaries of all labels beside their features; trained once more."""
    losses = Table(study.settings.results / "losses.csv", LOSSES, LOSSES[:-1])
    for model in models:
        if model.kind == "chosen" and model.seed == SEEDS[0] and model.name.endswith(f"_{TIER3_DEFAULT}"):
            row = {
                "tier": "2",
                "pool": model.pool,
                "kind": model.kind,
                "model": model.name,
                "seed": model.seed,
            }
            encoded = Encoded(study, model, losses, tasks_of(model))
            yield Judged(
                {**row, "features": "joined"}, encoded.joined, heads=("linear",), tasks=tasks_of(model)
            )


def tasks_of(model: Model) -> tuple[str, ...]:
    """The tasks that an encoder is judged on: its own, if it was made for one; empty for all of its pool."""
    if model.kind == "oracle":
        return (task_of_oracle(model.name),)
    return (task_of_way(model.name),) if model.kind == "chosen" else ()


@dataclass
class Encoded:
    """The features of one encoder, trained when they are first asked for."""

    study: Study
    model: Model
    losses: Table
    tasks: tuple[str, ...] = ()

    @cached_property
    def frames(self) -> np.ndarray:
        model, pool, needed = (
            self.model,
            self.study.pool(self.model.pool),
            self.study.needed(self.model.pool, self.tasks),
        )
        if model.name == RANDOM:
            return features(new_encoder(model.seed), pool, needed)
        tracks = {name: self.study.track(model.pool, name) for name in model.weights}
        encoder, losses = pretrain(pool, tracks, model.weights, model.seed, self.study.settings.updates)
        for label, loss in losses.items():
            self.losses.add(
                {"pool": model.pool, "model": model.name, "seed": model.seed, "label": label, "loss": loss}
            )
        return features(encoder, pool, needed)

    def vectors(self) -> Callable[[Points], np.ndarray]:
        frames = self.frames
        return lambda points: points.summarise(frames)

    def joined(self) -> Callable[[Points], np.ndarray]:
        frames = self.frames
        return lambda points: np.hstack([points.summarise(frames), self.study.summaries[points.task.name]])


def run_tier(study: Study, table: Table, work: Iterable[Judged]) -> None:
    """Judge one kind of features after the other, and say how long each took."""
    for judged in work:
        begun = time.monotonic()
        added = judge(study, table, judged)
        if added:
            what = " ".join(
                str(judged.row[column]) for column in ("tier", "pool", "model", "features", "seed")
            )
            print(f"{what}: {added} rows, {time.monotonic() - begun:.1f} s", flush=True)
