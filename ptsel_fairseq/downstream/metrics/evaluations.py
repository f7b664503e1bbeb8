"""What can be evaluated: for each task the files it reads, the metrics it gives, and the scorer that computes them.

The command, its help, results and comparisons read this table. Scorers are imported when they are needed, so that the
command line stays light.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptsel_fairseq.base.class_file import SEGMENTS_EXAMPLE
from ptsel_fairseq.base.value_file import SEGMENT_VALUES_EXAMPLE, VALUES_EXAMPLE
from ptsel_fairseq.downstream.metrics import answer_files as files

if TYPE_CHECKING:
    from ptsel_fairseq.downstream.metrics.bootstrap import Values


@dataclass(frozen=True)
class Evaluation:
    """One task of `ptsel evaluate`.

    Attributes:
        name: of the task.
        gives: its metrics, for the help text.
        reads: what a line of its files is, for the help text.
        examples: of such lines.
        read_reference, read_hypothesis: read a file.
        reference_value, hypothesis_value: what a value in such a file is, for the scorer; None where it cannot be
            one, which is told as `expected`.
        expected: what the values of the reference and of the hypothesis should be.
        scorer: ids, reference, answers and unit -> the metrics as a function of the items' weights.
        alone: whether an item is resampled by itself; otherwise with all items of its recording.
    """

    name: str
    gives: str
    reads: str
    examples: tuple[str, ...]
    read_reference: Callable[[Path | str], files.Table]
    read_hypothesis: Callable[[Path | str], files.Table]
    scorer: Callable[[Sequence[str], Sequence[Any], Sequence[Any], str], Values]
    reference_value: Callable[[Any], Any] = str
    hypothesis_value: Callable[[Any], Any] = str
    expected: tuple[str, str] = ("a text", "a text")
    alone: bool = False

    def values(self, given: Mapping[str, Any], where: object, is_reference: bool = False) -> list[Any]:
        """The values of items in the type that the scorer takes; raise PtselError naming the first invalid one."""
        value_of = self.reference_value if is_reference else self.hypothesis_value
        return files.values_as(given, value_of, self.expected[0 if is_reference else 1], where)


def _number(accept: Callable[[float], bool]) -> Callable[[Any], float | None]:
    """A value as a number that is accepted, or None."""

    def convert(value: Any) -> float | None:
        try:
            number = float(value)
        except (TypeError, ValueError):
            return None
        return number if accept(number) else None

    return convert


def _target(value: Any) -> int | None:
    number = _number(lambda number: number in (0, 1))(value)
    return None if number is None else int(number)


def _transcripts(ids: Sequence[str], reference: Sequence[Any], run: Sequence[Any], unit: str) -> Values:
    from ptsel_fairseq.downstream.metrics.error_rates import TranscriptScorer

    return TranscriptScorer(reference, run, unit)


def _trials(ids: Sequence[str], reference: Sequence[Any], run: Sequence[Any], unit: str) -> Values:
    from ptsel_fairseq.downstream.metrics.eer import TrialScorer

    return TrialScorer(reference, run)


def _classes(ids: Sequence[str], reference: Sequence[Any], run: Sequence[Any], unit: str) -> Values:
    from ptsel_fairseq.downstream.metrics.classification import ClassScorer

    return ClassScorer(reference, run)


def _labels(ids: Sequence[str], reference: Sequence[Any], run: Sequence[Any], unit: str) -> Values:
    from ptsel_fairseq.downstream.metrics.classification import MultilabelScorer

    return MultilabelScorer([item.split("\t")[1] for item in ids], reference, run)


def _values(ids: Sequence[str], reference: Sequence[Any], run: Sequence[Any], unit: str) -> Values:
    from ptsel_fairseq.downstream.metrics.regression import ValueScorer

    return ValueScorer(reference, run)


EVALUATIONS: dict[str, Evaluation] = {
    evaluation.name: evaluation
    for evaluation in (
        Evaluation(
            name="asr",
            gives="WER, CER, PER",
            reads="id<TAB>text, or sclite's text (id), which fairseq's decoders write",
            examples=(files.TEXT_EXAMPLE, files.TRN_EXAMPLE),
            read_reference=files.read_texts,
            read_hypothesis=files.read_texts,
            scorer=_transcripts,
        ),
        Evaluation(
            name="verification",
            gives="EER, minDCF",
            reads="reference: 1 or 0 and the two utterances; hypothesis: the two and a score, higher for the same",
            examples=(files.TRIAL_EXAMPLE, files.TRIAL_SCORE_EXAMPLE),
            read_reference=files.read_trials,
            read_hypothesis=files.read_trial_scores,
            scorer=_trials,
            reference_value=_target,
            hypothesis_value=_number(math.isfinite),
            expected=("1 or 0", "a number"),
            alone=True,
        ),
        Evaluation(
            name="classification",
            gives="accuracy, UAR, macro-F1",
            reads="as a class file: header path<TAB>class, or path<TAB>start<TAB>end<TAB>class",
            examples=(files.CLASS_EXAMPLE, SEGMENTS_EXAMPLE),
            read_reference=files.read_class_table,
            read_hypothesis=files.read_class_table,
            scorer=_classes,
        ),
        Evaluation(
            name="multilabel",
            gives="mean F1, mAP",
            reads="header path<TAB>class<TAB>relevance, 0 to 1; a pair without a line in the reference is unlabelled",
            examples=(files.LABEL_EXAMPLE,),
            read_reference=files.read_labels,
            read_hypothesis=files.read_labels,
            scorer=_labels,
            reference_value=_number(lambda number: 0 <= number <= 1),
            hypothesis_value=_number(lambda number: 0 <= number <= 1),
            expected=("a number from 0 to 1", "a number from 0 to 1"),
        ),
        Evaluation(
            name="regression",
            gives="R², CCC",
            reads="as a value file: header path<TAB>value, or path<TAB>start<TAB>end<TAB>value",
            examples=(VALUES_EXAMPLE, SEGMENT_VALUES_EXAMPLE),
            read_reference=files.read_value_table,
            read_hypothesis=files.read_value_table,
            scorer=_values,
            reference_value=_number(math.isfinite),
            hypothesis_value=_number(math.isfinite),
            expected=("a finite number", "a finite number"),
        ),
    )
}


def help_lines() -> str:
    """The part of the help text of `ptsel evaluate` that says what each task reads."""
    width = max(map(len, EVALUATIONS)) + 2
    return "".join(
        f"  {evaluation.name:<{width}}{evaluation.reads}\n"
        + "".join(f"    {example}\n" for example in evaluation.examples)
        for evaluation in EVALUATIONS.values()
    )
