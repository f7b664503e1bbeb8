"""What every aligner is given and gives back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from ptsel_fairseq.downstream.speech.utterances import Spoken


class Stretch(NamedTuple):
    """A class and where it is said, in seconds; confidence from 0 to 1, or None if the aligner knows none."""

    start: float
    end: float
    name: str
    confidence: float | None = None


class NotAligned(Exception):  # noqa: N818  (a result for the report, not a fault of the program)
    """Why one utterance has no alignment; `words` are those that the dictionary lacks, if that is the reason."""

    def __init__(self, reason: str, words: Sequence[str] = ()) -> None:
        super().__init__(reason)
        self.words = tuple(words)


class Aligner(Protocol):
    """Finds the stretches of an utterance.

    Attributes:
        kinds: of class files that it makes, such as ``word`` and ``phone``.
        transcripts: suffix of the texts it needs beside the manifests, or None.
    """

    @property
    def kinds(self) -> tuple[str, ...]: ...

    @property
    def transcripts(self) -> str | None: ...

    def provenance(self) -> Mapping[str, Any]:
        """All that the result depends on but audio and text."""

    def align(self, spoken: Spoken) -> Mapping[str, Sequence[Stretch]]:
        """Stretches in order of time by kind; raises NotAligned."""
