"""Extractions that are killed at moments spread over their run, gone on with, and compared with one that was not.

    python benchmarks/kill_extraction.py [--kills N] [--seed N]

Each kill is SIGKILL of the command's process and its workers, of the process alone (its workers outlive it by a second
and may still write while the next run is at work), or of one worker. Then the same extraction is run again, and its
store must be byte-identical to that of a run that was left alone. The corpus is bundled clips and a recording of four
minutes, which the workers write themselves.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import soundfile
from common import ASTERISK, Figure, finish, parse, parser_of

from ptsel_fairseq.base.files import file_checksum

LABELS = ("f0", "jitter", "log_mel", "rasta_l1")
TARGETS = ("everything", "the process alone", "a worker")
EXTRACTION = """
import sys
from ptsel_fairseq.base import workers
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.labels.store import writer
from ptsel_fairseq.labels.extraction.extract import extract
from ptsel_fairseq.base.manifest import read_manifest
workers.SHORT_WORK_SECONDS = 0  # two worker processes, whatever the length of the corpus
writer.SECONDS_BETWEEN_FLUSHES = 0.1
try:
    extract(read_manifest(sys.argv[1]), sys.argv[3:], sys.argv[2], jobs=2)
except PtselError as error:
    sys.exit(f"refused: {error}")
"""


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    parser.add_argument("--kills", type=int, default=20, metavar="N")
    parser.add_argument("--clips", type=int, default=60, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    options = parse(parser, arguments, {"kills": 3, "clips": 10})
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = make_corpus(folder, options.clips)
        starting, working = run(manifest, folder / "clean")
        clean = contents(folder / "clean")
        print(
            f"a run left alone: {starting:.1f} s until its first tracks were kept, {working:.1f} s from then on"
        )
        print("| killed | when | utterances kept | after the next run |\n| --- | --- | --- | --- |")
        spoiled = 0
        for n, target in zip(range(options.kills), itertools.cycle(TARGETS), strict=False):
            share = (n + draw.random()) / options.kills
            early = n % 4 == 0
            delay = share * (starting if early else working)
            store = folder / f"store{n}"
            kept = kill_once(manifest, store, target, early, delay, draw)
            run(manifest, store)
            same = contents(store) == clean
            spoiled += not same
            when = f"{delay:.2f} s after {'its journal began' if early else 'its first tracks were kept'}"
            print(
                f"| {target} | {when} | {kept} | {'the same bytes' if same else 'OTHER BYTES'} |", flush=True
            )
    print(f"{options.kills} kills, {spoiled} stores differ")
    return finish(options, [Figure("stores that a kill has changed", spoiled, 0, True)])


def make_corpus(folder: Path, clips: int) -> Path:
    """Links to bundled clips, and in their middle some of them joined to a long recording."""
    found = sorted((ASTERISK / "audio").rglob("*.ogg"))
    chosen = found[:: max(1, len(found) // clips)][:clips]
    waves = [soundfile.read(clip, dtype="float32")[0] for clip in found]
    long = np.concatenate(waves)[: 240 * 16_000]
    soundfile.write(folder / "long.flac", long, 16_000)
    lines = [f"{clip}\t{soundfile.info(clip).frames}" for clip in chosen]
    lines.insert(len(lines) // 2, f"{folder / 'long.flac'}\t{len(long)}")
    (folder / "train.tsv").write_text("\n".join(["/", *lines]) + "\n")
    return folder / "train.tsv"


def start(manifest: Path, store: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", EXTRACTION, manifest, store, *LABELS],
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def run(manifest: Path, store: Path) -> tuple[float, float]:
    """Extract to the end: seconds from the journal to the first tracks kept, and from there on."""
    process = start(manifest, store)
    wait(lambda: journal_of(store).exists(), process)
    begun = time.monotonic()
    wait(lambda: kept_in(store) > 0, process)
    first = time.monotonic()
    _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"an extraction failed:\n{errors}")
    return first - begun, time.monotonic() - first


def wait(reached: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    while process.poll() is None and not reached():
        time.sleep(0.005)


def journal_of(store: Path) -> Path:
    """That of the label whose rows are written last."""
    return store / "train" / f"{max(LABELS)}.journal.partial"


def kept_in(store: Path) -> int:
    """Utterances that the journal lists."""
    try:
        records = journal_of(store).read_text().split("\n")[1:]
    except FileNotFoundError:
        return 0
    return sum(record.endswith("\t.") for record in records)


def kill_once(
    manifest: Path, store: Path, target: str, early: bool, delay: float, draw: random.Random
) -> int:
    """Start an extraction, kill the target some time after its journal or its first tracks; utterances kept by then."""
    process = start(manifest, store)
    wait(lambda: journal_of(store).exists() if early else kept_in(store) > 0, process)
    time.sleep(delay)
    workers = children(process.pid)
    if target == "everything":
        os.killpg(process.pid, signal.SIGKILL)
    elif target == "the process alone" or not workers:
        process.kill()
    else:
        os.kill(draw.choice(workers), signal.SIGKILL)
    _, errors = process.communicate() if target == "a worker" else (process.wait(), "")
    if process.returncode > 0 and "refused: a worker process ended early" not in errors:
        raise SystemExit(f"an extraction that lost a worker ended otherwise than with a message:\n{errors}")
    return kept_in(store)


def children(pid: int) -> list[int]:
    """Worker processes of a process, those of loky's resource tracker left out."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rsplit(")", 1)[1].split()
            command = (status.parent / "cmdline").read_text()
        except OSError:  # it has ended
            continue
        if int(fields[1]) == pid and "tracker" not in command:
            found.append(int(status.parent.name))
    return found


def contents(store: Path) -> dict[str, str]:
    files = (file for file in store.rglob("*") if file.is_file())
    return {str(file.relative_to(store)): file_checksum(file) for file in sorted(files)}


if __name__ == "__main__":
    sys.exit(not all(figure.met for figure in main()))
