"""How far the labels that torch computes in batches are from those of `ptsel extract` on a CPU.

    python benchmarks/agreement_torch.py [MANIFEST.tsv] [--device cuda]

Prints for each label the largest difference over all frames in which it is defined, in its own unit and in standard
deviations; that of the same computed in double precision, which is what the rounding of float32 amounts to on any
device; and masks that differ. Then how fast the device has been, once warm, with audio in its memory.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from common import ASTERISK, Figure, finish, parse, parser_of, read_waveforms, seconds_of
from torch.nn.utils.rnn import pad_sequence

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.labels.batch import compute_batch, torch_labels
from ptsel_fairseq.labels.tracks import compute_tracks, resolve

GRID = FrameGrid()
BATCH = 16


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    parser.add_argument(
        "manifest", nargs="?", type=Path, default=ASTERISK / "train.tsv", metavar="MANIFEST.tsv"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--utterances", type=int, metavar="N", help="at most (default: all)")
    options = parse(parser, arguments, {"utterances": 3})
    waveforms = sorted(read_waveforms(read_manifest(options.manifest), options.utterances), key=len)
    names = torch_labels()
    differences = {name: np.zeros(2) for name in names}
    squares = {name: np.zeros(3) for name in names}  # frames times dimensions, sum, sum of squares
    masks = dict.fromkeys(names, 0)
    spent = 0.0
    for first in range(0, len(waveforms), BATCH):
        some = waveforms[first : first + BATCH]
        lengths = torch.tensor([len(waveform) for waveform in some], device=options.device)
        padded = pad_sequence([torch.from_numpy(waveform.copy()) for waveform in some], batch_first=True)
        padded = padded.to(options.device)
        compute_batch(padded, lengths, names, GRID)  # warm
        started = time.perf_counter()
        found = compute_batch(padded, lengths, names, GRID)
        tracks = {name: [tensor.cpu().numpy() for tensor in pair] for name, pair in found.items()}
        spent += time.perf_counter() - started
        double = compute_batch(padded.double(), lengths, names, GRID)
        for row, waveform in enumerate(some):
            expected = compute_tracks(waveform, resolve(names), GRID)
            for name, (values, valid) in expected.items():
                frames = len(values)
                mine = tracks[name][1][row, :frames]
                masks[name] += int((mine != valid).sum())
                both = mine & valid
                exact = double[name][0][row, :frames].cpu().numpy()
                for k, other in enumerate((tracks[name][0][row, :frames], exact)):
                    largest = np.abs(other[both] - values[both]).max(initial=0)
                    differences[name][k] = max(differences[name][k], largest)
                own = values[both].astype(np.float64)
                squares[name] += own.size, own.sum(), np.square(own).sum()
    print(f"| label | on {options.device} | in std | double precision | in std | masks |")
    print("| --- | --- | --- | --- | --- | --- |")
    worst = 0.0
    for name in names:
        count, total, square = squares[name]
        std = np.sqrt(square / count - (total / count) ** 2)
        here, exact = differences[name]
        worst = max(worst, here / std)
        print(f"| {name} | {here:.1e} | {here / std:.1e} | {exact:.1e} | {exact / std:.1e} | {masks[name]} |")
    speed = seconds_of(waveforms) / spent
    print(f"{len(waveforms)} utterances, all these labels: {speed:.0f} times real time")
    return finish(options, [Figure(f"largest difference on {options.device}, in standard deviations", worst)])


if __name__ == "__main__":
    main()
