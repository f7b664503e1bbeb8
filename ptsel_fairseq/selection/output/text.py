"""What the commands print: what will be done, what came out, what was left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ptsel_fairseq.base.files import readable_size, readable_time
from ptsel_fairseq.selection.checks import minimum_points
from ptsel_fairseq.selection.label_score import LabelScore, in_order

if TYPE_CHECKING:
    from ptsel_fairseq.base.class_file import ClassFile
    from ptsel_fairseq.base.manifest import Manifest
    from ptsel_fairseq.labels.store.reader import LabelStore
    from ptsel_fairseq.selection.points import Points
    from ptsel_fairseq.selection.weighting.comparison import Comparison
    from ptsel_fairseq.selection.weighting.method import Weights


def score_table(scores: Mapping[str, LabelScore]) -> str:
    """The scores for reading, lowest first, labels without a score at the end with the reason."""
    width = max(12, *(len(name) for name in scores))
    lines = [
        f"{'label':{width}s} {'score':>9s} {'95 % interval':>19s} {'p':>7s} {'z':>7s} {'points':>7s} {'classes':>7s}"
    ]
    for name, record in in_order(scores):
        if record.score is None:
            lines.append(f"{name:{width}s} {'-':>9s} no score: {record.reason}")
            continue
        interval = "-" if record.interval is None else f"{record.interval[0]:.3g} .. {record.interval[1]:.3g}"
        p = "-" if record.p is None else f"{record.p:.2g}"
        z = "-" if record.z is None else f"{record.z:.1f}"
        lines.append(
            f"{name:{width}s} {record.score:9.4g} {interval:>19s} {p:>7s} {z:>7s} {record.points:7d} "
            f"{record.classes:7d}"
        )
    return "\n".join(lines)


def cost_line(
    manifest: Manifest,
    store: LabelStore,
    class_file: ClassFile,
    labels: Sequence[str],
    summary: str,
    permutations: int,
    jobs: int,
    embedded: bool,
) -> str:
    """What will be scored, and about how long that takes on `jobs` cores; `embedded`: the speech vectors are there."""
    from ptsel_fairseq.selection.estimators.one_class import class_seconds, matrix_bytes
    from ptsel_fairseq.selection.points import downsampled_frames, summary_width

    frames = downsampled_frames(class_file)
    names = [segment.name for segment in class_file.segments]
    sizes = np.unique(names, return_counts=True)[1].astype(np.float64)
    used = {segment.utterance for segment in class_file.segments}
    seconds = sum(manifest.utterances[index].samples for index in used) / store.grid.sample_rate
    dims = [
        [
            summary_width(store.info(label).dim, summary, frames)
            for label in labels
            if (store.info(label).undefined is not None) == optional
        ]
        for optional in (False, True)
    ]  # where a label is undefined the class is another one
    d, orders = 40 * frames, 1 + permutations
    kernels, largest = 0.0, 0.0
    for group in filter(None, dims):
        scalars = group.count(1)
        for size in sizes.astype(int).tolist():
            if size < 4:
                continue
            by_matrices, by_blocks = class_seconds(size, d, scalars, len(group) - scalars, orders)
            kernels += min(by_matrices, by_blocks)
            held = (
                16 * size * d + 128e6 if by_blocks < by_matrices else matrix_bytes(size, len(group), orders)
            )
            largest = max(largest, held)
    embedding = (
        "speech embedded already"
        if embedded
        else (
            f"{seconds / 60:.1f} min of audio to embed, about {readable_time(max(1, seconds / 600 / jobs))}"
        )
    )
    points = 4 * d * len(names)
    lines = [
        f"{manifest.file}: {len(names)} points in {len(sizes)} classes (of {int(sizes.min())} to {int(sizes.max())}), "
        f"{len(labels)} labels",
        f"cost on {jobs} cores: {embedding}; kernels about {readable_time(max(1, kernels / jobs))}; memory about "
        f"{readable_size(100e6 + 3 * points + largest * jobs)}, disk {readable_size(points * (1 if embedded else 2))}",
    ]
    if class_file.unlabelled or class_file.other_paths:
        lines.append(
            f"left out: {class_file.unlabelled} utterances of the manifest without a class, {class_file.other_paths} "
            "lines of the class file about other utterances"
        )
    return "\n".join(lines)


def left_out_lines(scores: Mapping[str, LabelScore], estimator: str, points: Points) -> list[str]:
    """What was not used, by label; empty if everything was."""
    lines = []
    small = [
        name for name, size in zip(*class_sizes(points), strict=True) if size < minimum_points(estimator)
    ]
    if small:
        lines.append(
            f"left out: {len(small)} classes of fewer than {minimum_points(estimator)} points: {', '.join(small)}"
        )
    for name, record in scores.items():
        too_small = record.classes_too_small - len(small) if record.classes_too_small else 0
        parts = [
            (record.points_undefined, "points where it is undefined"),
            (too_small, f"classes with fewer than {minimum_points(estimator)} points where it is defined"),
            (record.classes_constant, "classes in which it does not vary"),
        ]
        said = [f"{count} {what}" for count, what in parts if count > 0]
        if said and record.score is not None:
            lines.append(f"left out for {name}: {', '.join(said)}")
    return lines


def indifferent_lines(scores: Mapping[str, LabelScore]) -> list[str]:
    """A warning about scores that every order of the label's values gives; they say nothing about the speech."""
    names = [name for name, record in scores.items() if record.null_interval and record.z is None]
    if not names:
        return []
    return [
        f"no information: {', '.join(names)}: every order of the values inside the classes gives this score; for "
        "`reference` the values lie too far apart, in their unit, for the papers' kernel"
    ]


def class_sizes(points: Points) -> tuple[list[str], list[int]]:
    """Names of the classes and how many points each has."""
    names, sizes = np.unique(points.classes, return_counts=True)
    return names.tolist(), sizes.tolist()


def weights_table(found: Weights, scores: Mapping[str, LabelScore], estimator: str) -> str:
    """λ beside the scores, largest first, and what the method says about it."""
    width = max(12, *(len(name) for name in found.weights))
    lines = [f"{'label':{width}s} {'weight':>7s} {estimator:>10s}"]
    for name, weight in sorted(found.weights.items(), key=lambda item: (-item[1], item[0])):
        score = scores[name].score
        lines.append(f"{name:{width}s} {weight:7.4f} {'-' if score is None else f'{score:.4g}':>10s}")
    facts = [f"{key.replace('_', ' ')}: {value}" for key, value in readable_details(found.details).items()]
    title = found.method + (f" ({found.projection})" if found.projection else "")
    return "\n".join(["", f"weights by {title}", *lines, "", *facts])


def readable_details(details: Mapping[str, Any]) -> dict[str, str]:
    """Details as short texts."""

    def text(value: Any) -> str:
        if isinstance(value, float):
            return f"{value:.6g}"
        if isinstance(value, list):
            return ", ".join(text(entry) for entry in value)
        if isinstance(value, Mapping):
            return "; ".join(f"{key}: {text(entry)}" for key, entry in value.items())
        return str(value)

    return {key: text(value) for key, value in details.items()}


def comparison_table(compared: Comparison) -> str:
    """One line a method, with its weights above a thousandth, those of the labels liked by all first."""
    from ptsel_fairseq.selection.weighting.comparison import NEGLIGIBLE

    names = compared.label_order()
    width = max(len(title) for title in compared.rows)
    head = f"{'method':{width}s} {'labels':>6s} {'group':>8s} {'mean':>8s} {'redund.':>8s}  "
    lines = [
        "",
        "weights by each method, labels in the order of their shares: " + ", ".join(names),
        "",
        head + "weights",
    ]
    for title, row in compared.rows.items():
        if row.reason is not None:
            lines.append(f"{title:{width}s} - {row.reason}")
            continue
        numbers = " ".join(
            f"{'-' if value is None else f'{value:.4g}':>8s}"
            for value in (row.group_score, row.mean_score, row.redundancy)
        )
        kept = ", ".join(
            f"{name} {row.weights[name]:.3g}" for name in names if row.weights[name] > NEGLIGIBLE
        )
        lines.append(f"{title:{width}s} {row.labels:6d} {numbers}  {kept}")
    return "\n".join(
        [
            *lines,
            "",
            "group: score of the weighted group; mean: weighted mean of the scores; redund.: weighted dependence of",
            "the labels on each other; each at weights that sum to one, lower is better",
        ]
    )
