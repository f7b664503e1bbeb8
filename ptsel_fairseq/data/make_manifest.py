"""`ptsel manifest`: write the manifests that fairseq reads, from a folder of audio or of portable manifests."""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import WholeFile, write_lines
from ptsel_fairseq.base.grid import SAMPLE_RATE
from ptsel_fairseq.base.manifest import LINE_ALIGNED, read_manifest
from ptsel_fairseq.base.messages import examples

SUFFIXES = (".flac", ".wav", ".ogg")  # what fairseq's audio dataset reads


def manifest_command(source: Path | str, out: Path | str, valid_percent: float = 5.0, seed: int = 0) -> None:
    """Write ``train.tsv`` and ``valid.tsv``, or copy a folder's manifests with the audio folder made absolute.

    fairseq needs an absolute audio folder, which no file can carry from one machine to another. If `source`
    holds manifests they are rewritten into `out` with all files that fairseq reads beside them; otherwise
    `source` is searched for audio and `valid_percent` of the files, drawn with `seed`, become the split valid.
    """
    source, out = Path(source), Path(out)
    if not source.is_dir():
        raise PtselError(f"{source}: no such folder; expected one that holds audio or <split>.tsv manifests")
    if sorted(source.glob("*.tsv")):
        written = rewrite_manifests(source, out)
    else:
        written = scan_audio(source, out, valid_percent, seed)
    for file in written:
        manifest = read_manifest(file)
        hours = sum(utterance.samples for utterance in manifest) / SAMPLE_RATE / 3600
        print(f"{file}: {len(manifest)} utterances, {hours:.2f} h")


def rewrite_manifests(source: Path, out: Path) -> list[Path]:
    manifests = [read_manifest(file) for file in sorted(source.glob("*.tsv"))]
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for manifest in manifests:
        lines = [f"{utterance.path}\t{utterance.samples}" for utterance in manifest]
        written.append(write_lines(out / manifest.file.name, [str(manifest.root), *lines]))
    for file in sorted(source.iterdir()):
        if file.suffix in (*LINE_ALIGNED, ".txt"):
            with WholeFile(out / file.name) as copy, file.open("rb") as content:
                shutil.copyfileobj(content, copy)
    return written


def scan_audio(source: Path, out: Path, valid_percent: float, seed: int) -> list[Path]:
    import soundfile
    from tqdm import tqdm

    if not 0 <= valid_percent < 100:
        raise PtselError(f"--valid-percent: expected 0 to 100, found {valid_percent}")
    files = sorted(file for file in source.rglob("*") if file.suffix.lower() in SUFFIXES)
    if not files:
        raise PtselError(f"{source}: expected audio files ({', '.join(SUFFIXES)}), found none")
    lines: list[str] = []
    unreadable: list[str] = []
    for file in tqdm(files, desc="reading headers", unit="file", file=sys.stderr):
        try:
            lines.append(f"{file.relative_to(source)}\t{soundfile.info(file).frames}")
        except soundfile.LibsndfileError as error:
            unreadable.append(f"{file.relative_to(source)}: {error.error_string}")
    if unreadable:
        raise PtselError(
            f"{source}: the audio of {len(unreadable)} of {len(files)} files cannot be read "
            f"{examples(unreadable)}; remove them first"
        )
    chosen = set(random.Random(seed).sample(range(len(lines)), round(len(lines) * valid_percent / 100)))
    splits: dict[str, Sequence[str]] = {
        "train": [line for i, line in enumerate(lines) if i not in chosen],
        "valid": [line for i, line in enumerate(lines) if i in chosen],
    }
    out.mkdir(parents=True, exist_ok=True)
    root = str(source.resolve())
    return [write_lines(out / f"{split}.tsv", [root, *found]) for split, found in splits.items() if found]
