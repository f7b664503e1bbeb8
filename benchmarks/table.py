"""Every ratio that has a goal, measured in one run of at most a quarter of an hour, as one table.

    python benchmarks/table.py [--tiny] [--only NAME ...]

`make bench` runs this. Each benchmark is a process of its own on one thread; its full output goes to stderr. A missed
goal is reported and is no failure, since goals are for the machine they were set on. A benchmark that ends in an error
is a failure.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from common import Figure

from ptsel_fairseq.base.workers import available_cores

HERE = Path(__file__).resolve().parent
# Sizes at which a figure is that of the full benchmark, and all of them together take some minutes.
PLAN: dict[str, list[str]] = {
    "bench_startup": ["--rounds", "3"],
    "bench_labels": ["--rounds", "7", "--utterances", "40"],
    "bench_music_labels": ["--rounds", "3", "--seconds", "30"],
    "bench_selection": [],
    "bench_group": ["--classes", "4", "--starts", "1"],
    "bench_loading": ["--rounds", "5"],
    "bench_step": ["--model", "tiny", "--rounds", "31"],
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tiny", action="store_true", help="the smallest sizes, whose times mean nothing")
    parser.add_argument("--only", nargs="+", choices=PLAN, default=list(PLAN), metavar="NAME")
    options = parser.parse_args(arguments)
    print(machine(), flush=True)
    print("\n| benchmark | figure | measured | goal | |\n| --- | --- | --- | --- | --- |", flush=True)
    started, failed = time.monotonic(), 0
    for name in options.only:
        figures = measure(name, ["--tiny"] if options.tiny else PLAN[name])
        failed += figures is None
        for row in (
            [row_of(name, figure) for figure in figures] if figures else [f"| {name} | FAILED | | | |"]
        ):
            print(row, flush=True)
    print(f"\n{(time.monotonic() - started) / 60:.1f} minutes; {failed} benchmarks failed")
    return int(failed > 0)


def machine() -> str:
    """The processor, cores that this process may use, and the versions of what computes."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line
        ]
        cpu = names[0] if names else cpu
    return (
        f"{cpu}, {available_cores()} cores, load {os.getloadavg()[0]:.1f}; {platform.system()}, "
        f"Python {platform.python_version()}, numpy {np.__version__}, torch {torch.__version__}; "
        f"{time.strftime('%Y-%m-%d')}"
    )


def measure(name: str, arguments: Sequence[str]) -> list[Figure] | None:
    """The figures with goals of one benchmark, None if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "figures.json"
        command = [
            sys.executable,
            "-W",
            "ignore",
            str(HERE / f"{name}.py"),
            *arguments,
            "--figures",
            str(file),
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                print(line, end="", file=sys.stderr, flush=True)
        if process.returncode:
            return None
        found = [Figure(**figure) for figure in json.loads(file.read_text())]
    return [figure for figure in found if figure.goal is not None]


def row_of(name: str, figure: Figure) -> str:
    cells = [name, figure.what, f"{figure.value:.3g}", "", ""]
    if figure.goal is not None:
        side = "at most" if figure.at_most else "at least"
        cells[3:] = [f"{side} {figure.goal:g}", "met" if figure.met else "missed"]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
