"""What music loses at 16 kHz and on a grid of 20 ms: probes on the same clips at 44.1 kHz, at 16 kHz, and on that grid.

    ptsel fetch rendered-scores CORPUS --hours 3
    OMP_NUM_THREADS=1 python benchmarks/music_at_16_khz.py CORPUS [--clips 240]
    OMP_NUM_THREADS=1 python benchmarks/music_at_16_khz.py CORPUS --grid-only --clips 1440   # baselines, in minutes

The clips of the corpus are played again and kept at FluidSynth's 44.1 kHz. Log mel, MFCC, chroma and the rhythm of
the onsets are librosa's, with windows of the same seconds in each condition; mean and standard deviation over frames
go to the classifiers of `ptsel probe`, with the corpus's splits. Only the rate and the hop differ.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import librosa
import numpy as np
from common import Figure, finish, parse, parser_of

from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.class_file import read_classes
from ptsel_fairseq.base.grid import SAMPLE_RATE
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.base.tables import markdown
from ptsel_fairseq.base.workers import map_ordered
from ptsel_fairseq.downstream import probe_features, probe_relevance
from ptsel_fairseq.downstream.corpora.music.fluidsynth import RATE, Synthesizer, find_synthesizer
from ptsel_fairseq.downstream.corpora.music.render import Sheet, waveform_of
from ptsel_fairseq.downstream.metrics.answer_files import read_labels
from ptsel_fairseq.downstream.metrics.results import Metric

CONDITIONS = {  # sample rate and hop in seconds
    "44.1 kHz, 10 ms": (RATE, 0.010),
    "16 kHz, 10 ms": (SAMPLE_RATE, 0.010),
    "16 kHz, 20 ms": (SAMPLE_RATE, 0.020),
}
WINDOW, LONG_WINDOW = 0.0464, 0.0928  # seconds: librosa's 2,048 samples at 44.1 kHz, and twice that for pitch
TEMPI = np.geomspace(30, 240, 60)  # beats a minute at which the onsets' autocorrelation is read
TASKS = ("key", "style", "meter", "tempo", "pitch_class")
INSTRUMENTS = "instruments"
SPLITS = ("train", "valid", "test")


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of_corpus(__doc__, clips=240)
    parser.add_argument(
        "--grid-only", action="store_true", help="the last condition alone, of the clips as they are"
    )
    options = parse(parser, arguments, {})
    if options.tiny:
        return finish(options, tiny())
    if options.corpus is None:
        parser.error("expected the folder of the corpus")
    return finish(options, compare(options.corpus, options.clips, options.grid_only, options.jobs))


def parser_of_corpus(description: str, clips: int) -> argparse.ArgumentParser:
    """The options of a benchmark of the corpus of rendered scores, by default of so many clips."""
    parser = parser_of(description)
    parser.add_argument("corpus", type=Path, nargs="?", help="OUT of `ptsel fetch rendered-scores`")
    parser.add_argument("--clips", type=int, default=clips, help="the first of the corpus's plan")
    parser.add_argument("--jobs", type=int, help="processes (default: all cores)")
    return parser


def compare(corpus: Path, count: int, grid_only: bool, jobs: int | None) -> list[Figure]:
    plan, seconds = read_plan(corpus)
    splits, classes = read_splits_and_classes(corpus, (*TASKS, "work"))
    plan = [clip for clip in plan if clip["path"] in splits][:count]
    conditions = dict(list(CONDITIONS.items())[-1:]) if grid_only else CONDITIONS
    synthesizer = None if grid_only else find_synthesizer(None)
    features: dict[tuple[str, str], list[np.ndarray]] = {}
    work = partial(described, corpus, seconds, synthesizer, conditions)
    for found in progress_bar(map_ordered(work, plan, jobs=jobs), total=len(plan), desc="clips", unit="clip"):
        for key, values in found.items():
            features.setdefault(key, []).append(values)
    paths = [clip["path"] for clip in plan]
    labels: dict[str, float] = {}
    for split in SPLITS:
        labels.update(read_labels(corpus / "labels" / f"{split}.tsv").values)
    arrays = {key: np.stack(rows) for key, rows in features.items()}
    return probed(arrays, paths, splits, classes, labels, list(conditions))


def read_plan(corpus: Path) -> tuple[list[dict], float]:
    """What was drawn for each clip of the corpus, and how many seconds clips have."""
    recipe = json.loads((corpus / "recipe.json").read_text(encoding="utf-8"))
    lines = (corpus / "plan.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines], recipe["clip_seconds"]


def read_splits_and_classes(
    corpus: Path, names: Sequence[str]
) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """The split of each clip, and by the name of a class file the class of each clip that has one."""
    splits: dict[str, str] = {}
    classes: dict[str, dict[str, str]] = {name: {} for name in names}
    for split in SPLITS:
        manifest = read_manifest(corpus / f"{split}.tsv")
        splits.update({utterance.path: split for utterance in manifest})
        for name, found in classes.items():
            file = read_classes(corpus / "classes" / f"{name}.tsv", manifest, SAMPLE_RATE)
            found.update(
                {manifest.utterances[segment.utterance].path: segment.name for segment in file.segments}
            )
    return splits, classes


def in_percent(found: Metric) -> str:
    """A metric with its interval."""
    low, high = found.interval
    return f"{100 * found.value:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def described(
    corpus: Path,
    seconds: float,
    synthesizer: Synthesizer | None,
    conditions: dict[str, tuple[int, float]],
    clip: dict,
) -> dict[tuple[str, str], np.ndarray]:
    """The labels of one clip by name and condition."""
    waveforms = {SAMPLE_RATE: read_audio(corpus / "audio" / clip["path"], SAMPLE_RATE)}
    if synthesizer is not None:
        midi = (corpus / "midi" / clip["path"]).with_suffix(".mid").read_bytes()
        sheet = Sheet(clip["path"], midi, tuple(clip["reverb"]), clip["peak"])
        waveforms[RATE] = waveform_of(sheet, seconds, synthesizer)
    return {
        (name, condition): values
        for condition, (rate, hop) in conditions.items()
        for name, values in describe(waveforms[rate], rate, hop).items()
    }


def describe(waveform: np.ndarray, rate: int, hop: float) -> dict[str, np.ndarray]:
    """Mean and deviation over frames of each label, and the rhythm of the onsets."""
    step = round(hop * rate)
    window = round(LONG_WINDOW * rate)
    mel = log_mel(waveform, rate, hop)
    long = np.abs(librosa.stft(waveform, n_fft=4096, win_length=window, hop_length=step)) ** 2
    chroma = librosa.feature.chroma_stft(S=long, sr=rate, tuning=0.0)
    frames = {"log mel": mel, "mfcc": librosa.feature.mfcc(S=mel, n_mfcc=20), "chroma": chroma}
    summaries = {name: pooled(values) for name, values in frames.items()}
    return {**summaries, "rhythm": at_lags(onset_curve(mel), 60 / TEMPI, hop)}


def pooled(values: np.ndarray) -> np.ndarray:
    """Mean and standard deviation over frames of [dim, frames], float32 [2 dim]."""
    return np.concatenate([values.mean(axis=1), values.std(axis=1)]).astype(np.float32)


def log_mel(waveform: np.ndarray, rate: int, hop: float) -> np.ndarray:
    """80 bands in dB [bands, frames]."""
    spectrum = librosa.stft(
        waveform, n_fft=2048, win_length=min(2048, round(WINDOW * rate)), hop_length=round(hop * rate)
    )
    return librosa.power_to_db(librosa.feature.melspectrogram(S=np.abs(spectrum) ** 2, sr=rate, n_mels=80))


def onset_curve(mel: np.ndarray) -> np.ndarray:
    """The mean rise of log-mel bands [bands, frames] from one frame to the next, [frames - 1]."""
    return np.maximum(0, np.diff(mel, axis=1)).mean(axis=0)


def at_lags(curve: np.ndarray, lags: np.ndarray, hop: float) -> np.ndarray:
    """The autocorrelation of a curve without its mean, 1 at lag 0, at lags in seconds, float32."""
    curve = curve - curve.mean()
    power = np.abs(np.fft.rfft(curve, 2 * len(curve))) ** 2
    found = np.fft.irfft(power)[: len(curve)]
    return np.interp(lags / hop, np.arange(len(found)), found / max(found[0], 1e-9)).astype(np.float32)


def probed(
    features: dict[tuple[str, str], np.ndarray],
    paths: list[str],
    splits: dict[str, str],
    classes: dict[str, dict[str, str]],
    labels: dict[str, float],
    conditions: list[str],
) -> list[Figure]:
    """A table of all tasks, labels and conditions; as figures what 16 kHz and what the grid cost on each task."""
    names = sorted({key.split("\t")[1] for key in labels})
    relevance = np.array([[float(labels[f"{path}\t{name}"]) for name in names] for path in paths])
    own = [splits[path] for path in paths]
    groups = [classes["work"][path] for path in paths]
    rows = [["task", "label", *conditions]]
    best: dict[tuple[str, str], float] = {}
    for task in (*TASKS, INSTRUMENTS):
        for name in dict.fromkeys(name for name, _ in features):
            row = [task, name]
            for condition in conditions:
                x = features[name, condition]
                metric = "map" if task == INSTRUMENTS else "uar"
                if task == INSTRUMENTS:
                    result = probe_relevance(x, relevance, own, classes=names, ids=paths, groups=groups)
                else:
                    kept = [i for i, path in enumerate(paths) if path in classes[task]]
                    result = probe_features(
                        x[kept],
                        [classes[task][paths[i]] for i in kept],
                        [own[i] for i in kept],
                        ids=[paths[i] for i in kept],
                        groups=[groups[i] for i in kept],
                    )
                found = result[metric]
                row.append(in_percent(found))
                best[task, condition] = max(best.get((task, condition), 0.0), found.value)
            rows.append(row)
    print(markdown(rows))
    return [
        Figure(
            f"{task}: best label at {condition} against {conditions[0]}",
            best[task, condition] / best[task, conditions[0]],
        )
        for task in (*TASKS, INSTRUMENTS)
        for condition in conditions[1:]
    ]


def tiny() -> list[Figure]:
    """Whether the labels of a chirp are finite and of one size in all conditions."""
    sizes = set()
    for rate, hop in CONDITIONS.values():
        chirp = librosa.chirp(fmin=110, fmax=880, sr=rate, duration=3.0).astype(np.float32)
        described = describe(chirp, rate, hop)
        sizes.add(tuple(values.shape for values in described.values()))
        if not all(np.isfinite(values).all() for values in described.values()):
            raise SystemExit(f"{rate} Hz: expected finite labels")
    return [Figure("sizes of labels in all conditions", float(len(sizes)), 1, at_most=True)]


if __name__ == "__main__":
    main()
