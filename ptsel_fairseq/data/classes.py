"""`ptsel classes`: the class file of a data folder, from folders, from a table, or from the names of the files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from ptsel_fairseq.base.class_file import SEGMENT_HEADER, UTTERANCE_HEADER
from ptsel_fairseq.base.data_folder import manifests_of
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import write_text
from ptsel_fairseq.base.manifest import Manifest, read_manifest
from ptsel_fairseq.data.class_table import Table, read_table
from ptsel_fairseq.data.name_pattern import compile_pattern
from ptsel_fairseq.data.pieces import Piece, read_pieces

SHOWN = 5
ROUNDING = 0.02  # seconds by which a segment may reach over the end of its piece


@dataclass(frozen=True)
class Row:
    """One line to be written; `start` is None for the class of a whole utterance."""

    path: str
    name: str
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True)
class Found:
    """The lines of a class file, and what could not be used, counted by reason with a first example."""

    rows: list[Row]
    unused: dict[str, tuple[int, str]]


def classes_command(
    data_dir: Path | str,
    out: Path | str,
    from_folders: int | None = None,
    from_table: Path | str | None = None,
    from_names: str | None = None,
    random: int | None = None,
    seed: int = 0,
    path_column: str | None = None,
    class_column: str | None = None,
    start_column: str | None = None,
    end_column: str | None = None,
    min_size: int = 1,
) -> None:
    """Write a class file for all splits of `data_dir`, and say what it holds.

    Args:
        from_folders: level of the folder that is the class: 1 the first below the audio folder, -1 the innermost.
        from_table: file of comma, semicolon or tab separated columns, with a header.
        from_names: pattern of the file names, such as ``{class}_*`` or a regular expression with ``(?P<class>...)``.
        random: how many classes of equal size to draw with `seed`, as folds.
        path_column, class_column: columns of the table by name; default, ``path`` or ``file``, and ``class``,
            ``label`` or the one other column.
        start_column, end_column: of segments, in seconds of the recording.
        min_size: classes of fewer utterances or segments are left out.

    Raises:
        PtselError: not exactly one of the four sources, none of which fits an utterance, or contradictions in it.
    """
    given = [source is not None for source in (from_folders, from_table, from_names, random)]
    if sum(given) != 1:
        raise PtselError(
            "expected one of --from-folders LEVEL, --from-table FILE, --from-names PATTERN, --random N"
        )
    columns = (path_column, class_column, start_column, end_column)
    if from_table is None and any(columns):
        raise PtselError("--path-column, --class-column, --start-column, --end-column belong to --from-table")
    if min_size < 1:
        raise PtselError(f"--min-size: expected 1 or more, found {min_size}")
    data_dir, out = Path(data_dir), Path(out)
    if not data_dir.is_dir():
        raise PtselError(f"{data_dir}: no such folder; expected one that holds <split>.tsv manifests")
    manifests = [read_manifest(file) for file in manifests_of(data_dir)]
    if not manifests:
        raise PtselError(f"{data_dir}: expected manifests such as train.tsv, found none")
    paths = [utterance.path for manifest in manifests for utterance in manifest]
    if from_folders is not None:
        found = of_each(
            paths, lambda path: folder_at(path, from_folders), f"no folder at level {from_folders}"
        )
    elif from_names is not None:
        found = of_each(paths, compile_pattern(from_names), f"its name does not fit {from_names}")
    elif random is not None:
        found = at_random(paths, random, seed)
    else:
        found = of_table(read_table(Path(str(from_table)), *columns), paths, read_pieces(data_dir))
    if not found.rows:
        reasons = "; ".join(f"{count} {reason}" for reason, (count, _) in found.unused.items())
        raise PtselError(
            f"{data_dir}: no utterance has a class ({reasons}); its paths are such as {paths[0]!r}"
        )
    rows, small = leave_out_small(found.rows, min_size)
    if not rows:
        raise PtselError(f"{data_dir}: no class has {min_size} members; give a lower --min-size")
    write(out, rows)
    report(out, rows, manifests, found.unused, small, min_size)


def of_each(paths: Sequence[str], class_of: Callable[[str], str | None], reason: str) -> Found:
    """A class for each utterance that has one."""
    named = [(path, class_of(path)) for path in paths]
    missing = [path for path, name in named if not name]
    unused = {f"utterances without a class: {reason}": (len(missing), missing[0])} if missing else {}
    return Found([Row(path, name) for path, name in named if name], unused)


def at_random(paths: Sequence[str], count: int, seed: int) -> Found:
    """Classes ``fold1``, ``fold2``, ... of equal size, or one more; the same for the same paths in any order."""
    if not 2 <= count <= len(paths):
        raise PtselError(
            f"--random: expected 2 classes or more, and no more than the {len(paths)} utterances"
        )
    drawn = sorted(paths)
    Random(seed).shuffle(drawn)
    fold = {path: f"fold{i % count + 1}" for i, path in enumerate(drawn)}
    return Found([Row(path, fold[path]) for path in paths], {})


def folder_at(path: str, level: int) -> str | None:
    """The name of a folder of a path: level 1 is the first, -1 the innermost."""
    folders = Path(path).parts[:-1]
    index = level - 1 if level > 0 else level
    if level == 0:
        raise PtselError(
            "--from-folders: expected 1 (the first folder), 2, ... or -1 (the innermost), found 0"
        )
    return folders[index] if -len(folders) <= index < len(folders) else None


def of_table(table: Table, paths: Sequence[str], pieces: Sequence[Piece]) -> Found:
    """The lines of a table that name an utterance, or the recording that an utterance was converted from.

    A name without folders, or with another suffix, is understood if only one utterance has it. Segments of a
    recording that was cut are moved to the piece that holds them.
    """
    by_path = _by_path(paths, pieces)
    by_stem = _unique_by(by_path, lambda path: str(Path(path).with_suffix("")))
    by_name = _unique_by(by_path, lambda path: Path(path).name)
    by_name_stem = _unique_by(by_path, lambda path: Path(path).stem)
    rows: list[Row] = []
    lost: list[str] = []
    crossing: list[str] = []
    for number, line in table.rows:
        spoken = line.path.removeprefix("./")
        members = (
            by_path.get(spoken)
            or by_stem.get(str(Path(spoken).with_suffix("")))
            or by_name.get(Path(spoken).name)
            or by_name_stem.get(Path(spoken).stem)
        )
        if not members:
            lost.append(f"line {number}: {line.path}")
        elif line.start is None:
            rows += [Row(piece.path, line.name) for piece in members]
        else:
            row = _moved(line.start, line.end or 0.0, line.name, members)
            if row is None:
                crossing.append(f"line {number}: {line.path}")
            else:
                rows.append(row)
    _refuse_contradictions(table.file, rows)
    unused = {
        reason: (len(found), found[0])
        for reason, found in (
            ("lines of the table that name no utterance, or several", lost),
            ("segments that lie across a cut or beyond their recording", crossing),
        )
        if found
    }
    labelled = {row.path for row in rows}
    missing = [path for path in paths if path not in labelled]
    if missing:
        unused["utterances that the table does not name"] = (len(missing), missing[0])
    return Found(list(dict.fromkeys(rows)), unused)


def _by_path(paths: Sequence[str], pieces: Sequence[Piece]) -> dict[str, list[Piece]]:
    """What a table may call an utterance: its path, or the recording it comes from."""
    known = {piece.path: piece for piece in pieces}
    found: dict[str, list[Piece]] = {}
    for path in paths:
        piece = known.get(path)
        found[path] = [Piece(path, path, 0.0, float("inf"))]
        if piece is not None:
            found.setdefault(piece.source, []).append(piece)
    return found


def _unique_by(by_path: Mapping[str, list[Piece]], key: Callable[[str], str]) -> dict[str, list[Piece]]:
    found: dict[str, list[list[Piece]]] = {}
    for path, members in by_path.items():
        found.setdefault(key(path), []).append(members)
    unique = {}
    for name, several in found.items():
        paths = {frozenset(piece.path for piece in members) for members in several}
        if len(paths) == 1:  # an utterance and the recording it was converted from are one
            unique[name] = several[-1]
    return unique


def _moved(start: float, end: float, name: str, members: Sequence[Piece]) -> Row | None:
    """A segment of a recording as one of the piece that holds it; None if none does."""
    for piece in members:
        first, last = start - piece.start, end - piece.start
        if first >= -1e-9 and last <= piece.seconds + ROUNDING:
            return Row(piece.path, name, max(first, 0.0), min(last, piece.seconds))
    return None


def _refuse_contradictions(file: Path, rows: Sequence[Row]) -> None:
    """Raise PtselError if an utterance, or a segment, has two classes."""
    seen: dict[tuple[str, float | None, float | None], str] = {}
    clashes = []
    for row in rows:
        first = seen.setdefault((row.path, row.start, row.end), row.name)
        if first != row.name:
            clashes.append(f"{row.path}: {first!r} and {row.name!r}")
    if clashes:
        raise PtselError(
            f"{file}: expected one class for each, found {len(clashes)} contradictions (first: "
            f"{'; '.join(clashes[:SHOWN])})"
        )


def leave_out_small(rows: Sequence[Row], min_size: int) -> tuple[list[Row], dict[str, int]]:
    """The lines of classes that are large enough, and the sizes of the others."""
    sizes = Counter(row.name for row in rows)
    small = {name: size for name, size in sorted(sizes.items()) if size < min_size}
    return [row for row in rows if row.name not in small], small


def write(out: Path, rows: Sequence[Row]) -> None:
    """Write the class file; names that it cannot hold have their tabs and line breaks replaced by spaces."""
    segments = rows[0].start is not None
    lines = ["\t".join(SEGMENT_HEADER if segments else UTTERANCE_HEADER)]
    for row in rows:
        times = [f"{row.start:.4f}", f"{row.end:.4f}"] if segments else []
        lines.append("\t".join([row.path, *times, " ".join(row.name.split())]))
    write_text(out, "".join(f"{line}\n" for line in lines))


def report(
    out: Path,
    rows: Sequence[Row],
    manifests: Sequence[Manifest],
    unused: Mapping[str, tuple[int, str]],
    small: Mapping[str, int],
    min_size: int,
) -> None:
    """Say how many members each class has in each split, and what was not used."""
    what = "utterances" if rows[0].start is None else "segments"
    split_of = {utterance.path: manifest.split for manifest in manifests for utterance in manifest}
    counts = Counter((split_of[row.path], row.name) for row in rows)
    sizes = Counter(row.name for row in rows)
    print(f"{out}: {len(rows)} {what} in {len(sizes)} classes")
    for manifest in manifests:
        there = {name: counts[manifest.split, name] for name in sizes if counts[manifest.split, name]}
        if there:
            largest = max(there, key=lambda name: (there[name], name))
            smallest = min(there, key=lambda name: (there[name], name))
            print(
                f"  {manifest.split}: {sum(there.values())} {what} in {len(there)} classes, from {there[smallest]} "
                f"({smallest}) to {there[largest]} ({largest})"
            )
        else:
            print(f"  {manifest.split}: no {what} with a class")
    for reason, (count, first) in unused.items():
        print(f"  {count} {reason} (first: {first})")
    if small:
        listed = ", ".join(f"{name} ({size})" for name, size in list(small.items())[:SHOWN])
        print(f"  {len(small)} classes of fewer than {min_size} left out: {listed}")
    single = sorted(name for name, size in sizes.items() if size == 1)
    if single:
        print(
            f"  warning: {len(single)} classes have one member, of which a score cannot be made: "
            f"{', '.join(single[:SHOWN])}; --min-size 2 leaves them out"
        )
