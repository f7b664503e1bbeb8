"""`ptsel probe --relevance`: which of several classes a recording has, where few of the pairs are labelled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ptsel_fairseq.base.class_file import ClassFile, Segment
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import manifest_file, read_manifest
from ptsel_fairseq.base.messages import examples
from ptsel_fairseq.base.threads import few_threads
from ptsel_fairseq.downstream.corpora.splits import fold_of
from ptsel_fairseq.downstream.features.front_end import FrontEnd, extract
from ptsel_fairseq.downstream.metrics.answer_files import Table, read_labels
from ptsel_fairseq.downstream.metrics.classification import RELEVANT, MultilabelScorer
from ptsel_fairseq.downstream.metrics.evaluations import EVALUATIONS
from ptsel_fairseq.downstream.metrics.results import RESAMPLES, Answers, Result, score
from ptsel_fairseq.downstream.probing.classifiers import (
    STRENGTHS,
    fit_network,
    is_deterministic,
    standardised,
)

LEAST = 1e-7  # probability that a loss is taken of
CHOSEN_ON = "fold1"  # of five: the recordings to choose on where no split is there for it


@dataclass(frozen=True)
class Rated:
    """Recordings of which at least one class is labelled.

    Attributes:
        x: float32 [recordings, layers, dim].
        relevance: 0 to 1, NaN where a pair is not labelled, [recordings, classes].
        paths: [recordings].
        unlabelled: recordings of the manifest without any label, which are left out.
    """

    x: np.ndarray
    relevance: np.ndarray
    paths: np.ndarray
    unlabelled: int = 0

    def part(self, rows: np.ndarray) -> Rated:
        return Rated(self.x[rows], self.relevance[rows], self.paths[rows])

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the labelled pairs."""
        rows, columns = np.nonzero(np.isfinite(self.relevance))
        return rows, columns


def relevance_files(folder: Path, splits: Sequence[str]) -> list[Path]:
    """``<split>.tsv`` of each split; raise PtselError unless there are two splits or three."""
    if len(splits) not in (2, 3):
        raise PtselError(
            f"--splits: expected two (to train and choose, to test) or three (to train, to choose, to test), found "
            f"{' '.join(splits)}"
        )
    return [folder / f"{split}.tsv" for split in dict.fromkeys(splits)]


def probe_relevance(
    data_dir: Path,
    folder: Path,
    front_end: FrontEnd,
    splits: Sequence[str],
    cache: Path,
    model: str,
    seeds: int,
    groups: Table | None = None,
    jobs: int | None = None,
) -> tuple[Result, str, tuple[int, ...]]:
    """Train with every seed, and score the labelled pairs of the test split.

    Args:
        data_dir: manifests at 16 kHz.
        folder: relevance of (path, class) pairs, ``<split>.tsv``.
        splits: to train on, to choose on, to test on; of two the first is divided by a checksum of the paths.

    Returns:
        The result, what was tested on what, and the shape of a recording's features.
    """
    tables = {file.stem: read_labels(file) for file in relevance_files(folder, splits)}
    names = sorted({pair.split("\t")[1] for pair in tables[splits[0]].values})
    rated = {
        split: read_rated(data_dir, split, table, names, front_end, cache, jobs)
        for split, table in tables.items()
    }
    train, test = rated[splits[0]], rated[splits[-1]]
    if len(splits) == 3:
        valid = rated[splits[1]]
    else:
        chosen_on = np.array([fold_of(path) == CHOSEN_ON for path in train.paths.tolist()])
        train, valid = train.part(~chosen_on), train.part(chosen_on)
    name = f"{front_end.name} {model}"
    result = probe_rated((train, valid, test), names, model, seeds, name, groups, str(folder))
    unlabelled = sum(part.unlabelled for part in rated.values())
    told = described(train, valid, test, result, names)
    told += f"; {unlabelled} recordings without a label are left out" if unlabelled else ""
    return result, told, train.x.shape[1:]


def probe_rated(
    parts: tuple[Rated, Rated, Rated],
    names: Sequence[str],
    model: str,
    seeds: int,
    name: str,
    groups: Table | None = None,
    where: str = "relevance",
) -> Result:
    """Train on the first part with every seed, choose on the second, and score the labelled pairs of the third.

    Raises:
        PtselError: no pairs on both sides of `RELEVANT` to train or to choose on.
    """
    train, valid, test = parts
    for part, what in ((train, "train"), (valid, "choose")):
        if not (part.relevance >= RELEVANT).any() or not (part.relevance < RELEVANT).any():
            raise PtselError(
                f"{where}: expected relevances on both sides of {RELEVANT} to {what} on, found "
                f"{np.isfinite(part.relevance).sum()} pairs on one side"
            )
    runs, chosen = [], []
    rows, columns = test.pairs()
    for seed in range(1 if is_deterministic(model, train.x.shape[1]) else seeds):
        scores, details = fit_and_score(model, train, valid, test.x, seed)
        runs.append(tuple(scores[rows, columns].astype(np.float64).tolist()))
        chosen.append(details)
    paths = test.paths[rows].tolist()
    answers = Answers(
        "multilabel",
        tuple(f"{path}\t{names[column]}" for path, column in zip(paths, columns, strict=True)),
        tuple(test.relevance[rows, columns].tolist()),
        tuple(runs),
        tuple(paths if groups is None else groups.of_paths(paths)),
    )
    return score(name, answers, {"model": model, "chosen": chosen}, RESAMPLES)


def described(train: Rated, valid: Rated, test: Rated, result: Result, names: Sequence[str]) -> str:
    """What was tested on what, and what "yes to all" would reach."""
    classes = [item.split("\t")[1] for item in result.answers.ids]
    pairs = np.ones(len(classes))
    yes = MultilabelScorer(classes, result.answers.reference, pairs.tolist())
    return (
        f"{len(train.x)} recordings to train, {len(valid.x)} to choose, {len(test.x)} to test on with {len(classes)} "
        f"labelled pairs of {len(names)} classes; yes to all is a mean F1 of {100 * yes(pairs)['mean_f1']:.1f} %"
    )


def read_rated(
    data_dir: Path,
    split: str,
    table: Table,
    names: Sequence[str],
    front_end: FrontEnd,
    cache: Path,
    jobs: int | None,
) -> Rated:
    """The labelled recordings of a split with their features, in the manifest's order."""
    manifest = read_manifest(manifest_file(data_dir, split))
    place = {utterance.path: utterance.index for utterance in manifest}
    column = {name: k for k, name in enumerate(names)}
    pairs = [tuple(pair.split("\t")) for pair in table.values]
    for faulty, what in (
        ({path for path, _ in pairs} - place.keys(), f"paths are not in {manifest.file}"),
        ({name for _, name in pairs} - column.keys(), "classes are not among those to train on"),
    ):
        if faulty:
            raise PtselError(f"{table.file}: {len(faulty)} {what} {examples(sorted(faulty))}")
    relevance = np.full((len(manifest), len(names)), math.nan)
    numbers = EVALUATIONS["multilabel"].values(table.values, table.file, is_reference=True)
    for (path, name), number in zip(pairs, numbers, strict=True):
        relevance[place[path], column[name]] = number
    labelled = np.flatnonzero(np.isfinite(relevance).any(axis=1))
    segments = tuple(Segment(index, 0.0, math.inf, "") for index in labelled.tolist())
    x = extract(front_end, manifest, ClassFile(table.file, "", segments, 0, 0), cache, jobs)
    paths = np.array([utterance.path for utterance in manifest])
    return Rated(x, relevance[labelled], paths[labelled], len(manifest) - len(labelled))


def fit_and_score(
    model: str, train: Rated, valid: Rated, test_x: np.ndarray, seed: int
) -> tuple[np.ndarray, dict[str, Any]]:
    """Scores from 0 to 1 of every class, [recordings, classes], and what was chosen on `valid`.

    As `probe_models.fit_and_answer`, but each class is told by itself from the recordings that are labelled for it: a
    logistic regression for each, fitted again on both, or a network. The penalty or the epoch is that of the least
    cross-entropy over the labelled pairs of `valid`.
    """
    if is_deterministic(model, train.x.shape[1]):
        return _logistic_regressions(train, valid, test_x)
    return _network(model, train, valid, test_x, seed)


def _logistic_regressions(
    train: Rated, valid: Rated, test_x: np.ndarray
) -> tuple[np.ndarray, dict[str, Any]]:
    with few_threads(float(train.x.size)):
        found = [cross_entropy(valid, _scores(strength, [train], valid.x)) for strength in STRENGTHS]
        best = int(np.argmin(found))  # of equal ones the strongest penalty
        scores = _scores(STRENGTHS[best], [train, valid], test_x)
    return scores, {"C": STRENGTHS[best], "valid_loss": found[best]}


def _scores(strength: float, parts: Sequence[Rated], asked: np.ndarray) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = np.concatenate([part.x for part in parts])
    relevance = np.concatenate([part.relevance for part in parts])
    scores = np.zeros((len(asked), relevance.shape[1]))
    for k, of_class in enumerate(relevance.T):
        rows = np.isfinite(of_class)
        there = of_class[rows] >= RELEVANT
        if there.all() or not there.any():
            scores[:, k] = float(there.any())  # nothing to tell apart
            continue
        classifier = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=5000))
        classifier.fit(x[rows].reshape(rows.sum(), -1), there)
        scores[:, k] = classifier.predict_proba(asked.reshape(len(asked), -1))[:, 1]
    return scores


def cross_entropy(rated: Rated, scores: np.ndarray) -> float:
    """Mean over the labelled pairs, in nats."""
    labelled = np.isfinite(rated.relevance)
    right = np.where(rated.relevance >= RELEVANT, scores, 1 - scores)[labelled]
    return float(-np.log(np.maximum(right, LEAST)).mean())


def _network(
    model: str, train: Rated, valid: Rated, test_x: np.ndarray, seed: int
) -> tuple[np.ndarray, dict[str, Any]]:
    import torch
    from torch import nn

    x, valid_x, asked = standardised(train.x, valid.x, test_x)
    masks = [torch.from_numpy(np.isfinite(part.relevance)) for part in (train, valid)]
    truths = [torch.from_numpy(part.relevance >= RELEVANT).float() for part in (train, valid)]
    loss = nn.functional.binary_cross_entropy_with_logits
    network = fit_network(
        *(model, x, valid_x, train.relevance.shape[1]),
        lambda logits, rows: loss(logits[masks[0][rows]], truths[0][rows][masks[0][rows]]),
        lambda logits: loss(logits[masks[1]], truths[1][masks[1]]),
        seed,
    )
    return network.outputs(asked).sigmoid().numpy(), network.chosen
