"""Tracks of many recordings by torch on one device, in batches of recordings of like length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from ptsel_fairseq.audio import read_whole_audio
from ptsel_fairseq.labels.catalogue import checked_track
from ptsel_fairseq.labels.grid import FrameGrid
from ptsel_fairseq.labels.label import Label, Track
from ptsel_fairseq.labels.torch_labels import compute_batch
from ptsel_fairseq.manifest import Manifest, Utterance
from ptsel_fairseq.workers import available_cores

READ_AT_ONCE = 32_000_000  # samples, 128 MB: one lot is analysed while the next is read
BATCH = 8_000_000  # samples with padding; the 128 ms spectra of so many are 0.1 GB


def device_tracks(
    manifest: Manifest,
    todo: Sequence[Utterance],
    labels: Sequence[Label],
    grid: FrameGrid,
    device: torch.device,
    jobs: int | None = None,
) -> Iterator[dict[str, Track]]:
    """The tracks of the utterances in `todo`, in this order, computed on `device`; `jobs` threads read the audio.

    Args:
        labels: those that torch computes, see `torch_labels`.

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
        tracks = compute_batch(
            padded.to(device), lengths.to(device), [label.name for label in labels], grid
        )
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
