"""One command of a step: where its program is, what it gets, and what is shown of what it says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TAIL = 30  # lines of a log that are shown of a step that fails
WIDEST = 400  # characters of such a line: fairseq prints all its settings as one
SHOWN_WHILE_TRAINING = ("loss", "accuracy", "code_perplexity", "uer", "wer")
TRAIN = "fairseq-hydra-train"


def training_command(recipe: Path, run: Path, *settings: str) -> tuple[str, ...]:
    """fairseq's command for a recipe.

    Args:
        run: folder of its checkpoints and its log.
        settings: fairseq's, as ``SECTION.KEY=VALUE``.
    """
    where = (f"checkpoint.save_dir={run}", f"hydra.run.dir={run}")
    return (TRAIN, "--config-dir", str(recipe.parent), "--config-name", recipe.stem, *where, *settings)


def find_program(name: str) -> str | None:
    """A program of this Python's environment, or else of the path."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.is_file() else shutil.which(name)


class Running:
    """The processes that run now, and what they were told; shared by threads.

    Attributes:
        inherited: file descriptors that they inherit, such as that of a lock, which lasts until the last has ended.
    """

    def __init__(self) -> None:
        self.inherited: tuple[int, ...] = ()
        self._lock = threading.Lock()
        self._processes: set[subprocess.Popen] = set()
        self._told = 0

    def tell(self, number: int) -> None:
        """Send a signal to all of them, and to one that is just being started."""
        self._told = number
        for process in list(
            self._processes
        ):  # no lock: a signal's handler must not wait for what it interrupts
            process.send_signal(number)

    def start(self, command: Sequence[str], **options: Any) -> subprocess.Popen:
        """Start a process that reads nothing."""
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=self.inherited, **options)
        with self._lock:
            self._processes.add(process)
        if self._told:
            process.send_signal(self._told)
        return process

    def wait(self, process: subprocess.Popen) -> int:
        code = process.wait()
        with self._lock:
            self._processes.discard(process)
        return code


def run_one(
    command: Sequence[str], base: Path, log: Path, running: Running, threads: int, show: bool = True
) -> int:
    """Run one command; returns its exit code.

    Args:
        base: folder in which it runs.
        log: what it says is added here; with `show` only what a training says, of which a line is shown for each of
            its reports, while other commands speak for themselves.
        threads: of a process, where the environment does not say.
    """
    program, *words = command
    environment = {"OMP_NUM_THREADS": str(threads), **os.environ}
    if program == TRAIN:
        environment["PYTHONWARNINGS"] = "ignore"
        # A fine-tuning can go on from its own checkpoint, which holds fairseq's dictionary, with torch 2.6.
        environment["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"
    if program == "ptsel":
        command = [sys.executable, "-m", "ptsel_fairseq", *words]
    else:
        command = [find_program(program) or program, *words]
    if show and program != TRAIN:
        return running.wait(running.start(command, env=environment, cwd=base))
    log.parent.mkdir(parents=True, exist_ok=True)
    if not show:
        with log.open("ab") as out:
            process = running.start(command, env=environment, cwd=base, stdout=out, stderr=subprocess.STDOUT)
            return running.wait(process)
    return _run_and_report(command, environment, base, log, running)


def _run_and_report(
    command: Sequence[str], environment: dict[str, str], base: Path, log: Path, running: Running
) -> int:
    """Run fairseq with its output in a file; show one line for each of its reports."""
    from ptsel_fairseq.runs import DRAWN, parse_line

    with (
        log.open("a", encoding="utf-8") as file,
        running.start(
            command, env=environment, cwd=base, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, encoding="utf-8", errors="replace",
        ) as run,
    ):  # fmt: skip
        assert run.stdout is not None
        for line in run.stdout:
            file.write(line)
            record = parse_line(line)
            if record is not None and record.kind in DRAWN:
                shown = "  ".join(
                    f"{key} {value:g}"
                    for key, value in record.values.items()
                    if key in SHOWN_WHILE_TRAINING or key.startswith("pretext_")
                )
                print(f"  {record.kind:11s} update {record.update:5d}  {shown}", flush=True)
        return running.wait(run)


def end_of(log: Path) -> str:
    """The last lines of a log, long ones cut; empty if there is none."""
    if not log.is_file():
        return ""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL:]
    return "".join(f"{line if len(line) <= WIDEST else line[:WIDEST] + ' ...'}\n" for line in lines)
