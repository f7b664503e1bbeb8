"""Texts as a recogniser is to write them, and letter by letter as fairseq reads them."""

from __future__ import annotations

import unicodedata

APOSTROPHES = "'’ʼ"
CLOSING = "\"'’”»)]"  # marks that may follow the end of a sentence


def normalise(sentence: str) -> str:
    """Capitals without punctuation: letters with their marks and apostrophes inside words stay."""
    composed = unicodedata.normalize("NFC", sentence)
    kept = [
        "'" if char in APOSTROPHES else char.upper() if unicodedata.category(char)[0] in "LMN" else " "
        for char in composed
    ]
    words = ("".join(kept)).split()
    return " ".join(stripped for word in words if (stripped := word.strip("'")))


def sentence_of(text: str) -> str | None:
    """``question`` or ``statement`` by the mark that ends a text; None if it ends otherwise, as in ``...`` or ``!``."""
    end = text.strip().rstrip(CLOSING).rstrip()
    if end.endswith("?"):
        return "question"
    return "statement" if end.endswith(".") and not end.endswith("..") else None


def letters(text: str) -> str:
    """fairseq's .ltr: letters separated by spaces, a bar after each word."""
    return " ".join([*" ".join(text.split()).replace(" ", "|"), "|"])
