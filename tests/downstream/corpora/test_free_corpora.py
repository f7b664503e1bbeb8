"""The readers of corpora that public registries hold, on miniature packages."""

from __future__ import annotations

import gzip
import io
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from corpus_tools import CLIPS, write

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.data.decoding import open_sound
from ptsel_fairseq.downstream.corpora.catalogue import (
    amazon_queen,
    asterisk,
    fish_fillets,
    fluidr3mono,
    tonejs,
)
from ptsel_fairseq.downstream.corpora.splits import fold_of, sentence_of, split_of


def test_tonejs_notes_and_their_seconds(recordings, tmp_path):
    for instrument in ("violin", "guitar-nylon"):
        for note in ("A4", "Cs5"):
            folder = tmp_path / f"tonejs-instrument-{instrument}-mp3" / "package"
            folder.mkdir(parents=True, exist_ok=True)
            waveform = soundfile.read(CLIPS[0])[0][: 16000 * 5 // 2]
            soundfile.write(folder / f"{note}.mp3", waveform, 16000)
    reading = tonejs.read(tmp_path)
    assert [clip.classes["instrument"] for clip in reading.clips] == ["guitar-nylon"] * 2 + ["violin"] * 2
    assert reading.clips[0].segments["instrument_seconds"] == [(0, 1, "guitar-nylon"), (1, 2, "guitar-nylon")]


def test_asterisk_texts_and_codec(recordings, tmp_path):
    av = pytest.importorskip("av")
    folder = tmp_path / "usr" / "share" / "asterisk" / "sounds" / "en_US_f_Allison"
    (folder / "silence").mkdir(parents=True)
    waveform = soundfile.read(CLIPS[0], dtype="int16")[0][:16000]
    for name in ("agent-pass", "beep", "silence/1"):
        with av.open(str(folder / f"{name}.g722"), "w", format="g722") as container:
            stream = container.add_stream("g722", rate=16000)
            stream.layout = "mono"
            frame = av.AudioFrame.from_ndarray(waveform[None], format="s16", layout="mono")
            frame.sample_rate = 16000
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                container.mux(packet)
    doc = tmp_path / "usr" / "share" / "doc"
    doc.mkdir()
    lines = [
        "; a comment",
        "",
        "agent-pass: Please enter your password, OK?",
        "beep: [a tone]",
        "silence/1: nothing",
    ]
    (doc / "core-sounds-en.txt.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    reading = asterisk.read(tmp_path)
    found = {Path(clip.path).stem: (clip.text, clip.splits[0]) for clip in reading.clips}
    assert found["agent-pass"] == ("PLEASE ENTER YOUR PASSWORD OK", f"en/{split_of('en agent-pass')}")
    assert found["beep"] == (None, "en/other")
    assert found["1"] == (None, "en/other")
    with open_sound(folder / "agent-pass.g722") as sound:
        decoded = np.concatenate(list(sound.blocks))
    assert sound.rate == 16000
    original = waveform / 32768
    lags = {k: np.corrcoef(original[100:15000], decoded[100 + k : 15000 + k])[0, 1] for k in range(0, 40)}
    assert max(lags.values()) > 0.98


def test_fish_fillets_texts_and_roles(recordings, tmp_path):
    game = tmp_path / "usr" / "share" / "games" / "fillets-ng"
    for name in ("city/cs/a", "city/cs/b", "city/cs/c", "city/cs/e", "city/nl/a", "share/border/cs/d"):
        recordings.write(game / "sound" / f"{name}.ogg")
    write(
        game / "script" / "city" / "dialogs_cs.lua",
        'dialogId("a", "font_big", "Hello \\"you\\".")',
        'dialogStr("Ahoj, \\"světe\\"!")',
        'dialogId("e", "font_small", "Where?")',
        'dialogStr("Kde jsi?")',
        '-- dialogId("b", "font_big", "Off")',
        '-- dialogStr("Pryč")',
        'dialogId("c", "font_small", "Untranslated")',
    )
    write(
        game / "script" / "city" / "dialogs_nl.lua",
        'dialogId("a", "font_small", "Hello")\ndialogStr("Hallo")',
    )
    write(
        game / "script" / "share" / "border_dialogs_cs.lua",
        'dialogId("d", "font_big", "")\n\ndialogStr("Vtip")',
    )
    found = {
        clip.path.split("sound/")[1]: (clip.text, clip.splits[0].split("/")[0], dict(clip.classes))
        for clip in fish_fillets.read(tmp_path).clips
    }
    assert found["city/cs/a.ogg"][:2] == ("AHOJ SVĚTE", "cs")
    assert found["city/cs/a.ogg"][2]["role_cs"] == "big"
    assert "sentence_cs" not in found["city/cs/a.ogg"][2]
    assert found["city/cs/e.ogg"][2]["sentence_cs"] == "question"
    assert found["city/nl/a.ogg"][0] == "HALLO"
    assert found["share/border/cs/d.ogg"][0] == "VTIP"
    assert found["city/cs/b.ogg"][0] is None
    assert found["city/cs/c.ogg"][0] is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Who's there?", "question"),
        ('"Really?!?"', "question"),
        ("I see. ", "statement"),
        ("(So be it.)", "statement"),
        ("Well...", None),
        ("No!", None),
        ("", None),
    ],
)
def test_sentences_are_told_by_their_last_mark(text, sentence):
    assert sentence_of(text) == sentence


def padded(data: bytes, multiple: int) -> bytes:
    return data + bytes(-len(data) % multiple)


def dialogue(key: int, own: list[tuple[int, str]], other: list[tuple[int, str]], met: list[str]) -> bytes:
    """A .DOG as the game holds it, with one level; offsets count from behind the first twenty bytes."""

    def block(strings: list[tuple[int, str]]) -> bytes:
        data = b""
        for number, text in strings:
            data += struct.pack(">HhB", 0 if not data else 7, number, len(text)) + text.encode("cp437")
            data = padded(data, 4) if text else data
        return data

    start = 32 + 96
    mine, theirs = block(own), block(other)
    other_at = start + len(mine)
    met_at = other_at + len(theirs)
    head = struct.pack(">hhhhh", -1, 0, key, len(own), len(other)).ljust(22, b"\0")
    head += struct.pack(">H2xH", other_at, met_at)
    said = b""
    for text in met:
        said = padded(said + bytes([len(text)]) + text.encode("cp437"), 2)
    return bytes(20) + head.ljust(start, b"\0") + mine + theirs + said


def scene(lines: list[str]) -> bytes:
    data = b""
    for text in ["", *lines]:
        data += bytes([len(text)]) + text.encode("cp437")
        data = padded(data, 2) if text else data
    head = struct.pack(">hhhhH", 0, -len(lines), 0, 0, 10)
    return bytes(20) + head + data


@pytest.fixture
def queen(tmp_path):
    """An archive with real speech as MP3, one dialogue and one scene."""
    speech = io.BytesIO()
    soundfile.write(speech, soundfile.read(CLIPS[0])[0][:8000], 16000, format="MP3")
    entries = {
        "SPARKY1.DOG": dialogue(
            7,
            [(0, "Hi there!"), (0x1F, "One.*14Two, three.*XY123456789abFour")],
            [(0x20, "Well, it's me")],
            ["Again?", "Yes"],
        ),
        "C101A.CUT": scene(["*", "I fried the puppet", "#stage direction", "*10Oh"]),
        **{
            name: speech.getvalue()
            for name in (
                *("07SSSSJ1.SB", "07001FJ1.SB", "07001FJ2.SB", "07001FJ3.SB", "070020P1.SB", "07XXXXP1.SB"),
                *("07XXXXJ1.SB", "C101A021.SB", "C101A042.SB", "JOE00001.SB"),
            )
        },
    }
    table, content = b"", b""
    offset = 15 + 21 * len(entries)
    for name, data in entries.items():
        table += struct.pack(">12sBII", name.encode(), 1, offset + len(content), len(data))
        content += data
    (tmp_path / "queen.1c").write_bytes(
        b"QTBLCTEST".ljust(13, b"\0") + struct.pack(">H", len(entries)) + table + content
    )
    return tmp_path


def test_amazon_queen_finds_each_clips_text_and_character(queen):
    reading = amazon_queen.read(queen)
    found = {clip.path.removesuffix(".mp3"): clip for clip in reading.clips}
    assert {name: clip.text for name, clip in found.items()} == {
        "07SSSSJ1": "HI THERE",
        "07001FJ1": "ONE",
        "07001FJ2": "TWO THREE",
        "07001FJ3": "FOUR",
        "070020P1": "WELL IT'S ME",
        "07XXXXP1": "AGAIN",
        "07XXXXJ1": "YES",
        "C101A021": "I FRIED THE PUPPET",
        "C101A042": "OH",
        "JOE00001": None,
    }
    assert found["070020P1"].classes["character"] == "SPARKY"
    assert found["07001FJ3"].classes["character"] == "JOE"
    assert found["07XXXXP1"].classes["sentence"] == "question"
    assert "sentence" not in found["07SSSSJ1"].classes  # an exclamation
    assert found["07001FJ1"].classes["sentence"] == "statement"
    assert "sentence" not in found["JOE00001"].classes
    assert "character" not in found["C101A021"].classes
    assert "character_sure" not in found["070020P1"].classes  # too few clips
    assert found["JOE00001"].splits == ("untranscribed",)
    assert soundfile.info(reading.root / "07SSSSJ1.mp3").frames == 8000


def test_a_character_gets_at_most_so_many_clips():
    characters = {f"a{i}": "BOB" for i in range(400)} | {f"b{i}": "TAM" for i in range(70)}
    characters |= {f"c{i}": "LOU" for i in range(100)} | {f"d{i}": "AND" for i in range(59)}
    chosen = amazon_queen.balanced(characters)
    assert len({name for name in chosen if name[0] == "a"}) == 150
    assert {name for name in chosen if name[0] != "a"} == {f"b{i}" for i in range(70)}


def test_an_archive_that_is_none_or_is_cut_off(queen):
    content = (queen / "queen.1c").read_bytes()
    (queen / "queen.1c").write_bytes(content[:-100])
    with pytest.raises(PtselError, match="reaches beyond the end of the file; it is cut off"):
        amazon_queen.read(queen)
    (queen / "queen.1c").write_bytes(b"something")
    with pytest.raises(PtselError, match="begins with b'QTBLC'; found b'somet'"):
        amazon_queen.read(queen)


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content  # no padding, as in the real file


@pytest.fixture
def soundfont(tmp_path):
    """A soundfont of a flute (program 73), a pad that uses the flute's sample too, and a sample that nobody uses."""
    samples = []
    for seconds in (0.5, 0.1, 0.3):
        encoded = io.BytesIO()
        soundfile.write(encoded, soundfile.read(CLIPS[0])[0][: int(16000 * seconds)], 16000, format="OGG")
        samples.append(encoded.getvalue())
    ends = np.cumsum([len(sample) for sample in samples]).tolist()
    starts = [0, *ends[:-1]]
    rows = {
        # The pad comes first in the table: programs are what decides.
        "phdr": [(b"Pad", 89, 0, 0, 0, 0, 0), (b"Flute", 73, 0, 1, 0, 0, 0), (b"Drums", 0, 128, 2, 0, 0, 0),
                 (b"EOP", 0, 0, 3, 0, 0, 0)],
        "pbag": [(0, 0), (1, 0), (3, 0), (4, 0)],
        "pgen": [(41, 1), (43, 0), (41, 0), (41, 2), (0, 0)],
        "inst": [(b"Flute", 0), (b"Pad", 2), (b"Drums", 3), (b"EOI", 4)],
        "ibag": [(0, 0), (2, 0), (3, 0), (4, 0), (5, 0)],
        "igen": [(43, 0), (53, 0), (53, 1), (53, 0), (53, 2), (0, 0)],
        "shdr": [(b"Flute C#5(L)", starts[0], ends[0], 0, 0, 16000, 60, 0, 0, 17),
                 (b"Flute C6", starts[1], ends[1], 0, 0, 16000, 72, 0, 0, 17),
                 (b"Drum", starts[2], ends[2], 0, 0, 16000, 60, 0, 0, 17), (b"EOS", *[0] * 9)],
    }  # fmt: skip
    tables = b"".join(
        chunk(name.encode(), b"".join(struct.pack(fluidr3mono.RECORDS[name], *row) for row in found))
        for name, found in rows.items()
    )
    lists = chunk(b"LIST", b"sdta" + chunk(b"smpl", b"".join(samples))) + chunk(b"LIST", b"pdta" + tables)
    (tmp_path / "font.sf3").write_bytes(chunk(b"RIFF", b"sfbk" + lists))
    return tmp_path


def test_fluidr3mono_finds_the_instrument_of_each_sample(soundfont):
    reading = fluidr3mono.read(soundfont)
    found = {clip.path: clip.classes.get("instrument") for clip in reading.clips}
    assert found == {"0000_Flute_C#5_L.ogg": "flute", "0001_Flute_C6.ogg": None, "0002_Drum.ogg": None}
    assert reading.clips[1].splits == ("other",)  # shorter than 0.15 s
    assert soundfile.info(reading.root / "0000_Flute_C#5_L.ogg").frames == 8000


def test_a_file_that_is_no_soundfont(soundfont):
    content = (soundfont / "font.sf3").read_bytes()
    (soundfont / "font.sf3").write_bytes(content[:500])
    with pytest.raises(PtselError, match="found none of phdr, pbag"):
        fluidr3mono.read(soundfont)
    (soundfont / "font.sf3").write_bytes(b"RIFX" + content[4:])
    with pytest.raises(PtselError, match="found a file that is no soundfont"):
        fluidr3mono.read(soundfont)


def test_splits_are_the_same_everywhere_and_of_the_intended_size():
    keys = [f"clip {i}" for i in range(4000)]
    for drawn, expected in (
        (map(split_of, keys), {"train": 3200, "valid": 400, "test": 400}),
        (map(fold_of, keys), {f"fold{i}": 800 for i in range(1, 6)}),
    ):
        counts = Counter(drawn)
        assert counts.keys() == expected.keys()
        for name, count in expected.items():
            assert counts[name] == pytest.approx(count, rel=0.12)
    assert split_of("violin A4") == "train"
