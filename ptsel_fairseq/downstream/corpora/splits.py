"""Divisions of corpora that come without one, and kinds of sentences."""

from __future__ import annotations

import hashlib

CLOSING = "\"'’”»)]"  # marks that may follow the end of a sentence
FOLDS = 5


def sentence_of(text: str) -> str | None:
    """``question`` or ``statement`` by the mark that ends a text; None if it ends otherwise, as in ``...`` or ``!``."""
    end = text.strip().rstrip(CLOSING).rstrip()
    if end.endswith("?"):
        return "question"
    return "statement" if end.endswith(".") and not end.endswith("..") else None


def split_of(key: str) -> str:
    """train (eight tenths), valid or test, from a checksum of `key`: the same on every machine and in every release."""
    return ("valid", "test")[_draw(key, 10)] if _draw(key, 10) < 2 else "train"


def fold_of(key: str) -> str:
    """One of five folds for cross-validation."""
    return f"fold{_draw('fold ' + key, FOLDS) + 1}"


def _draw(key: str, sides: int) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % sides
