"""`ptsel manifest`: write the manifests that fairseq reads, from a folder of audio or of portable manifests."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ptsel_fairseq.base.audio_length import audio_length
from ptsel_fairseq.base.data_folder import manifests_of
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import WholeFile, output_folder, write_lines
from ptsel_fairseq.base.grid import SAMPLE_RATE
from ptsel_fairseq.base.manifest import LINE_ALIGNED, Manifest, read_manifest
from ptsel_fairseq.base.messages import examples
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.data.audio_folder import SUFFIXES as ALL_SUFFIXES
from ptsel_fairseq.data.audio_folder import UNUSABLE, AudioFolder, look_into

SUFFIXES = (".flac", ".wav", ".ogg")  # what fairseq's audio dataset reads
LONG_SECONDS = 60.0  # much more than a crop: the rest of such a file is not seen in an epoch
CONVERT = "`ptsel convert SOURCE OUT` makes 16 kHz mono FLAC of any format"


def manifest_command(source: Path | str, out: Path | str, valid_percent: float = 5.0, seed: int = 0) -> None:
    """Write ``train.tsv`` and ``valid.tsv``, or copy a folder's manifests with the audio folder made absolute.

    fairseq needs an absolute audio folder, which no file can carry from one machine to another. If `source`
    holds manifests they are rewritten into `out` with all files that fairseq reads beside them; otherwise
    `source` is searched for audio and `valid_percent` of the files, drawn with `seed`, become the split valid.

    Raises:
        PtselError: no audio, or audio that cannot be read.
    """
    source, out = Path(source), Path(out)
    if not source.is_dir():
        raise PtselError(f"{source}: no such folder; expected one that holds audio or <split>.tsv manifests")
    if manifests_of(source):
        rewrite_manifests(source, out)
    else:
        scan_audio(source, out, valid_percent, seed)


def rewrite_manifests(source: Path, out: Path) -> None:
    """Copy manifests, the audio folder made absolute, and the texts and dictionaries beside them."""
    manifests = [read_manifest(file) for file in manifests_of(source)]
    with output_folder(out):
        _rewrite(source, manifests, out)


def _rewrite(source: Path, manifests: Sequence[Manifest], out: Path) -> None:
    for manifest in manifests:
        lines = [f"{utterance.path}\t{utterance.samples}" for utterance in manifest]
        written = write_lines(out / manifest.file.name, [str(manifest.root), *lines])
        print(f"{written}: {len(manifest)} utterances, {hours(u.samples for u in manifest):.2f} h")
    for file in sorted(source.iterdir()):
        if file.suffix in (*LINE_ALIGNED, ".txt"):
            with WholeFile(out / file.name) as copy, file.open("rb") as content:
                shutil.copyfileobj(content, copy)


def scan_audio(source: Path, out: Path, valid_percent: float, seed: int) -> None:
    """Write the manifests of a folder's audio; say what does not fit training."""
    draw_valid(0, valid_percent, seed)  # a wrong share is said before the work
    folder = look_into(source, SUFFIXES)
    others = {suffix: count for suffix, count in folder.passed_over.items() if suffix in ALL_SUFFIXES}
    if not folder.files:
        raise PtselError(
            f"{source}: expected audio files ({', '.join(SUFFIXES)}), found none"
            + (f" but {_counted(others)}; {CONVERT}" if others else "")
        )
    unwritable = [path for path in folder.files if UNUSABLE.search(path) or path != path.strip()]
    if unwritable:
        raise PtselError(
            f"{source}: a manifest cannot hold the names of {len(unwritable)} files, which have a tab, a line break, "
            f"a space at an end, or bytes that are no UTF-8 (first: {unwritable[0]!r}); rename them, or: {CONVERT}"
        )
    found: list[tuple[str, int]] = []
    rates: Counter[int] = Counter()
    seconds: dict[str, float] = {}
    unreadable: list[str] = []
    for path in progress_bar(folder.files, desc="reading headers", unit="file"):
        header = audio_length(source / path)
        if header.fault:
            unreadable.append(f"{path}: {header.fault}")
            continue
        found.append((path, header.samples))
        rates[header.rate] += 1
        seconds[path] = header.samples / header.rate
    if unreadable:
        raise PtselError(
            f"{source}: the audio of {len(unreadable)} of {len(folder.files)} files cannot be read "
            f"{examples(unreadable)}; remove them first, or leave them out: {CONVERT} (--skip-bad)"
        )
    chosen = draw_valid(len(found), valid_percent, seed)
    splits = {
        "train": [line for i, line in enumerate(found) if i not in chosen],
        "valid": [line for i, line in enumerate(found) if i in chosen],
    }
    with output_folder(out):
        write_splits(out, source.resolve(), splits, seconds)
    warn(folder, rates, others, seconds)


def warn(
    folder: AudioFolder, rates: Mapping[int, int], others: Mapping[str, int], seconds: Mapping[str, float]
) -> None:
    """Say what was passed over, which rates training will refuse, and which files are far longer than a crop."""
    if folder.describe():
        print(folder.describe())
    if others:
        print(f"warning: {_counted(others)} are audio that fairseq does not read; {CONVERT}")
    wrong = {rate: count for rate, count in rates.items() if rate != SAMPLE_RATE}
    if wrong:
        listed = ", ".join(f"{count} at {rate} Hz" for rate, count in sorted(wrong.items()))
        print(f"warning: training needs {SAMPLE_RATE} Hz, and these are not: {listed}; {CONVERT}")
    long = [path for path, length in seconds.items() if length > LONG_SECONDS]
    if long:
        print(
            f"warning: {len(long)} files are longer than {LONG_SECONDS:g} s (first: {long[0]}), and an epoch of "
            f"training takes one crop of each (15.6 s in the recipes); `ptsel convert --split-long 30` cuts at silences"
        )


def draw_valid(count: int, valid_percent: float, seed: int) -> set[int]:
    """Which of `count` recordings are for the split valid.

    Raises:
        PtselError: a share that is not from 0 to 100.
    """
    if not 0 <= valid_percent < 100:
        raise PtselError(f"--valid-percent: expected 0 to 100, found {valid_percent}")
    return set(random.Random(seed).sample(range(count), round(count * valid_percent / 100)))


def write_splits(
    out: Path,
    root: Path,
    splits: Mapping[str, Sequence[tuple[str, int]]],
    seconds: Mapping[str, float] | None = None,
) -> None:
    """Write ``<split>.tsv`` of paths and samples, and say what each holds; a split without lines is removed.

    Args:
        seconds: by path; default, of samples at 16 kHz.
    """
    for split, lines in splits.items():
        file = out / f"{split}.tsv"
        if not lines:
            file.unlink(missing_ok=True)
            continue
        write_lines(file, [str(root), *(f"{path}\t{samples}" for path, samples in lines)])
        length = (
            hours(samples for _, samples in lines)
            if seconds is None
            else sum(seconds[path] for path, _ in lines) / 3600
        )
        print(f"{file}: {len(lines)} utterances, {length:.2f} h")


def hours(samples: Iterable[int]) -> float:
    """Hours of some lengths in samples at 16 kHz."""
    return sum(samples) / SAMPLE_RATE / 3600


def _counted(suffixes: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {suffix}" for suffix, count in sorted(suffixes.items()))
