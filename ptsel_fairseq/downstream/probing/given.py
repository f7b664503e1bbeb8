"""Arrays and sequences that probes are given: checked, in the form that they are used in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.messages import examples
from ptsel_fairseq.downstream.metrics.answer_files import Table

PARTS = ("train", "valid", "test")


class GivenFrames:
    """Frames that are in memory, each float32 [layers, frames, dim]."""

    def __init__(self, frames: Sequence[np.ndarray]) -> None:
        self._frames = []
        for place, values in enumerate(frames):
            found = np.asarray(values, dtype=np.float32)
            found = found[None] if found.ndim == 2 else found
            if found.ndim != 3 or not found.size or not np.isfinite(found).all():
                raise PtselError(
                    f"frames: expected finite numbers [frames, dim] or [layers, frames, dim] for utterance {place}, "
                    f"found an array of shape {np.shape(values)}"
                )
            self._frames.append(found)
        if len({(len(found), found.shape[2]) for found in self._frames}) > 1:
            raise PtselError("frames: expected as many layers and dimensions for every utterance")
        self.lengths = [found.shape[1] for found in self._frames]

    def __call__(self, i: int) -> np.ndarray:
        return self._frames[i]


def features_of(x: Any, what: str) -> np.ndarray:
    """Features as float32 [items, layers, dim]."""
    features = np.asarray(x, dtype=np.float32)
    if features.ndim not in (2, 3) or not features.size:
        raise PtselError(
            f"{what}: expected features [items, dim] or [items, layers, dim], found an array of shape {features.shape}"
        )
    if not np.isfinite(features).all():
        row = int(np.flatnonzero(~np.isfinite(features.reshape(len(features), -1)).all(axis=1))[0])
        raise PtselError(f"{what}: expected finite numbers, found others in item {row}")
    return features[:, None] if features.ndim == 2 else features


def vectors_of(x: Mapping[str, Any], names: Sequence[str], what: str) -> np.ndarray:
    """The vectors of some recordings as float64 [recordings, dim]."""
    lacking = [name for name in names if name not in x]
    if lacking:
        raise PtselError(
            f"{what}: expected a vector for each recording; {len(lacking)} have none {examples(lacking)}"
        )
    rows = [np.asarray(x[name], dtype=np.float64) for name in names]
    if not rows or len({row.shape for row in rows}) > 1 or rows[0].ndim != 1 or not np.isfinite(rows).all():
        shapes = ", ".join(sorted({str(row.shape) for row in rows})) or "no vectors"
        raise PtselError(f"{what}: expected vectors of one size with finite numbers, found {shapes}")
    return np.array(rows)


def names_of(given: Sequence[str] | None, count: int, what: str = "ids") -> list[str]:
    names = [str(place) for place in range(count)] if given is None else [str(name) for name in given]
    if len(names) != count or len(set(names)) != count:
        raise PtselError(
            f"{what}: expected {count} different names, found {len(names)}, {len(set(names))} different"
        )
    return names


def column_of(values: Sequence[Any], count: int, what: str) -> np.ndarray:
    column = np.asarray(values).astype(str)
    if column.shape != (count,):
        raise PtselError(
            f"{what}: expected one for each of {count} items, found an array of shape {column.shape}"
        )
    return column


def numbers_of(values: Any, count: int, what: str) -> np.ndarray:
    """Finite numbers, float64 [items]."""
    try:
        column = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise PtselError(f"{what}: expected numbers, found {np.asarray(values).dtype}") from None
    if column.shape != (count,):
        raise PtselError(
            f"{what}: expected one for each of {count} items, found an array of shape {column.shape}"
        )
    if not np.isfinite(column).all():
        row = int(np.flatnonzero(~np.isfinite(column))[0])
        raise PtselError(f"{what}: expected finite numbers, found {column[row]} for item {row}")
    return column


def table_of(what: str, names: Sequence[str], values: Sequence[str]) -> Table:
    return Table(Path(what), dict(zip(names, column_of(values, len(names), what).tolist(), strict=True)))


def looked_up(values: Mapping[str, str], names: Sequence[str], what: str) -> list[str]:
    return Table(Path(what), {name: str(value) for name, value in values.items()}).of_paths(names)


def check_splits(split: np.ndarray) -> None:
    unknown = sorted(set(split.tolist()) - set(PARTS))
    lacking = [part for part in PARTS if part not in split]
    if unknown or lacking:
        raise PtselError(
            f"splits: expected {', '.join(PARTS)}, each of some items; found "
            f"{', '.join(sorted(set(split.tolist()))) or 'none'}"
        )


def check_choice(what: str, found: str, choices: Any) -> None:
    if found not in choices:
        raise PtselError(f"{what}: expected {' or '.join(choices)}, found {found!r}")


def check_whole(what: str, number: int) -> None:
    if not isinstance(number, int) or number < 1:
        raise PtselError(f"{what}: expected a whole number from 1, found {number!r}")
