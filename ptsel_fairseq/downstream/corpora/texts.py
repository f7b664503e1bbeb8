"""Texts as a recogniser is to write them: capitals, words separated by blanks, nothing that is not said.

What belongs to a word differs between languages: a dot in the middle of a Catalan one, a joiner in a Persian one, an
apostrophe that is a letter of Uzbek or Hawaiian. What is a capital differs too: Turkish has two letters i.
"""

from __future__ import annotations

import re
import unicodedata

APOSTROPHES = "'\u2018\u2019\u02bc\u02bb\uff07\u00b4`"  # inside a word all are one
LETTERS = "\u02bb\u02bc"  # of them, those that are letters at the ends of a word, too
JOINERS = "\u200c\u200d"  # zero-width non-joiner and joiner, which say how the letters beside them look
INSIDE = "\u00b7\u2027\u05f3\u05f4"  # Catalan's middle dot, hyphenation point, Hebrew's geresh and gershayim
TURKIC = {"tr", "az", "crh", "tt", "kaa", "gag", "ba"}  # languages in which the capital of i has a dot
HEBREW_QUOTE = re.compile('(?<=[\u05d0-\u05ea])"(?=[\u05d0-\u05ea])')
UZBEK_LETTER = re.compile(f"(?<=[oOgG])[{re.escape(APOSTROPHES)}]")
WITHOUT_CAPITALS = re.compile("[\u10d0-\u10ff]")  # Georgian, whose capitals Unicode has but nobody writes


def normalise(sentence: str, language: str = "") -> str:
    """Capitals without punctuation; letters, their marks, and signs inside words that belong to them stay.

    Args:
        sentence: as published.
        language: its code, such as ``tr``; where it is not known, letters that only some languages have tell it.

    Returns:
        Composed letters (NFC).
    """
    code = language.replace("_", "-").split("-")[0].lower()
    text = unicodedata.normalize("NFC", sentence)
    if code == "uz":
        text = UZBEK_LETTER.sub("\u02bb", text)
    text = HEBREW_QUOTE.sub("\u05f4", text)
    kept = []
    for char in text:
        kind = unicodedata.category(char)
        if char in APOSTROPHES or char in INSIDE or char in JOINERS or kind[0] in "LMN":
            kept.append(char)
        elif kind != "Cf":  # what is not seen, such as a soft hyphen, separates nothing
            kept.append(" ")
    words = (_word(word) for word in "".join(kept).split())
    capitals = _capitals(
        " ".join(filter(None, words)), code in TURKIC or bool(set("\u0131\u0130") & set(text))
    )
    return unicodedata.normalize("NFC", capitals)


def _word(word: str) -> str:
    """A word without quotes and signs at its ends; inside, one apostrophe for all."""
    at_ends = "".join(set(APOSTROPHES) - set(LETTERS)) + INSIDE + JOINERS
    stripped = word.strip(at_ends)
    if not any(char.isalnum() for char in stripped):
        return ""
    first, last = stripped[:1], stripped[-1:] if len(stripped) > 1 else ""
    inside = "".join("'" if char in APOSTROPHES and char != "\u02bb" else char for char in stripped[1:-1])
    return first + inside + last


def _capitals(text: str, turkic: bool) -> str:
    if turkic:
        text = text.replace("i", "\u0130")
    return "".join(char if WITHOUT_CAPITALS.match(char) else char.upper() for char in text)
