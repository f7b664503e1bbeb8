"""Every fold with every seed: what `probe` and `regression` share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ptsel_fairseq.base.threads import few_threads
from ptsel_fairseq.downstream.metrics.answer_files import Table
from ptsel_fairseq.downstream.metrics.results import RESAMPLES, Answers, Result, score
from ptsel_fairseq.downstream.probing.classifiers import Fitted, Part, is_deterministic
from ptsel_fairseq.downstream.probing.items import Fold, Items, tested_rows

Fit = Callable[[str, Part, Part, Part, int], Fitted]  # (model, train, valid, test, seed)


def probe_folds(
    task: str,
    fit: Fit,
    answer_of: Callable[[Any], str | float],
    items: Items,
    folds: Sequence[Fold],
    model: str,
    seeds: int,
    name: str,
    groups: Table | None,
) -> Result:
    """Train in every fold with every seed; the answers of a run are those of all its folds.

    Args:
        task: as `metrics.results` knows it.
        fit: trains, chooses and answers.
        answer_of: what stands in the result for an answer.
        groups: what intervals resample as a whole; default, items of a path.
    """
    runs, chosen = [], []
    for seed in range(1 if is_deterministic(model, items.x.shape[1]) else seeds):
        with few_threads(float(items.x.size) * len(np.unique(items.y))):
            fitted = [
                fit(model, items.part(fold.train), items.part(fold.valid), items.part(fold.test), seed)
                for fold in folds
            ]
        runs.append(tuple(answer_of(answer) for each in fitted for answer in each.answers))
        chosen.append([each.chosen for each in fitted])
    tested = tested_rows(folds)
    paths = items.paths[tested].tolist()
    answers = Answers(
        task,
        tuple(items.ids[tested].tolist()),
        tuple(items.y[tested].tolist()),
        tuple(runs),
        tuple(paths if groups is None else groups.of_paths(paths)),
    )
    return score(name, answers, {"model": model, "chosen": chosen}, RESAMPLES)
