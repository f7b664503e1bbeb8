"""What `ptsel fetch` has made of free corpora: recordings, classes, notes; and other commands of the package."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import Manifest, read_manifest
from study_tools.stream import Stream

SPLITS = ("train", "valid", "test")
NOTE = re.compile(r"[A-G]s?")

Span = tuple[str, float, float, str]  # path, start, end, class


class Folders(Protocol):
    """The folder of a run's logs and other files, and that of the corpora."""

    @property
    def out(self) -> Path: ...

    @property
    def corpora(self) -> Path: ...


def fetch(folders: Folders, corpora: Iterable[str], *options: object) -> None:
    """`ptsel fetch` of the corpora that are not there."""
    for name in corpora:
        if not (folders.corpora / name / "report.md").is_file():  # which `ptsel fetch` writes last
            ptsel(folders, f"fetch-{name}", "fetch", "--jobs", 1, *options, name, folders.corpora / name)


def ptsel(folders: Folders, log: str, *words: object) -> None:
    """Run a command of the package; SystemExit with the end of its output if it fails."""
    command = [str(Path(sys.executable).parent / "ptsel"), *map(str, words)]
    file = folders.out / "logs" / f"{log}.log"
    file.parent.mkdir(parents=True, exist_ok=True)
    print("$ ptsel", *map(str, words), flush=True)
    with file.open("w") as output:
        code = subprocess.run(
            command, stdout=output, stderr=subprocess.STDOUT, env={"OMP_NUM_THREADS": "1", **os.environ}
        ).returncode
    if code:
        sys.exit(f"{file.read_text(errors='replace')[-3000:]}\nptsel {words[0]} failed; whole output: {file}")


def draw(key: str) -> float:
    """A number in [0, 1) from a checksum: the same on every machine."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64


def first_by_checksum(paths: Iterable[str], most: int) -> list[str]:
    return sorted(paths, key=draw)[:most]


def recordings(folders: Folders, corpus: str, splits: Iterable[str] = SPLITS) -> dict[str, int]:
    """Path below the corpora's folder -> samples, of the splits of a corpus (``asterisk/en``)."""
    found: dict[str, int] = {}
    for split in splits:
        file = folders.corpora / corpus / f"{split}.tsv"
        if file.is_file():
            manifest = read_manifest(file)
            found |= {f"{below(manifest, folders)}/{u.path}": u.samples for u in manifest}
    if not found:
        raise PtselError(f"{folders.corpora / corpus}: expected manifests of `ptsel fetch`, found none")
    return found


def below(manifest: Manifest, folders: Folders) -> str:
    return manifest.root.resolve().relative_to(folders.corpora.resolve()).as_posix()


def classes_of(folders: Folders, corpus: str, kind: str) -> dict[str, str]:
    """Path below the corpora's folder -> class of the whole recording."""
    folder = folders.corpora / corpus
    manifests = sorted(
        folder.rglob("train.tsv"), key=lambda file: (len(file.parts), file)
    )  # not of a folder `labels`
    root = below(read_manifest(manifests[0]), folders)
    lines = (folder / "classes" / f"{kind}.tsv").read_text().splitlines()[1:]
    return {f"{root}/{path}": name for path, name in (line.split("\t") for line in lines)}


def note_seconds(folders: Folders, stream: Stream, kind: str, most: int) -> list[Span]:
    """The first whole seconds of every note of tonejs, at most so many, with a class of the note."""
    lengths = dict(zip(stream.paths, stream.samples / stream.grid.sample_rate, strict=True))
    return [
        (path, float(second), second + 1.0, name)
        for path, name in classes_of(folders, "tonejs", kind).items()
        for second in range(min(most, int(lengths.get(path, 0))))
    ]


def note_pitch_classes(folders: Folders, stream: Stream, most: int) -> list[Span]:
    """The same with their pitch classes."""
    found = note_seconds(folders, stream, "note", most)
    return [(path, start, end, NOTE.match(name).group()) for path, start, end, name in found]
