"""What `ptsel extract` says beforehand of time and disk, over what it then takes.

    python benchmarks/bench_estimate.py [DATA_DIR ...] [--rounds N] [--labels NAME ...]

Each run is the command as it is typed, on the manifests' utterances repeated until they take some seconds. The time
runs from when the estimate is printed to the end. A round does every corpus, label set and number of processes once.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from ptsel_fairseq.labels.grid import SAMPLE_RATE
from ptsel_fairseq.manifest import manifest_file, read_manifest

ASTERISK = Path(__file__).resolve().parent.parent / "examples" / "asterisk"
UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "s": 1, "min": 60, "h": 3600}
HOURS = {"zaiem_speech": 0.7, "music": 0.2, "all": 0.12}  # of audio to extract
ESTIMATE = re.compile(r"about ([\d.]+) (s|min|h) with .*, ([\d.]+) (\w+) of ")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description="Compare the estimates of `ptsel extract` with what it takes."
    )
    parser.add_argument("data_dirs", nargs="*", type=Path, default=[ASTERISK], metavar="DATA_DIR")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--labels", nargs="+", default=list(HOURS), metavar="NAME")
    options = parser.parse_args(arguments)
    times, rooms = defaultdict(list), defaultdict(list)
    for _ in range(options.rounds):
        for data_dir in options.data_dirs:
            for labels in options.labels:
                for jobs in (1, 2):
                    time_ratio, room_ratio = measure(data_dir, labels, jobs)
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


def measure(data_dir: Path, labels: str, jobs: int) -> tuple[float, float]:
    """Time and disk that one run's estimate says, each over what the run takes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        repeat(data_dir, HOURS.get(labels, 0.12), folder / "train.tsv")
        command = [sys.executable, "-u", "-m", "ptsel_fairseq.cli", "extract", folder, "--splits", "train"]
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


def repeat(data_dir: Path, hours: float, out: Path) -> None:
    """A manifest of the training utterances, repeated to so many hours."""
    manifest = read_manifest(manifest_file(data_dir, "train"))
    seconds = sum(utterance.samples for utterance in manifest) / SAMPLE_RATE
    lines = [f"{utterance.path}\t{utterance.samples}" for utterance in manifest]
    times = max(1, round(hours * 3600 / seconds))
    out.write_text("\n".join([str(manifest.root), *lines * times]) + "\n")


if __name__ == "__main__":
    main()
