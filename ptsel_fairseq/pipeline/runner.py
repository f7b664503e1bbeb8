"""Running steps below a folder: what is done is passed over, what was interrupted goes on."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import locked_folder, readable_time
from ptsel_fairseq.pipeline.commands import TRAIN, Running, end_of, find_program, run_one
from ptsel_fairseq.pipeline.step import Marks, Step

MARKS = ".ptsel-run"
LOGS = "logs"
ASKED_TO_STOP = (signal.SIGTERM, signal.SIGUSR1)  # by a cluster, before it kills
WAKES = signal.SIGURG  # wakes the main thread; ignored by default, so that one too late does no harm


@dataclass
class Outcome:
    """What became of a step: ``done before``, ``to do``, ``done``, or why it was not run; and its seconds."""

    step: Step
    state: str
    seconds: float = 0.0


class Runner:
    """Runs steps below a folder, each unless it is done; to be used as a context, which keeps other runs out.

    A step is done if its commands, and the content of what it reads, are what they were when it last ended well, and
    all that it made is there. A training whose inputs have changed begins anew, and its folder is kept under another
    name; one that was interrupted goes on from its checkpoint. On Ctrl-C and SIGTERM running commands may end first: a
    training writes a checkpoint.

    Args:
        out: folder of the marks of what is done (``.ptsel-run``) and of the logs (``logs/STEP.log``).
        base: folder in which commands run; default: `out`.
        show: let commands speak for themselves; otherwise all that they say goes to their logs.
        threads: of each command, unless OMP_NUM_THREADS says; default: half the processors.
        leave_out_training: pass over trainings, and what reads their models, where fairseq is not installed.

    Attributes:
        outcomes: of the steps, as they ended.

    Raises:
        PtselError: another run works in the folder.
    """

    def __init__(
        self,
        out: Path | str,
        *,
        base: Path | str | None = None,
        show: bool = True,
        threads: int | None = None,
        leave_out_training: bool = False,
    ) -> None:
        self.out = Path(out).resolve()
        self.base = self.out if base is None else Path(base).resolve()
        self.show, self.leave_out_training = show, leave_out_training
        self.threads = threads or max(1, (os.cpu_count() or 1) // 2)
        self.marks = Marks(self.out / MARKS)
        self.outcomes: list[Outcome] = []
        self._running, self._stopped_by, self._stack = Running(), 0, ExitStack()
        self._number, self._lock = 0, threading.Lock()
        self._asking: deque[threading.Event] = deque()
        self._hears_signals = False

    def __enter__(self) -> Runner:
        busy = f"{self.out}: another run works there, or a command that it has left; wait for it or stop it"
        # A training outlives a runner that is killed; no other may begin in its folder meanwhile.
        self._running.inherited = (self._stack.enter_context(locked_folder(self.out, busy)),)
        if threading.current_thread() is threading.main_thread():
            handlers = {**dict.fromkeys((*ASKED_TO_STOP, signal.SIGINT), self._stop), WAKES: self._answer}
            for number, handler in handlers.items():
                self._stack.callback(signal.signal, number, signal.signal(number, handler))
            self._hears_signals = True
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """End after the commands that run now; at once if asked by Ctrl-C twice."""
        if number == signal.SIGINT and self._stopped_by == signal.SIGINT:
            signal.default_int_handler(number, frame)
        self._stopped_by = number
        if number != signal.SIGINT:  # which a terminal sends to all of them itself
            self._running.tell(number)

    def _answer(self, number: int, frame: FrameType | None) -> None:
        """Tell the threads that ask that all signals that came before they asked have been handled."""
        while self._asking:
            self._asking.popleft().set()

    def _await_signals(self) -> None:
        """Wait until the main thread, which alone handles signals, has handled those that have come.

        A terminal interrupts a command and this process at the same time, and a thread may see the command end before
        the main thread has woken up.
        """
        main = threading.main_thread()
        if not self._hears_signals or main.ident is None or threading.current_thread() is main:
            return
        answered = threading.Event()
        self._asking.append(answered)
        # Python handles signals that wait in the order of their numbers, so this one comes after SIGINT and SIGTERM.
        signal.pthread_kill(main.ident, WAKES)
        # One that comes just before the main thread falls asleep does not wake it.
        while not answered.wait(timeout=0.1):
            signal.pthread_kill(main.ident, WAKES)

    def run(self, step: Step) -> Outcome:
        """Run a step unless it is done.

        Raises:
            PtselError: a command fails, or what the step reads or makes is not there.
            KeyboardInterrupt: it was interrupted; the same step goes on from there, or is done again.
        """
        self._end_if_stopped()
        outcome = self._do(step)
        with self._lock:
            self.outcomes.append(outcome)
        return outcome

    def at_once(self, jobs: int, work: Iterable[Step | Callable[[], object]]) -> None:
        """Do several things at a time: steps, or functions that run steps one after the other.

        The first that fails ends it when those that have begun are done. What is said of steps that run at a time would
        be mixed: give the runner ``show=False``.

        Raises:
            PtselError, KeyboardInterrupt: as `run`.
        """
        pieces = [partial(self.run, piece) if isinstance(piece, Step) else piece for piece in work]
        with ThreadPoolExecutor(jobs) as pool:
            waiting = [pool.submit(piece) for piece in pieces]
            try:
                for piece in waiting:
                    piece.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _end_if_stopped(self) -> None:
        if self._stopped_by == signal.SIGINT:
            raise KeyboardInterrupt
        if self._stopped_by:
            name = signal.Signals(self._stopped_by).name
            print(f"{self.out}: stopped by {name}; the same command goes on from here", file=sys.stderr)
            raise SystemExit(128 + self._stopped_by)

    def _do(self, step: Step) -> Outcome:
        key = step.key()
        done = self.marks.is_done(step, key)
        self._announce(step, done)
        if done:
            return Outcome(step, "done before")
        waits = self._cannot_run(step)
        if waits is not None:
            return waits
        if step.run_folder is not None and not self.marks.begun(step, key):
            set_aside(step.run_folder)
        self.marks.begin(step, key)
        log = self.out / LOGS / f"{step.name}.log"
        log.unlink(missing_ok=True)
        started = time.monotonic()
        for command in step.commands:
            code = run_one(command, self.base, log, self._running, self.threads, self.show)
            self._await_signals()
            self._end_if_stopped()  # a training that was asked to stop has ended well
            if code:
                raise PtselError(self._failure(step, code, log))
        lacking = [str(made) for made in step.makes if not made.exists()]
        if lacking:
            raise PtselError(f"{step.name}: ended well but did not make {', '.join(lacking)}")
        seconds = time.monotonic() - started
        self.marks.finish(step, key, seconds)
        print(
            f"({readable_time(seconds)})" if self.show else f"({step.name}: {readable_time(seconds)})",
            flush=True,
        )
        return Outcome(step, "done", seconds)

    def _announce(self, step: Step, done: bool) -> None:
        """Print a step's commands; without `show` only of those that are run, with their numbers."""
        with self._lock:
            self._number += 1
            number = "" if self.show else f"{self._number}. "
        lines = [f"\n== {number}{step.name}", *(f"$ {shlex.join(command)}" for command in step.commands)]
        if self.show or not done:
            print("\n".join([*lines, *(["(done before)"] if done else [])]), flush=True)

    def _cannot_run(self, step: Step) -> Outcome | None:
        """Why a step is left out, or None if it can be run; raises PtselError if it is to be run all the same."""
        if not can_run(step):
            message = "fairseq is not installed here; pip install 'ptsel_fairseq[fairseq]'"
            if not self.leave_out_training:
                raise PtselError(f"{step.name}: {message}")
            print(f"(not run: {message})")
            return Outcome(step, "not run: no fairseq here")
        missing = [path for path in step.reads if not path.exists()]
        if not missing:
            return None
        if self.leave_out_training and find_program(TRAIN) is None:
            print(f"(not run: {missing[0]} is not there yet)")
            return Outcome(step, "not run: waits for training")
        raise PtselError(f"{step.name}: {missing[0]}: is not there; expected it before this step")

    def _failure(self, step: Step, code: int, log: Path) -> str:
        logged = step.needs_fairseq or not self.show
        if logged:
            print(end_of(log), end="", flush=True)
        return f"{step.name}: ended with exit code {code}; the same command goes on from here" + (
            f", its whole output is in {log}" if logged else ""
        )


def can_run(step: Step) -> bool:
    """Whether the program of its trainings is here."""
    return not step.needs_fairseq or find_program(TRAIN) is not None


def set_aside(folder: Path) -> None:
    """A run of other inputs is not continued, and not removed either: it becomes ``<folder>.before-N``."""
    if folder.is_dir() and any(folder.iterdir()):
        number = 1
        while (kept := folder.with_name(f"{folder.name}.before-{number}")).exists():
            number += 1
        folder.rename(kept)
        print(f"(an earlier run of other inputs is kept as {kept})")


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
