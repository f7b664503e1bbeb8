"""`ptsel score`: files in, files and tables out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptsel_fairseq.base.class_file import ClassFile, read_classes
from ptsel_fairseq.base.device import check_device
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import Manifest, manifest_file, read_manifest
from ptsel_fairseq.base.pictures import save
from ptsel_fairseq.base.provenance import NUMERICS, versions
from ptsel_fairseq.base.value_file import ValueFile, read_values
from ptsel_fairseq.base.workers import available_cores, check_engine, check_jobs
from ptsel_fairseq.labels.pools import ALL, expand
from ptsel_fairseq.labels.store.reader import LabelStore
from ptsel_fairseq.selection.controls import planted_controls
from ptsel_fairseq.selection.estimators import ESTIMATORS, Estimator, KernelEstimator, TaskEstimator
from ptsel_fairseq.selection.estimators.relevance import NOISE_FLOOR
from ptsel_fairseq.selection.groups import read_groups, structure_lines
from ptsel_fairseq.selection.label_score import PICTURE, POINTS, SCORES, write_scores
from ptsel_fairseq.selection.output.cost import cost_line
from ptsel_fairseq.selection.output.text import (
    class_sizes,
    indifferent_lines,
    left_out_lines,
    noise_lines,
    score_table,
)
from ptsel_fairseq.selection.points import (
    Points,
    build_points,
    check_label,
    check_summary,
    downsampled_frames,
)
from ptsel_fairseq.selection.score import DEFAULT_BOOTSTRAP, check_settings, score_with_controls
from ptsel_fairseq.selection.score_kernels import Compute
from ptsel_fairseq.selection.speech_vectors import is_cached

CACHE = "speech"  # folder in the store


@dataclass(frozen=True)
class ScoreSettings:
    """What scores depend on, beside the data; None where the estimator's own is meant."""

    estimator: str
    summary: str | None = None
    seed: int = 0
    permutations: int | None = None
    bootstrap: int = DEFAULT_BOOTSTRAP
    gamma: float | None = None
    controls: bool = True

    def resolved(self, of_values: bool = False) -> tuple[Estimator, ScoreSettings]:
        """The estimator, and the settings without None; raise PtselError for one that cannot be.

        Args:
            of_values: whether a value is to be told, rather than classes.
        """
        found = ESTIMATORS.get(self.estimator)
        found = found.of_values() if of_values else found
        permutations = found.permutations if self.permutations is None else self.permutations
        check_settings(found, None, permutations, self.bootstrap, self.gamma)
        gamma = self.gamma
        if gamma is None and isinstance(found, TaskEstimator) and found.audible is not None:
            gamma = NOISE_FLOOR
        summary = self.summary or found.summary
        check_summary(summary)
        return found, ScoreSettings(
            self.estimator, summary, self.seed, permutations, self.bootstrap, gamma, self.controls
        )


def score_command(
    data_dir: Path | str,
    split: str,
    store: Path | str,
    classes: Path | str | None,
    out: Path | str,
    settings: ScoreSettings,
    labels: Sequence[str] | None = None,
    groups: Path | str | None = None,
    cache: Path | str | None = None,
    compute: Compute | None = None,
    command_line: str = "",
    values: Path | str | None = None,
) -> None:
    """Score the labels of a store for one downstream task; write scores.json, points.npz and scores.png into `out`.

    Args:
        classes: class file; None with `values`.
        values: value file, for a task whose target is a number.

    Raises:
        PtselError: input that does not fit together; see `points.build_points` and `score_labels`.
    """
    from ptsel_fairseq.selection.output.figures import scores_figure

    if (classes is None) == (values is None):
        raise PtselError("--classes, --values: expected one of them")
    estimator, settings = settings.resolved(values is not None)
    compute = compute or Compute()
    check_engine(compute.engine)
    check_jobs(compute.jobs)
    check_device(compute.device)
    manifest = read_manifest(manifest_file(data_dir, split))
    opened = LabelStore(store, split)
    opened.check_manifest(manifest)
    opened.check_recordings(manifest)
    if values is not None:
        class_file: ClassFile = read_values(values, manifest, opened.grid.sample_rate)
        names = {float(segment.name) for segment in class_file.segments}
        if len(names) < 2:
            raise PtselError(
                f"{values}: expected values that differ, found {names.pop():g} for all "
                f"{len(class_file.segments)} points of {manifest.file}"
            )
    else:
        class_file = read_classes(str(classes), manifest, opened.grid.sample_rate)
    group_of = None if groups is None else read_groups(groups, manifest, class_file)
    chosen = expand(labels or [ALL], opened.labels)
    if not chosen:
        raise PtselError(f"{opened.folder}: the store holds no finished label; run `ptsel extract`")
    for label in chosen:
        check_label(opened, label)
    cache = opened.folder / CACHE if cache is None else Path(cache)
    frames = downsampled_frames(class_file)
    segments = class_file.in_order()
    embedded = is_cached(manifest, segments, frames, cache)
    cores = compute.jobs or available_cores()
    summary = str(settings.summary)
    print(
        cost_line(
            manifest,
            opened,
            class_file,
            chosen,
            summary,
            int(settings.permutations or 0),
            cores,
            embedded,
            estimator,
            group_of is not None,
        ),
        flush=True,
    )
    own_units = isinstance(estimator, KernelEstimator) and estimator.own_units
    points = build_points(
        manifest,
        opened,
        class_file,
        chosen,
        summary,
        frames,
        own_units,
        cache,
        compute.engine,
        compute.jobs,
        group_of,
    )
    controls = {}
    if settings.controls:
        scalar = isinstance(estimator, KernelEstimator)
        target = points.values if len(points.values) else None
        controls = planted_controls(
            manifest, opened.grid, segments, summary, frames, settings.seed, scalar, target
        )
    scores, of_controls = score_with_controls(
        points.x,
        points.labels,
        controls,
        None if len(points.values) else points.classes,
        values=points.values if len(points.values) else None,
        estimator=estimator,
        groups=points.groups,
        codes=points.codes.tolist(),
        seed=settings.seed,
        permutations=settings.permutations,
        bootstrap=settings.bootstrap,
        gamma=settings.gamma,
        progress=True,
        compute=compute,
    )
    out, permutations = Path(out), int(settings.permutations or 0)
    provenance = {
        "estimator": estimator.name,
        "settings": _settings(settings, estimator, frames),
        "seed": settings.seed,
        **_data(manifest, opened, class_file, chosen, points, groups),
        "versions": versions(*NUMERICS),
        "command": command_line,
    }
    points.save(out / POINTS)
    write_scores(out / SCORES, scores, provenance, of_controls)
    save(scores_figure(scores, estimator, of_controls, permutations), out / PICTURE)
    print(
        f"\n{estimator.name}, {estimator.says}\n{score_table(scores, estimator, of_controls, permutations)}"
    )
    print(
        "\n".join(
            [
                *noise_lines(scores, of_controls, estimator),
                *structure_lines(points),
                *left_out_lines(scores, estimator, points),
                *indifferent_lines(scores, estimator),
            ]
        )
    )
    print(f"wrote {SCORES}, {POINTS}, {PICTURE} into {out}")


def _settings(settings: ScoreSettings, estimator: Estimator, frames: int) -> dict[str, Any]:
    found = {
        "summary": settings.summary,
        "downsampled_frames": frames,
        **({"average": estimator.average} if isinstance(estimator, KernelEstimator) else {}),
        "permutations": settings.permutations,
        "bootstrap": settings.bootstrap,
    }
    return found if settings.gamma is None else {**found, "gamma": settings.gamma}


def _data(
    manifest: Manifest,
    store: LabelStore,
    class_file: ClassFile,
    labels: Sequence[str],
    points: Points,
    groups: Path | str | None,
) -> dict[str, Any]:
    return {
        "labels": {
            label: {"version": store.info(label).version, "unit": store.info(label).unit} for label in labels
        },
        "manifest": str(manifest.file),
        "manifest_checksum": manifest.checksum,
        **_target(class_file),
        **({} if groups is None else {"groups": str(groups)}),
        "points": len(points),
        "class_sizes": dict(zip(*class_sizes(points), strict=True)),
    }


def _target(class_file: ClassFile) -> dict[str, str]:
    """The file of what is to be told, as ``classes`` or ``values``."""
    what = "values" if isinstance(class_file, ValueFile) else "classes"
    return {what: str(class_file.file), f"{what}_checksum": class_file.checksum}
