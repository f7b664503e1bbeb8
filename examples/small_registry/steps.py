"""Running the numbered steps: what is done is not done again, what was made from something else is made again."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ptsel_fairseq.base.files import write_text

BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        title: its name in messages, and of its log and mark.
        command: program and arguments.
        reads: files whose content it depends on.
        makes: what is there when it is done; the first is a training's folder where `training` is set.
        training: whether an interrupted run of the same command goes on from its checkpoint.
    """

    title: str
    command: tuple[str, ...]
    reads: tuple[Path, ...] = ()
    makes: tuple[Path, ...] = ()
    training: bool = False

    @property
    def key(self) -> str:
        """SHA-256 of the command, wherever this checkout and its Python lie, and of what it reads."""
        command = shlex.join(self.command).replace(str(BIN), "BIN").replace(str(ROOT), "ROOT")
        digest = hashlib.sha256(command.encode())
        for file in self.reads:
            digest.update(file.read_bytes())
        return digest.hexdigest()


class Runner:
    """Runs steps below a folder, one after the other, and numbers them."""

    def __init__(self, out: Path) -> None:
        self.out, self.number, self.repeated = out, 0, 0
        self._counting = threading.Lock()

    def is_done(self, step: Step) -> bool:
        """Whether the same command was done with the same inputs, and all that it made is still there."""
        mark = self._mark(step)
        return mark.is_file() and mark.read_text() == step.key and all(made.exists() for made in step.makes)

    def forget(self, step: Step) -> None:
        """Do the step again when it is run, whatever is there."""
        self._mark(step).unlink(missing_ok=True)

    def _mark(self, step: Step) -> Path:
        return self.out / "done" / f"{step.title.replace(' ', '-')}.txt"

    def run(self, step: Step) -> None:
        """Run a step unless it is done; raise SystemExit with the end of its log if it fails."""
        done = self.is_done(step)
        with self._counting:
            self.number += 1
            self.repeated += done
            number = self.number
        if done:
            return
        mark, key = self._mark(step), step.key
        begun = mark.with_suffix(".begun")
        if step.training and not (begun.is_file() and begun.read_text() == key):
            shutil.rmtree(step.makes[0], ignore_errors=True)  # of another λ: not to be continued
        mark.unlink(missing_ok=True)
        write(begun, key)
        log = self.out / "logs" / f"{mark.stem}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        print(f"\n== {number}. {step.title}\n$ {shlex.join(step.command)}", flush=True)
        started = time.monotonic()
        with log.open("w") as output:
            code = subprocess.run(
                step.command, env=environment(), stdout=output, stderr=subprocess.STDOUT
            ).returncode
        if code != 0:
            print(log.read_text(errors="replace")[-4000:])
            sys.exit(f"{step.title}: failed with exit code {code}; its whole output is in {log}")
        lacking = [str(made) for made in step.makes if not made.exists()]
        if lacking:
            sys.exit(f"{step.title}: ended well but did not make {', '.join(lacking)}; see {log}")
        print(f"({step.title}: {time.monotonic() - started:.0f} s)", flush=True)
        write(mark, key)
        begun.unlink()


def environment() -> dict[str, str]:
    """Of every command: one thread for the model; a fine-tuning can go on from its own checkpoint with torch 2.6."""
    return {
        "OMP_NUM_THREADS": "1",
        **os.environ,
        "PYTHONWARNINGS": "ignore",
        "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",  # such a checkpoint holds fairseq's dictionary
    }


def ptsel(*words: object) -> tuple[str, ...]:
    return (str(BIN / "ptsel"), *(str(word) for word in words))


def train(config: Path, run: Path, *settings: str) -> tuple[str, ...]:
    """fairseq's command for a recipe; checkpoints and log in the folder `run`."""
    return (
        str(BIN / "fairseq-hydra-train"),
        *("--config-dir", str(config.parent), "--config-name", config.stem),
        *(f"checkpoint.save_dir={run}", f"hydra.run.dir={run}"),
        *settings,
    )


def write(file: Path, text: str, keep: bool = False) -> None:
    """Write a file in full or not at all; not again if it holds the text, or with `keep` if it is there."""
    if not file.is_file() or not (keep or file.read_text() == text):
        write_text(file, text)


def lines(rows: Sequence[str]) -> str:
    return "".join(f"{row}\n" for row in rows)
