"""`ptsel probe`: how well a small model tells the downstream classes, or a value, on frozen features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import manifest_file
from ptsel_fairseq.base.provenance import checksums
from ptsel_fairseq.downstream.features.front_end import front_ends
from ptsel_fairseq.downstream.metrics.answer_files import Table, read_class_table
from ptsel_fairseq.downstream.metrics.results import (
    RESULT,
    Result,
    result_lines,
    write_result,
)
from ptsel_fairseq.downstream.probing.classifiers import fit_and_answer
from ptsel_fairseq.downstream.probing.items import Fold, Items, make_folds, read_items, tested_rows
from ptsel_fairseq.downstream.probing.multilabel import probe_relevance, relevance_files
from ptsel_fairseq.downstream.probing.regression import describe_values, probe_values
from ptsel_fairseq.downstream.probing.runs import probe_folds
from ptsel_fairseq.labels.user import read_user_files


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
    values: Path | str | None = None,
    command_line: str = "",
) -> None:
    """Probe each front end; write ``OUT/<features>/result.json``, and with several a table and a picture.

    Args:
        data_dir: manifests at 16 kHz.
        classes: of utterances or segments of all splits; None with `relevance` or `values`.
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
        values: value file of utterances or segments of all splits, instead of `classes`.
        command_line: kept in the results.

    Raises:
        PtselError: data that cannot be used.
    """
    from ptsel_fairseq.downstream.metrics.compare import compare_command

    if sum(given is not None for given in (classes, relevance, values)) != 1:
        raise PtselError("--classes, --values, --relevance: expected one of them")
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
            targets = Path(str(classes if values is None else values))
            items = read_items(
                Path(data_dir), targets, front_end, splits, cache, jobs, values=values is not None
            )
            folds = make_folds(items, splits, tables.get("leave_out"))
            run, say = (probe, describe) if values is None else (probe_values, describe_values)
            result = run(items, folds, model, seeds, f"{front_end.name} {model}", groups_table)
            told, shape = say(items, folds), items.x.shape[1:]
        result.provenance.update(
            command=command_line,
            features={"kind": front_end.kind, "checksum": front_end.checksum, "shape": shape},
            splits=list(splits),
            leave_out=leave_out and str(leave_out),
            files=checksums(
                [*manifests, *rated, classes, values, *(table.file for table in tables.values())]
            ),
        )
        file = Path(out) / front_end.name / RESULT
        write_result(file, result)
        written.append(file)
        print(f"{result.name}: {told}", *result_lines(result), file, sep="\n  ")
    if len(written) > 1:
        compare_command(written, Path(out) / "comparison.md")


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
    return probe_folds("classification", fit_and_answer, str, items, folds, model, seeds, name, groups)


def describe(items: Items, folds: Sequence[Fold]) -> str:
    """What was tested on what, and what guessing would reach."""
    tested = items.y[tested_rows(folds)]
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
