"""Scores of conditional independence: how much each label still depends on the speech, given the class.

The score of a label is the dependence of speech X and label Z inside the classes Y, averaged over
classes. **Lower is better**: the papers (arXiv 2107.00594, section 3) expect a label to help a downstream
task the more, the closer it is to being independent of the speech given the class.

Three scores, never to be mixed in one table:

* ``cka`` (default): debiased centred kernel alignment, in [-1, 1]; comparable between labels;
* ``hsic``: unbiased HSIC; invariant to units, but smaller for labels that vary little;
* ``reference``: the papers' released code. It hardly centres its kernels and takes labels in their own
  units, so its order of the labels follows those units; it never falls below about 1/n.

Nothing here claims that a low score of one estimator predicts what a low score of another does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ptsel_fairseq.errors import PtselError
from ptsel_fairseq.selection.class_scores import MEMORY, score_class
from ptsel_fairseq.selection.inputs import minimum_points, no_class_left, prepare_labels
from ptsel_fairseq.selection.report import (
    class_sizes,
    cost_line,
    indifferent_lines,
    left_out_lines,
    score_table,
)
from ptsel_fairseq.selection.scores_file import (
    PICTURE,
    POINTS,
    SCORES,
    LabelScore,
    versions,
    write_scores,
)

ESTIMATORS = ("cka", "hsic", "reference")
AVERAGES = ("count", "plain")
TOO_SMALL, CONSTANT = "too small", "constant"


@dataclass
class _Tally:
    """What the classes say about one label; `nulls` are the permutations' scores of each class."""

    counts: dict[str, int] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    nulls: list[np.ndarray] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=lambda: {TOO_SMALL: 0, CONSTANT: 0})


def score_labels(
    x: np.ndarray,
    labels: Mapping[str, np.ndarray],
    classes: np.ndarray,
    estimator: str = "cka",
    seed: int = 0,
    permutations: int = 1000,
    bootstrap: int = 1000,
    average: str | None = None,
    divisor: str = "n2",
    progress: bool = False,
    memory: float = MEMORY,
) -> dict[str, LabelScore]:
    """Score each label; lower means closer to independent of the speech given the class.

    Args:
        x: points [N, d], one speech vector for each sample (see `embedding.embed`).
        labels: name -> values [N] or [N, d]; NaN where a label is undefined. Such a sample is left out
            for that label only.
        classes: downstream class of each sample [N].
        estimator: cka, hsic or reference.
        permutations: of the labels inside each class, for `p` and `z`; 0 for none.
        bootstrap: resamplings of the classes, for the interval; 0 for none.
        average: over classes: by `count` (the papers' equation 4; default of cka and hsic) or `plain` (the
            released code; default of reference).
        divisor: of `reference`, see `hsic.hsic`.
        progress: show a bar on stderr.
        memory: bytes that the computation may take beside its arguments (default 4e9); see `class_scores`.

    Returns:
        Label -> LabelScore, sorted by name.

    Raises:
        PtselError: arrays that do not fit each other, values that are not finite, an unknown setting, a
            class that does not fit into `memory`, or no class with enough points.
    """
    x, classes = np.asarray(x), np.asarray(classes)
    average = average or ("plain" if estimator == "reference" else "count")
    _check_settings(estimator, average, permutations, bootstrap)
    values, scores = prepare_labels(x, labels, classes, estimator)
    tallies = {name: _Tally() for name in values}
    names: Iterable[str] = np.unique(classes)
    if progress:
        from tqdm import tqdm

        names = tqdm(names, desc="scoring classes", unit="class")
    for number, name in enumerate(names):
        rows = np.flatnonzero(classes == name)
        for members, group in _same_rows(rows, values):
            rng = np.random.default_rng([seed, number, len(members)])
            _score_class(
                str(name), x[members], members, group, estimator, divisor, permutations, rng, memory, tallies
            )
    scores |= {
        name: _summarise(tally, values[name], estimator, average, bootstrap, seed)
        for name, tally in tallies.items()
    }
    if not any(tally.scores for tally in tallies.values()) and tallies:
        raise PtselError(no_class_left(estimator, classes))
    return dict(sorted(scores.items()))


def _check_settings(estimator: str, average: str, permutations: int, bootstrap: int) -> None:
    if estimator not in ESTIMATORS:
        raise PtselError(f"expected an estimator among {', '.join(ESTIMATORS)}, found {estimator!r}")
    if average not in AVERAGES:
        raise PtselError(f"expected an average among {', '.join(AVERAGES)}, found {average!r}")
    if permutations < 0 or bootstrap < 0:
        raise PtselError(
            f"expected counts of at least 0, found permutations {permutations}, bootstrap {bootstrap}"
        )


def _same_rows(
    rows: np.ndarray, values: Mapping[str, np.ndarray]
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Group the labels by the samples of a class on which they are defined; K is the same for a group."""
    groups: dict[bytes, tuple[np.ndarray, dict[str, np.ndarray]]] = {}
    for name, z in values.items():
        members = rows[~np.isnan(z[rows, 0])]
        groups.setdefault(members.tobytes(), (members, {}))[1][name] = z[members]
    yield from groups.values()


def _score_class(
    class_name: str,
    x: np.ndarray,
    members: np.ndarray,
    group: Mapping[str, np.ndarray],
    estimator: str,
    divisor: str,
    permutations: int,
    rng: np.random.Generator,
    memory: float,
    tallies: Mapping[str, _Tally],
) -> None:
    """Score the labels of a group on the samples x [n, d] of one class, and on permutations of them."""
    n = len(members)
    if n < minimum_points(estimator):
        for name in group:
            tallies[name].left_out[TOO_SMALL] += 1
        return
    orders = np.array([np.arange(n), *(rng.permutation(n) for _ in range(permutations))])
    results = score_class(x, group, estimator, divisor, orders, memory)
    for name in group:
        if name not in results:
            tallies[name].left_out[CONSTANT] += 1
            continue
        tallies[name].counts[class_name] = n
        tallies[name].scores[class_name] = float(results[name][0])
        tallies[name].nulls.append(results[name][1:])


def _summarise(
    tally: _Tally, values: np.ndarray, estimator: str, average: str, bootstrap: int, seed: int
) -> LabelScore:
    """Average the classes; the same average of each permutation is the null distribution."""
    undefined = int(np.isnan(values[:, 0]).sum())
    too_small, constant = tally.left_out[TOO_SMALL], tally.left_out[CONSTANT]
    if not tally.scores:
        reason = f"no class with {minimum_points(estimator)} or more points where it is defined and varies"
        return LabelScore(
            score=None,
            points_undefined=undefined,
            classes_too_small=too_small,
            classes_constant=constant,
            reason=reason,
        )
    scores = np.array(list(tally.scores.values()))
    counts = np.array(list(tally.counts.values()), dtype=np.float64)
    weights = counts if average == "count" else np.ones_like(counts)
    score = float(np.average(scores, weights=weights))

    p = z = null_interval = interval = error = None
    null = np.average(np.array(tally.nulls), axis=0, weights=weights)
    if len(null):
        slack = 1e-10 * max(abs(score), float(np.abs(null).max()))  # ties are equal up to rounding
        p = float((1 + np.count_nonzero(null >= score - slack)) / (1 + len(null)))
        z = float((score - null.mean()) / null.std()) if null.std() > slack else None
        null_interval = _middle(null)
    if bootstrap and len(scores) > 1:
        drawn = np.random.default_rng([seed, len(scores)]).integers(0, len(scores), (bootstrap, len(scores)))
        resampled = (scores * weights)[drawn].sum(axis=1) / weights[drawn].sum(axis=1)
        interval, error = _middle(resampled), float(resampled.std(ddof=1)) if bootstrap > 1 else None
    return LabelScore(
        score=score,
        interval=interval,
        standard_error=error,
        p=p,
        z=z,
        null_interval=null_interval,
        points=int(counts.sum()),
        points_undefined=undefined,
        classes=len(scores),
        effective_classes=float(weights.sum() ** 2 / (weights**2).sum()),
        classes_too_small=too_small,
        classes_constant=constant,
        floor=float(np.average(1 / counts, weights=weights)) if estimator == "reference" else None,
        per_class=tally.scores,
        points_per_class=tally.counts,
    )


def _middle(values: np.ndarray) -> tuple[float, float]:
    """Where the middle 95 % of the values lie."""
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


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
    jobs: int | None = None,
    memory: float = MEMORY,
    command_line: str = "",
) -> None:
    """Score the labels of a store for one downstream task; write scores.json, points.npz and scores.png into `out`.

    Raises:
        PtselError: input that does not fit together; see `points.build_points` and `score_labels`.
    """
    from ptsel_fairseq.labels.pools import ALL, expand
    from ptsel_fairseq.labels.store import LabelStore
    from ptsel_fairseq.manifest import manifest_file, read_classes, read_manifest
    from ptsel_fairseq.selection.figures import draw_scores
    from ptsel_fairseq.selection.points import build_points, downsampled_frames

    _check_settings(estimator, "count", permutations, bootstrap)
    manifest = read_manifest(manifest_file(data_dir, split))
    opened = LabelStore(store, split)
    opened.check_manifest(manifest)
    class_file = read_classes(classes, manifest, opened.grid.sample_rate)
    chosen = expand(labels or [ALL], opened.labels)
    if not chosen:
        raise PtselError(f"{opened.folder}: the store holds no finished label; run `ptsel extract`")
    for label in chosen:
        opened.info(label)
    print(cost_line(manifest, opened, class_file, chosen, permutations), flush=True)
    fill = estimator == "reference"
    points = build_points(manifest, opened, class_file, chosen, summary, fill_undefined=fill, jobs=jobs)
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
    )
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    provenance = {
        "estimator": estimator,
        "settings": {
            "summary": summary,
            "downsampled_frames": downsampled_frames(class_file),
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
        "versions": versions(),
        "command": command_line,
    }
    points.save(out / POINTS)
    write_scores(out / SCORES, scores, provenance)
    draw_scores(scores, estimator, out / PICTURE)
    print(
        f"\n{estimator}, lower is better: closer to independent of the speech given the class\n{score_table(scores)}"
    )
    print("\n".join(left_out_lines(scores, estimator, points) + indifferent_lines(scores)))
    print(f"wrote {SCORES}, {POINTS}, {PICTURE} into {out}")
