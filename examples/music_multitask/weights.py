"""λ by the package's default method, for each task and set of workers, from the task's training part."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from corpora import SPLIT
from design import labels_of
from settings import RELEVANCE
from study_tools.tables import Table, read
from tasks import Data

from ptsel_fairseq.base.class_file import Segment
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.selection import Points, score_labels, select_weights
from ptsel_fairseq.selection.embedding import SEGMENT_POINTS
from ptsel_fairseq.selection.speech_vectors import speech_vectors

COLUMNS = ("task", "workers", "labels", "label", "weight")
MOST_SEVERAL = 5
SMALLEST = 1e-3  # of λ: less is left out, and the rest made to sum to one


@dataclass
class Relevance:
    """λ of every task and set of workers; computed once and kept in `lambda.csv`.

    A task of several classes at once has a λ for each of `MOST_SEVERAL` classes against the rest, those that are
    nearest to being present in half of the points, and takes their mean.
    """

    data: Data
    _parts: dict[str, tuple[list[Points], dict]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        file = self.data.settings.results / "lambda.csv"
        self._table = Table(file, COLUMNS, COLUMNS[:-1])

    def weights(self, task: str, workers: str, seed: int) -> dict[str, float]:
        """label -> λ, positive, sums to one."""
        labels = labels_of(workers, seed)
        key = {"task": task, "workers": workers, "labels": "+".join(labels)}
        known = self._known(key)
        if not known:
            begun = time.process_time()
            for label, weight in self._choose(task, labels).items():
                self._table.add({**key, "label": label, "weight": weight})
            known = self._known(key)
            print(f"λ {task} {workers}: {time.process_time() - begun:.1f} s of CPU time", flush=True)
        return known

    def _known(self, key: Mapping[str, str]) -> dict[str, float]:
        rows = read(self._table.file)
        found = {
            row["label"]: float(row["weight"])
            for row in rows
            if all(row[column] == key[column] for column in key)
        }
        return found if found and abs(sum(found.values()) - 1) < 1e-3 else {}

    def _choose(self, task: str, labels: tuple[str, ...]) -> dict[str, float]:
        parts, scored = self._part(task)
        found = []
        for number, points in enumerate(parts):
            known = scored.setdefault(number, {})
            missing = [label for label in labels if label not in known]
            if missing:
                values = {label: points.labels[label] for label in missing}
                known |= score_labels(points.x, values, points.classes, groups=points.groups)
            own = select_weights(
                points.only(labels), method=RELEVANCE, scores={label: known[label] for label in labels}
            ).weights
            found.append([own.get(label, 0.0) for label in labels])
        mean = np.mean(found, axis=0)
        kept = {label: float(w) for label, w in zip(labels, mean, strict=True) if w >= SMALLEST}
        total = sum(kept.values())
        return {label: weight / total for label, weight in kept.items()}

    def _part(self, task: str) -> tuple[list[Points], dict]:
        """The training points of a task, once, or once for each of its classes against the rest; and their scores."""
        if task not in self._parts:
            data = self.data
            points, stream = data.points[task], data.stream
            rows = np.flatnonzero(~points.test)
            lines = stream.lines[points.utterance[rows]]
            order = np.lexsort((points.seconds[rows, 0], lines))
            rows, lines = rows[order], lines[order]
            manifest = read_manifest(data.settings.out / "data" / f"{SPLIT}.tsv")
            segments = [
                Segment(int(line), *map(float, points.seconds[row]), "")
                for row, line in zip(rows, lines, strict=True)
            ]
            x = speech_vectors(manifest, segments, SEGMENT_POINTS, data.settings.out / "vectors", jobs=1)
            mean = replace(points, task=replace(points.task, summary="mean"))
            labels = {
                name: mean.summarise_track(stream.track(name))[rows].astype(np.float64)
                for name in data.settings.labels
            }
            y = points.y[rows]
            if y.ndim == 1:
                columns = [np.array(points.names)[y]]
            else:
                nearest = np.argsort(np.abs(y.mean(axis=0) - 0.5), kind="stable")[:MOST_SEVERAL]
                columns = [np.where(y[:, k] > 0.5, "present", "absent") for k in nearest]
            made = [Points(x, labels, classes, utterance=lines.astype(np.int64)) for classes in columns]
            self._parts[task] = made, {}
        return self._parts[task]
