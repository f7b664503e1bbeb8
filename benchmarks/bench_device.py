"""How fast a device computes labels and scores, against one core of this machine, in one run.

    OMP_NUM_THREADS=1 python benchmarks/bench_device.py [--device cuda] [--utterances 230] [--points 2000] [--rounds 3]

Labels: those that have a torch form, of the bundled speech in memory, in batches as `ptsel extract --device` makes
them. Scores: `cka` with permutations, of made points. Device and CPU take turns, by the clock.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from common import (
    Figure,
    bundled,
    finish,
    in_turns,
    medians,
    parse,
    parser_of,
    ratio,
    read_waveforms,
    seconds_of,
)
from torch.nn.utils.rnn import pad_sequence

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels.batch import compute_batch, torch_labels
from ptsel_fairseq.selection import score_labels

GRID = FrameGrid()
BATCH = 16
LABELS, DIMENSIONS, CLASSES = 10, 80, 4


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--utterances", type=int, default=230, help="at most (default 230)")
    parser.add_argument("--points", type=int, default=2000)
    parser.add_argument("--permutations", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    tiny = {"utterances": 2, "points": 80, "permutations": 20, "rounds": 1}
    options = parse(parser, arguments, tiny)
    torch.set_num_threads(1)
    waveforms = sorted(read_waveforms(bundled(), options.utterances), key=len)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(options.points, DIMENSIONS))
    labels = {f"label{i}": x[:, i] + rng.normal(size=len(x)) for i in range(LABELS)}
    classes = rng.integers(CLASSES, size=len(x)).astype(str)
    score = partial(
        score_labels, x, labels, classes, estimator="cka", permutations=options.permutations, jobs=1
    )
    work = {}
    for where, device in (("device", options.device), ("core", "cpu")):
        work[f"labels, {where}"] = partial(compute, waveforms, device)
        work[f"scores, {where}"] = partial(score, device=device)
    times = in_turns(work, options.rounds, time.perf_counter)
    spent = medians(times)
    for name, seconds in spent.items():
        print(f"{name:16s} {seconds:8.3f} s")
    label_speed = seconds_of(waveforms) / spent["labels, device"]
    return finish(
        options,
        [
            Figure(f"{len(torch_labels())} labels on {options.device}, times real time", label_speed),
            Figure(
                f"labels on one core, over {options.device}", ratio(times, "labels, core", "labels, device")
            ),
            Figure(
                f"scores on one core, over {options.device}", ratio(times, "scores, core", "scores, device")
            ),
        ],
    )


def compute(waveforms: Sequence[np.ndarray], device: str) -> None:
    """All labels of a torch form, brought back to the host."""
    for first in range(0, len(waveforms), BATCH):
        some = waveforms[first : first + BATCH]
        padded = pad_sequence([torch.from_numpy(waveform.copy()) for waveform in some], batch_first=True)
        lengths = torch.tensor([len(waveform) for waveform in some], device=device)
        found = compute_batch(padded.to(device), lengths, torch_labels(), GRID)
        for pair in found.values():
            for tensor in pair:
                tensor.cpu()


if __name__ == "__main__":
    main()
