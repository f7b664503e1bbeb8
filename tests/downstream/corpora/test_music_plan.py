"""Which clips are made: the same for the same seed, no melody in two splits, and what is drawn keeps to its rules."""

from __future__ import annotations

import copy
import io
import itertools
import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from music_tools import chorale, in_abc, in_kern, tune, write_library

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.downstream.corpora.music.abc import parse_abc
from ptsel_fairseq.downstream.corpora.music.instruments import INSTRUMENTS
from ptsel_fairseq.downstream.corpora.music.library import SHARES, Library, Work, in_splits, read_library
from ptsel_fairseq.downstream.corpora.music.melodies import features_of, grouped, plain_title
from ptsel_fairseq.downstream.corpora.music.piece import QUARTER
from ptsel_fairseq.downstream.corpora.music.plan import FASTEST, TEMPI, plan_clips, window
from ptsel_fairseq.downstream.corpora.music.playing import play
from ptsel_fairseq.downstream.corpora.music.theory import key_name

SECONDS = 5.0
BY_NAME = {instrument.name: instrument for instrument in INSTRUMENTS}


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return read_library(write_library(tmp_path_factory.mktemp("library")), jobs=1)


@pytest.fixture(scope="module")
def recipes(library):
    return plan_clips(library, 120, SECONDS, seed=1)


def test_every_piece_is_there_and_in_one_split(library):
    assert Counter(work.style for work in library.works) == {"aird": 12, "oneill": 12, "bach": 12}
    for style in ("aird", "oneill", "bach"):
        counts = {split: len(library.of(style, split)) for split in SHARES}
        assert all(abs(counts[split] - 12 * share) < 1.5 for split, share in SHARES.items()), counts


def test_the_same_plan_for_the_same_seed(library, recipes):
    assert plan_clips(copy.deepcopy(library), 120, SECONDS, seed=1) == recipes
    shuffled = Library(list(reversed(library.works)), library.left_out)
    assert plan_clips(shuffled, 120, SECONDS, seed=1) == recipes
    assert plan_clips(library, 120, SECONDS, seed=2) != recipes


def test_a_longer_plan_begins_with_the_shorter_one(library, recipes):
    assert plan_clips(library, 30, SECONDS, seed=1) == recipes[:30]


def test_no_file_twice_and_twenty_of_a_style_are_divided(recipes):
    assert len({recipe.path for recipe in recipes}) == len(recipes)
    first = Counter((recipe.style, recipe.split) for recipe in recipes[:60])
    for style in ("aird", "bach", "oneill"):
        assert [first[style, split] for split in ("train", "valid", "test")] == [12, 3, 5]


def test_works_and_groups_keep_to_one_split(library, recipes):
    works = {work.name: work for work in library.works}
    splits = {}
    for recipe in recipes:
        splits.setdefault(works[recipe.work].group, set()).add(recipe.split)
    assert all(len(own) == 1 for own in splits.values())


def test_what_is_drawn_keeps_to_its_rules(library, recipes):
    works = {work.name: work for work in library.works}
    for recipe in recipes:
        work = works[recipe.work]
        low, high = TEMPI[recipe.tempo_class]
        assert low <= recipe.beats <= high
        assert recipe.tempo == pytest.approx(recipe.beats)  # of a piece in 4/4
        busiest = max(len(part) for part in work.piece.parts) / (work.piece.length / QUARTER)
        assert busiest * high / 60 <= FASTEST or recipe.tempo_class == "60-75"
        assert recipe.start in work.bars
        assert -5 <= recipe.transposition <= 6
        for player in recipe.players:
            instrument = BY_NAME[player.instrument]
            assert player.program in instrument.programs
            shift = recipe.transposition + player.octave
            for note in window(work, work.piece.parts[player.part], recipe.start, recipe.tempo, SECONDS):
                assert instrument.low <= note.pitch + shift <= instrument.high
    assert len({recipe.transposition for recipe in recipes}) == 12
    assert len({player.instrument for recipe in recipes for player in recipe.players}) > 15


def test_classes_are_those_of_what_sounds(library, recipes):
    mido = pytest.importorskip("mido")
    works = {work.name: work for work in library.works}
    for recipe in recipes[:40]:
        work = works[recipe.work]
        played = play(work, recipe, SECONDS)
        assert played.classes["key"] == key_name(recipe.transposition, "major")  # all pieces end on C
        assert played.classes["meter"] == "duple"
        sounding, now, open_notes = [], 0.0, {}
        for message in mido.MidiFile(file=io.BytesIO(played.midi)):
            now += message.time
            if message.type == "note_on":
                open_notes[message.channel, message.note] = now
            elif message.type == "note_off":
                sounding.append((open_notes.pop((message.channel, message.note)), now, message.note))
        # Over all the notes that were written, how long each pitch class lasts, and what is the lowest at a moment.
        totals = Counter()
        for start, end, pitch in sounding:
            totals[key_name(pitch, "major").split()[0]] += end - start
        assert totals[played.classes["pitch_class"]] == pytest.approx(max(totals.values()), abs=0.05)
        for start, end, name in played.bass:
            middle = (start + end) / 2
            lowest = min(pitch for begin, stop, pitch in sounding if begin <= middle < stop)
            assert key_name(lowest, "major").split()[0] == name
            assert end - start >= 0.4
        assert played.instruments <= {player.instrument for player in recipe.players}


def test_a_short_piece_begins_again_in_time(library):
    work = library.of("aird", "train")[0]
    part = work.piece.parts[0]
    notes = list(window(work, part, 0, 120, 60.0))  # 120 quarters of a piece of 32
    assert max(note.end for note in notes) == 120 * QUARTER
    again = [note for note in notes if 32 * QUARTER <= note.start < 64 * QUARTER]
    assert [(note.start - 32 * QUARTER, note.pitch) for note in again] == [(n.start, n.pitch) for n in part]


def as_work(notes, title, name="a/b"):
    piece = next(parse_abc(in_abc(notes, 1, title)))
    return features_of(piece, name)


def test_pieces_that_share_title_or_melody_are_one_group():
    one, other, third = tune(1), tune(2), tune(3)
    up = [(start, length, pitch + 5) for start, length, pitch in one]
    embedded = [*tune(7, 16), *((start + 16, length, pitch) for start, length, pitch in one)]
    features = [
        as_work(one, "The Rose"),
        as_work(other, "Thorn"),
        as_work(up, "Another name"),
        as_work(third, "Rose, The. No. 2"),
        as_work(embedded, "With a prelude"),
    ]
    assert grouped(features) == [0, 1, 0, 0, 0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sets(st.integers(0, 12), max_size=3), max_size=10))
def test_groups_are_the_connected_parts_of_a_graph(features):
    groups = grouped(features)
    pairs = list(itertools.product(range(len(features)), repeat=2))
    joined = {(i, j) for i, j in pairs if i == j or features[i] & features[j]}
    for _ in features:  # Warshall's closure, as many times as it can take
        joined |= {(i, k) for i, j in joined for j2, k in joined if j == j2}
    assert all((groups[i] == groups[j]) == ((i, j) in joined) for i, j in pairs)


@pytest.mark.parametrize(
    ("title", "plain"),
    [("The Soldier's Joy", "soldiers joy"), ("Soldiers Joy, The", "soldiers joy"),
     ("SOLDIER'S JOY -- Reel", "soldiers joy"), ("Joy No. 2", "joy"), ("42d Regiment", "regiment"), ("", "")],
)  # fmt: skip
def test_titles_are_told_by_their_words(title, plain):
    assert plain_title(title) == plain


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 15), min_size=1, max_size=60))
def test_groups_are_never_divided(groups):
    first = {group: i for i, group in reversed(list(enumerate(groups)))}
    piece = next(parse_abc(in_abc(tune(1, 16), 1, "A tune")))
    works = [Work(f"w{i}", f"s{i % 2}", piece, piece.bars, None) for i in range(len(groups))]
    divided = in_splits(works, [first[group] for group in groups])
    splits = {}
    for group, work in zip(groups, divided, strict=True):
        splits.setdefault(group, set()).add(work.split)
    assert all(len(own) == 1 for own in splits.values())
    if len(set(groups)) == len(groups) and len(groups) >= 40:
        counts = Counter(work.split for work in divided)
        assert all(
            math.isclose(counts[split] / len(groups), share, abs_tol=0.06) for split, share in SHARES.items()
        )


def test_a_style_without_a_work_in_a_split_is_refused(library):
    kept = [work for work in library.works if (work.style, work.split) != ("bach", "test")]
    with pytest.raises(PtselError, match="expected pieces of bach for test, found none"):
        plan_clips(Library(kept, {}), 10, SECONDS, seed=1)


def test_a_piece_in_two_formats_is_read_once(tmp_path):
    folder = write_library(tmp_path)
    (folder / "bach" / "bwv3.krn").write_text(in_kern(chorale(1003)))
    (folder / "bach" / "bwv99.krn").write_text(in_kern(chorale(9)))
    names = [work.name for work in read_library(folder, jobs=1).works if work.style == "bach"]
    assert sorted(names) == sorted([*(f"bach/bwv{i}" for i in range(12)), "bach/bwv99"])


def test_a_folder_that_is_not_the_corpus(tmp_path):
    with pytest.raises(
        PtselError, match="expected the folder music21/corpus of the package music21; found nothing"
    ):
        read_library(tmp_path, jobs=1)
