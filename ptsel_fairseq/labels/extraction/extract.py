"""`ptsel extract`: the tracks of a split's utterances into a label store, resumable at any moment."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ptsel_fairseq.base.device import CPU, describe_device, torch_device
from ptsel_fairseq.base.files import readable_size
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.manifest import Manifest, Utterance, manifest_file, read_manifest
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.base.threads import one_thread
from ptsel_fairseq.base.workers import LOCAL, check_engine, check_jobs, jobs_for_audio, map_ordered
from ptsel_fairseq.labels.extraction.cost import announce, jobs_by_measurement
from ptsel_fairseq.labels.extraction.skip_bad import (
    Screened,
    check_out,
    keep_list,
    report,
    screen,
    write_good,
)
from ptsel_fairseq.labels.extraction.worker import Piece, analyse_one, analyse_piece
from ptsel_fairseq.labels.store.pack import FOLDER
from ptsel_fairseq.labels.store.packing import pack_labels
from ptsel_fairseq.labels.store.reader import LabelStore
from ptsel_fairseq.labels.store.software import announce_software, check_software
from ptsel_fairseq.labels.store.writer import StoreWriter, unfinished
from ptsel_fairseq.labels.tracks import resolve
from ptsel_fairseq.labels.user import UserFile, check_workers_can_load, read_user_files

__all__ = ["analyse_one", "extract", "extract_command"]

if TYPE_CHECKING:
    import torch

    from ptsel_fairseq.labels.extraction.worker import Analysed
    from ptsel_fairseq.labels.label import Label

    Stream = Generator[tuple[int, Analysed], None, None]  # manifest line, and what became of it


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
    skip_bad: bool = False,
    manifest_out: Path | str | None = None,
    device: str = CPU,
    backend: str | None = None,
    pack: bool = False,
) -> None:
    """Extract labels of several splits; what is finished already is not done again.

    Args:
        data_dir: folder of the manifests ``<split>.tsv``.
        labels: names of labels and pools.
        store: folder of the label store.
        jobs: processes; None is as many as there are cores, or 1 where starting others takes longer.
        user_labels: files that define labels, see `labels.user`.
        dtype: of the values on disk; float16 takes half the room and rounds to one part in 2048.
        engine: where the audio is analysed, see `base.workers.map_ordered`; the store is written here.
        skip_bad: leave out files that cannot be read, are too short or are not as the manifest says. The store is then
            that of the manifests without them, which go to the folder `manifest_out`, see `skip_bad`.
        device: ``cpu``, or a GPU such as ``cuda``, which computes the labels that have a torch form, equal but for
            rounding, while processes compute the others.
        backend: the program that computes all labels, see `labels.backends`; None is this package.
        pack: make a packed copy of these labels too, see `labels.store.pack`.

    Raises:
        PtselError: manifests, audio or labels that cannot be used, a store of something else, no space.
    """
    grid = FrameGrid()
    user_files = read_user_files(user_labels)
    wanted = resolve(labels, backend)
    check_jobs(jobs)
    check_engine(engine)
    check_out(skip_bad, manifest_out, data_dir)
    gpu = torch_device(device)
    store = Path(store)
    check_software(store, wanted)
    manifests = [read_manifest(manifest_file(data_dir, split)) for split in dict.fromkeys(splits)]
    announce_software(wanted)
    screened: list[Screened] = []
    if manifest_out is not None:
        screened = [screen(manifest, store, Path(manifest_out), grid, jobs, engine) for manifest in manifests]
        manifests = [split.good for split in screened]
    missing = {split.good.split: split.provenance() for split in screened}
    writers: list[StoreWriter] = []
    try:
        for manifest in manifests:
            skipped = missing.get(manifest.split)
            devices = devices_of(wanted, gpu)
            writers.append(StoreWriter(store, manifest, wanted, grid, command_line, dtype, skipped, devices))
        for split in screened:
            keep_list(split, store)
            write_good(split)
        jobs = announce(writers, store, jobs, engine, gpu)
        for writer in writers:
            fill(writer, jobs, user_files, engine, gpu)
    finally:
        for writer in writers:
            writer.close()
    for split in screened:
        report(split, store)
    for writer in writers:
        waiting = unfinished(writer.folder)
        if waiting:
            print(
                f"{writer.folder}: begun and not finished: {', '.join(waiting)}; extract them again to go on"
            )
    if pack:
        for manifest in manifests:
            made = pack_labels(
                LabelStore(store, manifest.split), [label.name for label in wanted], command_line=command_line
            )
            print(f"{made.file}: {', '.join(made.labels)} of {manifest.split}, side by side")
    size = sum(
        file.stat().st_size for pattern in ("*/*.npy", f"*/{FOLDER}/*.npy") for file in store.glob(pattern)
    )
    print(
        f"{store}: {', '.join(label.name for label in wanted)} for {', '.join(splits)}, {readable_size(size)} in all"
    )


def extract(
    manifest: Manifest | Path | str,
    labels: Sequence[str],
    store: Path | str,
    *,
    jobs: int | None = None,
    user_labels: Sequence[Path | str] = (),
    dtype: str = "float32",
    engine: str = LOCAL,
    device: torch.device | None = None,
    backend: str | None = None,
) -> None:
    """Compute labels of a split into a store, as `ptsel extract` does, without its announcement of the cost.

    What is finished is not done again, and what was interrupted goes on.

    Args:
        manifest: of the split, or its file ``<split>.tsv``.
        labels: names of labels and pools.
        store: folder of the label store; made if it is absent.
        jobs: processes; None is as many as there are cores, or 1 where starting others takes longer.
        user_labels: files that define labels.
        dtype: of the values on disk, ``"float32"`` or ``"float16"`` (half the room, rounded to one part in 2048).
        engine: where the audio is analysed, see `base.workers.map_ordered`.
        device: that computes the labels which have a torch form; torch's own "cpu" computes as a GPU does, None is the
            ordinary analysis.
        backend: the program that computes the labels, see `labels.backends`; None is this package.

    Raises:
        PtselError: a manifest, audio or labels that cannot be used, a store of something else, no space.
    """
    if not isinstance(manifest, Manifest):
        manifest = read_manifest(manifest)
    check_jobs(jobs)
    check_engine(engine)
    user_files = read_user_files(user_labels)
    wanted = resolve(labels, backend)
    check_software(Path(store), wanted)
    devices = devices_of(wanted, device)
    writer = StoreWriter(store, manifest, wanted, FrameGrid(), dtype=dtype, devices=devices)
    try:
        fill(writer, jobs, user_files, engine, device)
    finally:
        writer.close()


def devices_of(labels: Sequence[Label], device: torch.device | None) -> dict[str, str]:
    """What computes each label, for the header, as far as it is not the ordinary analysis."""
    if device is None:
        return {}
    from ptsel_fairseq.labels.extraction.on_device import divide

    return {label.name: describe_device(device) for label in divide(labels)[0]}


def fill(
    writer: StoreWriter,
    jobs: int | None,
    user_files: tuple[UserFile, ...] = (),
    engine: str = LOCAL,
    device: torch.device | None = None,
) -> None:
    """Extract what the writer's split still lacks, then finish its labels."""
    todo = writer.open()
    if not writer.missing:
        return
    done = len(writer.manifest) - len(todo)

    def in_processes(labels: Sequence[Label]) -> Stream:
        return analyse(writer, todo, labels, jobs, user_files, engine)

    if device is None:
        results = in_processes(writer.missing)
    else:
        from ptsel_fairseq.labels.extraction.on_device import analyse_on

        results = analyse_on(device, writer, todo, jobs, in_processes)
    with progress_bar(
        total=len(writer.manifest),
        initial=done,
        desc=f"labels of {writer.manifest.split}",
        unit="file",
    ) as progress:
        for index, analysed in results:
            writer.write(index, analysed.tracks, analysed.identity, analysed.crcs)
            progress.update()
    writer.finish()


def analyse(
    writer: StoreWriter,
    todo: Sequence[Utterance],
    labels: Sequence[Label],
    jobs: int | None,
    user_files: tuple[UserFile, ...] = (),
    engine: str = LOCAL,
) -> Stream:
    """The utterances in `todo`, in this order, each with those of `labels` that the writer lacks of it.

    From one process or several. The tracks of a long recording go to the writer's arrays at once; a cluster, which may
    not see these, sends them.
    """
    from ptsel_fairseq.labels.extraction.long_recordings import is_long

    manifest, grid = writer.manifest, writer.grid
    if engine == LOCAL:
        jobs = jobs_by_measurement(writer, todo, labels) if jobs is None else jobs
        jobs = jobs_for_audio(sum(utterance.samples for utterance in todo) / grid.sample_rate, jobs)
    if engine != LOCAL or jobs != 1:
        check_workers_can_load(labels)
    names = {label.name for label in labels}
    software = {label.software for label in labels}.pop()  # one request, one program
    backend = None if software is None else software.name

    def piece(utterance: Utterance) -> Piece:
        file, where = manifest.audio_path(utterance), manifest.where(utterance)
        lacking = tuple(sorted(names & writer.lacking(utterance.index)))
        found = Piece(file, utterance.samples, where, lacking, grid, user_files, backend=backend)
        if engine != LOCAL or not is_long(utterance.samples, grid):
            return found
        return replace(
            found, arrays=writer.arrays, first_row=writer.first_row(utterance.index), owner=os.getpid()
        )

    # Sums in another number of threads round otherwise; workers have one each, this process is given one.
    with one_thread():
        tracks = map_ordered(analyse_piece, map(piece, todo), engine, jobs)
        yield from zip((utterance.index for utterance in todo), tracks, strict=True)
