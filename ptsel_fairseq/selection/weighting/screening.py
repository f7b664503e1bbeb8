"""What a recommendation leaves out, and when it is equal weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from ptsel_fairseq.selection.label_score import LabelScore

if TYPE_CHECKING:
    from ptsel_fairseq.selection.weighting.prepared import Prepared

LEVEL = 0.05  # of calling any two labels different that are not
NOT_BETTER = "no better than noise"
EQUAL_NOISE = (
    "no label is better than noise on this task, so nothing speaks for one rather than another: equal weights"
)
EQUAL_SCORES = (
    "the scores cannot tell the labels apart (no two differ by more than their errors allow): equal weights; score "
    "more data, or say with --tau, --gamma, --support or --effective how far to trust the scores"
)


def below_noise(records: Mapping[str, LabelScore]) -> list[str]:
    """Labels that are no better than noise; a score of unknown standing is not one of them."""
    return [name for name, record in sorted(records.items()) if record.better_than_noise is False]


def told_apart(scores: Sequence[float], errors: Sequence[float | None], units: float) -> bool:
    """Whether any two scores differ by more than chance makes any two differ in one task of twenty.

    Student's t for each pair, corrected for the number of pairs (Bonferroni). True where no errors are known,
    since then nothing speaks against the scores.

    Args:
        scores: of k labels.
        errors: their standard errors; None where unknown.
        units: independent parts of the data that the errors come from.
    """
    from scipy.special import stdtrit  # scipy.stats takes half a second to import

    known = [(score, error) for score, error in zip(scores, errors, strict=True) if error is not None]
    pairs = list(combinations(known, 2))
    if not pairs:
        return len(scores) < 2 or not known
    limit = float(stdtrit(max(units - 1, 1.0), 1 - LEVEL / (2 * len(pairs))))
    return any(abs(a - b) > limit * np.hypot(c, d) for (a, c), (b, d) in pairs)


def scores_told_apart(records: Mapping[str, LabelScore], names: Sequence[str]) -> bool:
    """`told_apart` of records."""
    of = [records[name] for name in names]
    units = min(record.units for record in of)
    if not units:  # of version 0.1, or without errors
        return True
    scores = [float(record.score or 0.0) for record in of]
    return told_apart(scores, [record.standard_error for record in of], units)


def relevance_told_apart(prepared: Prepared, names: Sequence[str], seed: int) -> bool:
    """`told_apart` of the labels' relevance."""
    made = prepared.relevance(seed)
    found = [made.score(name, jackknife=True) for name in names if name in made.names]
    if not found:
        return False
    units = min(each.blocks for each in found)
    return told_apart([each.score for each in found], [each.standard_error for each in found], units)
