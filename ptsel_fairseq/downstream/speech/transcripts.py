"""The texts of a manifest's utterances: `<split>.wrd` and its like, line for line."""

from __future__ import annotations

import unicodedata

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import Manifest, read_lines


def read_transcripts(manifest: Manifest, suffix: str = ".wrd") -> list[str]:
    """The text of each utterance, letters joined with their marks (NFC); an empty line is an utterance without words.

    Raises:
        PtselError: no such file, or another number of lines than utterances.
    """
    file = manifest.file.with_suffix(suffix)
    expected = f"the text of each utterance of {manifest.file}, line by line"
    read_lines(file, expected, for_fairseq=True)  # says why if it cannot
    texts = file.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    if len(texts) != len(manifest):
        raise PtselError(
            f"{file}: expected {len(manifest)} lines, one for each utterance of {manifest.file}, found {len(texts)}"
        )
    return [unicodedata.normalize("NFC", " ".join(text.split())) for text in texts]
