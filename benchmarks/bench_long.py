"""Memory and time that labels of a recording of hours take, in a process of its own.

    python benchmarks/bench_long.py [--hours H ...] [--labels NAME ...]

The recording is the bundled clips in random order, again and again, as FLAC. Memory is the process's peak, libraries
included; time is that of its processor.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import soundfile
from common import ASTERISK, Figure, finish, parse, parser_of

from ptsel_fairseq.base.grid import SAMPLE_RATE

EXTRACTION = """
import resource, sys
from ptsel_fairseq.labels.extraction.extract import extract
from ptsel_fairseq.base.manifest import read_manifest
extract(read_manifest(sys.argv[1] + "/long.tsv"), [sys.argv[2]], sys.argv[1] + "/store", jobs=1)
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_maxrss / 1e3, used.ru_utime + used.ru_stime)
"""


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    parser.add_argument("--hours", nargs="+", type=float, default=[1, 3], metavar="H")
    parser.add_argument("--labels", nargs="+", default=["zaiem_speech", "music", "all"], metavar="NAME")
    options = parse(parser, arguments, {"hours": [0.002], "labels": ["zcr"]})
    figures = []
    print("| hours | labels | peak memory, MB | processor time, s |\n| --- | --- | --- | --- |")
    for hours in options.hours:
        for labels in options.labels:
            with tempfile.TemporaryDirectory() as folder:
                write_recording(Path(folder), round(hours * 3600 * SAMPLE_RATE))
                memory, seconds = measure(folder, labels)
            print(f"| {hours:g} | {labels} | {memory:.0f} | {seconds:.0f} |", flush=True)
            figures.append(Figure(f"{labels} of a recording of {hours:g} h, peak memory in MB", memory))
    return finish(options, figures)


def write_recording(folder: Path, samples: int) -> None:
    """A recording of so many samples, and its manifest."""
    clips = [soundfile.read(file, dtype="float32")[0] for file in sorted(ASTERISK.glob("audio/*/*.ogg"))]
    draw, left = random.Random(0), samples
    with soundfile.SoundFile(folder / "long.flac", "w", SAMPLE_RATE, 1, subtype="PCM_16") as out:
        while left:
            clip = draw.choice(clips)[:left]
            out.write(clip)
            left -= len(clip)
    (folder / "long.tsv").write_text(f"{folder}\nlong.flac\t{samples}\n")


def measure(folder: str, labels: str) -> tuple[float, float]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", EXTRACTION, folder, labels], capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    memory, seconds = map(float, done.stdout.split())
    return memory, seconds


if __name__ == "__main__":
    main()
