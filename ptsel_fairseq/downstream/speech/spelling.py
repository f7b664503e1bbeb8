"""Texts letter by letter, as fairseq reads them."""

from __future__ import annotations


def letters(text: str) -> str:
    """fairseq's .ltr: letters separated by spaces, a bar after each word."""
    return " ".join([*" ".join(text.split()).replace(" ", "|"), "|"])
