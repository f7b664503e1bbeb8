"""The labelled items that a probe is trained and tested on: features, targets, and folds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ptsel_fairseq.base.class_file import ClassFile, read_classes
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import SAMPLE_RATE
from ptsel_fairseq.base.manifest import Manifest, manifest_file, read_manifest
from ptsel_fairseq.base.messages import examples
from ptsel_fairseq.base.value_file import read_values
from ptsel_fairseq.downstream.features.front_end import FrontEnd, extract, item_id
from ptsel_fairseq.downstream.metrics.answer_files import Table
from ptsel_fairseq.downstream.probing.classifiers import Part


@dataclass(frozen=True)
class Items:
    """The labelled utterances or segments of some splits, in order: features and what is known of each.

    `x` is float32 [items, layers, dim]; `y` are classes, str [items], or values, float64 [items]; the others are str
    [items], and how many utterances have no class or value.
    """

    x: np.ndarray
    ids: np.ndarray
    paths: np.ndarray
    y: np.ndarray
    split: np.ndarray
    unlabelled: int = 0

    def part(self, rows: np.ndarray) -> Part:
        return Part(self.x[rows], self.y[rows])


@dataclass(frozen=True)
class Fold:
    """Rows to train on, to choose on, and to test on."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray


def read_items(
    data_dir: Path,
    targets: Path,
    front_end: FrontEnd,
    splits: Sequence[str],
    cache: Path,
    jobs: int | None,
    values: bool = False,
) -> Items:
    """The labelled items of all splits with their features.

    Args:
        targets: class file, or value file.
        values: whether it is a value file.
    """
    columns: list[tuple[np.ndarray, list[tuple[str, str, str, str]]]] = []
    unlabelled = 0
    for split in dict.fromkeys(splits):
        manifest = read_manifest(manifest_file(data_dir, split))
        class_file = targets_of(targets, manifest, values)
        unlabelled += class_file.unlabelled
        rows = [
            (item_id(manifest, s), manifest.utterances[s.utterance].path, s.name, split)
            for s in class_file.in_order()
        ]
        columns.append((extract(front_end, manifest, class_file, cache, jobs), rows))
    ids, paths, y, names = (
        np.array(column) for column in zip(*(row for _, rows in columns for row in rows), strict=True)
    )
    twice = [name for name, count in Counter(ids.tolist()).items() if count > 1]
    if twice:
        raise PtselError(
            f"{data_dir}: expected each utterance in one of the splits {', '.join(splits)}, and each segment once; "
            f"{len(twice)} are there twice {examples(twice)}"
        )
    y = y.astype(np.float64) if values else y
    return Items(np.concatenate([x for x, _ in columns]), ids, paths, y, names, unlabelled)


def targets_of(file: Path, manifest: Manifest, values: bool) -> ClassFile:
    """The classes or values of a manifest."""
    return read_values(file, manifest, SAMPLE_RATE) if values else read_classes(file, manifest, SAMPLE_RATE)


def make_folds(items: Items, splits: Sequence[str], leave_out: Table | None) -> list[Fold]:
    """The three splits as one fold, or a fold for each class of the file `leave_out`."""
    if leave_out is None:
        return [Fold(*(np.flatnonzero(items.split == split) for split in splits))]
    of_item = np.array(leave_out.of_paths(items.paths))
    names = sorted(set(of_item.tolist()))
    if len(names) < 3:
        raise PtselError(
            f"{leave_out.file}: expected at least three classes to leave out, found {', '.join(names)}"
        )
    folds = []
    for i, name in enumerate(names):
        choose = names[(i + 1) % len(names)]
        train = np.flatnonzero((of_item != name) & (of_item != choose))
        folds.append(Fold(train, np.flatnonzero(of_item == choose), np.flatnonzero(of_item == name)))
    return folds


def tested_rows(folds: Sequence[Fold]) -> np.ndarray:
    """The rows that are tested, fold by fold."""
    return np.concatenate([fold.test for fold in folds])
