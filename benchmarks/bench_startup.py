"""Start-up: what commands take before they compute anything, over a Python that only imports numpy.

    python benchmarks/bench_startup.py [--rounds N]

Each command is a process of its own; its processor time is what the operating system says of it once it has ended.
They take turns in every round. `ptsel score` and `ptsel select` run on the bundled words; what they take is over that
of the libraries which they cannot do without: both draw a picture.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from common import ASTERISK, Figure, bundled, finish, in_turns, medians, parse, parser_of, ratio

from ptsel_fairseq.labels.extraction.extract import extract

FLOOR, LIBRARIES = "python that imports numpy", "python that imports numpy, scipy.linalg and matplotlib"
LIGHT = {
    "ptsel --help": ["--help"],
    "ptsel labels": ["labels"],
    "ptsel check --headers-only": ["check", str(ASTERISK), "--headers-only"],
}
GOAL_LIGHT, GOAL_SCORE, GOAL_SELECT = 4.0, 4.0, 2.0
LABELS = ("f0", "loudness", "zcr")
PERMUTATIONS = 100


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    options = parse(parser, arguments, {"rounds": 1})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        extract(bundled(), LABELS, folder / "store")
        heavy = {"ptsel score": score_arguments(folder), "ptsel select": select_arguments(folder)}
        run(ptsel(heavy["ptsel score"]))  # which select reads
        commands = {
            FLOOR: [sys.executable, "-c", "import numpy"],
            LIBRARIES: [sys.executable, "-c", "import numpy, scipy.linalg, matplotlib.figure"],
            **{name: ptsel(words) for name, words in {**LIGHT, **heavy}.items()},
        }
        times = measure(commands, options.rounds)
    print("| command | processor time, s |\n| --- | --- |")
    for command, seconds in medians(times).items():
        print(f"| {command} | {seconds:.2f} |")
    figures = [Figure(f"{name}, over {FLOOR}", ratio(times, name, FLOOR), GOAL_LIGHT, True) for name in LIGHT]
    for name, goal in (("ptsel score", GOAL_SCORE), ("ptsel select", GOAL_SELECT)):
        figures.append(Figure(f"{name}, over {LIBRARIES}", ratio(times, name, LIBRARIES), goal, True))
    return finish(options, figures)


def ptsel(words: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "ptsel_fairseq", *words]


def score_arguments(folder: Path) -> list[str]:
    """Words of the bundled speech, few permutations: importing is much of it."""
    words = ["score", str(ASTERISK), "--classes", str(ASTERISK / "classes" / "word.tsv")]
    words += ["--store", str(folder / "store"), "--out", str(folder / "scores"), "--jobs", "1"]
    return [*words, "--permutations", str(PERMUTATIONS), "--bootstrap", str(PERMUTATIONS)]


def select_arguments(folder: Path) -> list[str]:
    return ["select", str(folder / "scores"), "--method", "direct", "--out", str(folder / "weights.yaml")]


def run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")


def measure(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, list[float]]:
    """Processor time of each command in each round, after one that fills the file cache."""
    return in_turns({name: partial(run, command) for name, command in commands.items()}, rounds, of_children)


def of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
