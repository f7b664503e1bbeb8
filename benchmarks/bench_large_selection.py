"""Scores and weights for a task of VoxCeleb1's size: time and memory, each step in turn.

    OMP_NUM_THREADS=1 python benchmarks/bench_large_selection.py [--classes 1251] [--points 148642] [--labels 30]
    python benchmarks/bench_large_selection.py --estimators relevance --labels 40 --columns 500

Simulated speech vectors of 1,200 dimensions (30 frames of 40 bands) and labels; the classes' sizes are drawn
between VoxCeleb1's 45 and 250 utterances of a speaker. Prints seconds, the peak memory, and
how many times real time that is for a corpus of 350 hours.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from common import Figure, finish, parse, parser_of

from ptsel_fairseq.base.files import readable_size, readable_time
from ptsel_fairseq.base.workers import available_cores
from ptsel_fairseq.selection import Points, score_labels, select_weights

DIMENSIONS = 1200
HOURS = 350
METHODS = {"cka": ("direct", "redundancy", "mrmr", "group"), "relevance": ("relevance",)}


def simulated(classes: int, points: int, labels: int, columns: int, seed: int = 0) -> Points:
    """Speech of a few factors, and labels that follow them more or less."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(45, 251, classes).astype(float)
    sizes = np.maximum(4, np.floor(sizes * points / sizes.sum())).astype(int)
    sizes[0] += max(0, points - sizes.sum())
    number = np.repeat(np.arange(classes), sizes)
    factors = rng.normal(size=(len(number), 8)) + rng.normal(size=(classes, 8))[number]
    x = factors.astype(np.float32) @ rng.normal(size=(8, DIMENSIONS)).astype(np.float32)
    x += rng.normal(size=x.shape).astype(np.float32) - 20
    follows = np.linspace(0, 1, labels)
    dims = np.full(labels, columns // labels) + (np.arange(labels) < columns % labels)
    values = {
        f"label{i:02d}": follows[i] * np.roll(factors, i, axis=1)[:, [0] * dims[i]]
        + rng.normal(size=(len(x), dims[i]))
        for i in range(labels)
    }
    return Points(x, values, np.array([f"class{i:04d}" for i in number]))


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    parser.add_argument("--classes", type=int, default=1251)
    parser.add_argument("--points", type=int, default=148_642)
    parser.add_argument("--labels", type=int, default=30)
    parser.add_argument("--columns", type=int, help="of all labels together (default: one each)")
    parser.add_argument("--permutations", type=int, default=1000)
    parser.add_argument("--estimators", nargs="+", default=["cka", "relevance"], choices=["cka", "relevance"])
    options = parse(parser, arguments, {"classes": 6, "points": 60, "labels": 3, "permutations": 9})
    points = simulated(options.classes, options.points, options.labels, options.columns or options.labels)
    print(
        f"{len(points):,} points of {DIMENSIONS} dimensions in {options.classes:,} classes, {options.labels} labels, "
        f"{available_cores()} cores; the data take {readable_size(points.x.nbytes)}"
    )
    memory = PeakMemory()
    figures = []
    for estimator in options.estimators:
        started = time.perf_counter()
        scores = score_labels(
            points.x,
            points.labels,
            points.classes,
            estimator=estimator,
            permutations=options.permutations,
            progress=True,
        )
        report(f"{estimator}, {options.permutations} permutations", time.perf_counter() - started, memory)
        for method in METHODS[estimator]:
            begun = time.perf_counter()
            found = select_weights(points, method=method, estimator=estimator, scores=scores)
            report(f"weights by {method}", time.perf_counter() - begun, memory)
            shown = ("residual", "restarts", "starts_tried_on_a_sample", "relative_gap", "steps", "finding")
            print({key: found.details[key] for key in shown if key in found.details}, flush=True)
        total = time.perf_counter() - started
        print(
            f"all of it: {readable_time(total)}, {HOURS * 3600 / total:.0f} times real time for {HOURS} h of speech"
        )
        title = f"scores and weights of {HOURS} h by {estimator}, times real time"
        figures.append(Figure(title, HOURS * 3600 / total))
    return finish(options, figures)


def report(what: str, seconds: float, memory: PeakMemory) -> None:
    print(f"{what:34s} {seconds:8.1f} s   peak with the data {readable_size(memory.peak)}", flush=True)
    memory.peak = resident_memory()


class PeakMemory(threading.Thread):
    """The largest memory, in bytes, of this process and its children together, looked at twenty times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = resident_memory()
        self.start()

    def run(self) -> None:
        while True:
            self.peak = max(self.peak, resident_memory())
            time.sleep(0.05)


def resident_memory() -> float:
    own = str(os.getpid())
    total = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines())
        except OSError:  # it has ended
            continue
        if own in (fields["Pid"], fields["PPid"]):
            total += int(fields.get("VmRSS", "0 kB").split()[0])
    return total * 1024.0


if __name__ == "__main__":
    main()
