"""`ptsel verify`: scores of verification trials by cosine or PLDA on frozen features, and their error rates."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ptsel_fairseq.base.class_file import ClassFile, Segment
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import write_lines
from ptsel_fairseq.base.manifest import Manifest, manifest_file, read_manifest
from ptsel_fairseq.base.messages import examples
from ptsel_fairseq.base.provenance import checksums
from ptsel_fairseq.downstream.features.front_end import FrontEnd, extract, front_ends
from ptsel_fairseq.downstream.metrics.answer_files import Table, read_class_table, read_trials
from ptsel_fairseq.downstream.metrics.evaluations import EVALUATIONS
from ptsel_fairseq.downstream.metrics.results import (
    RESAMPLES,
    RESULT,
    Answers,
    result_lines,
    score,
    write_result,
)
from ptsel_fairseq.downstream.probing.plda import check_speakers, train_plda

SCORES = "scores.txt"

Pairs = Callable[[np.ndarray, np.ndarray], np.ndarray]  # vectors of both sides, [trials, dim] -> [trials]


@dataclass(frozen=True)
class Trained:
    """Vectors of the training split, their speakers, and the table that names all speakers."""

    x: np.ndarray
    speakers: np.ndarray


def verify_command(
    data_dir: Path | str,
    trials: Path | str,
    features: Sequence[str],
    out: Path | str,
    backend: str = "cosine",
    split: str = "test",
    train_split: str | None = None,
    speakers: Path | str | None = None,
    dimensions: int = 150,
    layer: int | None = None,
    groups: Path | str | None = None,
    jobs: int | None = None,
    command_line: str = "",
) -> None:
    """Write ``OUT/<features>/scores.txt`` and ``result.json``; compare several features.

    Args:
        data_dir: manifests at 16 kHz.
        trials: 1 or 0 and two utterances of `split` a line.
        features: labels and pools of `ptsel labels`, or checkpoints of wav2vec 2.0.
        out: folder of results; features are kept under ``features``.
        backend: ``cosine``, or ``plda`` trained on `train_split` with its `speakers`.
        split: that holds the trials' utterances.
        train_split: whose mean is taken off (cosine), or that PLDA is trained on; no speaker of it may be in a trial.
        speakers: class file of utterances.
        dimensions: that LDA keeps before PLDA.
        layer: of a checkpoint, 0 for the input of the first block; default, the mean of all.
        groups: class file; intervals resample its classes as a whole; default, trials.
        jobs: processes that extract features.
        command_line: kept in the results.

    Raises:
        PtselError: data that cannot be used.
    """
    from ptsel_fairseq.downstream.metrics.compare import compare_command

    if backend == "plda" and (train_split is None or speakers is None):
        raise PtselError("--backend plda: give --train-split and --speakers, what it is trained on")
    if dimensions < 1:
        raise PtselError(f"--dimensions: expected at least 1, found {dimensions}")
    table = read_trials(trials)
    targets = EVALUATIONS["verification"].values(table.values, table.file, is_reference=True)
    sides = [item.split("\t") for item in table.values]
    tested = manifest_of(data_dir, split, [path for pair in sides for path in pair], table)
    if len(set(targets)) < 2:
        raise PtselError(
            f"{trials}: expected trials of the same speaker (1) and of different ones (0), found only {targets[0]}"
        )
    training = None if train_split is None else read_manifest(manifest_file(data_dir, train_split))
    of_speaker = None if speakers is None else read_class_table(speakers)
    if training is not None and of_speaker is not None:
        check_apart(training, tested, of_speaker)
    group_table = None if groups is None else read_class_table(groups)
    written = []
    for front_end in front_ends(features):
        cache = Path(out) / "features"
        x = vectors(front_end, tested, cache, layer, jobs)
        place = {utterance.path: i for i, utterance in enumerate(tested)}
        trained = None
        if training is not None:
            names = (
                np.array(of_speaker.of_paths(u.path for u in training))
                if of_speaker
                else np.array([""] * len(training))
            )
            trained = Trained(vectors(front_end, training, cache, layer, jobs), names)
        values, details = scores_of_trials(
            x, [[place[a], place[b]] for a, b in sides], backend, trained, dimensions
        )
        folder = Path(out) / front_end.name
        lines = [f"{a} {b} {value:.6f}" for (a, b), value in zip(sides, values, strict=True)]
        write_lines(folder / SCORES, lines)
        answers = Answers(
            "verification",
            tuple(table.values),
            tuple(targets),
            (tuple(values.tolist()),),
            tuple(table.values if group_table is None else group_table.of_paths(a for a, _ in sides)),
        )
        provenance = {
            "command": command_line,
            "backend": {"kind": backend, **details},
            "features": {"kind": front_end.kind, "checksum": front_end.checksum, "layer": layer},
            "files": checksums([manifest_file(data_dir, split), trials, speakers, groups]),
        }
        result = score(f"{front_end.name} {backend}", answers, provenance, RESAMPLES)
        write_result(folder / RESULT, result)
        written.append(folder / RESULT)
        counts = f"{sum(targets)} trials of the same and {len(targets) - sum(targets)} of other speakers"
        print(f"{result.name}: {counts}", *result_lines(result), folder / SCORES, folder / RESULT, sep="\n  ")
    if len(written) > 1:
        compare_command(written, Path(out) / "comparison.md")


def scores_of_trials(
    x: np.ndarray, pairs: Sequence[Sequence[int]], backend: str, trained: Trained | None, dimensions: int
) -> tuple[np.ndarray, dict[str, Any]]:
    """Scores of pairs of rows of `x`, higher for the same speaker, float64 [pairs], and what the backend has found."""
    compare, details = BACKENDS[backend](trained, dimensions)
    first, second = (x[[pair[side] for pair in pairs]] for side in (0, 1))
    return compare(first, second), details


def manifest_of(data_dir: Path | str, split: str, paths: Sequence[str], trials: Table) -> Manifest:
    """The part of a manifest that the trials are about; raise PtselError naming utterances that it lacks."""
    manifest = read_manifest(manifest_file(data_dir, split))
    wanted = set(paths)
    known = {utterance.path for utterance in manifest}
    unknown = sorted(wanted - known)
    if unknown:
        raise PtselError(
            f"{trials.file}: {len(unknown)} of its {len(wanted)} utterances are not in {manifest.file} "
            f"{examples(unknown)}; expected paths as written there, such as {manifest.utterances[0].path!r}"
        )
    kept = tuple(utterance for utterance in manifest if utterance.path in wanted)
    return Manifest(manifest.file, manifest.root, kept)


def check_apart(training: Manifest, tested: Manifest, speakers: Table) -> None:
    """Raise PtselError if a speaker is both trained on and tested; test utterances without a speaker are passed."""
    trained = set(speakers.of_paths(utterance.path for utterance in training))
    seen = sorted(
        {
            name
            for utterance in tested
            if (name := speakers.values.get(utterance.path)) is not None and name in trained
        }
    )
    if seen:
        raise PtselError(
            f"{speakers.file}: {len(seen)} speakers of the trials are in the training split {training.split} too "
            f"{examples(seen)}; train on others, or the error rate is too low"
        )


def vectors(
    front_end: FrontEnd, manifest: Manifest, cache: Path, layer: int | None, jobs: int | None
) -> np.ndarray:
    """One vector for each utterance, float64 [utterances, dim]: of one layer, or the mean of all."""
    # `place` counts within this part of the manifest, `index` in the file.
    whole = Manifest(
        manifest.file,
        manifest.root,
        tuple(type(u)(place, u.path, u.samples) for place, u in enumerate(manifest)),
    )
    segments = tuple(Segment(utterance.index, 0.0, math.inf, "") for utterance in whole)
    x = extract(front_end, whole, ClassFile(manifest.file, "", segments, 0, 0), cache, jobs)
    if layer is not None and not 0 <= layer < x.shape[1]:
        raise PtselError(f"--layer: expected 0 to {x.shape[1] - 1} of {front_end.name}, found {layer}")
    return (x.mean(axis=1) if layer is None else x[:, layer]).astype(np.float64)


def cosine_backend(trained: Trained | None, dimensions: int) -> tuple[Pairs, dict[str, Any]]:
    """Cosine of the angle between vectors, the mean of the training split taken off if there is one."""
    mean = 0.0 if trained is None else trained.x.mean(axis=0)

    def compare(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return (unit_length(first - mean) * unit_length(second - mean)).sum(axis=1)

    return compare, {"centred": trained is not None}


def plda_backend(trained: Trained | None, dimensions: int) -> tuple[Pairs, dict[str, Any]]:
    """LDA with shrinkage, vectors of unit length (Garcia-Romero and Espy-Wilson 2011), PLDA."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    if trained is None:  # said before
        raise PtselError("--backend plda: give --train-split and --speakers")
    mean, deviation = trained.x.mean(axis=0), trained.x.std(axis=0)
    deviation = np.where(deviation > 0, deviation, 1)
    check_speakers(trained.speakers)
    kept = min(dimensions, len(set(trained.speakers.tolist())) - 1, trained.x.shape[1])
    # Ledoit and Wolf's shrinkage: there may be fewer recordings than dimensions.
    lda = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto", n_components=kept)
    scaled = (trained.x - mean) / deviation
    try:
        projected = lda.fit(scaled, trained.speakers).transform(scaled)
    except np.linalg.LinAlgError:
        raise PtselError(
            f"PLDA: {len(scaled)} recordings of {len(set(trained.speakers.tolist()))} speakers do not say how the "
            f"{scaled.shape[1]} features of one vary; expected more recordings of each"
        ) from None
    centre = projected.mean(axis=0)
    plda = train_plda(unit_length(projected - centre), trained.speakers)

    def compare(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        sides = (unit_length(lda.transform((side - mean) / deviation) - centre) for side in (first, second))
        return plda.scores(*sides)

    details = {
        "dimensions": kept,
        "speakers": len(set(trained.speakers.tolist())),
        "iterations": len(plda.log_likelihoods) - 1,
        "log_likelihood": plda.log_likelihoods[-1],
    }
    return compare, details


BACKENDS = {"cosine": cosine_backend, "plda": plda_backend}


def unit_length(x: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(length > 0, length, 1)
