"""What every estimator says of every label for every task, from the task's training part alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from controls import oracles_of
from corpora import POOL_SPLIT
from estimators import ESTIMATORS
from settings import CONTROLS, Settings
from study_tools.points import Points
from study_tools.tables import Table
from tiers import Study

from ptsel_fairseq.base.class_file import Segment
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.selection.embedding import SEGMENT_POINTS, UTTERANCE_POINTS
from ptsel_fairseq.selection.speech_vectors import speech_vectors

SCORES = ("pool", "task", "kind", "label", "estimator", "score", "better", "seconds")
SCORE_KEY = ("task", "label", "estimator")


@dataclass(frozen=True)
class TrainingPart:
    """What a score may see of a task.

    Attributes:
        x: speech vectors [points, d].
        classes: names [points].
        groups: number of the recording of each point [points].
        labels: label, control or oracle -> its summary [points, width]; NaN where undefined.
        raw: label -> mean in its own unit, with openSMILE's value where it is undefined.
        dims: dimensions of each label's track.
        spread: logarithm of each label's standard deviation in its own unit, the mean over its dimensions.
    """

    task: str
    pool: str
    x: np.ndarray
    classes: np.ndarray
    groups: np.ndarray
    labels: Mapping[str, np.ndarray]
    raw: Mapping[str, np.ndarray]
    dims: Mapping[str, int]
    spread: Mapping[str, float]
    _shared: dict[str, Any] = field(default_factory=dict)

    def shared(self, name: str, make: Callable[[], Any]) -> Any:
        """What several estimators need, made once."""
        if name not in self._shared:
            self._shared[name] = make()
        return self._shared[name]

    def of_catalogue(self, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Without controls and oracles."""
        return {name: z for name, z in values.items() if kind_of(name) == "single"}


def kind_of(name: str) -> str:
    return "control" if name in CONTROLS else "oracle" if name.startswith("orc_") else "single"


def training_part(study: Study, task: str) -> TrainingPart:
    """The training points of a task, with every label, every control, and the task's own oracles."""
    points = study.points[task]
    pool, train = points.task.pool, ~points.test
    names = (*study.labels, *CONTROLS, *oracles_of(task))
    labels, raw, dims, spread = {}, {}, {}, {}
    for name in names:
        track = study.track(pool, name)
        labels[name] = points.summarise_track(track)[train].astype(np.float64)
        raw[name] = points.summarise_track(track, raw=True)[train].astype(np.float64)
        dims[name] = track.values.shape[1]
        spread[name] = float(np.log(track.std).mean())
    classes = np.array(points.names)[points.y[train]]
    x = vectors(study.settings, pool, points, study.pool(pool).lines)[train]
    return TrainingPart(task, pool, x, classes, points.utterance[train], labels, raw, dims, spread)


def vectors(settings: Settings, pool: str, points: Points, lines: np.ndarray) -> np.ndarray:
    """The product's speech vectors of all points; 30 Gaussian means of a recording, 10 of a segment."""
    manifest = read_manifest(settings.out / "data" / pool / f"{POOL_SPLIT}.tsv")
    order = np.lexsort((points.seconds[:, 0], lines[points.utterance]))
    segments = [
        Segment(int(lines[points.utterance[i]]), *map(float, points.seconds[i]), points.names[points.y[i]])
        for i in order
    ]
    whole = bool(np.isinf(points.seconds[:, 1]).all())
    frames = UTTERANCE_POINTS if whole else SEGMENT_POINTS
    found = speech_vectors(manifest, segments, frames, settings.out / "vectors", jobs=1)
    x = np.empty_like(found)
    x[order] = found
    return x


def score_all(study: Study, tasks: tuple[str, ...]) -> None:
    """Add the scores that are lacking to `scores.csv`; a task's labels are scored together by each estimator."""
    table = Table(study.settings.results / "scores.csv", SCORES, SCORE_KEY)
    for task in tasks:
        part: TrainingPart | None = None
        names = (*study.labels, *CONTROLS, *oracles_of(task))
        for estimator, (better, estimate) in ESTIMATORS.items():
            if all({"task": task, "label": name, "estimator": estimator} in table for name in names):
                continue
            part = part or training_part(study, task)
            begun = time.monotonic()
            try:
                found = estimate(part)
            except PtselError as error:  # too few points for this estimator
                print(f"scores {task} {estimator}: none, {error}", flush=True)
                found = dict.fromkeys(part.labels, np.nan)
            seconds = (time.monotonic() - begun) / len(found)
            for name, score in found.items():
                table.add(
                    {
                        "pool": part.pool, "task": task, "kind": kind_of(name), "label": name, "estimator": estimator,
                        "score": float(score), "better": better, "seconds": round(seconds, 3),
                    }
                )  # fmt: skip
            print(f"scores {task} {estimator}: {len(found)} labels, {seconds * len(found):.1f} s", flush=True)
