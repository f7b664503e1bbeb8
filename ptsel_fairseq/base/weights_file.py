"""λ on disk: the one place that writes, reads and judges `criterion.pretext_weights`."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import write_text
from ptsel_fairseq.base.yaml_file import parse_yaml, read_yaml

TOLERANCE = 1e-3
WEIGHTS_EXAMPLE = "criterion: {pretext_weights: {alpha_ratio: 0.4, f0: 0.6}}"
OURS = ("pretext_weights", "pretext_sum_to_one")
MARK = "# λ"  # begins the lines of provenance, so that a later selection can replace them


def check_weights(
    weights: Mapping[str, float],
    known: Collection[str],
    sum_to_one: bool,
    setting: str = "pretext_weights",
) -> None:
    """Judge a λ before anything is trained with it.

    Args:
        weights: label -> λ. Empty, or zero everywhere, means plain wav2vec 2.0.
        known: the labels that the store holds.
        sum_to_one: whether the weights must sum to one (within 0.001).
        setting: of the recipe, for messages.

    Raises:
        PtselError: a label that is not known, a weight that is negative or no number, or another sum.
    """
    unknown = sorted({label for label, weight in weights.items() if weight != 0} - set(known))
    if unknown:
        raise PtselError(
            f"{setting}: no label {', '.join(unknown)} in the store, which holds {', '.join(sorted(known))}"
        )
    for label, weight in sorted(weights.items()):
        if not (math.isfinite(weight) and weight >= 0):
            raise PtselError(f"{setting}: expected a weight of at least 0 for {label}, found {weight}")
    total = sum(weights.values())
    if sum_to_one and total > 0 and abs(total - 1) > TOLERANCE:
        raise PtselError(
            f"{setting}: expected weights that sum to 1, found the sum {total:.6g}; scale them, or set "
            "pretext_sum_to_one: false if that is meant (as in the method `all`)"
        )


def join_weights(weights: Mapping[str, float], fixed: Mapping[str, float]) -> dict[str, float]:
    """The positive weights by label, sorted: λ, and the fixed ones beside it.

    Raises PtselError for a label that has both.
    """
    twice = sorted(label for label in fixed if fixed[label] > 0 and weights.get(label, 0.0) > 0)
    if twice:
        raise PtselError(
            f"pretext_fixed_weights: {', '.join(twice)} stand in pretext_weights with a positive λ too; choose the "
            "labels of λ without them (`ptsel score --labels ...`), or leave them out here"
        )
    both = [(label, weight) for part in (weights, fixed) for label, weight in part.items() if weight > 0]
    return dict(sorted(both))


def weights_block(
    weights: Mapping[str, float], sum_to_one: bool, indent: str, comments: Mapping[str, str] | None = None
) -> list[str]:
    """The lines of the two settings, labels sorted, zeros too, below `indent`.

    `comments` by setting or label are put behind its line.
    """
    entries = [
        ("", "pretext_sum_to_one", "true" if sum_to_one else "false"),
        ("", "pretext_weights", ""),
        *(("  ", label, _number(weights[label])) for label in sorted(weights)),
    ]
    comments = comments or {}
    return [
        f"{indent}{deeper}{key}: {value}".rstrip() + comments.get(key, "") for deeper, key, value in entries
    ]


def _number(weight: float) -> str:
    # Not 1e-05, which YAML 1.1 reads as text; less than that is nothing beside a sum of one.
    text = f"{weight:.6f}".rstrip("0")
    return text + "0" if text.endswith(".") else text


def write_weights(
    out: Path | str, weights: Mapping[str, float], provenance: Mapping[str, object], sum_to_one: bool = True
) -> None:
    """Write λ as a hydra overlay (``+weights=NAME``), provenance in comments."""
    lines = [
        "# @package _global_",
        *_comments(provenance, ""),
        "criterion:",
        *weights_block(weights, sum_to_one, "  "),
    ]
    _write_checked(Path(out), "\n".join(lines) + "\n", weights)


def read_weights(file: Path | str) -> tuple[dict[str, float], bool]:
    """λ and whether it must sum to one, from an overlay or a whole recipe."""
    file = Path(file)
    return _weights_of(read_yaml(file, WEIGHTS_EXAMPLE), file)


def write_into_recipe(
    recipe: Path | str,
    weights: Mapping[str, float],
    provenance: Mapping[str, object],
    sum_to_one: bool = True,
) -> None:
    """Set λ in the ``criterion`` block of a recipe; every other line and comment stays as it is.

    Raises PtselError if the recipe has no such block, or cannot be read or written.
    """
    recipe = Path(recipe).resolve()  # a link stays a link
    try:
        with recipe.open(encoding="utf-8", newline="") as file:
            before = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise PtselError(f"{recipe}: the recipe cannot be read ({error})") from None
    ending = "\r\n" if "\r\n" in before else "\n"
    lines = before.split(ending)
    first, last, indent = _criterion_block(lines, recipe)
    old = _find_ours(lines[first:last], indent)
    block = [
        *_comments(provenance, indent),
        *weights_block(weights, sum_to_one, indent, old.behind),
        *old.within,
    ]
    place = len(old.kept) if old.place is None else old.place
    after = [*lines[:first], *old.kept[:place], *block, *old.kept[place:], *lines[last:]]
    _write_checked(recipe, ending.join(after), weights, before)


def _criterion_block(lines: Sequence[str], recipe: Path) -> tuple[int, int, str]:
    """First line inside the ``criterion`` block, the line after it, and the indentation of its settings."""
    heads = [i for i, line in enumerate(lines) if re.match(r"criterion:\s*(#.*)?$", line)]
    if len(heads) != 1:
        raise PtselError(
            f"{recipe}: expected one block 'criterion:' to write the weights into, found {len(heads)}"
        )
    first = last = heads[0] + 1
    for i in range(first, len(lines)):
        if lines[i].strip() and not lines[i].startswith((" ", "#")):
            break
        if lines[i].startswith(" ") and lines[i].strip():
            last = i + 1
    settings = [line for line in lines[first:last] if line.strip() and not line.lstrip().startswith("#")]
    if not settings:
        raise PtselError(
            f"{recipe}, line {first}: the block 'criterion:' is empty; expected _name: ptsel_wav2vec in it"
        )
    return first, last, settings[0][: len(settings[0]) - len(settings[0].lstrip())]


@dataclass
class _Ours:
    """A ``criterion`` block taken apart: the lines `kept`, and the `place` among them where ours stood.

    Of ours only a person's comments survive: `behind` a setting or label (by its name), and lines `within`.
    """

    kept: list[str] = field(default_factory=list)
    place: int | None = None
    behind: dict[str, str] = field(default_factory=dict)
    within: list[str] = field(default_factory=list)

    def keep(self, lines: Sequence[str], here: bool = False) -> None:
        self.kept += lines
        if here and self.place is None:
            self.place = len(self.kept)


def _find_ours(lines: Sequence[str], indent: str) -> _Ours:
    ours = _Ours()
    waiting: list[str] = []  # comments and blank lines belong to the setting that follows them
    inside = False
    for line in lines:
        text = line.strip()
        key = text.split(":")[0]
        deeper = line.startswith(indent + " ")
        if text.startswith(MARK):
            ours.keep(waiting, here=True)
        elif not text or text.startswith("#"):
            waiting.append(line)
            continue
        elif not deeper and key in OURS:
            ours.keep(waiting, here=True)
            ours.behind[key] = _behind(line)
            inside = True
        elif deeper and inside:
            ours.within += [comment for comment in waiting if comment.strip()]
            ours.behind[key] = _behind(line)
        else:
            ours.keep([*waiting, line])
            inside = False
        waiting = []
    ours.keep(waiting)
    return ours


def _behind(line: str) -> str:
    """The comment at the end of a line with the blanks before it, or nothing."""
    comment = re.search(r"\s+#.*$", line)
    return comment.group() if comment else ""


def _comments(provenance: Mapping[str, object], indent: str) -> list[str]:
    return [f"{indent}{MARK} {key}: {' '.join(str(value).split())}" for key, value in provenance.items()]


def read_provenance(file: Path | str) -> dict[str, str]:
    """What the comments that `write_weights` and `write_into_recipe` leave say of how λ was made; empty if nothing."""
    made = {}
    for line in Path(file).read_text(encoding="utf-8").splitlines():
        key, colon, value = line.strip().removeprefix(f"{MARK} ").partition(": ")
        if line.strip().startswith(f"{MARK} ") and colon:
            made[key] = value
    return made


def _parse(text: str, file: Path) -> tuple[dict[str, float], bool]:
    return _weights_of(parse_yaml(text, file, WEIGHTS_EXAMPLE), file)


def _weights_of(settings: Any, file: Path) -> tuple[dict[str, float], bool]:
    try:
        criterion = settings["criterion"]
        given = criterion["pretext_weights"] or {}
        weights = {str(label): _weight(weight) for label, weight in given.items()}
        sum_to_one = criterion.get("pretext_sum_to_one", True)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise PtselError(f"{file}: expected {WEIGHTS_EXAMPLE}, found no such weights ({error!r})") from None
    if not isinstance(sum_to_one, bool):
        raise PtselError(f"{file}: pretext_sum_to_one: expected true or false, found {sum_to_one!r}")
    return weights, sum_to_one


def _weight(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError(f"{value} is no weight")
    return float(value)


def _write_checked(file: Path, text: str, weights: Mapping[str, float], before: str | None = None) -> None:
    """Write by renaming, after making sure that what is read back is what was meant and nothing else changed."""
    found, _ = _parse(text, file)
    as_meant = found.keys() == weights.keys() and all(
        abs(found[name] - weights[name]) < 1e-5 for name in weights
    )
    if not as_meant or (before is not None and _all_but_ours(text) != _all_but_ours(before)):
        raise PtselError(
            f"{file}: the weights cannot be written into this file; write its criterion block one setting a line"
        )
    write_text(file, text)


def _all_but_ours(text: str) -> Any:
    """A recipe's settings without the two that are ours."""
    try:
        settings = parse_yaml(text, "", "a recipe") or {}
        criterion = {key: value for key, value in settings.get("criterion", {}).items() if key not in OURS}
    except (PtselError, AttributeError):
        return None  # then what is written does not equal it, and is refused
    return {**settings, "criterion": criterion}
