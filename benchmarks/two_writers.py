"""Two of one command at once, writing to one place: what is there in the end is one whole result.

    python benchmarks/two_writers.py [--tries N] [--commands NAME ...]

The second begins a random moment after the first. Each may end well, or with exit code 2 and a line that says another
one is at work. Afterwards every file must be byte-identical to that of a run that was alone.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from commands import Command, clean_run, contents, fresh, start, wait, warm_up
from common import Figure, finish, parse, parser_of
from every_command import prepare


def one_try(command: Command, out: Path, logs: Path, later: float) -> tuple[str, bool]:
    """Run two; what went wrong (nothing if all is well), and whether one of them gave way."""
    processes = [start(command.words(out), logs / "a")]
    time.sleep(later)
    processes.append(start(command.words(out), logs / "b"))
    codes = [wait(process) for process in processes]
    said = [(logs / name).read_text(errors="replace") for name in "ab"]
    for code, text in zip(codes, said, strict=True):
        refused = code == 2 and "another" in text and "Traceback" not in text
        if code and not refused:
            return f"exit code {code}: {text[-300:]}", False
    return ("" if 0 in codes else "both gave way"), codes != [0, 0]


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    parser.add_argument("--tries", type=int, default=200)
    parser.add_argument("--commands", nargs="+", metavar="NAME")
    options = parse(parser, arguments, {"tries": 1, "commands": ["manifest", "select", "export"]})
    warm_up()
    draw, mixed = random.Random(0), 0
    with tempfile.TemporaryDirectory() as work:
        base = Path(work)
        print(f"{'command':12s} {'tries':>6s} {'gave way':>9s} {'mixed or failed':>16s}")
        for command in prepare(base / "in"):
            if options.commands and command.name not in options.commands:
                continue
            expected, seconds = clean_run(command, base / "out")
            faults, gave_way = [], 0
            for _ in range(options.tries):
                with fresh(command, base / "out") as out:
                    fault, gave = one_try(command, out, base, draw.uniform(0, draw.choice((0.01, seconds))))
                    gave_way += gave
                    if fault or contents(command, out) != expected:
                        faults.append(fault or "the result is another than that of a run alone")
            mixed += len(faults)
            print(f"{command.name:12s} {options.tries:6d} {gave_way:9d} {len(faults):16d}", flush=True)
            for fault in sorted(set(faults)):
                print(f"    {faults.count(fault)} x {fault}")
    return finish(
        options, [Figure("results of two writers that are not one whole one", mixed, 0, at_most=True)]
    )


if __name__ == "__main__":
    sys.exit(not all(figure.met for figure in main()))
