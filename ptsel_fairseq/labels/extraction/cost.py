"""What an extraction will cost, said before it starts: disk, and time from a sample of the files themselves."""

from __future__ import annotations

import hashlib
import random
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ptsel_fairseq.base.audio import AudioFile
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import readable_size, readable_time
from ptsel_fairseq.base.manifest import Utterance
from ptsel_fairseq.base.threads import one_thread
from ptsel_fairseq.base.workers import LOCAL, jobs_for_audio
from ptsel_fairseq.labels.label import Label
from ptsel_fairseq.labels.store.writer import StoreWriter
from ptsel_fairseq.labels.tracks import compute_tracks

if TYPE_CHECKING:
    import torch

SHARE_TIMED = 0.1  # of the files, but at least
FEWEST_TIMED = 8
SECONDS_TIMED = 4.0  # after which no further file is timed
LONGEST_TIMED = 60.0  # seconds of audio of one file
INTERPRETER_SECONDS = 0.5  # that a new process takes until it imports what the labels need
LEAST_START = 2.0  # seconds until a new process has imported it, which this one may have done long ago


@dataclass(frozen=True)
class Cost:
    """Seconds of work.

    start: until a process has loaded what it needs.
    analysis: for each second of audio, of a worker.
    finish: for each second of audio, of this process: statistics and checksums.
    """

    start: float
    analysis: float
    finish: float

    def total(self, seconds: float, workers: int, splits: int = 1) -> float:
        """Seconds that `workers` processes take for so many seconds of audio; each split starts its own."""
        starts = max(self.start, LEAST_START) * splits * (workers > 1)
        return starts + seconds * (self.analysis / workers + self.finish)

    def worthwhile_jobs(self, seconds: float, splits: int = 1) -> int:
        """All cores, or 1 if other processes would be done later than this one alone."""
        cores = jobs_for_audio(seconds, None)
        return cores if self.total(seconds, cores, splits) < self.total(seconds, 1) else 1


def announce(
    writers: Iterable[StoreWriter],
    store: Path,
    jobs: int | None,
    engine: str = LOCAL,
    device: torch.device | None = None,
) -> int | None:
    """Say what the work will cost before it starts, and give the number of processes that do it.

    Args:
        jobs: as asked for; None is as many as are worth starting.

    Raises:
        PtselError: the disk cannot hold it.
    """
    needed, seconds, example, splits = 0, 0.0, None, 0
    for writer in writers:
        todo = writer.todo()
        audio = sum(utterance.samples for utterance in todo) / writer.grid.sample_rate
        needed += writer.bytes_missing()
        seconds += audio if writer.missing else 0.0
        splits += bool(writer.missing and todo)
        names = ", ".join(f"{label.name} ({label.dim})" for label in writer.missing)
        state = (
            f"to do: {names}, {audio / 3600:.2f} h of audio" if writer.missing else "has all of them already"
        )
        print(f"{writer.manifest.split}: {len(writer.manifest)} utterances, {state}")
        if writer.missing and todo and example is None:
            example = writer, todo
    existing = store
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if example is not None:
        room = f"{readable_size(needed)} of {readable_size(free)} free"
        expected, jobs = _expected(*example, seconds, splits, jobs, engine, device)
        print(f"{expected}, {room}")
    if needed > free:
        raise PtselError(f"{store}: the labels need {readable_size(needed)}, {readable_size(free)} are free")
    return jobs


def _expected(
    writer: StoreWriter,
    todo: Sequence[Utterance],
    seconds: float,
    splits: int,
    jobs: int | None,
    engine: str,
    device: torch.device | None,
) -> tuple[str, int | None]:
    """How long so many seconds of audio will take, and where; the number of processes."""
    here, takes, places = writer.missing, 0.0, []
    if device is not None:
        from ptsel_fairseq.labels.extraction.on_device import divide, measure_device

        there, here = divide(writer.missing)
        if there:
            speed = measure_device(device, writer, todo)
            takes = seconds / speed
            places.append(f"on {device} ({speed:.0f} times real time)")
    if here:
        cost = measure_cost(writer, todo, here)
        each = f"{1 / cost.analysis:.0f} times real time each"
        if engine != LOCAL:
            places.insert(0, f"{seconds * cost.analysis / 3600:.2f} hours of workers like this one ({each})")
            return " and ".join(places), jobs
        if jobs is None:
            jobs = cost.worthwhile_jobs(seconds, splits)
        workers = jobs_for_audio(seconds, jobs)
        takes = max(takes, cost.total(seconds, workers, splits))
        places.append(f"with {workers} process{'es' * (workers > 1)} ({each})")
    return f"about {readable_time(takes)} {' and '.join(places)}", jobs


def jobs_by_measurement(
    writer: StoreWriter, todo: Sequence[Utterance], labels: Sequence[Label]
) -> int | None:
    """How many processes are worth starting for these utterances; None where a file of the sample cannot be read."""
    seconds = sum(utterance.samples for utterance in todo) / writer.grid.sample_rate
    if jobs_for_audio(seconds, None) == 1:
        return 1
    try:
        return measure_cost(writer, todo, labels, share=0.0).worthwhile_jobs(seconds)
    except PtselError:
        return None  # the work comes to this file in its turn, and keeps what was done before


def measure_cost(
    writer: StoreWriter, todo: Sequence[Utterance], labels: Sequence[Label], share: float = SHARE_TIMED
) -> Cost:
    """What a sample of the utterances takes, of a long one its beginning; the first one tells the start."""
    count = min(len(todo), max(FEWEST_TIMED, round(share * len(todo))))
    sample = random.Random(0).sample(list(todo), count)
    begun = time.perf_counter()
    with one_thread(load_torch=True):  # a part of the start
        _timed(writer, sample[0], labels)
        start = INTERPRETER_SECONDS + time.perf_counter() - begun
        samples, analysis, finish = 0, 0.0, 0.0
        for utterance in sample:
            taken = _timed(writer, utterance, labels)
            samples, analysis, finish = samples + taken[0], analysis + taken[1], finish + taken[2]
            if analysis + finish > SECONDS_TIMED:
                break
    seconds = samples / writer.grid.sample_rate
    return Cost(start, analysis / seconds, finish / seconds)


def _timed(writer: StoreWriter, utterance: Utterance, labels: Sequence[Label]) -> tuple[int, float, float]:
    """Samples of one utterance, seconds of its analysis, and of what the writer does with its tracks at the end."""
    from ptsel_fairseq.labels.store.statistics import Moments

    where = writer.manifest.where(utterance)
    samples = min(utterance.samples, round(LONGEST_TIMED * writer.grid.sample_rate))
    begun = time.perf_counter()
    with AudioFile(writer.manifest.audio_path(utterance), writer.grid.sample_rate, where) as audio:
        waveform = audio.read(samples)
        if samples == utterance.samples or len(waveform) < samples:
            audio.check_length(utterance.samples)
    try:
        tracks = compute_tracks(waveform, labels, writer.grid)
    except PtselError as error:
        raise PtselError(f"{where}: {error}") from error.__cause__
    analysed = time.perf_counter()
    for values, valid in tracks.values():
        if len(values):
            Moments(values.shape[1]).add(values, valid)
            hashlib.sha256(values.tobytes()).digest()
    return samples, analysed - begun, time.perf_counter() - analysed
