"""`ptsel score` and `ptsel select`: files in, files and tables out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ptsel_fairseq.base.device import check_device
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.pictures import save
from ptsel_fairseq.base.provenance import NUMERICS, versions
from ptsel_fairseq.base.weights_file import check_weights, write_into_recipe, write_weights
from ptsel_fairseq.base.workers import LOCAL, available_cores, check_engine, check_jobs
from ptsel_fairseq.selection.estimators.one_class import MEMORY
from ptsel_fairseq.selection.label_score import (
    PICTURE,
    POINTS,
    SCORES,
    LabelScore,
    read_scores,
    write_scores,
)
from ptsel_fairseq.selection.output.text import (
    class_sizes,
    comparison_table,
    cost_line,
    indifferent_lines,
    left_out_lines,
    readable_details,
    score_table,
    weights_table,
)
from ptsel_fairseq.selection.points import (
    Points,
    build_points,
    check_summary,
    downsampled_frames,
)
from ptsel_fairseq.selection.score import check_settings, score_labels
from ptsel_fairseq.selection.speech_vectors import is_cached
from ptsel_fairseq.selection.weighting.comparison import (
    ALL_METHODS,
    METHODS_FILE,
    compare_methods,
    write_comparison,
)
from ptsel_fairseq.selection.weighting.method import ON_POINTS, select_weights

CACHE = "speech"  # folder in the store


def score_command(
    data_dir: Path | str,
    split: str,
    store: Path | str,
    classes: Path | str,
    estimator: str,
    out: Path | str,
    labels: Sequence[str] | None = None,
    summary: str = "mean",
    seed: int = 0,
    permutations: int = 1000,
    bootstrap: int = 1000,
    cache: Path | str | None = None,
    engine: str = LOCAL,
    jobs: int | None = None,
    device: str = "cpu",
    memory: float = MEMORY,
    command_line: str = "",
) -> None:
    """Score the labels of a store for one downstream task; write scores.json, points.npz and scores.png into `out`.

    Raises:
        PtselError: input that does not fit together; see `points.build_points` and `score_labels`.
    """
    from ptsel_fairseq.base.class_file import read_classes
    from ptsel_fairseq.base.manifest import manifest_file, read_manifest
    from ptsel_fairseq.labels.pools import ALL, expand
    from ptsel_fairseq.labels.store.reader import LabelStore
    from ptsel_fairseq.selection.output.figures import scores_figure

    check_settings(estimator, "count", permutations, bootstrap)
    check_summary(summary)
    check_engine(engine)
    check_jobs(jobs)
    check_device(device)
    manifest = read_manifest(manifest_file(data_dir, split))
    opened = LabelStore(store, split)
    opened.check_manifest(manifest)
    opened.check_recordings(manifest)
    class_file = read_classes(classes, manifest, opened.grid.sample_rate)
    chosen = expand(labels or [ALL], opened.labels)
    if not chosen:
        raise PtselError(f"{opened.folder}: the store holds no finished label; run `ptsel extract`")
    for label in chosen:
        opened.info(label)
    cache = opened.folder / CACHE if cache is None else Path(cache)
    frames = downsampled_frames(class_file)
    embedded = is_cached(manifest, class_file.in_order(), frames, cache)
    cores = jobs or available_cores()
    cost = cost_line(manifest, opened, class_file, chosen, summary, permutations, cores, embedded)
    print(cost, flush=True)
    fill = estimator == "reference"
    points = build_points(manifest, opened, class_file, chosen, summary, frames, fill, cache, engine, jobs)
    scores = score_labels(
        points.x,
        points.labels,
        points.classes,
        estimator,
        seed,
        permutations,
        bootstrap,
        progress=True,
        memory=memory,
        engine=engine,
        jobs=jobs,
        device=device,
    )
    out = Path(out)
    provenance = {
        "estimator": estimator,
        "settings": {
            "summary": summary,
            "downsampled_frames": frames,
            "average": "plain" if estimator == "reference" else "count",
            "permutations": permutations,
            "bootstrap": bootstrap,
        },
        "seed": seed,
        "labels": {
            label: {"version": opened.info(label).version, "unit": opened.info(label).unit}
            for label in chosen
        },
        "manifest": str(manifest.file),
        "manifest_checksum": manifest.checksum,
        "classes": str(class_file.file),
        "classes_checksum": class_file.checksum,
        "points": len(points),
        "class_sizes": dict(zip(*class_sizes(points), strict=True)),
        "versions": versions(*NUMERICS),
        "command": command_line,
    }
    points.save(out / POINTS)
    write_scores(out / SCORES, scores, provenance)
    save(scores_figure(scores, estimator), out / PICTURE)
    print(
        f"\n{estimator}, lower is better: closer to independent of the speech given the class\n{score_table(scores)}"
    )
    print("\n".join(left_out_lines(scores, estimator, points) + indifferent_lines(scores)))
    print(f"wrote {SCORES}, {POINTS}, {PICTURE} into {out}")


def select_command(
    ci_dir: Path | str,
    method: str,
    out: Path | str | None = None,
    config: Path | str | None = None,
    command_line: str = "",
    **options: Any,
) -> None:
    """Weigh the labels that `ptsel score` scored; write weights.yaml, its picture, and into a recipe if asked.

    With the method ``all-methods``, the weights by each method go into one file instead, to be compared.

    Args:
        options: as `select_weights` has them.

    Raises:
        PtselError: scores that cannot be read, options that do not fit the method, files that cannot be written.
    """
    scores, made = read_scores(Path(ci_dir) / SCORES)
    if method == ALL_METHODS:
        _compare(Path(ci_dir), scores, made, out, config, command_line, options)
        return
    if out is None:
        raise PtselError("--out: expected a file for the weights, such as weights.yaml")
    out = Path(out)
    picture = out.with_suffix(".png")
    if picture == out:
        raise PtselError(f"--out: expected a name such as weights.yaml, found {out}, where the picture goes")
    from ptsel_fairseq.selection.output.figures import weights_figure

    estimator = made["estimator"]
    source = load_points(Path(ci_dir), scores) if method in ON_POINTS else scores
    found = select_weights(
        source, method, estimator=estimator, scores=scores, progress=method == "group", **options
    )
    check_weights(found.weights, scores, found.sum_to_one)
    provenance: dict[str, object] = {
        "scores": Path(ci_dir) / SCORES,
        "estimator": estimator,
        "method": method,
        **({"projection": found.projection} if found.projection else {}),
        **readable_details(found.details),
        **_origin(made, options, command_line),
    }
    write_weights(out, found.weights, provenance, found.sum_to_one)
    save(weights_figure(found, estimator), picture)
    if config is not None:
        write_into_recipe(config, found.weights, provenance, found.sum_to_one)
    print(weights_table(found, scores, estimator))
    print(f"wrote {out} and {picture}" + (f"; wrote the weights into {config}" if config else ""))


def load_points(ci_dir: Path, scores: Mapping[str, LabelScore]) -> Points:
    """The points that the scores of a folder are of."""
    points = Points.load(ci_dir / POINTS)
    if set(points.labels) != set(scores):
        raise PtselError(f"{ci_dir}: {SCORES} and {POINTS} are of different labels; run `ptsel score` again")
    return points


def _compare(
    ci_dir: Path,
    scores: Mapping[str, LabelScore],
    made: Mapping[str, Any],
    out: Path | str | None,
    config: Path | str | None,
    command_line: str,
    options: Mapping[str, Any],
) -> None:
    from ptsel_fairseq.selection.output.figures import comparison_figure

    if config is not None:
        raise PtselError("--config: expected one method, found all-methods; choose one after the comparison")
    out = ci_dir / METHODS_FILE if out is None else Path(out)
    if out.suffix != ".json":
        raise PtselError(f"--out: expected a name ending in .json for the method all-methods, found {out}")
    compared = compare_methods(load_points(ci_dir, scores), scores, made["estimator"], **options)
    write_comparison(out, compared, {"estimator": made["estimator"], **_origin(made, options, command_line)})
    save(comparison_figure(compared, made["estimator"]), out.with_suffix(".png"))
    print(comparison_table(compared))
    print(f"wrote {out} and {out.with_suffix('.png')}")


def _origin(made: Mapping[str, Any], options: Mapping[str, Any], command_line: str) -> dict[str, object]:
    """What the weights were made from, and by what."""
    return {
        "seed": options.get("seed", 0),
        "manifest_checksum": made["manifest_checksum"],
        "classes_checksum": made["classes_checksum"],
        "versions": ", ".join(f"{name} {version}" for name, version in versions(*NUMERICS).items()),
        "command": command_line,
    }
