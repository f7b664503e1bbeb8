"""One step: its commands, what they read, and whether it was done with the same before."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ptsel_fairseq.base.bundled import IN_CLONE, PACKAGE
from ptsel_fairseq.base.data_folder import manifests_of
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import file_checksum, write_text
from ptsel_fairseq.pipeline.commands import TRAIN

TABLES = (".tsv", ".wrd", ".ltr", ".phn", ".cls", ".txt", ".json")


@dataclass(frozen=True)
class Step:
    """What is run as a whole and, once it is done, not run again.

    Attributes:
        name: as ``--from`` takes it; also that of its log, so that no two steps of a folder may share it.
        commands: programs and arguments, run one after the other; ``ptsel`` and ``fairseq-hydra-train`` are those of
            this Python's environment.
        reads: files and folders whose content they depend on.
        makes: what is there when they are done.
        run_folder: of a training, which goes on from its checkpoint if nothing that it reads has changed.

    Raises:
        PtselError: a name that cannot be a file's.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    reads: tuple[Path, ...] = ()
    makes: tuple[Path, ...] = ()
    run_folder: Path | None = None

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name or self.name.startswith("."):
            raise PtselError(f"expected a step's name that can be a file's, without '/', found {self.name!r}")

    @property
    def needs_fairseq(self) -> bool:
        return any(command[0] == TRAIN for command in self.commands)

    def key(self) -> str:
        """SHA-256 of the commands, wherever this package lies, and of what is there of the files they read."""
        described = [
            [[_anywhere(word) for word in command] for command in self.commands],
            [[_anywhere(str(path)), fingerprint(path)] for path in self.reads],
        ]
        return hashlib.sha256(json.dumps(described).encode()).hexdigest()


def _anywhere(word: str) -> str:
    """A word of a command without the place where this package lies: another clone repeats nothing."""
    for name, in_clone in IN_CLONE.items():
        word = word.replace(str(PACKAGE.parent / in_clone), f"BUNDLED/{name}")
        word = word.replace(str(PACKAGE / "bundled" / name), f"BUNDLED/{name}")
    return word.replace(str(PACKAGE), "PACKAGE")


def fingerprint(path: Path) -> str:
    """What changes when a file's content changes, or a folder's.

    Of a file its SHA-256; of a folder of manifests and texts that of each; of another folder names, sizes and times of
    change, since to read a thousand hours of audio takes longer than the step would.
    """
    if path.is_file():
        return file_checksum(path)
    if not path.is_dir():
        return "nothing"
    if manifests_of(path):
        tables = sorted(file for file in path.iterdir() if file.suffix in TABLES and file.is_file())
        return _digest(f"{file.name}\t{file_checksum(file)}" for file in tables)
    return _digest(_stamps(path))


def _stamps(folder: Path) -> Iterable[str]:
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            file = Path(place, name)
            if not name.startswith(".") and file.is_file():
                status = file.stat()
                yield f"{file.relative_to(folder)}\t{status.st_size}\t{status.st_mtime_ns}"


def _digest(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(f"{line}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


class Marks:
    """Which steps were done with which key, a small file each in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def is_done(self, step: Step, key: str | None = None) -> bool:
        """Whether it was done with the same commands and inputs, and all that it made is still there."""
        return self._key(step, "done") == (key or step.key()) and all(made.exists() for made in step.makes)

    def begun(self, step: Step, key: str) -> bool:
        """Whether it was begun, and not finished, with the same commands and inputs."""
        return self._key(step, "begun") == key

    def begin(self, step: Step, key: str) -> None:
        self._file(step, "done").unlink(missing_ok=True)
        write_text(self._file(step, "begun"), json.dumps({"key": key}))

    def finish(self, step: Step, key: str, seconds: float) -> None:
        """Note that it is done; `key` is that of its beginning, so that an input that changed meanwhile counts."""
        write_text(self._file(step, "done"), json.dumps({"key": key, "seconds": round(seconds, 1)}))
        self._file(step, "begun").unlink(missing_ok=True)

    def forget(self, steps: Sequence[Step]) -> None:
        """Do them again when they are run, whatever is there."""
        for step in steps:
            for kind in ("done", "begun"):
                self._file(step, kind).unlink(missing_ok=True)

    def _key(self, step: Step, kind: str) -> str | None:
        try:
            return json.loads(self._file(step, kind).read_text())["key"]
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _file(self, step: Step, kind: str) -> Path:
        return self.folder / f"{step.name}.{kind}.json"
