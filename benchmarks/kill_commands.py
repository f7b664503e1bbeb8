"""Commands that are killed at random moments and run again: their outputs are those of a run that was left alone.

    python benchmarks/kill_commands.py [--kills N] [--commands NAME ...]

Each kill is SIGKILL of the command and all its processes, at a moment spread over the time that it takes.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from commands import clean_run, contents, fresh, run, start, wait, warm_up
from common import Figure, finish, parse, parser_of
from every_command import prepare


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--commands", nargs="+", metavar="NAME")
    options = parse(parser, arguments, {"kills": 1, "commands": ["manifest", "extract", "export"]})
    warm_up()
    draw, lost = random.Random(0), 0
    with tempfile.TemporaryDirectory() as work:
        base = Path(work)
        print(f"{'command':12s} {'kills':>6s} {'ended before':>13s} {'another result':>15s}")
        for command in prepare(base / "in"):
            if options.commands and command.name not in options.commands:
                continue
            expected, seconds = clean_run(command, base / "out")
            faults: list[str] = []
            too_late = 0
            for _ in range(options.kills):
                with fresh(command, base / "out") as out:
                    process = start(command.words(out), base / "log")
                    time.sleep(draw.uniform(0, 1.1 * seconds))
                    try:
                        os.killpg(process, signal.SIGKILL)
                    except (ProcessLookupError, PermissionError):
                        os.kill(process, signal.SIGKILL)
                    too_late += wait(process) == 0
                    code = run(command.words(out), base / "log")
                    if code:
                        faults.append(f"exit code {code}: {(base / 'log').read_text()[-300:]}")
                    elif contents(command, out) != expected:
                        different = contents(command, out).items() ^ expected.items()
                        faults.append(f"other files: {', '.join(sorted({name for name, _ in different}))}")
            lost += len(faults)
            print(f"{command.name:12s} {options.kills:6d} {too_late:13d} {len(faults):15d}", flush=True)
            for fault in sorted(set(faults)):
                print(f"    {faults.count(fault)} x {fault}")
    return finish(options, [Figure("kills after which a rerun gave another result", lost, 0, at_most=True)])


if __name__ == "__main__":
    sys.exit(not all(figure.met for figure in main()))
