"""The commands that write files, run in processes that are forked from one that is warm; `every_command` lists them."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ptsel_fairseq.base.files import file_checksum


@dataclass(frozen=True)
class Command:
    """One command: the words for an output folder, which holds all that it writes.

    Commands that add to a folder find it there: `begins_with` is copied into the output folder first. Files whose
    path holds `times`, if it is given, say how long steps took, and are not compared. `error_lines` is how many lines
    of error a full disk may lead to.
    """

    name: str
    words: Callable[[Path], list[str]]
    begins_with: Path | None = None
    times: str = ""
    error_lines: tuple[int, ...] = (1,)


def start(words: list[str], log: Path) -> int:
    """Run `ptsel WORDS` in a process of its own group; what it prints goes to `log`."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.setsid()
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(out, 1)
        os.dup2(out, 2)
        from ptsel_fairseq.cli import main

        main(words)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def wait(process: int) -> int:
    """The exit code; negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def run(words: list[str], log: Path | None = None) -> int:
    """Run a command to its end; raise SystemExit with what it printed if there is no `log` and it fails."""
    file = log or Path(os.environ.get("TMPDIR", "/tmp")) / f"ptsel-{os.getpid()}.log"
    code = wait(start(words, file))
    said = file.read_text(errors="replace")
    if log is None:
        file.unlink()
        if code:
            raise SystemExit(f"ptsel {' '.join(words)}: exit code {code}\n{said}")
    return code


def contents(command: Command, folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a command's output folder that is to be the same each time, by its path."""
    names = {str(file.relative_to(folder)): file for file in sorted(folder.rglob("*")) if file.is_file()}
    return {
        name: file_checksum(file)
        for name, file in names.items()
        if not (command.times and command.times in name)
    }


@contextlib.contextmanager
def fresh(command: Command, folder: Path) -> Iterator[Path]:
    """A folder with what the command begins with; it is removed afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    fill(command, folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fill(command: Command, folder: Path) -> None:
    """Copy what a command begins with into its output folder."""
    if command.begins_with is not None:
        shutil.copytree(command.begins_with, folder, dirs_exist_ok=True)


def clean_run(command: Command, folder: Path) -> tuple[dict[str, str], float]:
    """What a command writes when it is left alone, and its seconds."""
    with fresh(command, folder) as out:
        started = time.monotonic()
        run(command.words(out))
        return contents(command, out), time.monotonic() - started


def warm_up() -> None:
    """Import what the commands need, so that forked processes begin at once."""
    import matplotlib.figure  # noqa: F401
    import scipy.stats  # noqa: F401
    import torch  # noqa: F401

    from ptsel_fairseq import selection  # noqa: F401
    from ptsel_fairseq.cli import main  # noqa: F401
