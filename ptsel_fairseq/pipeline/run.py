"""`ptsel run`: do the steps of a pipeline that are not done, and say what each took."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import locked_folder, readable_time
from ptsel_fairseq.base.suggestion import did_you_mean
from ptsel_fairseq.pipeline.road import steps_of
from ptsel_fairseq.pipeline.settings import read_settings
from ptsel_fairseq.pipeline.step import Marks, Step

MARKS = ".ptsel-run"
LOGS = "logs"
TAIL = 30  # lines of a log that are shown of a step that fails
SHOWN_WHILE_TRAINING = ("loss", "accuracy", "code_perplexity", "uer", "wer")


@dataclass
class Outcome:
    """What became of a step: ``done before``, ``to do``, ``done``, or why it was not run; and its seconds."""

    step: Step
    state: str
    seconds: float = 0.0


def run_command(
    pipeline: Path | str,
    out: Path | str | None = None,
    dry_run: bool = False,
    from_step: str | None = None,
    check: Callable[[Sequence[str], str], None] = lambda words, where: None,
) -> None:
    """Run the steps of a pipeline in order; those that are done with the same inputs are passed over.

    Args:
        pipeline: the YAML file.
        out: folder of everything, in place of the file's own.
        dry_run: print what would be run.
        from_step: do this step and all after it again.
        check: called with the words after `ptsel` of every command, and the name of its step, before the first is
            run; raises PtselError for an option that is wrong.

    Raises:
        PtselError: a file or options that cannot be used, a step that fails, or another run in the same folder.
    """
    settings = read_settings(Path(pipeline), None if out is None else Path(out))
    steps = steps_of(settings)
    check_options(steps, check)
    marks = Marks(settings.out / MARKS)
    again = steps[_position(steps, from_step) :] if from_step else []
    if dry_run:
        print_table(_plan(steps, marks, again), dry_run)
        return
    busy = f"{settings.out}: another `ptsel run` works there; wait for it or stop it"
    with locked_folder(settings.out, busy):
        marks.forget(again)
        outcomes = [_do(step, marks, settings.base, settings.out / LOGS) for step in steps]
    print()
    print_table(outcomes)
    print(f"{settings.out}: everything is there")


def _position(steps: Sequence[Step], name: str) -> int:
    names = [step.name for step in steps]
    if name not in names:
        raise PtselError(
            f"--from: no step {name!r}{did_you_mean(name, names)}; expected one of {', '.join(names)}"
        )
    return names.index(name)


def check_options(steps: Sequence[Step], check: Callable[[Sequence[str], str], None]) -> None:
    """Check every command before the first is run, so that a wrong option stops nothing after hours."""
    for step in steps:
        for program, *words in step.commands:
            if program == "ptsel":
                check(words, f"{step.name}: ")


def _plan(steps: Sequence[Step], marks: Marks, again: Sequence[Step]) -> list[Outcome]:
    """What would be run: what is not done, and what reads something that is not made yet."""
    outcomes: list[Outcome] = []
    stale: set[Path] = set()
    for step in steps:
        waits = any(read == made or made.is_relative_to(read) for read in step.reads for made in stale)
        if step not in again and not waits and marks.is_done(step):
            outcomes.append(Outcome(step, "done before"))
        else:
            outcomes.append(Outcome(step, "to do" if _can_run(step) else "not run: no fairseq here"))
            stale |= set(step.makes)
    return outcomes


def _can_run(step: Step) -> bool:
    return not step.needs_fairseq or find_program("fairseq-hydra-train") is not None


def find_program(name: str) -> str | None:
    """A program of this Python's environment, or else of the path."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.is_file() else shutil.which(name)


def _do(step: Step, marks: Marks, base: Path, logs: Path) -> Outcome:
    """Run a step unless it is done; raises PtselError if it fails."""
    print(f"\n== {step.name}", flush=True)
    for command in step.commands:
        print(f"$ {shlex.join(command)}", flush=True)
    if marks.is_done(step):
        print("(done before)")
        return Outcome(step, "done before")
    if not _can_run(step):
        print("(not run: fairseq is not installed here; pip install 'ptsel_fairseq[fairseq]')")
        return Outcome(step, "not run: no fairseq here")
    missing = [path for path in step.reads if not path.exists()]
    if missing:
        if not _can_train():
            print(f"(not run: {missing[0]} is not there yet)")
            return Outcome(step, "not run: waits for training")
        raise PtselError(f"{step.name}: {missing[0]}: is not there; expected it before this step")
    if step.run_folder is not None and not marks.begun(step):
        set_aside(step.run_folder)
    marks.begin(step)
    started = time.monotonic()
    for command in step.commands:
        code = run_one(command, base, logs / f"{step.name}.log")
        if code:
            raise PtselError(
                f"{step.name}: ended with exit code {code}; the same `ptsel run` goes on from here"
                + (f", its whole output is in {logs / step.name}.log" if step.needs_fairseq else "")
            )
    lacking = [str(made) for made in step.makes if not made.exists()]
    if lacking:
        raise PtselError(f"{step.name}: ended well but did not make {', '.join(lacking)}")
    seconds = time.monotonic() - started
    marks.finish(step, seconds)
    print(f"({readable_time(seconds)})", flush=True)
    return Outcome(step, "done", seconds)


def _can_train() -> bool:
    return find_program("fairseq-hydra-train") is not None


def set_aside(folder: Path) -> None:
    """A run of other inputs is not continued, and not removed either: it becomes ``<folder>.before-N``."""
    if folder.is_dir() and any(folder.iterdir()):
        number = 1
        while (kept := folder.with_name(f"{folder.name}.before-{number}")).exists():
            number += 1
        folder.rename(kept)
        print(f"(an earlier run of other inputs is kept as {kept})")


def run_one(command: Sequence[str], base: Path, log: Path) -> int:
    """Run one command; a training's output goes to `log`, and a line is shown of each of its reports."""
    program, *words = command
    # One thread for the model leaves a core to the loader and does not collapse on a machine that others use.
    threads = str(max(1, (os.cpu_count() or 1) // 2))
    environment = {"OMP_NUM_THREADS": threads, **os.environ}
    if program == "ptsel":
        return subprocess.run(
            [sys.executable, "-m", "ptsel_fairseq", *words], env=environment, cwd=base
        ).returncode
    if program != "fairseq-hydra-train":
        return subprocess.run([program, *words], env=environment, cwd=base).returncode
    environment["PYTHONWARNINGS"] = "ignore"
    # A fine-tuning can go on from its own checkpoint, which holds fairseq's dictionary, with torch 2.6.
    environment["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"
    return run_training([str(find_program(program)), *words], environment, base, log)


def run_training(command: Sequence[str], environment: dict[str, str], base: Path, log: Path) -> int:
    """Run fairseq with its output in a file; show one line for each of its reports, and the end if it fails."""
    from ptsel_fairseq.runs import parse_line

    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("w", encoding="utf-8") as file,
        subprocess.Popen(
            command, env=environment, cwd=base, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as run,
    ):
        assert run.stdout is not None
        for line in run.stdout:
            file.write(line)
            record = parse_line(line)
            if record is not None and record.kind in ("train_inner", "valid"):
                shown = "  ".join(
                    f"{key} {value:g}"
                    for key, value in record.values.items()
                    if key in SHOWN_WHILE_TRAINING or key.startswith("pretext_")
                )
                print(f"  {record.kind:11s} update {record.update:5d}  {shown}", flush=True)
    if run.returncode:
        print("".join(log.read_text(encoding="utf-8", errors="replace").splitlines(True)[-TAIL:]))
    return run.returncode


def print_table(outcomes: Sequence[Outcome], commands: bool = False) -> None:
    """Each step with its state and time; with `commands`, what it runs."""
    width = max(len(outcome.step.name) for outcome in outcomes)
    for outcome in outcomes:
        took = readable_time(outcome.seconds) if outcome.seconds else ""
        print(f"{outcome.step.name:{width}s}  {outcome.state:12s} {took}".rstrip())
        for command in outcome.step.commands if commands else ():
            print(f"    $ {shlex.join(command)}")
    total = sum(outcome.seconds for outcome in outcomes)
    if total:
        print(f"{'all':{width}s}  {'':12s} {readable_time(total)}")
