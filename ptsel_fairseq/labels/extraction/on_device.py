"""Tracks of many recordings by torch on one device, in batches of recordings of like length."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from ptsel_fairseq.base.audio import read_whole_audio
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.manifest import Manifest, Utterance
from ptsel_fairseq.base.workers import available_cores
from ptsel_fairseq.labels.batch import compute_batch, computed_by_torch
from ptsel_fairseq.labels.extraction.worker import Analysed, identity_of
from ptsel_fairseq.labels.label import Label
from ptsel_fairseq.labels.track import checked_track

if TYPE_CHECKING:
    from ptsel_fairseq.labels.extraction.extract import Stream
    from ptsel_fairseq.labels.label import Track
    from ptsel_fairseq.labels.store.writer import StoreWriter

TIMED_UTTERANCES = 64
READ_AT_ONCE = 32_000_000  # samples, 128 MB: one lot is analysed while the next is read
BATCH = 8_000_000  # samples with padding; the 128 ms spectra of so many are 0.1 GB


def divide(labels: Sequence[Label]) -> tuple[list[Label], list[Label]]:
    """The labels that torch computes, and those that it does not."""
    there = [label for label in labels if computed_by_torch(label)]
    return there, [label for label in labels if label not in there]


def analyse_on(
    device: torch.device,
    writer: StoreWriter,
    todo: Sequence[Utterance],
    jobs: int | None,
    in_processes: Callable[[Sequence[Label]], Stream],
) -> Stream:
    """The missing tracks of the utterances in `todo`, in this order: from `device`, and the others `in_processes`."""
    there, here = divide(writer.missing)
    if not there:
        yield from in_processes(here)
        return
    others: Stream = in_processes(here) if here else _identified(writer.manifest, todo)
    own = device_tracks(writer.manifest, todo, there, writer.grid, device, jobs)
    with contextlib.closing(others), contextlib.closing(own):
        for (index, analysed), found in zip(others, own, strict=True):
            lacking = writer.lacking(index)
            tracks = {name: track for name, track in found.items() if name in lacking}
            yield index, analysed._replace(tracks=analysed.tracks | tracks)


def _identified(manifest: Manifest, todo: Sequence[Utterance]) -> Stream:
    """What each utterance's file holds, and no tracks."""
    for utterance in todo:
        file, where = manifest.audio_path(utterance), manifest.where(utterance)
        yield utterance.index, Analysed(identity_of(file, where), {}, {})


def measure_device(device: torch.device, writer: StoreWriter, todo: Sequence[Utterance]) -> float:
    """Seconds of audio analysed a second, reading included, from some of the utterances; the first time warms up."""
    sample = todo[:: max(1, len(todo) // TIMED_UTTERANCES)][:TIMED_UTTERANCES]
    there, _ = divide(writer.missing)
    for _ in range(2):
        started = time.perf_counter()
        for _ in device_tracks(writer.manifest, sample, there, writer.grid, device):
            pass
        spent = time.perf_counter() - started
    return sum(utterance.samples for utterance in sample) / writer.grid.sample_rate / spent


def device_tracks(
    manifest: Manifest,
    todo: Sequence[Utterance],
    labels: Sequence[Label],
    grid: FrameGrid,
    device: torch.device,
    jobs: int | None = None,
) -> Generator[dict[str, Track], None, None]:
    """The tracks of the utterances in `todo`, in this order, computed on `device`; `jobs` threads read the audio.

    Args:
        labels: those that have a torch form.

    Raises:
        PtselError: as `compute_tracks`, naming the manifest's line.
    """

    def read(utterance: Utterance) -> np.ndarray:
        where = manifest.where(utterance)
        return read_whole_audio(manifest.audio_path(utterance), grid.sample_rate, utterance.samples, where)

    readers = ThreadPoolExecutor(jobs or available_cores())
    try:
        waiting: list[Future[np.ndarray]] = []
        for lot in (*_lots(todo), []):
            coming = [readers.submit(read, utterance) for utterance in lot]
            yield from _tracks([future.result() for future in waiting], labels, grid, device)
            waiting = coming
    finally:
        readers.shutdown(cancel_futures=True)


def _lots(todo: Sequence[Utterance]) -> Iterator[list[Utterance]]:
    """Neighbours that are read at once; a longer recording is read alone."""
    lot: list[Utterance] = []
    held = 0
    for utterance in todo:
        if lot and held + utterance.samples > READ_AT_ONCE:
            yield lot
            lot, held = [], 0
        lot.append(utterance)
        held += utterance.samples
    if lot:
        yield lot


def _tracks(
    waveforms: Sequence[np.ndarray], labels: Sequence[Label], grid: FrameGrid, device: torch.device
) -> list[dict[str, Track]]:
    found: list[dict[str, Track]] = [{} for _ in waveforms]
    for batch in _batches([len(waveform) for waveform in waveforms]):
        lengths = torch.tensor([len(waveforms[i]) for i in batch])
        padded = pad_sequence([torch.from_numpy(waveforms[i]) for i in batch], batch_first=True)
        tracks = compute_batch(padded.to(device), lengths.to(device), [label.name for label in labels], grid)
        for label in labels:
            values, valid = (tensor.cpu().numpy() for tensor in tracks[label.name])
            for row, i in enumerate(batch):
                frames = grid.num_frames(len(waveforms[i]))
                mask = valid[row, :frames] if label.undefined is not None else None
                found[i][label.name] = checked_track(label, values[row, :frames], mask, frames)
    return found


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Numbers of the waveforms that are analysed together, the shortest first."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[i] > BATCH:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
