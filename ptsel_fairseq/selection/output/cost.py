"""What scoring will cost, told before it begins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ptsel_fairseq.base.class_file import ClassFile
from ptsel_fairseq.base.files import readable_size, readable_time
from ptsel_fairseq.base.manifest import Manifest
from ptsel_fairseq.base.value_file import ValueFile
from ptsel_fairseq.labels.store.reader import LabelStore
from ptsel_fairseq.selection.bins import value_bins
from ptsel_fairseq.selection.estimators import Estimator, TaskEstimator
from ptsel_fairseq.selection.estimators.one_class import class_seconds, matrix_bytes, scoring_seconds
from ptsel_fairseq.selection.estimators.relevance import MOST_OPERATIONS
from ptsel_fairseq.selection.noise import PERMUTATIONS
from ptsel_fairseq.selection.points import downsampled_frames, summary_width, width_of

OPERATIONS_A_SECOND = 1e10  # of one core, multiplying matrices
FOLDS_HELD = 5  # covariances of the speech that ridge regression keeps


def cost_line(
    manifest: Manifest,
    store: LabelStore,
    class_file: ClassFile,
    labels: Sequence[str],
    summary: str,
    permutations: int,
    jobs: int,
    embedded: bool,
    estimator: Estimator,
    grouped: bool,
) -> str:
    """What will be scored, and about how long that takes on `jobs` cores.

    Args:
        embedded: whether the speech vectors are there.
        grouped: whether points have groups other than their utterances.
    """
    frames = downsampled_frames(class_file)
    values = np.array(class_file.in_order_values()) if isinstance(class_file, ValueFile) else None
    names = [segment.name for segment in class_file.segments] if values is None else value_bins(values)
    sizes = np.unique(names, return_counts=True)[1].astype(np.float64)
    used = {segment.utterance for segment in class_file.segments}
    seconds = sum(manifest.utterances[index].samples for index in used) / store.grid.sample_rate
    dims = [
        [
            summary_width(width_of(store, label), summary, frames)
            for label in labels
            if (store.info(label).undefined is not None) == optional
        ]
        for optional in (False, True)
    ]  # where a label is undefined the class is another one
    d, orders = 40 * frames, 1 + permutations
    in_groups = permutations > 0 and (grouped or len(used) < len(names))
    columns = sum(map(sum, dims))
    of_task = estimator if isinstance(estimator, TaskEstimator) else None
    scoring, largest = task_cost(
        len(names),
        d,
        columns,
        len(sizes) if values is None else 1,
        permutations if of_task else PERMUTATIONS,
        of_task,
    )
    for group in [] if of_task else filter(None, dims):
        scored = sizes[sizes >= 4].astype(int)
        scoring += scoring_seconds(scored, d, group, orders, in_groups)
        together = [1] if in_groups else group  # labels that are held at the same time
        scalars = together.count(1)
        for size in scored.tolist():
            by_matrices, by_blocks = class_seconds(size, d, scalars, len(together) - scalars, orders)
            held = (
                16 * size * d + 128e6
                if by_blocks < by_matrices
                else matrix_bytes(size, len(together), orders)
            )
            largest = max(largest, held + 16 * size * orders * in_groups)
    embedding = (
        "speech embedded already"
        if embedded
        else (
            f"{seconds / 60:.1f} min of audio to embed, about {readable_time(max(1, seconds / 600 / jobs))}"
        )
    )
    points, workers = 4 * d * len(names), 1 if of_task else jobs
    what = f"{len(sizes)} classes (of {int(sizes.min())} to {int(sizes.max())})"
    if values is not None:
        what = (
            f"values from {values.min():.6g} to {values.max():.6g} (mean {values.mean():.4g}, standard deviation "
            f"{values.std():.4g}; {len(sizes)} bins of it, of {int(sizes.min())} to {int(sizes.max())} points, for "
            "whatever needs classes)"
        )
    memory = readable_size(100e6 + 3 * points + largest * workers)
    lines = [
        f"{manifest.file}: {len(names)} points in {what}, {len(labels)} labels",
        f"cost on {jobs} cores: {embedding}; scores about {readable_time(max(1, scoring / workers))}; memory about "
        f"{memory}, disk {readable_size(points * (1 if embedded else 2))}",
    ]
    if class_file.unlabelled or class_file.other_paths:
        lines.append(
            f"left out: {class_file.unlabelled} utterances of the manifest without a {class_file.what}, "
            f"{class_file.other_paths} lines of the {class_file.what} file about other utterances"
        )
    return "\n".join(lines)


def task_cost(
    points: int,
    d: int,
    columns: int,
    classes: int,
    permutations: int,
    estimator: TaskEstimator | None = None,
) -> tuple[float, float]:
    """Seconds of one core and bytes, about, of the labels' scores with `permutations`.

    Args:
        points, d: speech vectors [points, d].
        columns: of all labels together.
        estimator: default, the relevance that tells labels from noise.
    """
    each = 2.0 * classes * points * columns
    if estimator is None or estimator.audible is not None:
        permuted = each * permutations if each * permutations < MOST_OPERATIONS else 0.0
    else:  # by class, or by the speech's values
        each *= d / classes if estimator.hearing else 1.0
        permuted = each * permutations * estimator.work
    operations = 2.0 * points * d * (d + 2 * columns) + permuted
    held = 8.0 * (points * (2 * columns + (classes if permuted else 0)) + 3 * FOLDS_HELD * d * (d + classes))
    return operations / OPERATIONS_A_SECOND, held
