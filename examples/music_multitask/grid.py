"""The rows of the grid: one encoder after the other trained, its frozen frames judged on every task."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import numpy as np
from design import Training, labels_of
from encoders import new_encoder
from settings import BASELINES, FAMILIES, NONE, RELEVANCE, TASKS
from study_tools.tables import Table
from tasks import Data, judge
from torch import nn
from training import pooled, pretrain
from weights import Relevance

OUTCOME = ("metric", "valid", "score", "low", "high", "dim", "classes", "n_train", "n_test")
KEY = ("encoder", "weighting", "workers", "seed", "task")
COLUMNS = (*KEY, *OUTCOME)
BASELINE_COLUMNS = ("features", "task", *OUTCOME)
LOSS_KEY = (*KEY, "label")  # `task` is `all` where one encoder is for all tasks
LOSS_COLUMNS = (*LOSS_KEY, "loss", "skill", "weight", "seconds")
ALL = "all"

Vectors = Callable[[str], np.ndarray]  # task -> vectors of its points


def add_rows(
    data: Data, table: Table, row: dict[str, object], tasks: Iterable[str], vectors: Vectors
) -> None:
    """Judge the vectors of each task and add a row for each."""
    for task in tasks:
        points, x = data.points[task], vectors(task)
        found = judge(x, points, data.settings.iterations)
        table.add(
            {
                **row, "task": task, "metric": TASKS[task].metric, "valid": found.valid, "score": found.test,
                "low": found.low, "high": found.high, "dim": x.shape[1], "classes": len(points.names),
                "n_train": int((~points.test).sum()), "n_test": int(points.test.sum()),
            }
        )  # fmt: skip


def baselines(data: Data) -> None:
    """Summaries of labels without any encoder: the baselines, each family of workers, and all music workers."""
    table = Table(data.settings.results / "baselines.csv", BASELINE_COLUMNS, ("features", "task"))
    sets = {name: (name,) for name in BASELINES} | {f"labels: {name}": own for name, own in FAMILIES.items()}
    sets["labels: music"] = labels_of("music", 0)
    for name, labels in sets.items():
        wanted = [task for task in TASKS if {"features": name, "task": task} not in table]

        def vectors(task: str, labels: tuple[str, ...] = labels) -> np.ndarray:
            points = data.points[task]
            return np.hstack([points.summarise_track(data.stream.track(label)) for label in labels])

        begun = time.monotonic()
        add_rows(data, table, {"features": name}, wanted, vectors)
        if wanted:
            print(f"{name}: {len(wanted)} rows, {time.monotonic() - begun:.1f} s", flush=True)


def grid(data: Data, trainings: Iterable[Training], times: int = 1) -> int:
    """Train and judge what is not in the table yet, until the time is up; returns how many were done.

    Args:
        times: how often the design's number of updates; the rows of others than 1 are in tables of their own.
    """
    settings = data.settings
    rows, own = ("grid.csv", "losses.csv") if times == 1 else ("longer.csv", "longer_losses.csv")
    table = Table(settings.results / rows, COLUMNS, KEY)
    losses = Table(settings.results / own, LOSS_COLUMNS, LOSS_KEY)
    relevance = Relevance(data)
    started, done = time.monotonic(), 0
    for training in trainings:
        wanted = [task for task in training.tasks if {**training.row, "task": task} not in table]
        if not wanted:
            continue
        if settings.minutes is not None and time.monotonic() - started >= 60 * settings.minutes:
            print(f"{settings.minutes:g} minutes are over: stopped before {training}", flush=True)
            break
        begun, used = time.monotonic(), time.process_time()
        encoder = trained(data, training, relevance, losses, times * settings.updates)
        stretches = data.stretches(wanted)
        place = {stretch: row for row, stretch in enumerate(stretches)}
        start, end = np.array(stretches).T
        found = pooled(encoder, data.stream.input, start, end)

        def vectors(task: str, found: np.ndarray = found, place: dict = place) -> np.ndarray:
            points = data.points[task]
            pairs = zip(points.start.tolist(), points.end.tolist(), strict=True)
            return found[[place[pair] for pair in pairs]]

        add_rows(data, table, training.row, wanted, vectors)
        done += 1
        cell = training.cell
        print(
            f"{cell.encoder} {cell.weighting} {cell.workers} {cell.seed}: {len(wanted)} rows, "
            f"{time.monotonic() - begun:.1f} s, {time.process_time() - used:.1f} s of CPU time",
            flush=True,
        )
    return done


def trained(data: Data, training: Training, relevance: Relevance, losses: Table, updates: int) -> nn.Module:
    """The encoder of a training."""
    cell = training.cell
    if cell.weighting == NONE:
        return new_encoder(cell.encoder, cell.seed)
    if cell.weighting == RELEVANCE:
        weights = relevance.weights(training.tasks[0], cell.workers, cell.seed)
        task = training.tasks[0]
    else:
        labels = labels_of(cell.workers, cell.seed)
        weights, task = {label: 1 / len(labels) for label in labels}, ALL
    begun = time.process_time()
    encoder, told = pretrain(data.stream, cell.encoder, cell.weighting, weights, cell.seed, updates)
    seconds = time.process_time() - begun
    for label, numbers in told.items():
        losses.add({**training.row, "task": task, "label": label, **numbers, "seconds": seconds})
    return encoder
