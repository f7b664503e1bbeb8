"""What benchmarks share: the bundled audio, label lists, timing in turns, and figures with their goals.

A figure is a ratio of two things that took turns in one run of one process, because a machine that is shared changes
from one second to the next. Times are processor time unless a benchmark says otherwise.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.files import write_text
from ptsel_fairseq.base.grid import SAMPLE_RATE
from ptsel_fairseq.base.manifest import Manifest, Utterance, read_manifest

ROOT = Path(__file__).resolve().parent.parent
ASTERISK = ROOT / "examples" / "asterisk"
RECIPES = ROOT / "configs" / "pretraining"
# The papers' seven labels with `loudness`, the dearer one, for `rms_energy`: what openSMILE's two sets hold as well.
SEVEN = ("alpha_ratio", "f0", "log_hnr", "loudness", "rasta_l1", "voicing", "zcr")
SHORTEST = SAMPLE_RATE  # samples of an utterance that is measured

Times = dict[str, list[float]]


@dataclass(frozen=True)
class Figure:
    """One number of a benchmark, and what it should be.

    Args:
        what: what was measured, against what.
        value: the number.
        goal: what it should reach; None where there is no goal.
        at_most: whether it should stay below the goal instead of above it.
    """

    what: str
    value: float
    goal: float | None = None
    at_most: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without a goal."""
        if self.goal is None:
            return None
        return self.value <= self.goal if self.at_most else self.value >= self.goal


def parser_of(description: str) -> argparse.ArgumentParser:
    """A parser with the options of every benchmark, described by the first line of the benchmark's docstring."""
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument(
        "--tiny",
        action="store_true",
        help="the smallest size at which everything runs; its times mean nothing",
    )
    parser.add_argument(
        "--figures", type=Path, metavar="FILE.json", help="also write the figures that have goals"
    )
    return parser


def parse(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None, tiny: Mapping[str, Any]
) -> argparse.Namespace:
    """The options of a command line; with ``--tiny`` those of `tiny` take the place of the defaults."""
    options = parser.parse_args(arguments)
    if options.tiny:
        parser.set_defaults(**tiny)
        options = parser.parse_args(arguments)
    return options


def finish(options: argparse.Namespace, figures: Sequence[Figure]) -> list[Figure]:
    """Print the figures of a benchmark and write them where the command line says."""
    for figure in figures:
        print(f"{figure.what}: {figure.value:.3g}{goal_in_words(figure)}")
    if options.figures is not None:
        write_text(options.figures, json.dumps([asdict(figure) for figure in figures]))
    return list(figures)


def goal_in_words(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    side = "at most" if figure.at_most else "at least"
    return f" (goal: {side} {figure.goal:g}, {'met' if figure.met else 'missed'})"


def in_turns(
    candidates: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.process_time,
    warm_up: bool = True,
) -> Times:
    """Seconds that each candidate takes in each round; all of them once in a round, after one that is not counted."""
    times: Times = {name: [] for name in candidates}
    for round_number in range(-int(warm_up), rounds):
        for name, candidate in candidates.items():
            started = clock()
            candidate()
            spent = clock() - started
            if round_number >= 0:
                times[name].append(spent)
    return times


def medians(times: Times) -> dict[str, float]:
    """The median time of each candidate."""
    return {name: statistics.median(spent) for name, spent in times.items()}


def ratio(times: Times, name: str, peer: str) -> float:
    """How many times as long as its peer a candidate takes: the median over rounds of the ratios in a round."""
    return statistics.median(own / other for own, other in zip(times[name], times[peer], strict=True))


def bundled(split: str = "train") -> Manifest:
    """A manifest of the bundled speech."""
    return read_manifest(ASTERISK / f"{split}.tsv")


def add_every(parser: argparse.ArgumentParser) -> None:
    """The option of how much of the bundled speech is used, see `bundled_manifests`."""
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="use each N-th bundled clip (default 1: all)"
    )


def bundled_manifests(folder: Path, every: int = 1) -> None:
    """Write manifests of each n-th clip of the bundled speech, with the absolute path of its audio."""
    for split in ("train", "valid"):
        manifest = bundled(split)
        write_some(folder / f"{split}.tsv", manifest, manifest.utterances[::every])


def write_some(file: Path, manifest: Manifest, utterances: Sequence[Utterance]) -> None:
    """Write a manifest of some utterances of another one, with the absolute path of its audio."""
    lines = [f"{utterance.path}\t{utterance.samples}" for utterance in utterances]
    write_text(file, "\n".join([str(manifest.root), *lines]) + "\n")


def read_waveforms(manifest: Manifest, most: int | None = None, minutes: float = np.inf) -> list[np.ndarray]:
    """Utterances of at least a second, evenly spaced in a manifest.

    Args:
        manifest: of audio at 16 kHz.
        most: utterances; None for no bound.
        minutes: of audio, about.

    Returns:
        float32 [samples] each, full scale 1.
    """
    long_enough = [utterance for utterance in manifest if utterance.samples >= SHORTEST]
    total = sum(utterance.samples for utterance in long_enough) / SAMPLE_RATE / 60
    step = max(1.0, total / minutes, len(long_enough) / most if most else 1.0)
    chosen = [long_enough[int(i * step)] for i in range(int(len(long_enough) / step + 1e-9))]
    return [read_audio(manifest.audio_path(utterance), SAMPLE_RATE) for utterance in chosen]


def seconds_of(waveforms: Sequence[np.ndarray]) -> float:
    """Length of some waveforms together."""
    return sum(map(len, waveforms)) / SAMPLE_RATE
