"""What is known about each label's score, and `scores.json`, which keeps it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import write_text
from ptsel_fairseq.base.json_file import read_json

FORMAT = 1
SCORES, POINTS, PICTURE = "scores.json", "points.npz", "scores.png"


@dataclass(frozen=True)
class LabelScore:
    """What is known about one label; also readable as ``record["score"]``.

    Attributes:
        score: its direction is the estimator's (`Estimator.direction`); None if it is undefined, see `reason`.
        interval: of 95 %; of estimators of kernels from resampling classes (None for fewer than two; over ten
            classes or more it holds the expected score about as often as it says, over five in nine cases of ten),
            of the others from leaving out blocks of groups (jackknife).
        standard_error: of the score, from the same.
        p: share of permutations of the label by group that score at least as high; of estimators of whole tasks, at
            least as well. Small means that the label depends on the speech inside the classes (kernels), or that it
            tells the classes better than chance does (whole tasks).
        z: the score in standard deviations of the permutations' scores, from their mean.
        null_interval: where 95 % of the permutations' scores lie.
        points: samples used.
        points_undefined: samples left out since the label has no value there.
        classes: classes used.
        classes_too_small: classes left out for too few points.
        classes_constant: classes left out since the label, or the speech, does not vary in them.
        effective_classes: number of equal classes that would average as these do.
        floor: of the estimator `reference`: what it would give if all values differed, the mean of 1/n.
        reason: why the score is None.
        units: how many classes, or blocks of groups, the standard error comes from; 0 if there is none.
        noise_p: probability that a label of chance has so much relevance, corrected for the number of labels; None
            where it cannot be told.
        better_than_noise: whether that is below `noise.LEVEL`.
        per_class: score by class; of `relevance`, what the class adds to it.
        points_per_class: samples used by class.
    """

    score: float | None
    interval: tuple[float, float] | None = None
    standard_error: float | None = None
    p: float | None = None
    z: float | None = None
    null_interval: tuple[float, float] | None = None
    points: int = 0
    points_undefined: int = 0
    classes: int = 0
    classes_too_small: int = 0
    classes_constant: int = 0
    effective_classes: float = 0.0
    floor: float | None = None
    reason: str | None = None
    per_class: dict[str, float] = field(default_factory=dict)
    points_per_class: dict[str, int] = field(default_factory=dict)
    units: int = 0
    noise_p: float | None = None
    better_than_noise: bool | None = None

    def __getitem__(self, key: str) -> Any:
        if key not in {entry.name for entry in fields(self)}:
            raise KeyError(key)
        return getattr(self, key)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LabelScore:
        """The inverse of `to_dict`, also after JSON has made lists of the tuples."""
        pairs = {
            name: tuple(values[name]) for name in ("interval", "null_interval") if values[name] is not None
        }
        found = cls(**{**values, **pairs})
        found.check()
        return found

    def check(self) -> None:
        """Raise ValueError unless each entry is of its type and a number where it is to be one."""
        numbers = [self.score, self.standard_error, self.p, self.z, self.floor, self.effective_classes]
        for pair in (self.interval, self.null_interval):
            if pair is not None and len(pair) != 2:
                raise ValueError(f"an interval of {len(pair)} ends")
            numbers += pair or ()
        numbers += self.per_class.values()
        for number in numbers:
            if number is not None and (isinstance(number, bool) or not math.isfinite(number)):
                raise ValueError(f"{number} where a number was expected")
        counts = [
            self.points,
            self.points_undefined,
            self.classes,
            self.classes_too_small,
            self.classes_constant,
        ]
        for count in (*counts, *self.points_per_class.values()):
            if isinstance(count, bool) or not isinstance(count, int) or count < 0:
                raise ValueError(f"{count!r} where a count was expected")
        if not isinstance(self.reason, str | None):
            raise ValueError(f"the reason {self.reason!r}")


def write_scores(
    file: Path | str,
    scores: Mapping[str, LabelScore],
    provenance: Mapping[str, Any],
    controls: Mapping[str, LabelScore] | None = None,
) -> None:
    """Write scores and how they were made, by renaming; no dates, so that equal runs give equal files."""
    content = {
        "format": FORMAT,
        **provenance,
        "scores": {name: scores[name].to_dict() for name in sorted(scores)},
        **({"controls": {name: record.to_dict() for name, record in controls.items()}} if controls else {}),
    }
    write_text(file, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_scores(file: Path | str) -> tuple[dict[str, LabelScore], dict[str, Any]]:
    """The scores by label, and the rest of the file; raise PtselError if they cannot be read.

    The scores of controls are in the rest, as `controls`, empty if there are none.
    """
    advice = "expected what `ptsel score` writes; run it again"
    try:
        content = read_json(file)
        if content["format"] != FORMAT:
            raise PtselError(
                f"{file}: scores of format {content['format']}, this version reads {FORMAT}; {advice}"
            )
        scores = {name: LabelScore.from_dict(values) for name, values in content.pop("scores").items()}
        controls = content.pop("controls", {})
        content["controls"] = {name: LabelScore.from_dict(values) for name, values in controls.items()}
    except FileNotFoundError:
        raise PtselError(f"{file}: no such file; expected what `ptsel score` writes") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PtselError(f"{file}: the scores cannot be read ({error!r}); {advice}") from None
    return dict(sorted(scores.items())), content


def in_order(
    scores: Mapping[str, LabelScore], higher_is_better: bool = False
) -> list[tuple[str, LabelScore]]:
    """Best score first, equal ones by name, labels without a score last."""
    sign = -1.0 if higher_is_better else 1.0
    return sorted(
        scores.items(), key=lambda item: (item[1].score is None, sign * (item[1].score or 0.0), item[0])
    )
