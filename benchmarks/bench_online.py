"""What labels computed in training cost on one core, against reading them from the store, in one run.

    OMP_NUM_THREADS=1 python benchmarks/bench_online.py [--rounds 5]

The same batches of crops (at most 6 s) of the bundled recordings, once with labels from the store and once with labels
computed from the crop, in turns. Decoding the audio is not counted: both need it. Prints the median processor time of
collating (with the clean waveform) and, for online labels, of computing, in milliseconds for each second of audio.
"""

from __future__ import annotations

import logging
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from bench_loading import first_lines, stock_dataset
from common import Figure, bundled, finish, parse, parser_of

from ptsel_fairseq.base.grid import SAMPLE_RATE, FrameGrid
from ptsel_fairseq.base.manifest import Manifest
from ptsel_fairseq.labels.batch import local_labels
from ptsel_fairseq.labels.extraction.extract import extract
from ptsel_fairseq.labels.store.reader import LabelStore
from ptsel_fairseq.plugin.dataset import PtselDataset
from ptsel_fairseq.plugin.online import OnlineLabels

BATCH = 8
SETS = {
    "loudness, alpha_ratio, zcr": ["loudness", "alpha_ratio", "zcr"],
    "log_mel, mfcc, gammatone": ["log_mel", "mfcc", "gammatone"],
    "all of them": local_labels(),
}


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clips", type=int, help="bundled clips to use (default: all of the training split)")
    options = parse(parser, arguments, {"rounds": 1, "clips": 4})
    torch.set_num_threads(1)
    logging.getLogger("numba").setLevel(logging.WARNING)  # fairseq lets everything be logged
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = first_lines(bundled(), options.clips, folder)
        extract(manifest, local_labels(), folder / "store")
        store = LabelStore(folder / "store", "train")
        audio = stock_dataset(manifest, folder)
        items = [audio[int(i)] for i in audio.ordered_indices()]
        candidates = {name: [name] for name in local_labels()} | SETS
        pairs = {name: contenders(manifest, folder, store, labels) for name, labels in candidates.items()}
        times: dict[tuple[str, str], list[float]] = {}
        for _ in range(options.rounds + 1):  # the first round warms up
            for name, pair in pairs.items():
                for kind, contender in pair.items():
                    times.setdefault((name, kind), []).append(contender.run(items))
    print("| labels | from the store, ms/s | online, ms/s | times real time |\n| --- | --- | --- | --- |")
    figures = []
    for name in candidates:
        stored, online = (1000 * statistics.median(times[name, kind][1:]) for kind in ("store", "online"))
        print(f"| {name} | {stored:.3f} | {online:.3f} | {1000 / online:.0f} |")
        if name in SETS:
            figures.append(Figure(f"{name} in training, times real time", 1000 / online))
    return finish(options, figures)


def contenders(
    manifest: Manifest, folder: Path, store: LabelStore, labels: Sequence[str]
) -> dict[str, Contender]:
    """The same labels from the store and computed."""
    scaling = {label: (store.statistics(label).mean, store.statistics(label).std) for label in labels}
    return {
        kind: Contender(
            PtselDataset(
                stock_dataset(manifest, folder), manifest, FrameGrid(), store, scaling, seed=1, online=online
            ),
            OnlineLabels(scaling, online, FrameGrid()) if online else None,
        )
        for kind, online in (("store", ()), ("online", labels))
    }


class Contender:
    """One way to come by the labels of batches."""

    def __init__(self, data: PtselDataset, online: OnlineLabels | None) -> None:
        self.data, self.online = data, online

    def run(self, items: list[dict]) -> float:
        """Seconds of work for each second of audio, over all utterances once."""
        samples, spent = 0, 0.0
        for first in range(0, len(items), BATCH):
            started = time.process_time()
            batch = self.data.collater(items[first : first + BATCH])
            if self.online is not None:
                self.online.fill(batch)
            spent += time.process_time() - started
            samples += batch["net_input"]["source"].numel()
        return spent * SAMPLE_RATE / samples


if __name__ == "__main__":
    main()
