"""Whether a label is better than noise, whatever estimator scores it.

The theory needs a label that depends on the class (1/β in Lee et al. 2020), and a label that cannot be heard
cannot be learned. A label is called **no better than noise** if its relevance (`estimators.relevance`) is
within reach of the same label permuted by group: the probability of so much relevance by chance, corrected for
the number of labels (Holm 1979), is `LEVEL` or more. An estimator that rewards independence, such as `cka`,
gives noise its best score; this is what tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.selection.estimators.relevance import NOISE_FLOOR, Relevance
from ptsel_fairseq.selection.estimators.task import large_classes
from ptsel_fairseq.selection.estimators.value_task import task_of, varies
from ptsel_fairseq.selection.label_score import LabelScore

LEVEL = 0.001
MOST_POINTS = 20_000  # that are looked at where the scores need no relevance themselves
PERMUTATIONS = 200  # whose moments the probability comes from


def relevance_of(
    x: np.ndarray,
    labels: Mapping[str, np.ndarray],
    classes: np.ndarray,
    groups: np.ndarray | None = None,
    seed: int = 0,
    most: int | None = None,
    values: np.ndarray | None = None,
) -> Relevance | None:
    """The labels' relevance on classes of two points or more; None where the task cannot tell: one class or group.

    Args:
        most: points to look at: whole groups, drawn with `seed`. Default: all.
        values: what is to be told in place of the classes.
    """
    rows: np.ndarray | slice = slice(None)  # which copies nothing
    if most is not None and len(x) > most:
        rows = _some(groups, len(x), most, seed)
    if values is None:
        kept = large_classes(classes[rows], 2)
        rows = kept if isinstance(rows, slice) else rows[kept]
    in_groups = None if groups is None else np.asarray(groups)[rows]
    tells = len(np.unique(classes[rows])) > 1 if values is None else varies(values[rows])
    if not tells or (in_groups is not None and len(np.unique(in_groups)) < 2):
        return None
    task = task_of(x, classes, values, groups, seed, rows)
    return Relevance(task, {name: np.asarray(z)[rows] for name, z in labels.items()})


def _some(groups: np.ndarray | None, points: int, most: int, seed: int) -> np.ndarray:
    """About `most` of the points, whole groups of them."""
    number = np.arange(points) if groups is None else np.unique(groups, return_inverse=True)[1]
    order = np.random.default_rng([seed, 7]).permutation(int(number.max()) + 1)
    reached = np.cumsum(np.bincount(number)[order])
    kept = np.zeros(len(order), dtype=bool)
    kept[order[: max(2, int(np.searchsorted(reached, most)))]] = True
    return np.flatnonzero(kept[number])


def compared_with_noise(
    scores: Mapping[str, LabelScore], made: Relevance | None, apart: Sequence[str] = ()
) -> dict[str, LabelScore]:
    """The scores, those of controls `apart` among them, with `noise_p` and `better_than_noise`.

    Args:
        made: the relevance of the same labels; None leaves both unknown.
    """
    if made is None:
        return dict(scores)
    found = noise_p(made, [name for name, record in scores.items() if record.score is not None], apart)
    return {
        name: replace(record, noise_p=found[name], better_than_noise=found[name] < LEVEL)
        if name in found
        else record
        for name, record in scores.items()
    }


def noise_p(made: Relevance, names: Sequence[str], apart: Sequence[str] = ()) -> dict[str, float]:
    """Probability of each label's relevance by chance, corrected for their number.

    Those `apart` are not corrected and do not count.
    """
    nulls = made.nulls(NOISE_FLOOR, PERMUTATIONS)
    found = {}
    for name in names:
        try:
            found[name] = nulls[name].tail(made.score(name).raw) if name in made.names else 1.0
        except PtselError:  # too many columns for the points: chance alone explains it
            found[name] = 1.0
    corrected = holm({name: p for name, p in found.items() if name not in apart})
    return {name: p for name, p in found.items() if name in apart} | corrected


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """p corrected for their number by Holm's step-down rule."""
    adjusted, largest = {}, 0.0
    for place, name in enumerate(sorted(p, key=lambda name: (p[name], name))):
        largest = max(largest, min(1.0, p[name] * (len(p) - place)))
        adjusted[name] = largest
    return adjusted
