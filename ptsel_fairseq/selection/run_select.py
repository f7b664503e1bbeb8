"""`ptsel select`: scores in, weights and tables out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import readable_time
from ptsel_fairseq.base.pictures import save
from ptsel_fairseq.base.provenance import NUMERICS, versions
from ptsel_fairseq.base.weights_file import check_weights, write_into_recipe, write_weights
from ptsel_fairseq.selection.checks import estimator_of
from ptsel_fairseq.selection.choices import ALL_METHODS
from ptsel_fairseq.selection.label_score import POINTS, SCORES, LabelScore, read_scores
from ptsel_fairseq.selection.output.text import comparison_table, readable_details, weights_table
from ptsel_fairseq.selection.points import Points
from ptsel_fairseq.selection.weighting import WAYS
from ptsel_fairseq.selection.weighting.comparison import METHODS_FILE, compare_methods, write_comparison
from ptsel_fairseq.selection.weighting.method import select_weights
from ptsel_fairseq.selection.weighting.way import Way

WORTH_SAYING = 20.0  # seconds


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

    estimator, way = estimator_of(made), WAYS.get(method)
    source: Points | Mapping[str, LabelScore] = scores
    if way.on_points:
        source = load_points(Path(ci_dir), scores)
        _say_what_takes_long([way], source)
    found = select_weights(source, method=way, estimator=estimator, scores=scores, progress=True, **options)
    check_weights(found.weights, scores, found.sum_to_one)
    provenance: dict[str, object] = {
        "scores": Path(ci_dir) / SCORES,
        "estimator": estimator.name,
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
    estimator, points = estimator_of(made), load_points(ci_dir, scores)
    _say_what_takes_long(WAYS.all(), points)
    compared = compare_methods(points, scores, estimator=estimator, **options)
    write_comparison(out, compared, {"estimator": made["estimator"], **_origin(made, options, command_line)})
    save(comparison_figure(compared, estimator), out.with_suffix(".png"))
    print(comparison_table(compared, estimator))
    print(f"wrote {out} and {out.with_suffix('.png')}")


def _say_what_takes_long(ways: Iterable[Way], points: Points) -> None:
    """Before the ways that can take minutes."""
    for way in ways:
        seconds = way.seconds(points.labels, points.classes) if way.seconds else 0.0
        if seconds > WORTH_SAYING:
            labels = f"{len(points.labels)} labels of so many columns"
            print(f"{way.name} will take about {readable_time(seconds)} with {labels}")


def _origin(made: Mapping[str, Any], options: Mapping[str, Any], command_line: str) -> dict[str, object]:
    """What the weights were made from, and by what."""
    return {
        "seed": options.get("seed", 0),
        "manifest_checksum": made["manifest_checksum"],
        **{key: made[key] for key in ("classes_checksum", "values_checksum") if key in made},
        "versions": ", ".join(f"{name} {version}" for name, version in versions(*NUMERICS).items()),
        "command": command_line,
    }
