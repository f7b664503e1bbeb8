"""Word, character and phone error rates, aligned by jiwer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ptsel_fairseq.base.errors import PtselError

KINDS = {
    "substitute": "substitutions",
    "delete": "deletions",
    "insert": "insertions",
}  # jiwer's words and ours
UNITS = {"word": {"wer": "words", "cer": "characters"}, "phone": {"per": "phones"}}


class TranscriptScorer:
    """Error rates of one system's transcripts: all errors over all symbols of the references.

    Texts are compared as they are, but for white space; the space between words is a character.

    Args:
        reference: text of each utterance.
        hypothesis: the system's.
        unit: ``word`` for word and character error rate, ``phone`` for phones separated by spaces.
    """

    def __init__(self, reference: Sequence[str], hypothesis: Sequence[str], unit: str = "word") -> None:
        self.errors = {
            rate: count_errors(reference, hypothesis, of == "characters") for rate, of in UNITS[unit].items()
        }

    def __call__(self, weights: np.ndarray) -> dict[str, float]:
        sums = {rate: weights @ errors for rate, errors in self.errors.items()}
        return {
            rate: float(summed[:3].sum() / summed[3]) if summed[3] else float("nan")
            for rate, summed in sums.items()
        }

    def counts(self) -> dict[str, dict[str, int]]:
        """Errors by kind, and the symbols of the references, of each rate."""
        names = (*KINDS.values(), "reference")
        return {
            rate: dict(zip(names, errors.sum(axis=0).astype(int).tolist(), strict=True))
            for rate, errors in self.errors.items()
        }


def count_errors(reference: Sequence[str], hypothesis: Sequence[str], characters: bool) -> np.ndarray:
    """Substitutions, deletions, insertions and length of the reference of each utterance.

    Returns:
        float64 [utterances, 4].

    Raises:
        PtselError: jiwer is not installed.
    """
    jiwer = import_jiwer()
    align = jiwer.process_characters if characters else jiwer.process_words
    tidy = [[" ".join(text.split()) for text in side] for side in (reference, hypothesis)]
    found = align(*tidy)
    rows = np.zeros((len(reference), 4))
    for row, symbols, chunks in zip(rows, found.references, found.alignments, strict=True):
        row[3] = len(symbols)
        for chunk in chunks:
            if chunk.type in KINDS:
                width = max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
                row[list(KINDS).index(chunk.type)] += width
    return rows


def import_jiwer() -> Any:
    try:
        import jiwer
    except ImportError:
        raise PtselError(
            "error rates need jiwer, which is not installed; pip install 'ptsel_fairseq[downstream]'"
        ) from None
    return jiwer
