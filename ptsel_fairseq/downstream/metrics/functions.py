"""Every metric as a function of Python values, with intervals; `ptsel evaluate` is the same for files.

An item's reference and answer are given as two mappings from the item's name, or as two sequences in the same order.
Intervals are percentile bootstraps over items, or over `groups` (such as speakers) that are drawn as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.messages import examples
from ptsel_fairseq.downstream.metrics.evaluations import EVALUATIONS
from ptsel_fairseq.downstream.metrics.results import RESAMPLES, Answers, Result, score

Value = TypeVar("Value")
Given = Mapping[str, Value] | Sequence[Value] | np.ndarray
Groups = Mapping[str, str] | Sequence[str] | np.ndarray | None


def evaluate_asr(
    reference: Given[str],
    hypothesis: Given[str],
    *,
    unit: str = "word",
    more_runs: Iterable[Given[str]] = (),
    groups: Groups = None,
    name: str = "system",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Result:
    """Word and character error rate of transcripts, or phone error rate: all errors over all symbols.

    Args:
        reference: text of each utterance.
        hypothesis: what the system heard; texts are compared as they are, but for white space.
        unit: ``word``, or ``phone`` for phones separated by spaces.
        more_runs: the same system trained with other seeds; metrics are means over the runs.
        groups: what is resampled as a whole, such as the speaker of each utterance; default, utterances.
        name: of the system in comparisons.
        resamples: of the bootstrap, at least 100.
        seed: of the bootstrap.

    Returns:
        Metrics ``wer`` and ``cer``, or ``per``, as shares.

    Raises:
        PtselError: other items in one than in the other, a value that is not a text, jiwer is not installed, or
            references without a symbol.

    Examples:
        >>> from ptsel_fairseq import downstream
        >>> result = downstream.evaluate_asr(["PRESS ZERO", "GOODBYE"], ["PRESS HERO", "GOODBYE"])
        >>> round(result["wer"].value, 4)
        0.3333
    """
    if unit not in ("word", "phone"):
        raise PtselError(f"unit: expected word or phone, found {unit!r}")
    return _evaluated("asr", reference, [hypothesis, *more_runs], groups, name, resamples, seed, unit)


def evaluate_classification(
    reference: Given[str],
    hypothesis: Given[str],
    *,
    more_runs: Iterable[Given[str]] = (),
    groups: Groups = None,
    name: str = "system",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Result:
    """Accuracy, unweighted average recall and macro-F1 of one class for each item.

    Args:
        reference: class of each item.
        hypothesis: the system's.
        more_runs, groups, name, resamples, seed: see `evaluate_asr`.

    Returns:
        Metrics ``accuracy``, ``uar`` and ``macro_f1``, as shares.

    Raises:
        PtselError: other items in one than in the other.

    Examples:
        >>> from ptsel_fairseq import downstream
        >>> result = downstream.evaluate_classification({"a": "sad", "b": "angry"}, {"a": "sad", "b": "sad"})
        >>> result["accuracy"].value, result["uar"].value
        (0.5, 0.5)
    """
    return _evaluated("classification", reference, [hypothesis, *more_runs], groups, name, resamples, seed)


def evaluate_verification(
    targets: Given[int],
    scores: Given[float],
    *,
    more_runs: Iterable[Given[float]] = (),
    groups: Groups = None,
    name: str = "system",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Result:
    """Equal error rate and minimum detection cost of trials.

    Args:
        targets: 1 (or True) for a trial of the same speaker, else 0.
        scores: of each trial; higher says that both sides are the same speaker.
        more_runs, groups, name, resamples, seed: see `evaluate_asr`.

    Returns:
        Metrics ``eer`` (a share), ``min_dcf_0.01`` and ``min_dcf_0.05`` (NIST's normalised cost at these priors).

    Raises:
        PtselError: other trials in one than in the other, targets that are neither 1 nor 0 or all the same, or
            scores that are not finite numbers.

    Examples:
        >>> from ptsel_fairseq import downstream
        >>> downstream.evaluate_verification([1, 1, 0, 0], [0.9, 0.3, 0.5, 0.1])["eer"].value
        0.5
    """
    return _evaluated("verification", targets, [scores, *more_runs], groups, name, resamples, seed)


def evaluate_multilabel(
    relevance: np.ndarray,
    scores: np.ndarray,
    *,
    classes: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
    more_runs: Iterable[np.ndarray] = (),
    groups: Groups = None,
    name: str = "system",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Result:
    """Mean F1 and mean average precision where an item may have several classes, and some pairs are not labelled.

    Args:
        relevance: 0 to 1, NaN for a pair that is not labelled and does not count, [items, classes].
        scores: the system's, 0 to 1, [items, classes]; at least 0.5 means that the class is there.
        classes: their names; default, their numbers.
        ids: the items' names; default, their numbers.
        more_runs: scores of the same system trained with other seeds.
        groups: of the items, [items]; default, each item with all its pairs.
        name, resamples, seed: see `evaluate_asr`.

    Returns:
        Metrics ``mean_f1``, ``mean_f1_both`` and ``map``, as shares.

    Raises:
        PtselError: arrays of other shapes, values outside 0 to 1, or no positive pair.

    Examples:
        >>> import numpy as np
        >>> from ptsel_fairseq import downstream
        >>> relevance = np.array([[1.0, np.nan], [0.0, 1.0]])
        >>> downstream.evaluate_multilabel(relevance, np.array([[0.9, 0.1], [0.2, 0.7]]))["map"].value
        1.0
    """
    truth = _matrix(relevance, "relevance")
    runs = [_matrix(run, "scores") for run in (scores, *more_runs)]
    for run in runs:
        if run.shape != truth.shape:
            raise PtselError(f"scores: expected the shape {truth.shape} of the relevance, found {run.shape}")
    items = _names(ids, len(truth), "ids")
    names = _names(classes, truth.shape[1], "classes")
    rows, columns = np.nonzero(~np.isnan(truth))
    if not len(rows):
        raise PtselError("relevance: expected at least one labelled pair, found NaN for all")
    pairs = [f"{items[row]}\t{names[column]}" for row, column in zip(rows, columns, strict=True)]
    of_item = dict(zip(items, _groups(groups, items), strict=True))
    return _evaluated(
        "multilabel",
        dict(zip(pairs, truth[rows, columns].tolist(), strict=True)),
        [dict(zip(pairs, run[rows, columns].tolist(), strict=True)) for run in runs],
        {pair: of_item[items[row]] for pair, row in zip(pairs, rows, strict=True)},
        name,
        resamples,
        seed,
    )


def evaluate_regression(
    reference: Given[float],
    hypothesis: Given[float],
    *,
    more_runs: Iterable[Given[float]] = (),
    groups: Groups = None,
    name: str = "system",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Result:
    """R² and concordance correlation of a number for each item, such as valence, a mean opinion score or an age.

    Args:
        reference: value of each item.
        hypothesis: the system's.
        more_runs, groups, name, resamples, seed: see `evaluate_asr`.

    Returns:
        Metrics ``r2``, the coefficient of determination, and ``ccc``, the concordance correlation coefficient (Lin
        1989); see `regression.ValueScorer`.

    Raises:
        PtselError: other items in one than in the other, values that are not finite numbers, or a reference that is the
            same for all items.

    Examples:
        >>> from ptsel_fairseq import downstream
        >>> result = downstream.evaluate_regression([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])
        >>> result["r2"].value, round(result["ccc"].value, 4)
        (0.5, 0.8571)
    """
    return _evaluated("regression", reference, [hypothesis, *more_runs], groups, name, resamples, seed)


def _evaluated(
    task: str,
    reference: Any,
    runs: Sequence[Any],
    groups: Groups,
    name: str,
    resamples: int,
    seed: int,
    unit: str = "word",
) -> Result:
    evaluation = EVALUATIONS[task]
    right = _mapping(reference, "reference")
    if not right:
        raise PtselError("reference: expected at least one item, found none")
    answers = Answers(
        task,
        tuple(right),
        tuple(evaluation.values(right, "reference", is_reference=True)),
        tuple(tuple(evaluation.values(_same_items(run, right, reference), "hypothesis")) for run in runs),
        tuple(_groups(groups, list(right))),
        unit,
    )
    return score(name, answers, {}, resamples, seed)


def _mapping(given: Any, what: str) -> dict[str, Any]:
    """Values by item; of a sequence by the place of the item."""
    if isinstance(given, Mapping):
        return {str(item): value for item, value in given.items()}
    if isinstance(given, np.ndarray):
        if given.ndim != 1:
            raise PtselError(
                f"{what}: expected one value for each item, found an array of shape {given.shape}"
            )
        given = given.tolist()
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise PtselError(f"{what}: expected a mapping or a sequence of values, found {type(given).__name__}")
    return {str(place): value for place, value in enumerate(given)}


def _same_items(run: Any, right: Mapping[str, Any], reference: Any) -> dict[str, Any]:
    """The answers in the order of the reference; raise PtselError unless both are of the same items."""
    if isinstance(run, Mapping) != isinstance(reference, Mapping):
        raise PtselError("reference, hypothesis: expected two mappings or two sequences, found one of each")
    answers = _mapping(run, "hypothesis")
    if not isinstance(reference, Mapping) and len(answers) != len(right):
        raise PtselError(f"hypothesis: expected {len(right)} values, one for each item, found {len(answers)}")
    for items, what in (
        ([item for item in right if item not in answers], "are missing; a system must answer for every item"),
        ([item for item in answers if item not in right], "are not in the reference"),
    ):
        if items:
            raise PtselError(
                f"hypothesis: expected the {len(right)} items of the reference; {len(items)} {what} {examples(items)}"
            )
    return {item: answers[item] for item in right}


def _groups(groups: Groups, items: Sequence[str]) -> list[str]:
    """The group of each item; without groups the item itself."""
    if groups is None:
        return list(items)
    if isinstance(groups, Mapping):
        lacking = [item for item in items if item not in groups]
        if lacking:
            raise PtselError(
                f"groups: expected one for each item; {len(lacking)} have none {examples(lacking)}"
            )
        return [str(groups[item]) for item in items]
    found = [str(group) for group in groups]
    if len(found) != len(items):
        raise PtselError(f"groups: expected {len(items)}, one for each item, found {len(found)}")
    return found


def _matrix(values: Any, what: str) -> np.ndarray:
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.ndim != 2 or not matrix.size:
        raise PtselError(f"{what}: expected an array [items, classes], found one of shape {matrix.shape}")
    if np.isinf(matrix).any() or (what == "scores" and np.isnan(matrix).any()):
        raise PtselError(
            f"{what}: expected numbers from 0 to 1, found {'NaN' if math.isnan(matrix.sum()) else 'inf'}"
        )
    return matrix


def _names(given: Sequence[str] | None, count: int, what: str) -> list[str]:
    """Names of items or classes, each once; numbers by default."""
    names = [str(place) for place in range(count)] if given is None else [str(name) for name in given]
    if len(names) != count or len(set(names)) != count:
        raise PtselError(
            f"{what}: expected {count} different names, found {len(names)}, {len(set(names))} different"
        )
    if any("\t" in name for name in names):
        raise PtselError(
            f"{what}: expected names without tabs, found {next(n for n in names if chr(9) in n)!r}"
        )
    return names
