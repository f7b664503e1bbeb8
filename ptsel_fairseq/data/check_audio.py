"""What `ptsel check` finds in the files of a split: faults of each, and recordings that are there twice.

It holds a few bytes an utterance beside the manifest and what it has to say, so that it can look at millions; where
recordings are decoded, a fingerprint of each, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ptsel_fairseq.base.grid import SAMPLE_RATE
from ptsel_fairseq.base.manifest import Manifest
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.base.workers import jobs_for_audio, map_ordered
from ptsel_fairseq.data.findings import Finding
from ptsel_fairseq.data.inspection import AudioFacts, Piece, inspect_piece

ODD_PATH = re.compile(r"//|/\.(/|$)|/$")
FILES_A_PIECE = {True: 512, False: 16}  # by whether only their headers are read
FEW_HEADERS = 20_000  # are read faster by one process than others start

# By fingerprint of an audio content where it was first: manifest and line.
Heard = dict[str, tuple[Manifest, int]]


def check_audio(
    manifest: Manifest, headers_only: bool, jobs: int | None, heard: Heard | None = None
) -> tuple[float, list[Finding]]:
    """Look at every file of a split, with `headers_only` without decoding it: its hours, and what is wrong.

    Args:
        heard: the audio of the splits before, which is added to: recordings in two splits under two names are found.
    """
    heard = {} if heard is None else heard
    findings, seconds = [], 0.0
    twins = first_of_same_path(manifest)
    size = FILES_A_PIECE[headers_only]
    if headers_only:
        jobs = 1 if len(manifest) < FEW_HEADERS else jobs
    else:
        jobs = jobs_for_audio(float(manifest.samples.sum(dtype=np.int64)) / SAMPLE_RATE, jobs)
    inspected = map_ordered(inspect_piece, _pieces(manifest, size, headers_only), jobs=jobs)
    with progress_bar(total=len(manifest), desc=f"checking {manifest.split}", unit="file") as progress:
        for number, (duration, telling) in enumerate(inspected):
            seconds += duration
            lines = range(number * size, min((number + 1) * size, len(manifest)))
            for line in sorted({lines[place] for place in telling} | twins.keys() & set(lines)):
                findings += _said_of(manifest, line, telling.get(line - lines.start), twins.get(line), heard)
            progress.update(len(lines))
    return seconds / 3600, findings


def _pieces(manifest: Manifest, size: int, headers_only: bool) -> Iterator[Piece]:
    for first in range(0, len(manifest), size):
        files = [
            (utterance.path, utterance.samples) for utterance in manifest.utterances[first : first + size]
        ]
        yield Piece(str(manifest.root), files, headers_only)


def _said_of(
    manifest: Manifest, line: int, facts: AudioFacts | None, twin: int | None, heard: Heard
) -> list[Finding]:
    """What is wrong with one file; its fingerprint goes to those `heard`."""
    utterance = manifest.utterances[line]
    place = manifest.where(utterance)
    findings = (
        [Finding(kind, fatal, place, message) for kind, fatal, message in facts.findings] if facts else []
    )
    fingerprint = facts.fingerprint if facts else ""
    if twin is not None:
        findings.append(Finding("duplicate", False, place, f"the same path as on line {twin + 2}"))
    elif fingerprint in heard:
        other, other_line = heard[fingerprint]
        there = other.utterances[other_line]
        if other is manifest:
            findings.append(Finding("duplicate", False, place, f"the same audio as {other.where(there)}"))
        elif other.audio_path(there) != manifest.audio_path(
            utterance
        ):  # `find_shared_paths` finds the same path
            findings.append(Finding("in two splits", False, place, f"the same audio as {other.where(there)}"))
    if fingerprint:
        heard.setdefault(fingerprint, (manifest, line))
    return findings


def first_of_same_path(manifest: Manifest) -> dict[int, int]:
    """Lines whose path stands on an earlier line -> the first of these; a few bytes an utterance, whatever is found."""
    paths = manifest.raw_paths()
    hashes = np.fromiter(map(hash, paths), np.int64, len(manifest))
    first: dict[str, int] = {}
    found = {}
    for line in np.flatnonzero(repeated(hashes)).tolist():
        before = first.setdefault(manifest.path(line), line)
        if before != line:
            found[line] = before
    return found


def repeated(numbers: np.ndarray) -> np.ndarray:
    """Which numbers are there more than once, bool [N]."""
    order = np.argsort(numbers, kind="stable")
    same = numbers[order[1:]] == numbers[order[:-1]]
    found = np.zeros(len(numbers), dtype=bool)
    found[order[1:][same]] = found[order[:-1][same]] = True
    return found


def find_shared_paths(manifests: Sequence[Manifest]) -> list[Finding]:
    """Utterances that are in two splits, so that validation would see training data."""
    if len(manifests) < 2:
        return []
    sizes = [len(manifest) for manifest in manifests]
    hashes = (hash(file_name(manifest, line)) for manifest in manifests for line in range(len(manifest)))
    same = repeated(np.fromiter(hashes, np.int64, sum(sizes)))
    first_split: dict[str, str] = {}
    findings = []
    for manifest, part in zip(manifests, np.split(same, np.cumsum(sizes)[:-1]), strict=True):
        for line in np.flatnonzero(part).tolist():
            split = first_split.setdefault(file_name(manifest, line), manifest.split)
            if split != manifest.split:
                where = manifest.where(manifest.utterances[line])
                findings.append(Finding("in two splits", False, where, f"is in {split} as well"))
    return findings


def file_name(manifest: Manifest, line: int) -> str:
    """The whole path of an utterance's audio, one for one file."""
    joined = f"{manifest.root}/{manifest.path(line)}"
    return str(Path(joined)) if ODD_PATH.search(joined) else joined  # Path takes several times as long
