"""Sheet music is read as written: the same random notes in three formats, and what each format has of its own."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from music_tools import EIGHTH, chorale, in_abc, in_kern, in_musicxml, tune

from ptsel_fairseq.downstream.corpora.music.abc import parse_abc
from ptsel_fairseq.downstream.corpora.music.kern import duration_of, parse_kern, pitch_of
from ptsel_fairseq.downstream.corpora.music.musicxml import parse_musicxml
from ptsel_fairseq.downstream.corpora.music.piece import QUARTER, Note, Piece, UnreadableError


def as_notes(notes):
    return [Note(start * EIGHTH, length * EIGHTH, pitch) for start, length, pitch in notes]


def one_tune(text: str) -> Piece:
    (piece,) = parse_abc(text)
    assert isinstance(piece, Piece), piece
    return piece


def pitches(body: str, key: str = "C", meter: str = "4/4") -> list[int]:
    return [note.pitch for note in one_tune(f"X:1\nM:{meter}\nL:1/8\nK:{key}\n{body}\n").parts[0]]


def lengths(body: str, meter: str = "4/4") -> list[float]:
    """In eighths."""
    piece = one_tune(f"X:1\nM:{meter}\nL:1/8\nK:C\n{body}\n")
    return [note.length / EIGHTH for note in piece.parts[0]]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_the_same_notes_in_three_formats(seed):
    bass, top = chorale(seed)
    assert one_tune(in_abc(top, 1, "A tune")).parts[0] == as_notes(top)
    kern = parse_kern(in_kern([bass, top]))
    xml = parse_musicxml(in_musicxml([bass, top]).encode())
    for piece in (kern, xml):
        assert sorted(map(sorted, piece.parts)) == sorted([as_notes(bass), as_notes(top)])
        assert list(piece.bars) == [bar * 4 * QUARTER for bar in range(8)]
        assert (piece.meter, piece.fifths, piece.length) == ((4, 4), 0, 32 * QUARTER)


def test_compressed_musicxml_is_the_same():
    text = in_musicxml(chorale(3))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("META-INF/container.xml", "<container/>")
        archive.writestr("a.xml", text)
    assert parse_musicxml(packed.getvalue()) == parse_musicxml(text.encode())


@pytest.mark.parametrize(
    ("word", "eighths"),
    [("8", 1), ("4.", 3), ("4..", 3.5), ("0", 16), ("00", 32), ("3%2", 16 / 3), ("12", 2 / 3)],
)
def test_lengths_of_kern(word, eighths):
    assert duration_of(word + "c") == eighths * EIGHTH


@pytest.mark.parametrize(("word", "pitch"), [("4c", 60), ("4cc#", 73), ("4C", 48), ("4CC-", 35), ("4bn", 71)])
def test_pitches_of_kern(word, pitch):
    assert pitch_of(word) == pitch


def test_columns_that_split_and_ties_in_kern():
    text = "**kern\n*M4/4\n=1\n*^\n2c\t[1e\n2d\t.\n=2\t=2\n*v\t*v\n1e]\n*-\n".replace("[1e", "[1ee").replace(
        "1e]", "1ee]"
    )
    (part,) = parse_kern(text).parts
    assert [(note.start // QUARTER, note.length // QUARTER, note.pitch) for note in part] == [
        (0, 2, 60),
        (0, 8, 76),
        (2, 2, 62),
    ]


def test_key_signatures_accidentals_and_octaves_of_abc():
    assert pitches("FfCc") == [65, 77, 60, 72]
    assert pitches("FfCc", "D") == [66, 78, 61, 73]
    assert pitches("F=FF|F", "D") == [66, 65, 65, 66]  # a sign lasts for its bar
    assert pitches("_B,c'^^d", "C") == [58, 84, 76]
    assert pitches("EB", "Eb") == [63, 70]
    assert pitches("BE", "Ador") == [71, 64]
    assert pitches("FC", "Ador") == [66, 60]


@pytest.mark.parametrize("bar", ["|", "||", "[|", "|:", ":|", ":|:", "|]", "|[|", "|[2", "[|]"])
def test_a_chord_after_a_bar_line_of_abc(bar):
    piece = one_tune(f"X:1\nM:2/4\nL:1/8\nK:C\n[C2E2]G2{bar}[F2A2]c2|\n")
    expected = [(0, 2, 60), (0, 2, 64), (2, 2, 67), (4, 2, 65), (4, 2, 69), (6, 2, 72)]
    assert piece.parts[0] == as_notes(expected)


def test_lengths_of_abc():
    assert lengths("C2 C C/ C3/2 C// C") == [2, 1, 0.5, 1.5, 0.25, 1]
    assert lengths("C>C C<C") == [1.5, 0.5, 0.5, 1.5]
    assert lengths("C>>C") == [1.75, 0.25]
    assert lengths('C"4"> "Am"C') == [1.5, 0.5]
    assert lengths("(3CCC C") == [pytest.approx(2 / 3)] * 3 + [1]
    assert lengths("(2CC C", "6/8") == [1.5, 1.5, 1]
    assert lengths("C2-|C2 C") == [4, 1]
    assert lengths("z2 C {def}C [CEG]2") == [1, 1, 2, 2, 2]


def test_of_two_endings_the_last_is_played():
    assert pitches("C2|1 D2:|2 E2|]") == [60, 64]
    assert pitches("|:C2|[1 D2:|[2 E2|]F2") == [60, 64, 65]
    measures = [
        '<barline><ending number="1" type="start"/></barline>',
        '<barline><ending number="2" type="start"/></barline>',
    ]
    text = in_musicxml([tune(1, 24)])
    first, second, third = text.split("<measure>")[1:]
    head = text.split("<measure>")[0]
    ended = "<measure>".join([head, first, measures[0] + second, measures[1] + third])
    whole = parse_musicxml(text.encode()).parts[0]
    kept = [note for note in whole if note.start < 4 * QUARTER] + [
        Note(note.start - 4 * QUARTER, note.length, note.pitch) for note in whole if note.start >= 8 * QUARTER
    ]
    assert parse_musicxml(ended.encode()).parts[0] == kept


def test_rests_that_are_more_than_a_bar_holds_take_no_time():
    top = [(start, 8, 60 + start) for start in (0, 8, 16)]  # one note a bar
    twice = 2 * "<note><rest/><duration>8</duration></note>" + "</measure>"
    bars = in_musicxml([top, top]).split("<measure>")
    bars[5] = twice  # the second bar of the second part
    piece = parse_musicxml("<measure>".join(bars).encode())
    assert piece.parts == [as_notes(top), as_notes([top[0], top[2]])]
    assert piece.bars == [0, 4 * QUARTER, 8 * QUARTER]
    silent = in_musicxml([top]).replace("</part>", f"<measure>{twice}</part>")
    assert parse_musicxml(silent.encode()).length == 16 * QUARTER
    free = silent.replace("<time>", "<free>").replace("</time>", "</free>")
    assert parse_musicxml(free.encode()).length == 20 * QUARTER


def test_a_transposing_part_sounds_as_it_sounds():
    text = in_musicxml([tune(2)])
    lower = text.replace("</attributes>", "<transpose><chromatic>-2</chromatic></transpose></attributes>")
    before, after = (parse_musicxml(one.encode()).parts[0] for one in (text, lower))
    assert [note.pitch - 2 for note in before] == [note.pitch for note in after]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("**kern\t**kern\n4c\n", "expected 2 columns, found 1"),
        ("**kern\n4\n", "expected a pitch"),
        ("**kern\nc\n", "expected a duration"),
        ("**kern\n*+\n", "expected columns that split or join"),
        ("**kern\t**kern\n4c\t2c\n8d\t8d\n", "a note begins at quarter 1, and the one before ends at 2"),
        ("", "expected a column"),
        ("**kern\n11c\n", "expected a common length"),
    ],
)
def test_kern_that_is_not_read(text, said):
    with pytest.raises(UnreadableError, match=said):
        parse_kern(text)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<a", "not XML"),
        (b"<a/>", "expected score-partwise, found a"),
        (b"<score-partwise/>", "expected a part"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><score-partwise/>', "declaration of entities"),
        (b"PK\x03\x04nothing", "not a compressed MusicXML file"),
        (
            in_musicxml([tune(1)]).replace("<duration>1<", "<duration>one<").encode(),
            "expected a whole number",
        ),
    ],
)
def test_musicxml_that_is_not_read(content, said):
    with pytest.raises(UnreadableError, match=said):
        parse_musicxml(content)


@pytest.mark.parametrize("body", ["V:2\nC", "C>", ">C", "C ; D", "(1C", "C0/0"])
def test_a_tune_that_is_not_read_does_not_stop_the_others(body):
    bad, good = parse_abc(f"X:1\nM:4/4\nK:C\n{body}\n\nX:2\nM:4/4\nK:C\nC4\n")
    assert isinstance(bad, UnreadableError), bad
    assert isinstance(good, Piece)
