"""Utterances with their texts, and work on them that is kept on disk in blocks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptsel_fairseq.base.files import write_text
from ptsel_fairseq.base.grid import SAMPLE_RATE
from ptsel_fairseq.base.manifest import manifest_file, read_manifest
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.base.workers import jobs_for_audio, map_ordered
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
    one_process: bool = False,
    is_final: Callable[[Any], bool] = lambda value: True,
) -> list[Any]:
    """What `function` gives for each utterance; what `folder` holds of the same work is not done again.

    Args:
        function: of some utterances, one value that JSON can hold for each; importable by other processes.
        described: all that the values depend on beyond path, length and text of the utterances.
        title: of the progress bar.
        one_process: whether to stay in this process however much there is to do.
        is_final: whether a value may be kept; a block with one that may not is done again the next time.
    """
    work = [BLOCK, described, [(s.path, s.samples, s.text) for s in spoken]]
    key = hashlib.sha256(json.dumps(work).encode()).hexdigest()[:16]
    blocks = [spoken[first : first + BLOCK] for first in range(0, len(spoken), BLOCK)]
    files = [folder / key / f"{i:06d}.json" for i in range(len(blocks))]
    kept = [_read_block(file) for file in files]
    todo = [i for i, values in enumerate(kept) if values is None or not all(map(is_final, values))]
    seconds = sum(utterance.seconds for i in todo for utterance in blocks[i])
    processes = 1 if one_process else jobs_for_audio(seconds, jobs)
    found = map_ordered(function, (blocks[i] for i in todo), jobs=processes)
    done = len(spoken) - sum(len(blocks[i]) for i in todo)
    with progress_bar(total=len(spoken), initial=done, desc=title, unit="utterance") as progress:
        for i, values in zip(todo, found, strict=True):
            write_text(files[i], json.dumps(values, ensure_ascii=False))
            progress.update(len(values))
    return [value for file in files for value in _read_block(file) or []]


def _read_block(file: Path) -> list[Any] | None:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
