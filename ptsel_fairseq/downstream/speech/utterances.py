"""Utterances with their transcripts, and work on them that is kept on disk in blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from ptsel_fairseq.base import kept
from ptsel_fairseq.base.grid import SAMPLE_RATE
from ptsel_fairseq.base.manifest import manifest_file, read_manifest
from ptsel_fairseq.downstream.speech.transcripts import read_transcripts

BLOCK = 64  # utterances of one file: what an interruption can lose


@dataclass(frozen=True)
class Spoken:
    """One utterance: its path as in the manifest, its audio, its length, and what is said."""

    path: str
    file: Path
    samples: int
    where: str
    text: str = ""

    @property
    def seconds(self) -> float:
        return self.samples / SAMPLE_RATE


def read_spoken(data_dir: Path, split: str, transcripts: str | None) -> list[Spoken]:
    """The utterances of a split with their texts, or with empty ones where `transcripts` (a suffix) is None.

    Raises:
        PtselError: no manifest, or not a text for each utterance.
    """
    manifest = read_manifest(manifest_file(data_dir, split))
    texts = [""] * len(manifest) if transcripts is None else read_transcripts(manifest, transcripts)
    return [
        Spoken(u.path, manifest.audio_path(u), u.samples, manifest.where(u), text)
        for u, text in zip(manifest, texts, strict=True)
    ]


def in_blocks(
    function: Callable[[Sequence[Spoken]], list[Any]],
    spoken: Sequence[Spoken],
    folder: Path,
    described: Any,
    title: str,
    jobs: int | None,
    is_final: Callable[[Any], bool] = lambda value: True,
    of_audio: bool = True,
) -> list[Any]:
    """The value that `function` gives for each utterance; what `folder` holds of the same work is not done again.

    Args:
        function: of some utterances, one value that JSON can hold for each; importable by other processes.
        described: all that the values depend on beyond path, length and text of the utterances.
        title: of the progress bar.
        jobs: processes.
        is_final: whether a value may be kept; a block with one that may not is done again the next time.
        of_audio: whether the values depend on what the recordings hold.
    """
    key = kept.key_of(BLOCK, described, [(s.path, s.samples, s.text) for s in spoken])
    blocks = kept.in_blocks(
        function,
        spoken,
        folder / key,
        size=BLOCK,
        seconds=lambda utterance: utterance.seconds,
        title=title,
        jobs=jobs,
        is_final=lambda values: all(map(is_final, values)),
        audio=attrgetter("file") if of_audio else None,
    )
    return [value for values in blocks for value in values]
