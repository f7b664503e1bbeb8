"""Checks of what is to be predicted: class files and value files against the manifests."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np

from ptsel_fairseq.base.class_file import ClassFile, NoClassesError, read_classes
from ptsel_fairseq.base.grid import SAMPLE_RATE
from ptsel_fairseq.base.manifest import Manifest
from ptsel_fairseq.base.messages import examples
from ptsel_fairseq.base.value_file import ValueFile, read_values
from ptsel_fairseq.data.findings import Finding

Target = TypeVar("Target", bound=ClassFile)
FAR = 10.0  # interquartile ranges from the median: a number that is more likely a code of a missing value


def check_classes(file: Path, manifests: list[Manifest]) -> list[Finding]:
    """Read a class file against each split; a split it does not mention is a warning."""
    return _check_target(file, manifests, read_classes, _check_classes_of, "classes")


def check_values(file: Path, manifests: list[Manifest]) -> list[Finding]:
    """Read a value file against each split; a split it does not mention is a warning."""
    return _check_target(file, manifests, read_values, _check_values_of, "values")


def _check_target(
    file: Path,
    manifests: list[Manifest],
    read: Callable[[Path, Manifest, int], Target],
    check: Callable[[Target, str, str], list[Finding]],
    what: str,
) -> list[Finding]:
    findings, matched = [], 0
    for manifest in manifests:
        try:
            found = read(file, manifest, SAMPLE_RATE)
        except NoClassesError:
            message = f"no line is about the split {manifest.split}"
            findings.append(Finding(f"no {what}", False, str(file), message))
            continue
        matched += 1
        missing = f"{found.unlabelled} utterances without a {found.what}"
        findings += check(found, manifest.split, missing)
    if not matched:
        findings.append(Finding(f"no {what}", True, str(file), "no line is about any of the manifests"))
    return findings


def _check_classes_of(classes: ClassFile, split: str, missing: str) -> list[Finding]:
    sizes = Counter(segment.name for segment in classes.segments)
    print(
        f"{classes.file}: {split}: {len(classes.segments)} points in {len(sizes)} classes of "
        f"{min(sizes.values())} to {max(sizes.values())}, {missing}"
    )
    place = f"{classes.file}, {split}"
    findings = [
        Finding("classes that look alike", False, place, ", ".join(map(repr, alike)))
        for alike in look_alike(sizes)
    ]
    single = sorted(name for name, size in sizes.items() if size == 1)
    if single:
        findings.append(Finding("class with one member", False, place, ", ".join(single[:10])))
    return findings


def _check_values_of(file: ValueFile, split: str, missing: str) -> list[Finding]:
    values = np.array(file.in_order_values())
    print(
        f"{file.file}: {split}: {len(values)} points, values from {values.min():g} to {values.max():g}, mean "
        f"{values.mean():g}, standard deviation {values.std():g}, {missing}"
    )
    place = f"{file.file}, {split}"
    if values.min() == values.max():
        message = f"all {len(values)} points have the value {values[0]:g}; there is nothing to predict"
        return [Finding("one value only", False, place, message)]
    far = far_from_the_others(values)
    if not far:
        return []
    message = (
        f"{len(far)} points are more than {FAR:g} interquartile ranges from the median {examples(map(repr, far))}; "
        "if they stand for missing values, take their lines out"
    )
    return [Finding("values far from the others", False, place, message)]


def far_from_the_others(values: np.ndarray) -> list[float]:
    """Values that lie more than `FAR` interquartile ranges from the median, such as 999 among ages.

    None where half of the values are equal, since nothing then says what is far.
    """
    low, median, high = np.percentile(values, (25, 50, 75))
    if low == high:
        return []
    return [float(value) for value in values[np.abs(values - median) > FAR * (high - low)]]


def check_apart(file: Path, manifests: list[Manifest]) -> list[Finding]:
    """Classes of utterances, such as speakers or notes, that are in two splits though each should be in one."""
    seen: dict[str, tuple[str, str]] = {}
    shared: dict[str, Finding] = {}
    for manifest in manifests:
        for segment in read_classes(file, manifest, SAMPLE_RATE).segments:
            where = manifest.where(manifest.utterances[segment.utterance])
            split, first = seen.setdefault(segment.name, (manifest.split, where))
            if split != manifest.split and segment.name not in shared:
                message = f"the class {segment.name!r} is in {split} as well ({first})"
                shared[segment.name] = Finding("class in two splits", True, where, message)
    print(f"{file}: {len(seen)} classes, {len(shared)} of them in two splits or more")
    return list(shared.values())


def look_alike(names: Iterable[str]) -> list[list[str]]:
    """Classes that differ by capitals, blanks, punctuation or forms of the same letters only, together."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        folded = unicodedata.normalize("NFKC", name).casefold()
        groups["".join(char for char in folded if char.isalnum()) or name].append(name)
    return [group for group in groups.values() if len(group) > 1]
