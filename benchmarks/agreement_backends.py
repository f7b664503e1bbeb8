"""Compare the labels of this package with those of the backends that are installed, as a store would hold them.

    python benchmarks/agreement_backends.py [DATA_DIR] [--every N]

A row is a label of a backend: Pearson r with this package's track over all frames together (where both are defined),
and the share of frames that both call defined or undefined. Times are of all labels of a backend that this package
computes as well, by turns, one core. Then jitter and shimmer as measures of an utterance: the mean over its defined
frames against the one number that Praat gives for the whole of it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from common import ASTERISK, Figure, finish, parse, parser_of
from tqdm import tqdm

from ptsel_fairseq.base.audio import read_whole_audio
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import SAMPLE_RATE, FrameGrid
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.labels.backends import BACKENDS
from ptsel_fairseq.labels.extraction.worker import one_thread
from ptsel_fairseq.labels.label import Label
from ptsel_fairseq.labels.tracks import compute_tracks, names, resolve

GRID = FrameGrid()
FEWEST = 10  # defined frames of an utterance for a mean


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    parser.add_argument("data_dir", nargs="?", type=Path, default=ASTERISK, metavar="DATA_DIR")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each n-th utterance")
    options = parse(parser, arguments, {"every": 60})
    waveforms = read_waveforms(options.data_dir, options.every)
    print(f"{len(waveforms)} utterances, {sum(map(len, waveforms)) / SAMPLE_RATE:.0f} s")
    print("| backend | label | r | same mask |\n| --- | --- | --- | --- |")
    slower: dict[str, float] = {}
    with one_thread():
        for backend in BACKENDS:
            try:
                labels = resolve(["all"], backend)
            except PtselError as error:
                print(error)
                continue
            slower[backend] = compare(
                [label for label in labels if label.name in names()], backend, waveforms
            )
        if "praat" in slower:
            compare_whole_utterances(waveforms)
    return finish(
        options,
        [Figure(f"time of the backend {backend}, over ours", many) for backend, many in slower.items()],
    )


def read_waveforms(data_dir: Path, every: int) -> list[np.ndarray]:
    found = []
    for split in ("train", "valid"):
        manifest = read_manifest(data_dir / f"{split}.tsv")
        for utterance in manifest.utterances[::every]:
            file, where = manifest.audio_path(utterance), manifest.where(utterance)
            found.append(read_whole_audio(file, SAMPLE_RATE, utterance.samples, where))
    return found


def compare(labels: Sequence[Label], backend: str, waveforms: Sequence[np.ndarray]) -> float:
    """Print a row for each label; how many times as long the backend takes as this package."""
    own = resolve([label.name for label in labels])
    sides: tuple[list[dict], list[dict]] = ([], [])
    seconds = [0.0, 0.0]
    for side in (labels, own):
        compute_tracks(waveforms[0], side, GRID)  # what is loaded once
    for waveform in tqdm(waveforms, desc=backend, unit="file", leave=False):
        for k, side in enumerate((labels, own)):
            begun = time.process_time()
            sides[k].append(compute_tracks(waveform, side, GRID))
            seconds[k] += time.process_time() - begun
    for label in labels:
        (theirs, valid), (ours, own_valid) = (joined(label.name, side) for side in sides)
        both = valid & own_valid
        same = f"{np.mean(valid == own_valid):.3f}" if label.undefined else ""
        print(f"| {backend} | {label.name} | {np.corrcoef(theirs[both], ours[both])[0, 1]:.4f} | {same} |")
    print(f"| {backend} | time, this package = 1 | {seconds[0] / seconds[1]:.1f} | |", flush=True)
    return seconds[0] / seconds[1]


def joined(name: str, side: Sequence[dict]) -> tuple[np.ndarray, np.ndarray]:
    """Values and mask of all utterances, all True where the label is always defined."""
    values = np.concatenate([tracks[name][0][:, 0] for tracks in side])
    masks = [tracks[name][1] for tracks in side]
    return values, np.concatenate(masks)


def compare_whole_utterances(waveforms: Sequence[np.ndarray]) -> None:
    """Means over frames, of this package and of the backend, against Praat's measure of the whole utterance."""
    from parselmouth.praat import call

    from ptsel_fairseq.labels.backends import praat
    from ptsel_fairseq.labels.signal.analysis import Analysis

    limits = (praat.SHORTEST, praat.LONGEST, praat.LARGEST_FACTOR)
    rows: dict[str, list[tuple[float, float, float]]] = {"jitter": [], "shimmer": []}
    for waveform in waveforms:
        analysis = Analysis(waveform, GRID)
        marks = praat.periods(analysis)
        whole = {
            "jitter": call(marks, "Get jitter (local)", 0, 0, *limits),
            "shimmer": call([praat.sound(analysis), marks], "Get shimmer (local)", 0, 0, *limits,
                            praat.LARGEST_AMPLITUDE_FACTOR),
        }  # fmt: skip
        own = compute_tracks(waveform, resolve(list(rows)), GRID)
        backend = compute_tracks(waveform, resolve(list(rows), "praat"), GRID)
        for name, row in rows.items():
            means = [
                values[valid].mean() for values, valid in (own[name], backend[name]) if valid.sum() >= FEWEST
            ]
            if len(means) == 2 and np.isfinite(whole[name]):
                row.append((means[0], means[1], whole[name]))
    print("\n| mean of an utterance against Praat's measure of it | utterances | r | median ratio |")
    print("| --- | --- | --- | --- |")
    for name, row in rows.items():
        own, backend, whole = np.array(row).T
        for who, means in (("this package", own), ("backend praat", backend)):
            r, ratio = np.corrcoef(means, whole)[0, 1], np.median(means / whole)
            print(f"| {name}, {who} | {len(row)} | {r:.2f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
