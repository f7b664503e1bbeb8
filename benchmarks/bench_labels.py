"""How fast labels are computed on one core, as ratios from one run.

    python benchmarks/bench_labels.py [DATA_DIR] [--rounds N] [--utterances N] [--workers N]

Candidates take turns in every round; medians are printed. xRT is seconds of audio a second of one core. openSMILE's
two feature sets, which hold the same seven labels, are measured if `pip install opensmile` is there. "bare FFTs" are
torch's rfft of the same two sets of frames (20 ms in 512 points, 60 ms in 1024) and nothing else. With `--workers N`
only the seven labels are measured, files read: by one process, and by N that each do as much at the same time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from agreement_opensmile import opensmile_sets, read_waveforms

from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.grid import SAMPLE_RATE, FrameGrid
from ptsel_fairseq.labels.signal.framing import half_step_frames
from ptsel_fairseq.labels.tracks import compute_tracks, names, resolve

PAPERS = ["alpha_ratio", "f0", "log_hnr", "loudness", "rasta_l1", "voicing", "zcr"]
GRID = FrameGrid()


def main(arguments: Sequence[str] | None = None) -> None:
    root = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description="Measure the speed of the labels on one core.")
    parser.add_argument(
        "data_dir", nargs="?", type=Path, default=root / "examples" / "asterisk", metavar="DATA_DIR"
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--utterances", type=int, default=60, metavar="N", help="at most (default 60)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes against one, and nothing else")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.workers:
        compare_processes(options.data_dir, options.workers, options.rounds, options.utterances)
        return
    waveforms = read_waveforms(options.data_dir)
    waveforms = waveforms[:: max(1, len(waveforms) // options.utterances)]
    seconds = sum(map(len, waveforms)) / SAMPLE_RATE
    print(f"{len(waveforms)} utterances, {seconds:.0f} s of audio, one thread, {options.rounds} rounds")

    candidates: dict[str, Callable[[np.ndarray], object]] = {
        "seven labels of the papers": lambda waveform: compute_tracks(waveform, resolve(PAPERS), GRID),
        "all labels": lambda waveform: compute_tracks(waveform, resolve(["all"]), GRID),
        "bare FFTs": bare_ffts,
    }
    for name in names():
        candidates[f"{name} alone"] = lambda waveform, name=name: compute_tracks(
            waveform, resolve([name]), GRID
        )
    try:
        sets = opensmile_sets()
        candidates["openSMILE's two sets"] = lambda waveform: [
            extractor.process_signal(waveform, SAMPLE_RATE) for extractor in sets.values()
        ]
    except ImportError:
        print("openSMILE is not installed (pip install opensmile): no ratio to it")
    started = time.perf_counter()
    compute_tracks(waveforms[0], resolve(["all"]), GRID)
    print(f"first utterance, with imports and compilation: {time.perf_counter() - started:.1f} s")

    times: dict[str, list[float]] = {name: [] for name in candidates}
    for candidate in candidates.values():
        candidate(waveforms[0])
    for _ in range(options.rounds):
        for name, candidate in candidates.items():
            started = time.process_time()
            for waveform in waveforms:
                candidate(waveform)
            times[name].append(time.process_time() - started)
    seven = statistics.median(times["seven labels of the papers"])
    print("| what | xRT | time, seven labels = 1 |")
    print("| --- | --- | --- |")
    for name, spent in times.items():
        middle = statistics.median(spent)
        print(f"| {name} | {seconds / middle:.0f} | {middle / seven:.2f} |")


def compare_processes(data_dir: Path, workers: int, rounds: int, utterances: int) -> None:
    """Print how many times as much N processes do as one, by the clock and by the processor time that each needs."""
    import loky

    files = [str(file) for file in sorted((data_dir / "audio").rglob("*.*"))]
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
    for what, found in (
        ("work of all over that of one, by the clock", ratios),
        ("processor time each", costs),
    ):
        print(
            f"{workers} processes, {what}: {statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"
        )


def seven_of_files(files: Sequence[str]) -> float:
    """Processor time that the seven labels of some files take, reading included."""
    begun = time.process_time()
    for file in files:
        compute_tracks(read_audio(file, SAMPLE_RATE), resolve(PAPERS), GRID)
    return time.process_time() - begun


def bare_ffts(waveform: np.ndarray) -> None:
    for width, points in ((320, 512), (960, 1024)):
        for frames in half_step_frames(waveform, GRID, width):
            torch.fft.rfft(frames, points)


if __name__ == "__main__":
    main()
