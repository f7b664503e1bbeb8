"""The rows that were measured, as arrays: gains over the random encoder by task, seed and model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from models import RANDOM
from settings import CONTROLS, SAME_AS_ANOTHER, TASKS
from study_tools.tables import read

LABELS_BUT = (*CONTROLS, *SAME_AS_ANOTHER)


@dataclass(frozen=True)
class Outcomes:
    """Accuracies in points, by what they are of: (tier, features, task, head, examples, model, seed)."""

    rows: dict[tuple[str, str, str, str, str, str, int], float]
    kinds: dict[str, str]

    @classmethod
    def of(cls, files: Iterable[Path]) -> Outcomes:
        rows, kinds = {}, {}
        for file in files:
            for row in read(file) if file.is_file() else ():
                key = (row["tier"], row["features"], row["task"], row["head"], row["examples"], row["model"])
                rows[(*key, int(row["seed"]))] = 100 * float(row["accuracy"])
                kinds.setdefault(row["model"], row["kind"])  # of the first file that has it
        return cls(rows, kinds)

    def accuracy(
        self, task: str, model: str, seed: int, *, tier: str = "2", features: str = "encoder",
        head: str = "linear", examples: str = "all",
    ) -> float | None:  # fmt: skip
        return self.rows.get((tier, features, task, head, examples, model, seed))

    def gain(
        self, task: str, model: str, seed: int, head: str = "linear", examples: str = "all"
    ) -> float | None:
        """Of a trained encoder over the random one of the same seed, head and number of examples, in points."""
        own = self.accuracy(task, model, seed, head=head, examples=examples)
        random = self.accuracy(task, RANDOM, seed, head=head, examples=examples)
        return None if own is None or random is None else own - random

    def models(self, kind: str, pool: str, tier: str = "2") -> list[str]:
        """Models of a kind for which there is any row in a pool, sorted."""
        tasks = {name for name, task in TASKS.items() if task.pool == pool}
        return sorted(
            {key[5] for key in self.rows if key[0] == tier and key[2] in tasks and self.kinds[key[5]] == kind}
        )

    def gains(
        self,
        task: str,
        models: Sequence[str],
        seeds: Sequence[int],
        head: str = "linear",
        examples: str = "all",
    ) -> tuple[np.ndarray, list[int]]:
        """Gains [seeds, models] of the seeds for which all models are there, and these seeds."""
        found, complete = [], []
        for seed in seeds:
            row = [self.gain(task, model, seed, head, examples) for model in models]
            if models and all(value is not None for value in row):
                found.append(row)
                complete.append(seed)
        return np.array(found, float).reshape(len(complete), len(models)), complete


@dataclass(frozen=True)
class Scores:
    """The scores of a study, higher promising more, by task, estimator and label."""

    values: dict[str, dict[str, dict[str, float]]]

    @classmethod
    def of(cls, file: Path) -> Scores:
        values: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
        for row in read(file) if file.is_file() else ():
            sign = -1 if row["better"] == "lower" else 1
            values[row["task"]][row["estimator"]][row["label"]] = sign * float(row["score"])
        return cls({task: dict(found) for task, found in values.items()})

    def estimators(self) -> list[str]:
        """Those which every task with scores has, in the order of the file."""
        found = [list(of_task) for of_task in self.values.values()]
        return [name for name in (found[0] if found else []) if all(name in names for names in found)]

    def array(self, task: str, estimator: str, labels: Sequence[str]) -> np.ndarray:
        """[labels], NaN where there is none."""
        known = self.values[task][estimator]
        return np.array([known.get(label, np.nan) for label in labels])


def best_by_relevance(scores: Scores, task: str) -> str | None:
    """The label with the highest relevance for a task, among those of the catalogue; None where there is no score."""
    known = scores.values.get(task, {}).get("relevance", {})
    labels = [name for name in known if not name.startswith(("ctl_", "orc_"))]
    return max(labels, key=lambda name: known[name]) if labels else None


def rank_on_others(gains: dict[str, np.ndarray], task: str) -> np.ndarray:
    """The static ranking: the mean rank of each label's gain on all other tasks, higher for larger gains.

    Args:
        gains: task -> mean gains [labels], the same labels for every task.
    """
    from scipy.stats import rankdata

    return np.mean([rankdata(values) for name, values in gains.items() if name != task], axis=0)
