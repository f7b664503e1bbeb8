"""`ptsel run`: do the steps of a pipeline that are not done, and say what each took."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.suggestion import did_you_mean
from ptsel_fairseq.pipeline.road import steps_of
from ptsel_fairseq.pipeline.runner import Outcome, Runner, can_run, print_table
from ptsel_fairseq.pipeline.settings import read_settings
from ptsel_fairseq.pipeline.step import Marks, Step


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
    runner = Runner(settings.out, base=settings.base, leave_out_training=True)
    again = steps[_position(steps, from_step) :] if from_step else []
    if dry_run:
        print_table(_plan(steps, runner.marks, again), dry_run)
        return
    with runner:
        runner.marks.forget(again)
        for step in steps:
            runner.run(step)
    print()
    print_table(runner.outcomes)
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
            outcomes.append(Outcome(step, "to do" if can_run(step) else "not run: no fairseq here"))
            stale |= set(step.makes)
    return outcomes
