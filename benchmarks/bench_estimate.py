"""What `ptsel extract` says beforehand of time and disk, over what it then takes.

    python benchmarks/bench_estimate.py [DATA_DIR ...] [--rounds N] [--labels NAME ...] [--clock]

A round does every corpus, label set and number of processes once, on the training utterances repeated until they take
some seconds. Both sides are counted in processor time, since a machine that is shared changes from one second to the
next: the sample's against that of this process and, shared among them, of its workers. With `--clock` the command runs
as it is typed, and what it prints is compared with the clock, from when it is printed to the end.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from common import ASTERISK, Figure, finish, parse, parser_of

from ptsel_fairseq.base.grid import SAMPLE_RATE
from ptsel_fairseq.base.manifest import manifest_file, read_manifest

UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "s": 1, "min": 60, "h": 3600}
HOURS = {"zaiem_speech": 0.7, "music": 0.2, "all": 0.12}  # of audio to extract
FEW_HOURS = 0.12  # of any other label
ESTIMATE = re.compile(r"about ([\d.]+) (s|min|h) with .*, ([\d.]+) (\w+) of ")


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    parser.add_argument("data_dirs", nargs="*", type=Path, default=[ASTERISK], metavar="DATA_DIR")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--labels", nargs="+", default=list(HOURS), metavar="NAME")
    parser.add_argument(
        "--clock", action="store_true", help="time as the clock says (default: processor time)"
    )
    parser.add_argument(
        "--hours", type=float, help="of audio to extract (default: as many as take some seconds)"
    )
    parser.add_argument(
        "--jobs", nargs="+", type=int, default=[1, 2], metavar="N", help="numbers of processes"
    )
    options = parse(parser, arguments, {"rounds": 1, "labels": ["zcr"], "hours": 0.01, "jobs": [1]})
    measure = by_clock if options.clock else by_processor_time
    times, rooms = defaultdict(list), defaultdict(list)
    for _ in range(options.rounds):
        for data_dir in options.data_dirs:
            for labels in options.labels:
                for jobs in options.jobs:
                    hours = options.hours or HOURS.get(labels, FEW_HOURS)
                    time_ratio, room_ratio = measure(data_dir, labels, jobs, hours)
                    times[data_dir.name, labels, jobs].append(time_ratio)
                    rooms[data_dir.name, labels, jobs].append(room_ratio)
    print("| corpus | labels | processes | said over taken: time, median (range) | disk |")
    print("| --- | --- | --- | --- | --- |")
    for key, found in times.items():
        middle, low, high = statistics.median(found), min(found), max(found)
        corpus, labels, jobs = key
        print(
            f"| {corpus} | {labels} | {jobs} | {middle:.2f} ({low:.2f} to {high:.2f}) | "
            f"{statistics.median(rooms[key]):.3f} |"
        )
    return finish(
        options,
        [
            Figure(f"time said over taken, {labels} with {jobs} processes", statistics.median(found))
            for (_, labels, jobs), found in times.items()
        ],
    )


def by_clock(data_dir: Path, labels: str, jobs: int, hours: float) -> tuple[float, float]:
    """Time and disk that one run's estimate says, each over what the run takes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        repeat(data_dir, hours, folder / "train.tsv")
        command = [sys.executable, "-u", "-m", "ptsel_fairseq", "extract", folder, "--splits", "train"]
        command += ["--labels", labels, "--store", folder / "store", "--jobs", str(jobs)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            assert process.stdout is not None
            said = next(match for line in process.stdout if (match := ESTIMATE.search(line)))
            begun = time.monotonic()
            process.stdout.read()
        taken = time.monotonic() - begun
        if process.returncode:
            raise SystemExit(f"{command}: exit code {process.returncode}")
        size = sum(file.stat().st_size for file in (folder / "store").rglob("*.npy"))
    seconds, room = float(said[1]) * UNITS[said[2]], float(said[3]) * UNITS[said[4]]
    print(f"{data_dir.name} {labels} {jobs}: said {seconds:.0f} s, took {taken:.1f} s", file=sys.stderr)
    return seconds / taken, room / size


EXTRACTION = """
import resource, sys, time
from ptsel_fairseq.base import workers
from ptsel_fairseq.labels.extraction import cost as estimate
from ptsel_fairseq.labels.tracks import resolve
from ptsel_fairseq.labels.extraction.extract import fill
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels.store.writer import StoreWriter
from ptsel_fairseq.base.manifest import read_manifest
folder, labels, jobs = sys.argv[1], resolve([sys.argv[2]]), int(sys.argv[3])
def processor_time(who):
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime
workers.SHORT_WORK_SECONDS = 0  # as many processes as are asked for
estimate.time.perf_counter = time.process_time
writer = StoreWriter(folder + "/store", read_manifest(folder + "/train.tsv"), labels, FrameGrid())
cost = estimate.measure_cost(writer, writer.todo(), labels)
seconds = sum(utterance.samples for utterance in writer.todo()) / writer.grid.sample_rate
room = writer.bytes_missing()
before = processor_time(resource.RUSAGE_SELF)
fill(writer, jobs)
own, theirs = processor_time(resource.RUSAGE_SELF) - before, processor_time(resource.RUSAGE_CHILDREN)
print(cost.total(seconds, jobs), own + theirs / jobs, room)
"""


def by_processor_time(data_dir: Path, labels: str, jobs: int, hours: float) -> tuple[float, float]:
    """As `by_clock`, in processor time and without the command around it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        repeat(data_dir, hours, folder / "train.tsv")
        command = [sys.executable, "-W", "ignore", "-c", EXTRACTION, str(folder), labels, str(jobs)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        said, taken, room = map(float, done.stdout.split())
        size = sum(file.stat().st_size for file in (folder / "store").rglob("*.npy"))
    print(f"{data_dir.name} {labels} {jobs}: said {said:.1f} s, took {taken:.1f} s", file=sys.stderr)
    return said / taken, room / size


def repeat(data_dir: Path, hours: float, out: Path) -> None:
    """A manifest of the training utterances, repeated to so many hours."""
    manifest = read_manifest(manifest_file(data_dir, "train"))
    seconds = sum(utterance.samples for utterance in manifest) / SAMPLE_RATE
    lines = [f"{utterance.path}\t{utterance.samples}" for utterance in manifest]
    times = max(1, round(hours * 3600 / seconds))
    out.write_text("\n".join([str(manifest.root), *lines * times]) + "\n")


if __name__ == "__main__":
    main()
