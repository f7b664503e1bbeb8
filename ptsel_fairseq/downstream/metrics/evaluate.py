"""`ptsel evaluate`: a system's answers against the reference, as metrics with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ptsel_fairseq.downstream.metrics.answer_files import Table, read_class_table
from ptsel_fairseq.downstream.metrics.evaluations import EVALUATIONS
from ptsel_fairseq.downstream.metrics.results import RESAMPLES, Answers, result_lines, score, write_result


def evaluate_command(
    task: str,
    reference: Path | str,
    hypothesis: Sequence[Path | str],
    out: Path | str,
    groups: Path | str | None = None,
    name: str | None = None,
    unit: str = "word",
    resamples: int = RESAMPLES,
    seed: int = 0,
    command_line: str = "",
) -> None:
    """Score one system, print its metrics and write `out`.

    Args:
        task: one of `EVALUATIONS`.
        reference: what is right.
        hypothesis: the system's answers, one file for each seed it was trained with.
        out: the result, for `ptsel compare`.
        groups: class file whose class (a speaker) is resampled as a whole. A trial belongs to the speaker
            of its first utterance; default: each utterance with its segments, each trial by itself.
        name: how comparisons call the system; default, the name of the (first) hypothesis file.
        unit: of asr, ``word`` or ``phone``.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        command_line: kept in `out`.

    Raises:
        PtselError: files that cannot be read or do not hold the same items.
    """
    evaluation = EVALUATIONS[task]
    right = evaluation.read_reference(reference)
    speakers = None if groups is None else read_class_table(groups)
    systems = [evaluation.read_hypothesis(file) for file in hypothesis]
    answered = len(systems[0].values)
    if task == "multilabel":
        systems = [without_unlabelled(system, right) for system in systems]
    answers = Answers(
        task,
        tuple(right.values),
        tuple(evaluation.values(right.values, right.file, is_reference=True)),
        tuple(tuple(evaluation.values(system.in_order_of(right).values, system.file)) for system in systems),
        tuple(groups_of(task, right, speakers)),
        unit,
    )
    files = {str(table.file): table.checksum for table in (right, *systems, speakers) if table is not None}
    provenance = {"command": command_line, "files": files}
    result = score(name or Path(hypothesis[0]).stem, answers, provenance, resamples, seed)
    write_result(out, result)
    for line in [*result_lines(result), *notes(answers, answered - len(systems[0].values))]:
        print(line)
    print(out)


def groups_of(task: str, reference: Table, groups: Table | None) -> list[str]:
    """What each item is resampled with: its class in the file `groups`, else its utterance; a trial by itself."""
    paths = [item.split("\t")[0] for item in reference.values]
    if groups is not None:
        return groups.of_paths(paths)
    return list(reference.values) if EVALUATIONS[task].alone else paths


def without_unlabelled(system: Table, reference: Table) -> Table:
    """A system's scores but for those of (item, class) pairs that the reference knows and does not label."""
    items, classes = (
        set(column) for column in zip(*(pair.split("\t") for pair in reference.values), strict=True)
    )

    def is_unlabelled(pair: str) -> bool:
        item, name = pair.split("\t")
        return pair not in reference.values and item in items and name in classes

    return Table(
        system.file, {pair: score for pair, score in system.values.items() if not is_unlabelled(pair)}
    )


def notes(answers: Answers, unlabelled: int = 0) -> list[str]:
    """What a reader should know before he believes a bad figure."""
    if unlabelled:
        return [f"note: {unlabelled} scores are of pairs that the reference does not label, and do not count"]
    if answers.task != "asr":
        return []
    from ptsel_fairseq.downstream.metrics.error_rates import UNITS, count_errors

    lines = []
    symbols = next(iter(UNITS[answers.unit].values()))
    folded = [[text.casefold() for text in side] for side in (answers.reference, answers.runs[0])]
    errors = [
        count_errors(right, heard, False)[:, :3].sum()
        for right, heard in ((answers.reference, answers.runs[0]), folded)
    ]
    if errors[1] < errors[0]:
        lines.append(
            f"note: {errors[0] - errors[1]:.0f} of the {errors[0]:.0f} errors in {symbols} are of "
            "upper and lower case only"
        )
    empty = sum(not text.strip() for text in answers.runs[0])
    if empty:
        lines.append(f"note: {empty} of {len(answers.ids)} transcripts are empty")
    return lines
