"""`ptsel probe-asr`: how well a small recogniser hears words on frozen features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from ptsel_fairseq.base.audio import read_whole_audio
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import readable_size
from ptsel_fairseq.base.grid import SAMPLE_RATE, FrameGrid
from ptsel_fairseq.base.manifest import manifest_file
from ptsel_fairseq.base.messages import examples
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.base.provenance import checksums
from ptsel_fairseq.base.workers import jobs_for_audio, map_where_faster
from ptsel_fairseq.downstream.asr.decode import search_of
from ptsel_fairseq.downstream.asr.recogniser import recognise, train
from ptsel_fairseq.downstream.asr.search import BeamSearch, collapse, text_of
from ptsel_fairseq.downstream.asr.settings import HEADS, SUFFIXES, Settings
from ptsel_fairseq.downstream.features.front_end import FrontEnd, check_finite, front_ends
from ptsel_fairseq.downstream.metrics.answer_files import Table, read_class_table
from ptsel_fairseq.downstream.metrics.results import (
    RESAMPLES,
    RESULT,
    Answers,
    Result,
    result_lines,
    score,
    write_result,
)
from ptsel_fairseq.downstream.speech.spelling import letters
from ptsel_fairseq.downstream.speech.utterances import Spoken, read_spoken

BLANK = "<blank>"


@dataclass(frozen=True)
class Task:
    """What is recognised: all utterances, which of them are trained, chosen and tested on, and their symbols."""

    spoken: list[Spoken]
    parts: tuple[list[int], list[int], list[int]]
    symbols: tuple[str, ...]
    targets: list[list[int]]
    unit: str


def probe_asr_command(
    data_dir: Path | str,
    features: Sequence[str],
    out: Path | str,
    splits: Sequence[str] = ("train", "valid", "test"),
    unit: str = "word",
    settings: Settings = Settings(),  # noqa: B008  (it cannot be changed)
    seeds: int = 1,
    groups: Path | str | None = None,
    lexicon: Path | str | None = None,
    lm: Path | str | None = None,
    lm_weight: float = 2.0,
    word_score: float = -1.0,
    beam: int = 100,
    memory: int = 4_000_000_000,
    jobs: int | None = None,
    command_line: str = "",
) -> None:
    """Train and test a recogniser on each front end; write ``OUT/<features>/result.json``, and compare several.

    Args:
        data_dir: manifests at 16 kHz with ``<split>.wrd`` (``.phn`` for the unit phone).
        features: labels and pools of `ptsel labels`, or checkpoints of wav2vec 2.0.
        out: folder of results.
        splits: to train on, to choose on, to test on.
        unit: ``word``, recognised by letters, or ``phone``.
        settings: of the recogniser.
        seeds: recognisers to train.
        groups: class file; what the intervals resample as a whole; default, utterances.
        lexicon, lm, lm_weight, word_score, beam: of the decoding of the test part; see `decode_command`.
        memory: features are kept if they need no more, otherwise computed again in each epoch.
        jobs: processes that extract features.
        command_line: kept in the results.

    Raises:
        PtselError: data that cannot be used.
    """
    from ptsel_fairseq.base.device import check_device
    from ptsel_fairseq.downstream.metrics.compare import compare_command

    check_settings(settings, splits, seeds)
    check_device(settings.device)
    search = search_of(lexicon, lm, lm_weight, word_score, beam)
    table = None if groups is None else read_class_table(groups)
    task = read_task(Path(data_dir), splits, unit)
    written = []
    for front_end in front_ends(features):
        frames = Frames(front_end, task.spoken, memory, jobs)
        result = probe(task, frames, settings, seeds, front_end.name, search, table)
        result.provenance.update(
            command=command_line,
            features={"kind": front_end.kind, "checksum": front_end.checksum},
            splits=list(splits),
            files=checksums(
                manifest_file(data_dir, split).with_suffix(suffix)
                for split in dict.fromkeys(splits)
                for suffix in (".tsv", SUFFIXES[unit])
            ),
        )
        file = Path(out) / front_end.name / RESULT
        write_result(file, result)
        written.append(file)
        print(f"{result.name}: {describe(task, splits)}", *result_lines(result), file, sep="\n  ")
    if len(written) > 1:
        compare_command(written, Path(out) / "comparison.md")


def check_settings(settings: Settings, splits: Sequence[str], seeds: int) -> None:
    """Raise PtselError for options out of range."""
    if settings.head not in HEADS:
        raise PtselError(f"--head: expected {' or '.join(HEADS)}, found {settings.head!r}")
    if len(splits) != 3:
        raise PtselError(f"--splits: expected three (to train, to choose, to test), found {' '.join(splits)}")
    numbers = {
        "--seeds": seeds,
        "--size": settings.size,
        "--batch": settings.batch,
        "--epochs": settings.epochs,
    }
    for option, number in numbers.items():
        if number < 1:
            raise PtselError(f"{option}: expected at least 1, found {number}")
    if not 0 < settings.learning_rate < 1:
        raise PtselError(f"--learning-rate: expected between 0 and 1, found {settings.learning_rate}")


def read_task(data_dir: Path, splits: Sequence[str], unit: str) -> Task:
    """Utterances and texts of the three splits, and the symbols of the training texts."""
    spoken: list[Spoken] = []
    rows: dict[str, list[int]] = {}
    for split in dict.fromkeys(splits):
        found = read_spoken(data_dir, split, SUFFIXES[unit])
        short = [s.path for s in found if s.samples < FrameGrid().window]
        if short:
            raise PtselError(
                f"{manifest_file(data_dir, split)}: {len(short)} utterances make no frame of {FrameGrid().window} "
                f"samples {examples(short)}; take them out"
            )
        rows[split] = list(range(len(spoken), len(spoken) + len(found)))
        spoken += found
    return task_of(spoken, (rows[splits[0]], rows[splits[1]], rows[splits[2]]), unit, str(data_dir))


def task_of(
    spoken: list[Spoken], parts: tuple[list[int], list[int], list[int]], unit: str, where: str
) -> Task:
    """The symbols of the training texts, and what is to be recognised in them."""
    spelled = [(letters(s.text) if unit == "word" else s.text).split() if s.text else [] for s in spoken]
    symbols = (BLANK, *sorted({symbol for i in parts[0] for symbol in spelled[i]}))
    if len(symbols) < 3:
        raise PtselError(f"{where}: expected texts to train on, found {', '.join(symbols[1:]) or 'none'}")
    number = {symbol: i for i, symbol in enumerate(symbols)}
    # A symbol that no training text has is an error whatever is heard: -1 matches nothing.
    targets = [[number.get(symbol, -1) for symbol in one] for one in spelled]
    return Task(spoken, parts, symbols, targets, unit)


class FramesOf(Protocol):
    """Features of utterance i, float32 or float16 [layers, frames, dim], and how many frames each has."""

    lengths: list[int]

    def __call__(self, i: int) -> np.ndarray: ...


class Frames:
    """Features of utterances, kept in memory (float16) if all of them fit, otherwise computed each time."""

    def __init__(self, front_end: FrontEnd, spoken: Sequence[Spoken], memory: int, jobs: int | None) -> None:
        self.front_end, self.spoken = front_end, spoken
        self.kept: list[np.ndarray] = []
        self.lengths = [FrameGrid().num_frames(s.samples) for s in spoken]
        first = self(0)
        self.lengths = [round(n * first.shape[1] / max(1, self.lengths[0])) for n in self.lengths]
        size = 2 * first.shape[0] * first.shape[2] * sum(self.lengths)
        if size > memory:
            print(
                f"{front_end.name}: the features need {readable_size(size)}, more than --memory; they are computed "
                "again in each epoch"
            )
            return
        print(f"{front_end.name}: features of {readable_size(size)} are kept in memory")
        seconds = sum(s.seconds for s in spoken)
        jobs = 1 if jobs_for_audio(seconds, jobs) == 1 else jobs
        found = map_where_faster(partial(_half_frames, front_end), spoken, lambda s: s.seconds, seconds, jobs)
        self.kept = list(progress_bar(found, total=len(spoken), desc=front_end.name, unit="utterance"))

    def __call__(self, i: int) -> np.ndarray:
        return self.kept[i] if self.kept else _frames(self.front_end, self.spoken[i])


def _half_frames(front_end: FrontEnd, spoken: Spoken) -> np.ndarray:
    return _frames(front_end, spoken, np.float16)


def _frames(front_end: FrontEnd, spoken: Spoken, dtype: type[np.floating] = np.float32) -> np.ndarray:
    waveform = read_whole_audio(spoken.file, SAMPLE_RATE, spoken.samples, spoken.where)
    frames = front_end.frames(waveform).astype(dtype)
    check_finite(frames, front_end, spoken.where)
    return frames


def probe(
    task: Task,
    frames: FramesOf,
    settings: Settings,
    seeds: int,
    name: str,
    search: BeamSearch | None = None,
    groups: Table | None = None,
) -> Result:
    """Train with every seed and recognise the test part."""
    training, valid, test = task.parts

    def report(epoch: int, loss: float, valid_loss: float, error: float) -> None:
        print(
            f"  epoch {epoch}: loss {loss:.3f}, validation {valid_loss:.3f}, symbol errors {100 * error:.1f} %"
        )

    runs, chosen = [], []
    for seed in range(seeds):
        trained = train(
            *(frames, frames.lengths, task.targets, (training, valid), len(task.symbols)),
            *(settings, seed, report),
        )
        heard = recognise(trained.model, frames, test, settings.batch, settings.device)
        runs.append(tuple(text_heard(log_probs, task, search) for log_probs in heard))
        chosen.append(
            {
                "epochs": trained.epochs,
                "valid_error": trained.valid_error,
                "valid_loss": trained.valid_loss,
                "layer_weights": trained.layer_weights,
            }
        )
    paths = [task.spoken[i].path for i in test]
    answers = Answers(
        "asr",
        tuple(paths),
        tuple(task.spoken[i].text for i in test),
        tuple(runs),
        tuple(paths if groups is None else groups.of_paths(paths)),
        task.unit,
    )
    provenance = {"settings": vars(settings), "chosen": chosen, "symbols": list(task.symbols)}
    return score(f"{name} {settings.head}", answers, provenance, RESAMPLES)


def text_heard(log_probs: np.ndarray, task: Task, search: BeamSearch | None) -> str:
    if search is not None:
        return search.text(log_probs, task.symbols)
    return text_of([task.symbols[i] for i in collapse(log_probs)], task.unit)


def describe(task: Task, splits: Sequence[str]) -> str:
    """What was trained and tested on."""
    text = ", ".join(
        f"{len(rows)} utterances to {what} ({split})"
        for rows, what, split in zip(task.parts, ("train", "choose", "test"), splits, strict=True)
    )
    twice = splits[2] in splits[:2]
    return f"{text}; {len(task.symbols) - 1} symbols" + (
        f"; {splits[2]} is chosen or trained on too, so the error is too low" if twice else ""
    )
