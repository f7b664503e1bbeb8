"""A training by fairseq's own command, for the benchmarks that need one to its end."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.pipeline.commands import find_program, training_command
from ptsel_fairseq.runs import Run, read_run


def train_to_the_end(run: Path, recipe: Path, settings: Mapping[str, object], updates: int) -> Run:
    """Train, from the last checkpoint in the folder `run` if there is one; its output goes to ``output.txt`` there.

    Raises:
        PtselError: it failed, or was asked to stop before so many updates.
    """
    program, *words = training_command(recipe, run, *(f"{key}={value}" for key, value in settings.items()))
    with (run / "output.txt").open("w") as output:
        done = subprocess.run(
            [find_program(program) or program, *words],
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if done.returncode != 0:
        end = (run / "output.txt").read_text(errors="replace")[-2000:]
        raise PtselError(f"{run}: training ended with {done.returncode}; see output.txt there:\n{end}")
    found = read_run(run)
    if found.records[-1].update < updates:
        raise PtselError(f"{run}: training was asked to stop before its end; run the same command to go on")
    return found
