"""`ptsel extract`: the tracks of a split's utterances into a label store, resumable at any moment."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ptsel_fairseq.audio import read_whole_audio
from ptsel_fairseq.errors import PtselError
from ptsel_fairseq.files import readable_size, readable_time
from ptsel_fairseq.labels.catalogue import compute_tracks, resolve
from ptsel_fairseq.labels.grid import FrameGrid
from ptsel_fairseq.labels.label import Label
from ptsel_fairseq.labels.user import UserFile, check_workers_can_load, load_user_file, read_user_files
from ptsel_fairseq.labels.writer import StoreWriter
from ptsel_fairseq.manifest import Manifest, Utterance, manifest_file, read_manifest
from ptsel_fairseq.workers import LOCAL, check_engine, check_jobs, jobs_for_audio, map_ordered

if TYPE_CHECKING:
    from ptsel_fairseq.labels.label import Track

TIMED_UTTERANCES = 4


def extract_command(
    data_dir: Path | str,
    splits: Sequence[str],
    labels: Sequence[str],
    store: Path | str,
    jobs: int | None = None,
    command_line: str = "",
    user_labels: Sequence[Path | str] = (),
    dtype: str = "float32",
    engine: str = LOCAL,
) -> None:
    """Extract labels of several splits; what is finished already is not done again.

    `user_labels` are files that define labels; see `ptsel_fairseq.labels.user`. `dtype` is of the values on disk:
    float16 takes half the room and rounds to one part in 2048. `engine` is where the audio is analysed, see
    `workers.map_ordered`; the store is written here.

    Raises:
        PtselError: manifests, audio or labels that cannot be used, a store of something else, no space.
    """
    grid = FrameGrid()
    user_files = read_user_files(user_labels)
    wanted = resolve(labels)
    check_jobs(jobs)
    check_engine(engine)
    manifests = [read_manifest(manifest_file(data_dir, split)) for split in dict.fromkeys(splits)]
    writers: list[StoreWriter] = []
    try:
        for manifest in manifests:
            writers.append(StoreWriter(store, manifest, wanted, grid, command_line, dtype))
        announce(writers, Path(store), jobs)
        for writer in writers:
            fill(writer, jobs, user_files, engine)
    finally:
        for writer in writers:
            writer.close()
    size = sum(file.stat().st_size for file in Path(store).glob("*/*.npy"))
    print(
        f"{store}: {', '.join(label.name for label in wanted)} for {', '.join(splits)}, {readable_size(size)} in all"
    )


def extract(
    manifest: Manifest,
    labels: Sequence[str],
    store: Path | str,
    jobs: int | None = None,
    user_labels: Sequence[Path | str] = (),
    dtype: str = "float32",
    engine: str = LOCAL,
) -> None:
    """As `extract_command` for one manifest, without the announcement."""
    check_jobs(jobs)
    check_engine(engine)
    user_files = read_user_files(user_labels)
    writer = StoreWriter(store, manifest, resolve(labels), FrameGrid(), dtype=dtype)
    try:
        fill(writer, jobs, user_files, engine)
    finally:
        writer.close()


def fill(
    writer: StoreWriter, jobs: int | None, user_files: tuple[UserFile, ...] = (), engine: str = LOCAL
) -> None:
    """Extract what the writer's split still lacks, then finish its labels."""
    from tqdm import tqdm

    todo = writer.open()
    if not writer.missing:
        return
    done = len(writer.manifest) - len(todo)
    results = analyse(writer.manifest, todo, writer.missing, writer.grid, jobs, user_files, engine)
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
    manifest: Manifest,
    todo: Sequence[Utterance],
    labels: Sequence[Label],
    grid: FrameGrid,
    jobs: int | None,
    user_files: tuple[UserFile, ...] = (),
    engine: str = LOCAL,
) -> Iterator[tuple[int, dict[str, Track]]]:
    """The tracks of the utterances in `todo`, in this order, from one process or several."""
    import threadpoolctl

    seconds = sum(utterance.samples for utterance in todo) / grid.sample_rate
    if engine == LOCAL:
        jobs = jobs_for_audio(seconds, jobs)
    if engine != LOCAL or jobs != 1:
        check_workers_can_load(labels)
    names = [label.name for label in labels]
    pieces = (
        (
            manifest.audio_path(utterance),
            utterance.samples,
            manifest.where(utterance),
            names,
            grid,
            user_files,
        )
        for utterance in todo
    )
    # Sums in another number of threads round otherwise; workers have one each, this process is given one.
    with threadpoolctl.threadpool_limits(1):
        tracks = map_ordered(_analyse_piece, pieces, engine, jobs)
        yield from zip((utterance.index for utterance in todo), tracks, strict=True)


def analyse_one(
    manifest: Manifest, utterance: Utterance, labels: Sequence[Label], grid: FrameGrid
) -> dict[str, Track]:
    """The tracks of one utterance; raise PtselError naming its line if the audio is not as the manifest says."""
    return _analyse_file(
        manifest.audio_path(utterance), utterance.samples, manifest.where(utterance), labels, grid
    )


def _analyse_piece(
    piece: tuple[Path, int, str, Sequence[str], FrameGrid, tuple[UserFile, ...]],
) -> dict[str, Track]:
    file, samples, where, names, grid, user_files = piece
    for user_file in user_files:
        load_user_file(user_file)
    with one_thread():
        return _analyse_file(file, samples, where, resolve(names), grid)


def _analyse_file(
    file: Path, samples: int, where: str, labels: Sequence[Label], grid: FrameGrid
) -> dict[str, Track]:
    waveform = read_whole_audio(file, grid.sample_rate, samples, where)
    try:
        return compute_tracks(waveform, labels, grid)
    except PtselError as error:
        raise PtselError(f"{where}: {error}") from error.__cause__  # a user's error, for --debug


class one_thread:  # noqa: N801  (used like a function)
    """Analyse with one thread, so that tracks do not depend on how many cores there are."""

    def __enter__(self) -> None:
        import torch

        self._before = torch.get_num_threads()
        torch.set_num_threads(1)

    def __exit__(self, *exception: object) -> None:
        import torch

        torch.set_num_threads(self._before)


def announce(writers: Iterable[StoreWriter], store: Path, jobs: int | None) -> None:
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
        workers = jobs_for_audio(seconds, jobs)
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
