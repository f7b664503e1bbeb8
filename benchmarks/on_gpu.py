"""The parts of `on_gpu.sh` one after the other, each within its time, and one table of what they found.

    benchmarks/on_gpu.sh [--device cpu] [--tiny]

Output of each part goes to FOLDER/PART.txt, the table to FOLDER/table.md. Ends with 0 if every part ran to its end.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from common import ROOT, Figure
from table import machine, row_of

from ptsel_fairseq.base.files import write_text

HERE = Path(__file__).resolve().parent
BUDGET = 600.0  # seconds of all parts and of making the environment


@dataclass(frozen=True)
class Part:
    """A program that writes figures.

    Args:
        name: of its output and rows.
        words: after the Python program, without device and size.
        seconds: it may take.
        figures: whether it is a benchmark, with ``--device``, ``--tiny`` and ``--figures``; else pytest.
    """

    name: str
    words: tuple[str, ...]
    seconds: float
    figures: bool = True


# The other files would be collected for nothing.
TESTS = sorted(
    str(file) for file in (ROOT / "tests").rglob("test_*.py") if "pytest.mark.gpu" in file.read_text()
)

PARTS = (
    Part("tests", ("-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", *TESTS), 120, figures=False),
    Part("step in fp16", ("bench_step.py", "--model", "base", "--dtype", "fp16", "--utterances", "16"), 60),
    Part("step in bf16", ("bench_step.py", "--model", "base", "--dtype", "bf16", "--utterances", "16"), 60),
    Part("labels and scores", ("bench_device.py",), 90),
    Part("updates", ("bench_updates.py", "--model", "base", "--updates", "200"), 180),
    Part(
        "profile",
        ("bench_step.py", "--model", "base", "--profile", "--rounds", "3", "--utterances", "16"),
        120,
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="the smallest sizes, whose times mean nothing")
    parser.add_argument("--budget", type=float, default=BUDGET, help="seconds of all together (default 600)")
    parser.add_argument("--spent", type=float, default=0.0, help="of them, before this began")
    parser.add_argument("--only", nargs="+", choices=[part.name for part in PARTS], metavar="PART")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        print(
            f"on_gpu: torch {torch.__version__} finds no GPU here; --device cpu --tiny is a dry run",
            file=sys.stderr,
        )
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + options.budget - options.spent
    lines = [f"{device_in_words(options.device)}; {machine()}", ""]
    lines += ["| part | figure | measured | goal | |", "| --- | --- | --- | --- | --- |"]
    print("\n".join(lines), flush=True)
    failed = 0
    for part in PARTS:
        if options.only and part.name not in options.only:
            continue
        left = deadline - time.monotonic()
        seconds = min(part.seconds, left) if options.device == "cuda" else part.seconds * 10
        rows = [f"| {part.name} | FAILED: no time was left | | | |"]
        ran = False
        if seconds > 0:
            rows, ran = run(part, options, seconds)
        failed += not ran
        lines += rows
        print("\n".join(rows), flush=True)
        write_text(options.out / "table.md", "\n".join(lines) + "\n")
    print(f"\n{failed} parts failed; {options.out / 'table.md'}")
    return int(failed > 0)


def device_in_words(device: str) -> str:
    if device == "cpu":
        return "No GPU: a dry run"
    properties = torch.cuda.get_device_properties(0)
    return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"


def run(part: Part, options: argparse.Namespace, seconds: float) -> tuple[list[str], bool]:
    """Rows of the table, and whether the part ran to its end; its processes are ended with its time."""
    name = part.name.replace(" ", "_")
    figures, output = options.out / f"{name}.json", options.out / f"{name}.txt"
    figures.unlink(missing_ok=True)
    words = [sys.executable, "-W", "ignore", *part.words]
    if part.figures:
        words[3] = str(HERE / words[3])
        words += ["--device", options.device, "--figures", str(figures)] + ["--tiny"] * options.tiny
        if options.tiny and "--model" in words:  # what stands on the command line wins over the small sizes
            words[words.index("--model") + 1] = "tiny"
        for option in ("--updates", "--rounds", "--utterances") if options.tiny else ():
            if option in words:
                words[words.index(option) + 1] = "4" if option == "--updates" else "2"
    started = time.monotonic()
    with (
        output.open("w") as lines,
        subprocess.Popen(
            words,
            stdout=lines,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=dict(os.environ),
            start_new_session=True,
        ) as process,
    ):
        try:
            code = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return [f"| {part.name} | FAILED: not done after {seconds:.0f} s; {output.name} | | | |"], False
    if code:
        return [
            f"| {part.name} | FAILED with {code} after {time.monotonic() - started:.0f} s; {output.name} | | | |"
        ], False
    if part.figures:
        return [row_of(part.name, Figure(**one)) for one in json.loads(figures.read_text())], True
    said = re.findall(r"\d+ (?:passed|failed|skipped|error)\w*", output.read_text())
    return [f"| {part.name} | {', '.join(said)} | | | |"], True


if __name__ == "__main__":
    sys.exit(main())
