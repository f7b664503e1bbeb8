"""Probes as functions of arrays: how well small models tell classes, speakers or words apart on frozen features.

`ptsel probe`, `ptsel verify` and `ptsel probe-asr` do the same for audio files and checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.downstream.asr.settings import HEADS, SUFFIXES, Settings
from ptsel_fairseq.downstream.metrics.answer_files import Table
from ptsel_fairseq.downstream.metrics.results import RESAMPLES, Answers, Result, score
from ptsel_fairseq.downstream.probing import multilabel, probe, regression, verify
from ptsel_fairseq.downstream.probing.classifiers import MODELS
from ptsel_fairseq.downstream.probing.given import (
    PARTS,
    GivenFrames,
    check_choice,
    check_splits,
    check_whole,
    column_of,
    features_of,
    looked_up,
    names_of,
    numbers_of,
    table_of,
    vectors_of,
)
from ptsel_fairseq.downstream.probing.items import Fold, Items, make_folds


def probe_features(
    x: np.ndarray,
    classes: Sequence[str],
    splits: Sequence[str] | None = None,
    *,
    leave_out: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    model: str = "linear",
    seeds: int = 3,
    name: str = "features",
) -> Result:
    """Tell classes apart by a small classifier on frozen features, with intervals.

    Args:
        x: features, [items, dim], or [items, layers, dim] of which the layers are mixed by learned weights.
        classes: of each item, [items].
        splits: ``train``, ``valid`` (to choose on) or ``test`` for each item, [items].
        leave_out: in place of `splits`, such as each item's speaker: each is the test set once, and the next in
            alphabetical order is chosen on, [items].
        ids: the items' names; default, their numbers.
        groups: what intervals resample as a whole, [items]; default, items.
        model: ``linear`` or ``mlp``; see `classifiers.fit_and_answer`.
        seeds: networks to train; a logistic regression (linear, one layer) needs one.
        name: of the system in comparisons.

    Returns:
        Metrics ``accuracy``, ``uar`` and ``macro_f1`` of the test items.

    Raises:
        PtselError: arrays that do not fit each other, values that are not finite, or too few classes to learn.

    Examples:
        >>> import numpy as np
        >>> from ptsel_fairseq import downstream
        >>> classes = np.array(["low", "high"] * 30)
        >>> x = np.where(classes == "high", 1.0, -1.0)[:, None] + np.linspace(-0.3, 0.3, 60)[:, None]
        >>> downstream.probe_features(x, classes, np.repeat(["train", "valid", "test"], 20))["accuracy"].value
        1.0
    """
    features = features_of(x, "x")
    check_choice("model", model, MODELS)
    check_whole("seeds", seeds)
    y = column_of(classes, len(features), "classes")
    items, folds, table = _divided(features, y, splits, leave_out, ids, groups)
    return probe.probe(items, folds, model, seeds, name, table)


def probe_values(
    x: np.ndarray,
    values: Sequence[float] | np.ndarray,
    splits: Sequence[str] | None = None,
    *,
    leave_out: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    model: str = "linear",
    seeds: int = 3,
    name: str = "features",
) -> Result:
    """Predict a number, such as valence, a mean opinion score or an age, from frozen features, with intervals.

    Args:
        x: features, [items, dim], or [items, layers, dim] of which the layers are mixed by learned weights.
        values: of each item, finite, [items].
        splits, leave_out, ids, groups, seeds, name: see `probe_features`.
        model: ``linear`` (ridge regression, of one layer) or ``mlp``; see `regression.fit_and_predict`.

    Returns:
        Metrics ``r2`` and ``ccc`` of the test items, see `evaluate_regression`.

    Raises:
        PtselError: arrays that do not fit each other, values that are not finite numbers, or the same for all items to
            train or to choose on.

    Examples:
        >>> import numpy as np
        >>> from ptsel_fairseq import downstream
        >>> x = np.random.default_rng(0).normal(size=(90, 4))
        >>> result = downstream.probe_values(x, 2 * x[:, 0] + 1, np.repeat(["train", "valid", "test"], 30))
        >>> round(result["r2"].value, 3)
        1.0
    """
    features = features_of(x, "x")
    check_choice("model", model, MODELS)
    check_whole("seeds", seeds)
    y = numbers_of(values, len(features), "values")
    items, folds, table = _divided(features, y, splits, leave_out, ids, groups)
    return regression.probe_values(items, folds, model, seeds, name, table)


def _divided(
    features: np.ndarray,
    y: np.ndarray,
    splits: Sequence[str] | None,
    leave_out: Sequence[str] | None,
    ids: Sequence[str] | None,
    groups: Sequence[str] | None,
) -> tuple[Items, list[Fold], Table | None]:
    """The items, their folds (the splits, or one for each group that is left out), and the groups of intervals."""
    names = names_of(ids, len(features))
    if (splits is None) == (leave_out is None):
        raise PtselError("splits, leave_out: expected one of them")
    split = (
        column_of(splits, len(features), "splits") if splits is not None else np.array([""] * len(features))
    )
    items = Items(features, np.array(names), np.array(names), y, split)
    if splits is not None:
        check_splits(split)
    table = None if leave_out is None else table_of("leave_out", names, leave_out)
    of_intervals = None if groups is None else table_of("groups", names, groups)
    return items, make_folds(items, PARTS, table), of_intervals


def probe_relevance(
    x: np.ndarray,
    relevance: np.ndarray,
    splits: Sequence[str],
    *,
    classes: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    model: str = "linear",
    seeds: int = 3,
    name: str = "features",
) -> Result:
    """Tell which of several classes each item has, where some pairs are not labelled, with intervals.

    Args:
        x: features, [items, dim] or [items, layers, dim].
        relevance: 0 to 1, NaN for a pair that is not labelled, [items, classes].
        splits: ``train``, ``valid`` or ``test`` for each item.
        classes: their names; default, their numbers.
        ids, groups, model, seeds, name: see `probe_features`.

    Returns:
        Metrics ``mean_f1``, ``mean_f1_both`` and ``map`` of the labelled pairs of the test items.

    Raises:
        PtselError: arrays that do not fit each other, or no pairs on both sides of 0.5 to learn from.
    """
    features = features_of(x, "x")
    check_choice("model", model, MODELS)
    check_whole("seeds", seeds)
    truth = np.asarray(relevance, dtype=np.float64)
    if truth.ndim != 2 or len(truth) != len(features):
        raise PtselError(
            f"relevance: expected an array [{len(features)}, classes], found one of shape {truth.shape}"
        )
    if ((truth < 0) | (truth > 1)).any():
        raise PtselError("relevance: expected numbers from 0 to 1, NaN where a pair is not labelled")
    names = names_of(ids, len(features))
    split = column_of(splits, len(features), "splits")
    check_splits(split)
    labelled = np.isfinite(truth).any(axis=1)
    rated = multilabel.Rated(features, truth, np.array(names))
    train, valid, test = (rated.part(np.flatnonzero((split == part) & labelled)) for part in PARTS)
    table = None if groups is None else table_of("groups", names, groups)
    return multilabel.probe_rated(
        (train, valid, test), names_of(classes, truth.shape[1], "classes"), model, seeds, name, table
    )


def verify_trials(
    x: Mapping[str, np.ndarray],
    trials: Sequence[tuple[int, str, str]],
    *,
    backend: str = "cosine",
    train: Mapping[str, np.ndarray] | None = None,
    speakers: Mapping[str, str] | None = None,
    dimensions: int = 150,
    groups: Mapping[str, str] | None = None,
    name: str = "features",
) -> Result:
    """Tell whether two recordings are of one speaker, by cosine or PLDA, with intervals.

    Args:
        x: a vector [dim] for each recording in a trial.
        trials: (1 for the same speaker or 0, recording, recording).
        backend: ``cosine``, or ``plda`` after LDA and length normalisation (Garcia-Romero and Espy-Wilson 2011).
        train: vectors of other speakers' recordings; PLDA is trained on them, cosine takes their mean off.
        speakers: of the recordings in `train`, for PLDA.
        dimensions: that LDA keeps before PLDA.
        groups: of the first recording of each trial, which intervals resample as a whole; default, trials.
        name: of the system in comparisons.

    Returns:
        Metrics ``eer``, ``min_dcf_0.01`` and ``min_dcf_0.05``; the scores are ``result.answers.runs[0]``.

    Raises:
        PtselError: recordings without a vector, vectors of different sizes, only one kind of trials, or too little
            to train PLDA on.

    Examples:
        >>> import numpy as np
        >>> from ptsel_fairseq import downstream
        >>> x = {"a1": np.array([1.0, 0.1]), "a2": np.array([0.9, 0.0]), "b1": np.array([0.0, 1.0])}
        >>> downstream.verify_trials(x, [(1, "a1", "a2"), (0, "a1", "b1")])["eer"].value
        0.0
    """
    check_choice("backend", backend, verify.BACKENDS)
    check_whole("dimensions", dimensions)
    wanted = list(dict.fromkeys(side for _, *sides in trials for side in sides))
    matrix = vectors_of(x, wanted, "x")
    place = {recording: row for row, recording in enumerate(wanted)}
    trained = None
    if train is not None:
        names = list(train)
        known = vectors_of(train, names, "train")
        if known.shape[1] != matrix.shape[1]:
            raise PtselError(f"train: expected vectors of {matrix.shape[1]} numbers, found {known.shape[1]}")
        of_speaker = [""] * len(names) if speakers is None else looked_up(speakers, names, "speakers")
        trained = verify.Trained(known, np.array(of_speaker))
    if backend == "plda" and (train is None or speakers is None):
        raise PtselError("backend plda: expected `train` and `speakers`, what it is trained on")
    pairs = [(place[a], place[b]) for _, a, b in trials]
    values, details = verify.scores_of_trials(matrix, pairs, backend, trained, dimensions)
    targets = [int(target) for target, _, _ in trials]
    ids = [f"{a}\t{b}" for _, a, b in trials]
    if len(set(ids)) < len(ids) or set(targets) != {0, 1}:
        raise PtselError("trials: expected each pair once, and both kinds of trials, 1 and 0")
    resampled = ids if groups is None else looked_up(groups, [a for _, a, _ in trials], "groups")
    answers = Answers("verification", tuple(ids), tuple(targets), (tuple(values.tolist()),), tuple(resampled))
    return score(name, answers, {"backend": {"kind": backend, **details}}, RESAMPLES)


def probe_transcripts(
    frames: Sequence[np.ndarray],
    texts: Sequence[str],
    splits: Sequence[str],
    *,
    unit: str = "word",
    ids: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    head: str = "blstm",
    size: int = 1024,
    learning_rate: float = 1e-3,
    batch: int = 8,
    epochs: int = 60,
    seeds: int = 1,
    device: str = "cpu",
    name: str = "features",
) -> Result:
    """Recognise words by a small CTC recogniser on frozen features, as SUPERB does, with intervals.

    Args:
        frames: features of each utterance, [frames, dim] or [layers, frames, dim].
        texts: what is said in each; phones separated by spaces for the unit ``phone``.
        splits: ``train``, ``valid`` (the epoch is chosen on it) or ``test`` for each utterance.
        unit: ``word``, recognised by letters, or ``phone``.
        ids, groups, name: see `probe_features`.
        head, size, learning_rate, batch, epochs, device: see `asr.settings.Settings`.
        seeds: recognisers to train.

    Returns:
        Metrics ``wer`` and ``cer``, or ``per``, of the test utterances.

    Raises:
        PtselError: arrays that do not fit each other, values that are not finite, or no text to train on.
    """
    from ptsel_fairseq.base.device import check_device
    from ptsel_fairseq.downstream.asr import probe as asr
    from ptsel_fairseq.downstream.speech.utterances import Spoken

    check_choice("unit", unit, SUFFIXES)
    check_choice("head", head, HEADS)
    settings = Settings(head, size, learning_rate, batch, epochs, device=device)
    asr.check_settings(settings, PARTS, seeds)
    check_device(device)
    names = names_of(ids, len(frames))
    said = column_of(texts, len(frames), "texts").tolist()
    split = column_of(splits, len(frames), "splits")
    check_splits(split)
    spoken = [Spoken(item, Path(item), 0, item, text) for item, text in zip(names, said, strict=True)]
    train, valid, test = (np.flatnonzero(split == part).tolist() for part in PARTS)
    task = asr.task_of(spoken, (train, valid, test), unit, "texts")
    table = None if groups is None else table_of("groups", names, groups)
    return asr.probe(task, GivenFrames(frames), settings, seeds, name, None, table)
