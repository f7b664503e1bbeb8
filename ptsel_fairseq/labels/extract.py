"""`ptsel extract`: the tracks of a split's utterances into a label store, resumable at any moment."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ptsel_fairseq.audio import read_audio
from ptsel_fairseq.errors import PtselError
from ptsel_fairseq.labels.catalogue import Label, compute_tracks, resolve
from ptsel_fairseq.labels.grid import FrameGrid
from ptsel_fairseq.labels.writer import StoreWriter
from ptsel_fairseq.manifest import Manifest, Utterance, manifest_file, read_manifest

if TYPE_CHECKING:
    from ptsel_fairseq.labels.catalogue import Track

SHORT_WORK_SECONDS = 300  # of audio: less than this is done faster in one process than processes start
TIMED_UTTERANCES = 4


def extract_command(
    data_dir: Path | str,
    splits: Sequence[str],
    labels: Sequence[str],
    store: Path | str,
    jobs: int | None = None,
    command_line: str = "",
) -> None:
    """Extract labels of several splits; what is finished already is not done again.

    Raises:
        PtselError: manifests, audio or labels that cannot be used, a store of something else, no space.
    """
    grid = FrameGrid()
    wanted = resolve(labels)
    check_jobs(jobs)
    manifests = [read_manifest(manifest_file(data_dir, split)) for split in dict.fromkeys(splits)]
    writers: list[StoreWriter] = []
    try:
        for manifest in manifests:
            writers.append(StoreWriter(store, manifest, wanted, grid, command_line))
        announce(writers, Path(store), jobs or available_cores())
        for writer in writers:
            fill(writer, jobs)
    finally:
        for writer in writers:
            writer.close()
    size = sum(file.stat().st_size for file in Path(store).rglob("*.npy"))
    print(
        f"{store}: {', '.join(label.name for label in wanted)} for {', '.join(splits)}, {readable_size(size)} in all"
    )


def extract(manifest: Manifest, labels: Sequence[str], store: Path | str, jobs: int | None = None) -> None:
    """As `extract_command` for one manifest, without the announcement."""
    check_jobs(jobs)
    writer = StoreWriter(store, manifest, resolve(labels), FrameGrid())
    try:
        fill(writer, jobs)
    finally:
        writer.close()


def check_jobs(jobs: int | None) -> None:
    if jobs is not None and jobs < 1:
        raise PtselError(f"--jobs: expected a number of processes from 1, found {jobs}")


def available_cores() -> int:
    """Cores that this process may use; a batch system often grants fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def fill(writer: StoreWriter, jobs: int | None) -> None:
    """Extract what the writer's split still lacks, then finish its labels."""
    from tqdm import tqdm

    todo = writer.open()
    if not writer.missing:
        return
    done = len(writer.manifest) - len(todo)
    results = analyse(writer.manifest, todo, writer.missing, writer.grid, jobs)
    with tqdm(
        total=len(writer.manifest),
        initial=done,
        desc=f"labels of {writer.manifest.split}",
        unit="file",
        file=sys.stderr,
    ) as progress:
        for index, tracks in results:
            writer.write(index, tracks)
            progress.update()
    writer.finish()


def analyse(
    manifest: Manifest, todo: Sequence[Utterance], labels: Sequence[Label], grid: FrameGrid, jobs: int | None
) -> Iterator[tuple[int, dict[str, Track]]]:
    """The tracks of the utterances in `todo`, in this order, from one process or several."""
    jobs = jobs or available_cores()
    seconds = sum(utterance.samples for utterance in todo) / grid.sample_rate
    if jobs == 1 or seconds < SHORT_WORK_SECONDS:
        with one_thread():
            for utterance in todo:
                yield utterance.index, analyse_one(manifest, utterance, labels, grid)
        return
    # Spawned, not forked: a fork of a process in which torch has started threads can hang.
    pool = concurrent.futures.ProcessPoolExecutor(
        jobs,
        multiprocessing.get_context("spawn"),
        _start_worker,
        (manifest, [label.name for label in labels], grid),
    )
    with pool:
        try:
            ahead = 4 * jobs  # bounded, so that finished tracks do not pile up in memory
            waiting: list[tuple[int, concurrent.futures.Future]] = []
            for utterance in todo:
                waiting.append((utterance.index, pool.submit(_work, utterance)))
                if len(waiting) > ahead:
                    index, future = waiting.pop(0)
                    yield index, future.result()
            for index, future in waiting:
                yield index, future.result()
        except concurrent.futures.process.BrokenProcessPool:
            raise PtselError(
                f"{manifest.file}: a worker process ended early, perhaps for lack of memory; what is finished is kept, "
                "run again with fewer jobs (an own script must call extract below `if __name__ == '__main__':`)"
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def analyse_one(
    manifest: Manifest, utterance: Utterance, labels: Sequence[Label], grid: FrameGrid
) -> dict[str, Track]:
    """The tracks of one utterance; raise PtselError naming its line if the audio is not as the manifest says."""
    where = manifest.where(utterance)
    waveform = read_audio(manifest.audio_path(utterance), grid.sample_rate, where)
    if len(waveform) != utterance.samples:
        raise PtselError(
            f"{where}: the manifest says {utterance.samples} samples, the audio has {len(waveform)}; "
            "the file is cut off or the manifest old"
        )
    try:
        return compute_tracks(waveform, labels, grid)
    except PtselError as error:
        raise PtselError(f"{where}: {error}") from None


_worker: tuple[Manifest, list[Label], FrameGrid]


def _start_worker(manifest: Manifest, names: list[str], grid: FrameGrid) -> None:
    import signal

    import torch

    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops the pool
    torch.set_num_threads(1)
    _worker = (manifest, resolve(names), grid)


def _work(utterance: Utterance) -> dict[str, Track]:
    manifest, labels, grid = _worker
    return analyse_one(manifest, utterance, labels, grid)


class one_thread:  # noqa: N801  (used like a function)
    """Analyse with one thread, so that tracks do not depend on how many cores there are."""

    def __enter__(self) -> None:
        import torch

        self._before = torch.get_num_threads()
        torch.set_num_threads(1)

    def __exit__(self, *exception: object) -> None:
        import torch

        torch.set_num_threads(self._before)


def announce(writers: Iterable[StoreWriter], store: Path, jobs: int) -> None:
    """Say what the work will cost before it starts; raise PtselError if the disk cannot hold it."""
    needed, seconds, speed = 0, 0.0, None
    for writer in writers:
        todo = writer.todo()
        audio = sum(utterance.samples for utterance in todo) / writer.grid.sample_rate
        needed += writer.bytes_missing()
        seconds += audio if writer.missing else 0.0
        names = ", ".join(f"{label.name} ({label.dim})" for label in writer.missing)
        state = (
            f"to do: {names}, {audio / 3600:.2f} h of audio" if writer.missing else "has all of them already"
        )
        print(f"{writer.manifest.split}: {len(writer.manifest)} utterances, {state}")
        if writer.missing and todo and speed is None:
            speed = measure_speed(writer, todo)
    existing = store
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if speed is not None:
        workers = jobs if seconds >= SHORT_WORK_SECONDS else 1
        print(
            f"about {readable_time(seconds / speed / workers)} with {workers} process{'es' * (workers > 1)} "
            f"({speed:.0f} times real time each), {readable_size(needed)} of {readable_size(free)} free"
        )
    if needed > free:
        raise PtselError(f"{store}: the labels need {readable_size(needed)}, {readable_size(free)} are free")


def measure_speed(writer: StoreWriter, todo: Sequence[Utterance]) -> float:
    """Seconds of audio analysed a second, from a few of the utterances; the first only warms up."""
    sample = [todo[i * len(todo) // (TIMED_UTTERANCES + 1)] for i in range(TIMED_UTTERANCES + 1)]
    with one_thread():
        analyse_one(writer.manifest, sample[0], writer.missing, writer.grid)
        started = time.perf_counter()
        for utterance in sample[1:]:
            analyse_one(writer.manifest, utterance, writer.missing, writer.grid)
        spent = time.perf_counter() - started
    return sum(utterance.samples for utterance in sample[1:]) / writer.grid.sample_rate / spent


def readable_size(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def readable_time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
