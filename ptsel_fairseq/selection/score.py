"""Scores of labels for one downstream task, computed before any training.

What a score says and which direction is good is the estimator's to state (`estimators.known`); scores of
different estimators are never to be mixed in one table. With each score come how far chance alone gets (p, z,
the range of chance), an interval, and whether the label is better than noise at all (`noise`). Whatever assumes
independent points takes whole groups of them, by default utterances.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from ptsel_fairseq.base.device import check_device
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.threads import few_threads
from ptsel_fairseq.base.workers import LOCAL
from ptsel_fairseq.selection.bins import value_bins
from ptsel_fairseq.selection.checks import check_arrays, kernel_estimator, no_class_left
from ptsel_fairseq.selection.estimators import (
    DEFAULT_ESTIMATOR,
    ESTIMATORS,
    Estimator,
    KernelEstimator,
    TaskEstimator,
)
from ptsel_fairseq.selection.estimators.one_class import MEMORY
from ptsel_fairseq.selection.estimators.value_task import checked_values
from ptsel_fairseq.selection.label_score import LabelScore
from ptsel_fairseq.selection.noise import MOST_POINTS, compared_with_noise, relevance_of
from ptsel_fairseq.selection.score_kernels import AVERAGES, Compute, KernelSettings, score_by_kernels
from ptsel_fairseq.selection.score_tasks import score_by_task

DEFAULT_BOOTSTRAP = 1000


def score_labels(
    x: np.ndarray,
    labels: Mapping[str, np.ndarray],
    classes: np.ndarray | None = None,
    *,
    values: np.ndarray | None = None,
    estimator: str | Estimator = DEFAULT_ESTIMATOR,
    groups: np.ndarray | None = None,
    codes: Collection[str] = (),
    seed: int = 0,
    permutations: int | None = None,
    bootstrap: int = DEFAULT_BOOTSTRAP,
    average: str | None = None,
    gamma: float | None = None,
    progress: bool = False,
    memory: float = MEMORY,
    engine: str = LOCAL,
    jobs: int | None = None,
    device: str = "cpu",
) -> dict[str, LabelScore]:
    """Score each label for one downstream task.

    The settings from `progress` on change no score by more than rounding.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> classes = np.repeat(["a", "b", "c"], 60)
    >>> speech = rng.normal(size=(180, 8)) + np.repeat(rng.normal(size=(3, 8)), 60, axis=0)
    >>> found = score_labels(speech, {"tone": speech[:, 0], "noise": rng.normal(size=180)}, classes)
    >>> found["tone"].score > found["noise"].score, found["noise"].better_than_noise
    (True, False)

    Args:
        x: points [N, d], one speech vector for each sample (see `embedding.embed`).
        labels: name -> values [N] or [N, d]; NaN where a label is undefined.
        classes: downstream class of each sample [N].
        values: in place of `classes`, a number to be predicted for each sample [N], such as valence, a mean opinion
            score or an age. Estimators of kernels then take `bins.value_bins` as classes.
        estimator: one of `estimators.ESTIMATORS`, or its name.
        groups: what each sample belongs to, such as its utterance [N]; samples of different groups are independent.
            Default: each is its own.
        codes: labels of codes among them, whose values [N, codes] are the shares of a sample's frames with each code;
            kernels of these are discrete, see `checks.prepare_labels`.
        seed: of permutations, resampling and folds.
        permutations: of the labels by group, for `p` and `z`; 0 for none; default, the estimator's own number.
        bootstrap: resamplings of the classes for the interval of kernel estimators; 0 for no interval of any.
        average: of kernel estimators, over classes: by ``count``, or ``plain``; default, the estimator's own.
        gamma: noise floor of ``relevance`` and ``pillai``; default `relevance.NOISE_FLOOR`.
        progress: show a bar on stderr.
        memory: bytes that the computation may take beside its arguments (default 4e9); see `one_class`.
        engine: where the classes are scored, see `workers.map_ordered`.
        jobs: processes of the engine ``local``; default, all cores, or one if that is faster.
        device: ``cpu``, or ``cuda`` (or ``cuda:1``) for the permutations of classes that fit into the GPU's memory.

    Returns:
        Label -> LabelScore, sorted by name.

    Raises:
        PtselError: arrays that do not fit each other, values that are not finite, an unknown setting, a class that
            does not fit into `memory`, no class with enough points, or an estimator that has no form for values.
    """
    scores, _ = score_with_controls(
        x,
        labels,
        {},
        classes,
        values=values,
        estimator=estimator,
        groups=groups,
        codes=codes,
        seed=seed,
        permutations=permutations,
        bootstrap=bootstrap,
        average=average,
        gamma=gamma,
        progress=progress,
        compute=Compute(memory, engine, jobs, device),
    )
    return scores


def score_with_controls(
    x: np.ndarray,
    labels: Mapping[str, np.ndarray],
    controls: Mapping[str, np.ndarray],
    classes: np.ndarray | None = None,
    *,
    values: np.ndarray | None = None,
    estimator: str | Estimator = DEFAULT_ESTIMATOR,
    groups: np.ndarray | None = None,
    codes: Collection[str] = (),
    seed: int = 0,
    permutations: int | None = None,
    bootstrap: int = DEFAULT_BOOTSTRAP,
    average: str | None = None,
    gamma: float | None = None,
    progress: bool = False,
    compute: Compute | None = None,
) -> tuple[dict[str, LabelScore], dict[str, LabelScore]]:
    """`score_labels` of labels, and of controls (see `controls`), which change nothing in the labels' scores."""
    compute = compute or Compute()
    x = np.asarray(x)
    chosen = ESTIMATORS.get(estimator) if isinstance(estimator, str) else estimator
    if (classes is None) == (values is None):
        raise PtselError("classes, values: expected one of them, what the labels are to tell")
    if values is not None:
        chosen, values = chosen.of_values(), checked_values(values, len(x))
    classes = np.asarray(classes) if values is None else value_bins(values)
    permutations = chosen.permutations if permutations is None else permutations
    check_settings(chosen, average, permutations, bootstrap, gamma)
    check_device(compute.device)
    check_arrays(x, labels, classes, groups)
    if set(labels) & set(controls):
        raise PtselError(f"labels: {', '.join(sorted(set(labels) & set(controls)))} is the name of a control")
    together = {**labels, **controls}
    with few_threads(_multiplications(x, together, classes, chosen)):
        most = None if isinstance(chosen, TaskEstimator) and chosen.audible else MOST_POINTS
        relevance = relevance_of(x, together, classes, groups, seed, most, values)
        if isinstance(chosen, TaskEstimator):
            scores = score_by_task(
                x,
                together,
                classes,
                chosen,
                groups,
                seed,
                permutations,
                bootstrap > 0,
                gamma,
                progress,
                relevance,
                values,
            )
        else:
            settings = KernelSettings(
                kernel_estimator(chosen),
                seed,
                permutations,
                bootstrap,
                average or kernel_estimator(chosen).average,
            )
            scores = score_by_kernels(x, together, classes, groups, settings, compute, progress, codes)
        scores = compared_with_noise(scores, relevance, apart=tuple(controls))
    of_labels = {name: scores[name] for name in sorted(labels)}
    if all(record.score is None for record in of_labels.values()) and isinstance(chosen, KernelEstimator):
        raise PtselError(no_class_left(chosen, classes))
    return of_labels, {name: scores[name] for name in controls}


def _multiplications(
    x: np.ndarray, labels: Mapping[str, np.ndarray], classes: np.ndarray, estimator: Estimator
) -> float:
    """Of the largest products: of a label with itself or with the speech, of the speech with itself in a class."""
    widest = max((z[0].size for z in map(np.asarray, labels.values()) if len(z)), default=1)
    if isinstance(estimator, TaskEstimator):
        return float(len(x)) * widest * (x.shape[1] if estimator.audible else widest)
    largest = float(np.unique(classes, return_counts=True)[1].max(initial=0))
    return largest**2 * x.shape[1]


def check_settings(
    estimator: Estimator,
    average: str | None,
    permutations: int,
    bootstrap: int,
    gamma: float | None = None,
) -> None:
    """Raise PtselError for a setting that no estimator knows, or that this one does not have."""
    if average is not None and (average not in AVERAGES or isinstance(estimator, TaskEstimator)):
        raise PtselError(
            f"expected an average among {', '.join(AVERAGES)}, of an estimator of kernels, found {average!r} for "
            f"{estimator.name}"
        )
    if permutations < 0 or bootstrap < 0:
        raise PtselError(
            f"expected counts of at least 0, found permutations {permutations}, bootstrap {bootstrap}"
        )
    if gamma is None:
        return
    if not (isinstance(estimator, TaskEstimator) and estimator.audible is not None):
        raise PtselError(f"gamma: the estimator {estimator.name} has no noise floor; leave it out")
    if not (np.isfinite(gamma) and gamma >= 0):
        raise PtselError(f"expected gamma of at least 0, found {gamma}")
