"""Compare the readers of kern, ABC and MusicXML with music21's: notes, meter and signature of the same pieces.

    python benchmarks/agreement_music21.py [--pieces N] [--styles NAME ...]

Needs `pip install music21`, whose corpus is read too. Without it, it says so and ends well.

A note is its start and length in quarters and its pitch as it sounds. Notes that are tied are one, grace notes are
left out, repeats are not played, and of several endings only the last counts, for both. Pieces are drawn by a
checksum of their name.
"""

from __future__ import annotations

import re
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from common import Figure, finish, parse, parser_of
from tqdm import tqdm

from ptsel_fairseq.downstream.corpora.music.library import STYLES, digest, files_of, read_pieces
from ptsel_fairseq.downstream.corpora.music.piece import QUARTER, Piece, UnreadableError

FINEST = 2520  # music21 rounds thirds and the like to floats: compare in these parts of a quarter
Facts = tuple[Counter, object, object]  # notes, meter, signature


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    parser.add_argument("--pieces", type=int, default=40, help="of each style (default 40)")
    parser.add_argument("--styles", nargs="+", metavar="NAME", default=[style.name for style in STYLES])
    parser.add_argument("--show", type=int, default=3, metavar="N", help="pieces that differ, of each style")
    options = parse(parser, arguments, {"pieces": 1})
    try:
        import music21
    except ImportError:
        print("music21 is not installed (pip install music21): nothing to compare with")
        return finish(options, [])
    warnings.filterwarnings("ignore", module="music21")
    root = Path(music21.__file__).parent / "corpus"
    print(f"music21 {music21.VERSION_STR}\n")
    heads = (
        "style, pieces, not read here, not read by music21, the same notes, notes in common, meter, signature"
    )
    print(f"| {heads.replace(', ', ' | ')} |\n" + "| --- " * 8 + "|")
    least = 1.0
    for style in STYLES:
        if style.name not in options.styles:
            continue
        drawn = sorted(tunes(files_of(root, style), root), key=lambda tune: digest(tune[0]))[: options.pieces]
        least = min(least, compare(style.name, drawn, options.show))
    return finish(options, [Figure("share of pieces with the same notes, of the worst style", least)])


def tunes(files: Sequence[Path], root: Path) -> Iterator[tuple[str, str, bytes]]:
    """Name, suffix and content of each piece: of a file of ABC, of each tune."""
    for file in files:
        name, content = file.relative_to(root).as_posix(), file.read_bytes()
        if file.suffix == ".abc":
            text = content.decode("utf-8", errors="replace")
            for tune in re.findall(r"(?ms)^X:.*?(?=^X:|\Z)", text):
                yield f"{name} {tune.splitlines()[0]}", ".abc", tune.encode()
        else:
            yield name, file.suffix, content


def compare(style: str, drawn: Sequence[tuple[str, str, bytes]], show: int) -> float:
    """Print the row of a style; return the share of the pieces with the same notes."""
    unread = theirs_unread = same = meters = signatures = common = total = 0
    different = []
    for name, suffix, content in tqdm(drawn, desc=style, disable=not sys.stderr.isatty()):
        (piece,) = read_pieces(content, suffix)
        if isinstance(piece, UnreadableError):
            unread += 1
            continue
        ours = facts_of(piece)
        try:
            theirs = by_music21(suffix, content)
        except Exception as error:  # of whatever kind its parser meets
            theirs_unread += 1
            different.append(f"{name}: music21: {type(error).__name__}: {error}")
            continue
        common += (ours[0] & theirs[0]).total()
        total += max(ours[0].total(), theirs[0].total())
        same += ours[0] == theirs[0]
        meters += ours[1] == theirs[1]
        signatures += ours[2] == theirs[2]
        if ours != theirs:
            only, lacks = ours[0] - theirs[0], theirs[0] - ours[0]
            different.append(
                f"{name}: {only.total()} notes only here {first(only)}, {lacks.total()} only there {first(lacks)}; "
                f"meter {ours[1]} {theirs[1]}, signature {ours[2]} {theirs[2]}"
            )
    read_by_both = len(drawn) - unread - theirs_unread
    print(
        f"| {style} | {len(drawn)} | {unread} | {theirs_unread} | {same} of {read_by_both} | "
        f"{100 * common / max(total, 1):.2f} % | {meters} | {signatures} |",
        flush=True,
    )
    for line in different[:show]:
        print(f"    {line}", file=sys.stderr)
    return same / max(read_by_both, 1)


def first(notes: Counter) -> list:
    return [(start / FINEST, length / FINEST, pitch) for start, length, pitch in sorted(notes)[:2]]


def facts_of(piece: Piece) -> Facts:
    notes = Counter(
        (rounded(Fraction(note.start, QUARTER)), rounded(Fraction(note.length, QUARTER)), note.pitch)
        for part in piece.parts
        for note in part
    )
    return notes, piece.meter, piece.fifths


def by_music21(suffix: str, content: bytes) -> Facts:
    """The same of music21's own reader."""
    from music21 import converter, key, meter

    kind = {".abc": "abc", ".krn": "humdrum"}.get(suffix, "musicxml")
    with tempfile.NamedTemporaryFile(suffix=suffix) as file:
        file.write(content)
        file.flush()
        score = converter.parse(file.name, forceSource=True, format=kind)
    score = score.toSoundingPitch()
    meters = {
        (sign.numerator, sign.denominator) for sign in score.recurse().getElementsByClass(meter.TimeSignature)
    }
    signs = {sign.sharps for sign in score.recurse().getElementsByClass(key.KeySignature)}
    return Counter(notes_of(score)), only(meters), only(signs)


def notes_of(score: Any) -> Iterator[tuple[int, int, int]]:
    """The notes of all parts, without bars of an ending that is not the last.

    A bar that is too short in one part is as long as in the others, so that parts stay together.
    """
    from music21 import spanner, stream

    parts = [list(part.getElementsByClass(stream.Measure)) for part in score.parts]
    lengths = [max(map(length_of, column)) for column in zip(*parts, strict=True)]
    dropped = {
        measure.number
        for bracket in score.recurse().getElementsByClass(spanner.RepeatBracket)
        if 1 in bracket.numberRange and 2 not in bracket.numberRange
        for measure in bracket.getSpannedElements()
    }
    for part in score.parts:
        now = Fraction(0)
        for measure, length in zip(part.stripTies().getElementsByClass(stream.Measure), lengths, strict=True):
            if measure.number in dropped:
                continue
            for sounding in measure.flatten().notes:
                if sounding.duration.isGrace or not sounding.duration.quarterLength:
                    continue
                for pitch in getattr(sounding, "pitches", ()):
                    yield (
                        rounded(now + Fraction(sounding.offset)),
                        rounded(sounding.quarterLength),
                        pitch.midi,
                    )
            now += length


def length_of(measure: Any) -> Fraction:
    """Of a measure; rests that are more than it holds are not counted."""
    sounding = max((note.offset + note.quarterLength for note in measure.flatten().notes), default=0)
    length = max(sounding, min(measure.highestTime, measure.barDuration.quarterLength))
    return Fraction(length).limit_denominator(FINEST)


def rounded(quarters: Any) -> int:
    return round(Fraction(quarters) * FINEST)


def only(found: set) -> object:
    return next(iter(found)) if len(found) == 1 else None


if __name__ == "__main__":
    main()
