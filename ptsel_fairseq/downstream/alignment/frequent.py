"""`ptsel frequent`: the frequent long words of a class file, as many of each, as the papers chose of LibriSpeech."""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path

from ptsel_fairseq.base.class_file import read_rows, write_class_file
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest

LETTERS = 5
INSTANCES = 300


def frequent_command(
    classes: Path | str,
    out: Path | str,
    letters: int = LETTERS,
    instances: int = INSTANCES,
    manifest: Path | str | None = None,
    seed: int | None = None,
) -> None:
    """Write a class file of `instances` segments of each class that has more, and a name of at least `letters` letters.

    This is the choice of words of Zaiem et al. (arXiv 2107.00594): their released code takes the first 300 occurrences
    of each word that has more than 300, and the 51 words it lists have five letters or more.

    Args:
        classes: class file of segments.
        out: class file to write.
        letters: fewest letters of a name.
        instances: of each class.
        manifest: take only segments of its utterances, in its order; default, all in the order of `classes`.
        seed: draw the instances instead of taking the first ones.

    Raises:
        PtselError: a file that cannot be read, or no class with so many instances.
    """
    classes = Path(classes)
    if instances < 1 or letters < 1:
        raise PtselError(f"--instances, --letters: expected at least 1 each, found {instances} and {letters}")
    by_name = read_segments(classes, None if manifest is None else Path(manifest))
    long = {name: lines for name, lines in by_name.items() if sum(map(str.isalpha, name)) >= letters}
    frequent = {name: lines for name, lines in long.items() if len(lines) > instances}
    if not frequent:
        most = max((len(lines) for lines in long.values()), default=0)
        raise PtselError(
            f"{classes}: no class of {letters} letters or more has more than {instances} segments; the most frequent "
            f"has {most}; give fewer --instances"
        )
    draw = None if seed is None else random.Random(seed)
    chosen: list[tuple[int, str]] = []
    for name in sorted(frequent):
        lines = frequent[name]
        chosen += lines[:instances] if draw is None else draw.sample(lines, instances)
    write_class_file(out, [line for _, line in sorted(chosen)], segments=True)
    print(
        f"{out}: {instances} segments of each of {len(frequent)} classes; {len(by_name)} classes in {classes}, "
        f"{len(long)} of {letters} letters or more"
    )


def read_segments(classes: Path, manifest: Path | None) -> dict[str, list[tuple[int, str]]]:
    """The lines of a class file by class, each with its place in the order that `frequent_command` keeps."""
    place = None if manifest is None else {u.path: u.index for u in read_manifest(manifest)}
    kept = []
    for row in read_rows(classes, segments_only=True):
        if place is None:
            kept.append((0, row.number, row.name, row.line))
        elif row.path in place:
            kept.append((place[row.path], row.number, row.name, row.line))
    by_name: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for i, (_, _, name, line) in enumerate(sorted(kept)):
        by_name[name].append((i, line))
    return by_name
