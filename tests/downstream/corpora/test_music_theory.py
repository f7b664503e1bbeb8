"""Keys, meters, beats and basses of pieces, and MIDI files, each against another way to find them."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from music_tools import chorale, in_abc, in_musicxml, tune

from ptsel_fairseq.downstream.corpora.music.abc import parse_abc
from ptsel_fairseq.downstream.corpora.music.midi import Sounding, Voice, midi_bytes, variable_length
from ptsel_fairseq.downstream.corpora.music.musicxml import parse_musicxml
from ptsel_fairseq.downstream.corpora.music.piece import QUARTER, Note
from ptsel_fairseq.downstream.corpora.music.theory import (
    bass_line,
    beat_length,
    downbeats,
    key_name,
    meter_class,
    sure_key,
)

# Flats and sharps of all major keys by the circle of fifths, as every textbook has it.
CIRCLE = {"Cb": -7, "Gb": -6, "Db": -5, "Ab": -4, "Eb": -3, "Bb": -2, "F": -1, "C": 0, "G": 1, "D": 2, "A": 3, "E": 4,
          "B": 5, "F#": 6, "C#": 7}  # fmt: skip
SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
RELATIVE = {"C": "A", "G": "E", "D": "B", "F": "D", "Bb": "G", "Eb": "C"}


def moved(parts, by):
    return [[(start, length, pitch + by) for start, length, pitch in part] for part in parts]


@pytest.mark.parametrize("name", CIRCLE)
def test_a_key_without_a_stated_tonic_is_told_by_the_last_bass(name):
    tonic = (SEMITONES[name[0]] + name.count("#") - name.count("b")) % 12
    parts = moved(chorale(5), tonic)
    piece = parse_musicxml(in_musicxml(parts, CIRCLE[name], "minor").encode())
    assert sure_key(piece) == (tonic, "major")  # whatever mode a program wrote
    on_the_sixth = [[*part[:-1], (*part[-1][:2], part[-1][2] + 9)] for part in parts]
    piece = parse_musicxml(in_musicxml(on_the_sixth, CIRCLE[name]).encode())
    assert sure_key(piece) == ((tonic + 9) % 12, "minor")
    on_the_fifth = [[*part[:-1], (*part[-1][:2], part[-1][2] + 7)] for part in parts]
    assert sure_key(parse_musicxml(in_musicxml(on_the_fifth, CIRCLE[name]).encode())) is None


@pytest.mark.parametrize(("major", "minor"), RELATIVE.items())
def test_relative_keys_of_abc_have_one_signature(major, minor):
    one, other = (next(parse_abc(in_abc(tune(4), 1, "A tune", key))) for key in (major, f"{minor}m"))
    assert one.fifths == other.fifths == CIRCLE[major]
    assert (one.tonic - other.tonic) % 12 == 3


def test_a_stated_key_must_agree_with_the_end():
    piece = next(parse_abc(in_abc(tune(4), 1, "A tune")))  # ends on C
    assert sure_key(piece) == (0, "major")
    assert sure_key(replace(piece, tonic=5)) == (5, "major")  # C is the fifth of F
    assert sure_key(replace(piece, tonic=2)) is None
    assert sure_key(replace(piece, mode="dorian")) is None
    assert sure_key(replace(piece, fifths=None)) is None


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 11), st.integers(-5, 6), st.sampled_from(["major", "minor"]))
def test_transposition_moves_the_key(tonic, by, mode):
    names = ["C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"]
    before, after = key_name(tonic, mode).split(), key_name(tonic + by, mode).split()
    assert before[1] == after[1] == mode
    assert (names.index(after[0]) - names.index(before[0]) - by) % 12 == 0


@pytest.mark.parametrize(
    ("meter", "kind", "quarters"),
    [
        ((4, 4), "duple", 1), ((2, 2), "duple", 2), ((3, 4), "triple", 1), ((3, 8), "triple", 0.5),
        ((6, 8), "compound duple", 1.5), ((12, 8), "compound duple", 1.5), ((9, 8), "compound triple", 1.5),
        ((6, 4), "compound duple", 3), ((5, 4), None, 1),
    ],
)  # fmt: skip
def test_meters(meter, kind, quarters):
    assert meter_class(meter) == kind
    assert beat_length(meter) == quarters * QUARTER


def test_bars_that_do_not_agree_with_the_meter_make_it_doubtful():
    piece = next(parse_abc(in_abc(tune(4), 1, "A tune")))
    assert list(downbeats(piece)) == [bar * 4 * QUARTER for bar in range(8)]
    split = replace(piece, bars=sorted([*piece.bars, 14 * QUARTER]))  # a repeat sign amid a bar
    assert downbeats(split) == downbeats(piece)
    assert not downbeats(replace(piece, meter=(3, 4)))
    assert not downbeats(replace(piece, meter=None))
    pickup = next(parse_abc("X:1\nM:3/4\nL:1/4\nK:C\nC|DEF|GAB|c2:|\n"))
    assert [bar // QUARTER for bar in downbeats(pickup)] == [1, 4, 7]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9), st.integers(30, 90)), max_size=12))
def test_the_bass_is_the_lowest_note_at_every_moment(rows):
    notes = [Note(*row) for row in rows]
    stretches = bass_line(notes)
    for moment in range(45):
        sounding = [note.pitch for note in notes if note.start <= moment < note.end]
        found = [pitch for start, end, pitch in stretches if start <= moment < end]
        assert found == ([min(sounding)] if sounding else [])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 0x0FFFFFFF))
def test_variable_lengths_hold_seven_bits_a_byte(number):
    groups = variable_length(number)
    assert sum((byte & 127) << 7 * place for place, byte in enumerate(reversed(groups))) == number
    assert [byte >> 7 for byte in groups] == [1] * (len(groups) - 1) + [0]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 15))
def test_another_program_reads_the_same_notes(seed, voices):
    mido = pytest.importorskip("mido")
    parts = [tune(seed + voice, 16) for voice in range(voices)]
    written = [
        Voice(
            voice, [Sounding(s * 0.25, (s + n) * 0.25, pitch, 20 + voice) for s, n, pitch in part], ((91, 7),)
        )
        for voice, part in enumerate(parts)
    ]
    file = mido.MidiFile(file=io.BytesIO(midi_bytes(written, 9.0)))
    assert file.length == pytest.approx(9.0, abs=0.002)
    found, open_notes, programs, now = {}, {}, {}, 0.0
    for message in file:
        now += message.time
        if message.type == "program_change":
            programs[message.channel] = message.program
        elif message.type == "control_change":
            assert (message.control, message.value, now) == (91, 7, 0)
        elif message.type == "note_on":
            assert message.channel != 9
            open_notes[message.channel, message.note] = now, message.velocity
        elif message.type == "note_off":
            start, velocity = open_notes.pop((message.channel, message.note))
            found.setdefault(message.channel, []).append((start, now, message.note, velocity))
    assert not open_notes
    assert list(programs.values()) == list(range(voices))
    for voice, channel in zip(written, programs, strict=True):
        expected = [(note.start, note.end, note.pitch, note.velocity) for note in voice.notes]
        assert sorted(found[channel]) == [
            (pytest.approx(start, abs=0.002), pytest.approx(end, abs=0.002), pitch, velocity)
            for start, end, pitch, velocity in expected
        ]


@pytest.mark.parametrize(
    ("voices", "said"),
    [
        ([Voice(0, [])] * 16, "at most 15 voices"),
        ([Voice(128, [])], "values from 0 to 127"),
        ([Voice(0, [Sounding(0, 1, 128, 9)])], "values from 0 to 127"),
        ([Voice(0, [Sounding(0, 1, 60, 0)])], "a velocity from 1 to 127"),
    ],
)
def test_what_midi_cannot_hold(voices, said):
    with pytest.raises(ValueError, match=said):
        midi_bytes(voices, 1.0)
