"""The sheet music of music21's corpus: which pieces there are, in which style, and which belong together."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.base.workers import map_ordered
from ptsel_fairseq.downstream.corpora.corpus import wrong_root
from ptsel_fairseq.downstream.corpora.music.abc import parse_abc
from ptsel_fairseq.downstream.corpora.music.kern import parse_kern
from ptsel_fairseq.downstream.corpora.music.melodies import features_of, grouped
from ptsel_fairseq.downstream.corpora.music.musicxml import parse_musicxml
from ptsel_fairseq.downstream.corpora.music.piece import Piece, UnreadableError
from ptsel_fairseq.downstream.corpora.music.theory import downbeats, sure_key

HOLDS = "the folder music21/corpus of the package music21"
SHARES: Mapping[str, float] = {"train": 0.6, "valid": 0.15, "test": 0.25}


@dataclass(frozen=True)
class Style:
    """A composer or a collection.

    Attributes:
        name: the class.
        patterns: of its files below the corpus's folder.
        keyed: whether its pieces are in keys; not so music of the Middle Ages, nor movements that leave theirs.
    """

    name: str
    patterns: tuple[str, ...]
    keyed: bool = True


# Essen's folk songs are left out: the corpus calls their status unclear.
STYLES = (
    Style("aird", ("airdsAirs/*.abc",)),
    Style("bach", ("bach/*.mxl", "bach/*.krn")),
    Style("monteverdi", ("monteverdi/*.mxl",)),
    Style("oneill", ("oneills1850/*.abc",)),
    Style("palestrina", ("palestrina/*.krn",)),
    Style("ryan", ("ryansMammoth/*.abc",)),
    Style("trecento", ("trecento/*.xml", "trecento/*.mxl"), keyed=False),
    Style("vienna", tuple(f"{name}/**/*.*xl" for name in ("beethoven", "haydn", "mozart")), keyed=False),
)


@dataclass(frozen=True)
class Work:
    """A piece that clips can be made of.

    Attributes:
        name: of the file and, where it holds several, the number of the tune.
        bars: where its bars begin, in `piece.QUARTER`s.
        key: tonic and mode, None where they are not sure.
        group: of the works that share a title, a melody or a collection with it; the same for all of them.
        split: of its group.
    """

    name: str
    style: str
    piece: Piece
    bars: Sequence[int]
    key: tuple[int, str] | None
    group: str = ""
    split: str = ""


@dataclass(frozen=True)
class Library:
    """Works by style and split, and what was left out and why."""

    works: Sequence[Work]
    left_out: Mapping[str, Counter]

    def of(self, style: str, split: str) -> list[Work]:
        return [work for work in self.works if (work.style, work.split) == (style, split)]

    def remarks(self) -> list[str]:
        """For the report: pieces by style, and those left out."""
        lines = []
        for style in sorted({work.style for work in self.works} | self.left_out.keys()):
            own = [work for work in self.works if work.style == style]
            reasons = self.left_out.get(style, Counter())
            out = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items())) or "none"
            keyed = sum(work.key is not None for work in own)
            lines.append(f"* {style}: {len(own):,} pieces, {keyed:,} with a sure key; left out: {out}")
        return ["Sheet music:\n\n" + "\n".join(lines)]


def read_library(root: Path, jobs: int | None) -> Library:
    """Read all pieces below the corpus's folder.

    Raises:
        PtselError: a folder that is not the corpus's.
    """
    files = [(style, file) for style in STYLES for file in files_of(root, style)]
    if not files:
        raise wrong_root(root, HOLDS)
    found = map_ordered(partial(_read_file, root), files, jobs=1 if len(files) < 20 else jobs)
    works: list[Work] = []
    features: list[list[object]] = []
    left_out: dict[str, Counter] = {}
    for (style, _), read in zip(
        files, progress_bar(found, total=len(files), desc="sheet music", unit="file"), strict=True
    ):
        for entry in read:
            if isinstance(entry, str):
                left_out.setdefault(style.name, Counter())[entry] += 1
            else:
                works.append(entry[0])
                features.append(entry[1])
    return Library(in_splits(works, grouped(features)), left_out)


def files_of(root: Path, style: Style) -> list[Path]:
    """The files of a style, sorted; of a piece that is there in several formats the first of them."""
    found = sorted({file for pattern in style.patterns for file in root.glob(pattern)})
    return list({file.with_suffix(""): file for file in reversed(found)}.values())[::-1]


def read_pieces(content: bytes, suffix: str) -> list[Piece | UnreadableError]:
    """The pieces of a file in the format of its suffix, ABC, kern or else MusicXML, and why some are not read."""
    try:
        if suffix == ".abc":
            return list(parse_abc(content.decode("utf-8", errors="replace")))
        if suffix == ".krn":
            return [parse_kern(content.decode("utf-8", errors="replace"))]
        return [parse_musicxml(content)]
    except UnreadableError as error:
        return [error]


def _read_file(root: Path, named: tuple[Style, Path]) -> list[tuple[Work, list[object]] | str]:
    """The works of a file with what tells that they belong together, and the reason for each that is left out."""
    style, file = named
    content = file.read_bytes()
    name = file.relative_to(root).with_suffix("").as_posix()
    pieces = read_pieces(content, file.suffix)
    out: list[tuple[Work, list[object]] | str] = []
    for number, piece in enumerate(pieces, start=1):
        if isinstance(piece, UnreadableError):
            out.append("cannot be read")
            continue
        if not piece.parts:
            out.append("without notes")
            continue
        bars = downbeats(piece)
        if not bars:
            out.append("without a sure meter")
            continue
        own = name if len(pieces) == 1 else f"{name}-{number:03d}"
        work = Work(own, style.name, piece, bars, sure_key(piece) if style.keyed else None)
        out.append((work, features_of(piece, name)))
    return out


def in_splits(works: Sequence[Work], groups: Sequence[int]) -> list[Work]:
    """The works with their groups' names and splits; each style is divided by `SHARES` as nearly as groups allow.

    Groups come one after the other, large ones first, and each goes where its styles lack most.
    """
    members: dict[int, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    totals = Counter(work.style for work in works)
    there: Counter = Counter()  # (style, split) -> works
    split_of: dict[int, str] = {}
    by_size = sorted(members.items(), key=lambda item: (-len(item[1]), digest(works[item[0]].name)))
    for group, own in by_size:
        styles = Counter(works[index].style for index in own)

        def lack(split: str, styles: Counter = styles) -> float:
            return sum(
                count * (SHARES[split] - there[style, split] / totals[style]) / SHARES[split]
                for style, count in styles.items()
            )

        split = max(SHARES, key=lack)
        split_of[group] = split
        there.update({(style, split): count for style, count in styles.items()})
    return [
        replace(work, group=works[group].name, split=split_of[group])
        for work, group in zip(works, groups, strict=True)
    ]


def digest(*words: object) -> int:
    """A number that depends on nothing but the words: the first 64 bits of their SHA-256."""
    return int.from_bytes(hashlib.sha256("\0".join(map(str, words)).encode()).digest()[:8], "big")
