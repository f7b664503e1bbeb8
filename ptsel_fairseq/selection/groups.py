"""Which points depend on each other: utterances, or groups of them that a file names."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ptsel_fairseq.base.class_file import ClassFile
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import Manifest, read_lines
from ptsel_fairseq.selection.points import Points

HEADER = ("path", "group")
GROUPS_EXAMPLE = "clips/en_0001.flac<TAB>speaker_7"
SAME = 1e-9  # of a label's spread: varies less than this in every utterance and it is the same there


def read_groups(file: Path | str, manifest: Manifest, class_file: ClassFile) -> dict[int, str]:
    """The group of each utterance that has a class: number of the utterance -> name.

    Args:
        file: header ``path<TAB>group``, then a line for each utterance; paths of other manifests are passed over.

    Raises:
        PtselError: a line that cannot be read, an utterance with two groups, or one with a class and without a
        group.
    """
    file = Path(file)
    expected = f"a header line 'path<TAB>group', then lines such as {GROUPS_EXAMPLE!r}"
    lines = read_lines(file, expected)
    if not lines or tuple(lines[0].split("\t")) != HEADER:
        raise PtselError(
            f"{file}, line 1: expected {expected}, found {lines[0] if lines else 'an empty file'!r}"
        )
    index = {utterance.path: utterance.index for utterance in manifest}
    found: dict[int, str] = {}
    for number, line in enumerate(lines[1:], start=2):
        fields = line.split("\t")
        if len(fields) != 2 or not all(fields):
            raise PtselError(f"{file}, line {number}: expected a path, one tab and a group, found {line!r}")
        utterance = index.get(fields[0])
        if utterance is None:
            continue
        if found.setdefault(utterance, fields[1]) != fields[1]:
            raise PtselError(
                f"{file}, line {number}: {fields[0]} is in two groups, {found[utterance]!r} and {fields[1]!r}; an "
                "utterance belongs to one"
            )
    without = sorted({segment.utterance for segment in class_file.segments} - set(found))
    if without:
        raise PtselError(
            f"{file}: no group for {len(without)} utterances that have a class, the first is "
            f"{manifest.utterances[without[0]].path}; add a line for each, such as {GROUPS_EXAMPLE!r}"
        )
    return found


def structure_lines(points: Points) -> list[str]:
    """What makes points depend on each other: groups, overlapping segments, labels that do not vary inside."""
    groups = points.groups
    if groups is None:
        return []
    _, number, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    what = "groups" if len(points.group) else "utterances"
    lines = []
    if len(sizes) < len(points):
        lines.append(
            f"independent: {len(sizes)} {what} of {len(points)} points; permutations, folds and errors go by them"
        )
    overlaps = overlapping(points)
    if overlaps:
        lines.append(
            f"overlap: {overlaps} segments begin before the one before them in the same utterance ends, so some audio "
            "counts twice; errors allow for it, since they go by utterance"
        )
    same = []
    for name, z in sorted(points.labels.items()):
        defined = ~np.isnan(z).any(axis=1)
        if _same_inside(z[defined], number[defined]):
            same.append(name)
    if same:
        lines.append(f"the same throughout each of the {what}: {', '.join(same)}")
    return lines


def overlapping(points: Points) -> int:
    """How many segments begin before an earlier one of the same utterance ends."""
    order = np.lexsort((points.start, points.utterance))
    count, utterance, end = 0, -1, 0.0
    for row in order:
        if points.utterance[row] != utterance:
            utterance, end = points.utterance[row], -np.inf
        count += bool(points.start[row] < end - 1e-6)
        end = max(end, points.end[row])
    return count


def _same_inside(z: np.ndarray, number: np.ndarray) -> bool:
    """Whether values [n, d] vary from group to group but in none of them; False if no group has two points."""
    counts = np.bincount(number)
    if not len(z) or counts.max(initial=0) < 2 or not (np.ptp(z, axis=0) > 0).any():
        return False
    sums = np.zeros((len(counts), z.shape[1]))
    np.add.at(sums, number, z)
    means = sums / np.maximum(counts, 1)[:, None]
    return bool((np.abs(z - means[number]) <= SAME * np.ptp(z, axis=0)).all())
