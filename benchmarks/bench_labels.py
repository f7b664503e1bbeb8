"""How fast labels are computed on one core, as ratios from one run.

    OMP_NUM_THREADS=1 python benchmarks/bench_labels.py [MANIFEST.tsv] [--rounds N] [--utterances N] [--workers N]

Candidates take turns in every round; medians are printed. xRT is seconds of audio a second of one core. openSMILE's
two feature sets, which hold the same seven labels, are measured if `pip install opensmile` is there. "bare FFTs" are
torch's rfft of the same two sets of frames (20 ms in 512 points, 60 ms in 1024) and nothing else. With `--workers N`
only the seven labels are measured, files read: by one process, and by N that each do as much at the same time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from agreement_opensmile import opensmile_sets
from common import (
    ASTERISK,
    SEVEN,
    Figure,
    finish,
    in_turns,
    medians,
    parse,
    parser_of,
    ratio,
    read_waveforms,
    seconds_of,
)

from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.grid import SAMPLE_RATE, FrameGrid
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.labels.signal.framing import half_step_frames
from ptsel_fairseq.labels.tracks import compute_tracks, names, resolve

GRID = FrameGrid()
SEVEN_NAME, ALL_NAME, FLOOR, OPENSMILE = "seven labels", "all labels", "bare FFTs", "openSMILE's two sets"
# openSMILE is not everywhere: the same goals over the bare FFTs, from the runs in which both were measured.
GOAL_OPENSMILE, GOAL_SEVEN, GOAL_ALL, GOAL_ALL_REAL_TIME = 35, 4.6, 17.8, 250


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    parser.add_argument(
        "manifest", nargs="?", type=Path, default=ASTERISK / "train.tsv", metavar="MANIFEST.tsv"
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--utterances", type=int, default=60, metavar="N", help="at most (default 60)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes against one, and nothing else")
    options = parse(parser, arguments, {"rounds": 1, "utterances": 2})
    torch.set_num_threads(1)
    manifest = read_manifest(options.manifest)
    if options.workers:
        files = [str(manifest.audio_path(utterance)) for utterance in manifest]
        return finish(options, compare_processes(files, options.workers, options.rounds, options.utterances))
    waveforms = read_waveforms(manifest, options.utterances)
    seconds = seconds_of(waveforms)
    print(f"{len(waveforms)} utterances, {seconds:.0f} s of audio, one thread, {options.rounds} rounds")

    started = time.perf_counter()
    compute_tracks(waveforms[0], resolve(["all"]), GRID)
    print(f"first utterance, with imports and compilation: {time.perf_counter() - started:.1f} s")
    times = in_turns(
        {name: partial(of_all, work, waveforms) for name, work in candidates().items()}, options.rounds
    )
    print("| what | xRT | time, seven labels = 1 |\n| --- | --- | --- |")
    for name, middle in medians(times).items():
        print(f"| {name} | {seconds / middle:.0f} | {ratio(times, name, SEVEN_NAME):.2f} |")
    figures = [
        Figure(
            "seven labels, over the bare FFTs of their frames",
            ratio(times, SEVEN_NAME, FLOOR),
            GOAL_SEVEN,
            True,
        ),
        Figure("all labels, over the bare FFTs of the seven", ratio(times, ALL_NAME, FLOOR), GOAL_ALL, True),
        Figure("all labels, times real time", seconds / medians(times)[ALL_NAME], GOAL_ALL_REAL_TIME),
    ]
    if OPENSMILE in times:
        how_much = ratio(times, OPENSMILE, SEVEN_NAME)
        figures.insert(0, Figure("openSMILE's two sets, over the seven labels", how_much, GOAL_OPENSMILE))
    return finish(options, figures)


def candidates() -> dict[str, Callable[[np.ndarray], object]]:
    """What is measured, each of one waveform."""
    found: dict[str, Callable[[np.ndarray], object]] = {
        SEVEN_NAME: partial(tracks_of, resolve(SEVEN)),
        ALL_NAME: partial(tracks_of, resolve(["all"])),
        FLOOR: bare_ffts,
    }
    found |= {f"{name} alone": partial(tracks_of, resolve([name])) for name in names()}
    try:
        sets = opensmile_sets()
    except ImportError:
        print("openSMILE is not installed (pip install opensmile): no ratio to it")
    else:
        found[OPENSMILE] = lambda waveform: [
            extractor.process_signal(waveform, SAMPLE_RATE) for extractor in sets.values()
        ]
    return found


def tracks_of(labels: list, waveform: np.ndarray) -> object:
    return compute_tracks(waveform, labels, GRID)


def of_all(work: Callable[[np.ndarray], object], waveforms: Sequence[np.ndarray]) -> None:
    for waveform in waveforms:
        work(waveform)


def bare_ffts(waveform: np.ndarray) -> None:
    for width, points in ((320, 512), (960, 1024)):
        for frames in half_step_frames(waveform, GRID, width):
            torch.fft.rfft(frames, points)


def compare_processes(files: Sequence[str], workers: int, rounds: int, utterances: int) -> list[Figure]:
    """How many times as much N processes do as one, by the clock, and the processor time that each needs."""
    import loky

    share = files[:: max(1, len(files) // utterances)]
    ratios, costs = [], []
    with loky.ProcessPoolExecutor(workers, env={"OMP_NUM_THREADS": "1"}) as pool:
        list(pool.map(seven_of_files, [share] * 2 * workers))  # imports and compilation
        for _ in range(rounds):
            taken: dict[int, float] = {}
            spent: dict[int, list[float]] = {}
            for count in (1, workers):
                begun = time.perf_counter()
                spent[count] = list(pool.map(seven_of_files, [share] * count))
                taken[count] = time.perf_counter() - begun
            ratios.append(workers * taken[1] / taken[workers])
            costs.append(statistics.mean(spent[workers]) / spent[1][0])
    print(f"{len(share)} files, {rounds} rounds in turn")
    figures = []
    for what, found in (("work over that of one, by the clock", ratios), ("processor time each", costs)):
        figures.append(Figure(f"{workers} processes, {what}", statistics.median(found)))
        print(f"{figures[-1].what}: {min(found):.2f} to {max(found):.2f}")
    return figures


def seven_of_files(files: Sequence[str]) -> float:
    """Processor time that the seven labels of some files take, reading included."""
    begun = time.process_time()
    for file in files:
        compute_tracks(read_audio(file, SAMPLE_RATE), resolve(SEVEN), GRID)
    return time.process_time() - begun


if __name__ == "__main__":
    main()
