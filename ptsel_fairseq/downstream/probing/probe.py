"""`ptsel probe`: how well a small classifier tells the downstream classes apart on frozen features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ptsel_fairseq.base.class_file import read_classes
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import SAMPLE_RATE
from ptsel_fairseq.base.manifest import manifest_file, read_manifest
from ptsel_fairseq.base.messages import examples
from ptsel_fairseq.base.provenance import checksums
from ptsel_fairseq.downstream.features.front_end import FrontEnd, extract, front_ends, item_id
from ptsel_fairseq.downstream.metrics.answer_files import Table, read_class_table
from ptsel_fairseq.downstream.metrics.results import (
    RESAMPLES,
    RESULT,
    Answers,
    Result,
    result_lines,
    score,
    write_result,
)
from ptsel_fairseq.downstream.probing.classifiers import Part, fit_and_answer, is_deterministic
from ptsel_fairseq.downstream.probing.multilabel import probe_relevance, relevance_files
from ptsel_fairseq.labels.user import read_user_files


@dataclass(frozen=True)
class Items:
    """The labelled utterances or segments of some splits, in order: features and what is known of each.

    `x` is float32 [items, layers, dim]; the others are str [items], and how many utterances have no class.
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


def probe_command(
    data_dir: Path | str,
    classes: Path | str | None,
    features: Sequence[str],
    out: Path | str,
    model: str = "linear",
    splits: Sequence[str] = ("train", "valid", "test"),
    leave_out: Path | str | None = None,
    groups: Path | str | None = None,
    seeds: int = 3,
    jobs: int | None = None,
    user_labels: Sequence[Path | str] = (),
    relevance: Path | str | None = None,
    command_line: str = "",
) -> None:
    """Probe each front end; write ``OUT/<features>/result.json``, and with several a table and a picture.

    Args:
        data_dir: manifests at 16 kHz.
        classes: of utterances or segments of all splits; None with `relevance`.
        features: labels, pools of labels, or checkpoints of wav2vec 2.0.
        out: folder of results, and of the features under ``features``.
        model: ``linear`` or ``mlp``.
        splits: to train on, to choose on, to test on; with `leave_out` all are pooled.
        leave_out: class file of utterances (speakers, folds); each of its classes is the test set once, and the
            next one in order is chosen on.
        groups: class file of utterances; what the intervals resample as a whole; default, utterances.
        seeds: networks to train; a logistic regression needs one.
        jobs: processes that extract features.
        user_labels: files that define labels; see `ptsel_fairseq.labels.user`.
        relevance: folder of ``<split>.tsv`` with the relevance of several classes to an utterance, instead of
            `classes`; of two splits the first is to train and choose on.
        command_line: kept in the results.

    Raises:
        PtselError: data that cannot be used.
    """
    from ptsel_fairseq.downstream.metrics.compare import compare_command

    if (classes is None) == (relevance is None):
        raise PtselError("--classes, --relevance: expected one of them")
    if relevance is not None and leave_out is not None:
        raise PtselError("--leave-out: not with --relevance, which is tested on a split")
    rated = [] if relevance is None else relevance_files(Path(relevance), splits)
    if not rated and leave_out is None and len(splits) != 3:
        raise PtselError(
            f"--splits: expected three (to train, to choose, to test), found {' '.join(splits)}; with --leave-out "
            "any number, which are pooled"
        )
    if seeds < 1:
        raise PtselError(f"--seeds: expected at least 1, found {seeds}")
    manifests = [manifest_file(data_dir, split) for split in dict.fromkeys(splits)]
    tables = {
        name: read_class_table(file) for name, file in (("leave_out", leave_out), ("groups", groups)) if file
    }
    written = []
    for front_end in front_ends(features, read_user_files(user_labels)):
        cache, groups_table = Path(out) / "features", tables.get("groups")
        if relevance is not None:
            result, told, shape = probe_relevance(
                *(Path(data_dir), Path(relevance), front_end, splits, cache, model, seeds, groups_table, jobs)
            )
        else:
            items = read_items(Path(data_dir), Path(str(classes)), front_end, splits, cache, jobs)
            folds = make_folds(items, splits, tables.get("leave_out"))
            result = probe(items, folds, model, seeds, f"{front_end.name} {model}", groups_table)
            told, shape = describe(items, folds), items.x.shape[1:]
        result.provenance.update(
            command=command_line,
            features={"kind": front_end.kind, "checksum": front_end.checksum, "shape": shape},
            splits=list(splits),
            leave_out=leave_out and str(leave_out),
            files=checksums([*manifests, *rated, classes, *(table.file for table in tables.values())]),
        )
        file = Path(out) / front_end.name / RESULT
        write_result(file, result)
        written.append(file)
        print(f"{result.name}: {told}", *result_lines(result), file, sep="\n  ")
    if len(written) > 1:
        compare_command(written, Path(out) / "comparison.md")


def read_items(
    data_dir: Path, classes: Path, front_end: FrontEnd, splits: Sequence[str], cache: Path, jobs: int | None
) -> Items:
    """The labelled items of all splits with their features."""
    columns: list[tuple[np.ndarray, list[tuple[str, str, str, str]]]] = []
    unlabelled = 0
    for split in dict.fromkeys(splits):
        manifest = read_manifest(manifest_file(data_dir, split))
        class_file = read_classes(classes, manifest, SAMPLE_RATE)
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
    return Items(np.concatenate([x for x, _ in columns]), ids, paths, y, names, unlabelled)


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


def probe(
    items: Items, folds: Sequence[Fold], model: str, seeds: int, name: str, groups: Table | None = None
) -> Result:
    """Train in every fold with every seed; the answers of a run are those of all its folds."""
    for fold in folds:
        trained, valid = (set(items.y[rows].tolist()) for rows in (fold.train, fold.valid))
        if len(trained) < 2:
            raise PtselError(
                f"expected two classes or more to train on, found {', '.join(trained) or 'none'}"
            )
        if not trained & valid:
            raise PtselError(
                f"expected classes to choose on that are trained on ({', '.join(sorted(trained)[:5])}...), found only "
                f"{', '.join(sorted(valid)[:5])}; divide the data otherwise"
            )
    runs, chosen = [], []
    for seed in range(1 if is_deterministic(model, items.x.shape[1]) else seeds):
        fitted = [
            fit_and_answer(model, items.part(fold.train), items.part(fold.valid), items.part(fold.test), seed)
            for fold in folds
        ]
        runs.append(tuple(str(answer) for fit in fitted for answer in fit.answers))
        chosen.append([fit.chosen for fit in fitted])
    tested = np.concatenate([fold.test for fold in folds])
    paths = items.paths[tested].tolist()
    answers = Answers(
        "classification",
        tuple(items.ids[tested].tolist()),
        tuple(items.y[tested].tolist()),
        tuple(runs),
        tuple(paths if groups is None else groups.of_paths(paths)),
    )
    return score(name, answers, {"model": model, "chosen": chosen}, RESAMPLES)


def describe(items: Items, folds: Sequence[Fold]) -> str:
    """What was tested on what, and what guessing would reach."""
    tested = items.y[np.concatenate([fold.test for fold in folds])]
    counts = Counter(tested.tolist())
    trained = {name for fold in folds for name in items.y[fold.train].tolist()}
    unseen = sorted(set(counts) - trained)
    text = (
        f"{len(folds)} fold{'s' if len(folds) > 1 else ''}, {len(tested)} test items in {len(counts)} classes; "
        f"the most frequent class is {100 * max(counts.values()) / len(tested):.1f} %"
    )
    if unseen:
        text += f"; classes that no training item has: {', '.join(unseen)}"
    return text + (
        f"; {items.unlabelled} utterances without a class are left out" if items.unlabelled else ""
    )
