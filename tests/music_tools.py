"""Miniature sheet music for tests: random notes, written in the formats that are read."""

from __future__ import annotations

import random
import zipfile
from collections.abc import Sequence
from pathlib import Path

from corpus_tools import write

from ptsel_fairseq.downstream.corpora.music.piece import QUARTER, STEPS

EIGHTH = QUARTER // 2
NAMES = ["C", "^C", "D", "^D", "E", "F", "^F", "G", "^G", "A", "^A", "B"]
STYLES = ("airdsAirs", "bach", "oneills1850")


def tune(seed: int, eighths: int = 64) -> list[tuple[int, int, int]]:
    """(start, length, pitch) of a random tune in C major, in eighths; it ends on C."""
    draw = random.Random(seed)
    notes, now = [], 0
    while now < eighths:
        length = min(draw.choice((1, 1, 2, 2, 3)), eighths - now, 8 - now % 8)
        notes.append((now, length, 60 + draw.choice((0, 2, 4, 5, 7, 9, 11, 12, 14, 16))))
        now += length
    notes[-1] = (*notes[-1][:2], 60)
    return notes


def in_abc(notes: Sequence[tuple[int, int, int]], number: int, title: str, key: str = "C") -> str:
    """A tune in ABC, in bars of 4/4, with every accidental written."""
    text = ""
    for start, length, pitch in notes:
        name = NAMES[pitch % 12] if "^" in NAMES[pitch % 12] else "=" + NAMES[pitch % 12]
        octave = pitch // 12 - 5
        name = name.lower() + "'" * (octave - 1) if octave > 0 else name + "," * -octave
        text += ("|" if start % 8 == 0 and start else "") + f"{name}{length if length > 1 else ''}"
    return f"X:{number}\nT:{title}\nM:4/4\nL:1/8\nK:{key}\n{text}|]\n\n"


def in_kern(parts: Sequence[Sequence[tuple[int, int, int]]], key: str = "*C:") -> str:
    """Parts in kern, the lowest first; a note of three eighths is dotted."""
    lengths = {1: "8", 2: "4", 3: "4.", 4: "2", 6: "2.", 8: "1"}
    columns = [{start: (length, pitch) for start, length, pitch in part} for part in parts]
    width = len(parts)

    def row(token: str) -> str:
        return "\t".join([token] * width)

    lines = ["!!!OTL: a test", row("**kern"), row("*k[]"), row(key), row("*M4/4")]
    for now in range(max(part[-1][0] + part[-1][1] for part in parts)):
        if now % 8 == 0:
            lines.append(row(f"={now // 8 + 1}"))
        if any(now in column for column in columns):
            tokens = []
            for column in columns:
                if now not in column:
                    tokens.append(".")
                    continue
                length, pitch = column[now]
                name = NAMES[pitch % 12]
                letter = name[-1].lower() if pitch >= 60 else name[-1]
                repeats = pitch // 12 - 4 if pitch >= 60 else 5 - pitch // 12
                tokens.append(lengths[length] + letter * repeats + ("#" if "^" in name else ""))
            lines.append("\t".join(tokens))
    return "\n".join([*lines, row("=="), row("*-")]) + "\n"


def in_musicxml(
    parts: Sequence[Sequence[tuple[int, int, int]]], fifths: int = 0, mode: str = "", title: str = "test"
) -> str:
    """Parts in MusicXML in bars of 4/4."""
    steps = {pitch: step for step, pitch in STEPS.items()}
    text = '<?xml version="1.0"?><score-partwise>' + f"<movement-title>{title}</movement-title>"
    for index, part in enumerate(parts):
        text += f'<part id="P{index}">'
        for bar in range((part[-1][0] + part[-1][1] + 7) // 8):
            text += "<measure>"
            if bar == 0:
                stated = f"<mode>{mode}</mode>" if mode else ""
                text += f"<attributes><divisions>2</divisions><key><fifths>{fifths}</fifths>{stated}</key>"
                text += "<time><beats>4</beats><beat-type>4</beat-type></time></attributes>"
            for _, length, pitch in (note for note in part if note[0] // 8 == bar):
                sharp = pitch % 12 not in steps
                alter = "<alter>1</alter>" if sharp else ""
                step, octave = steps[(pitch - sharp) % 12], (pitch - sharp) // 12 - 1
                text += f"<note><pitch><step>{step}</step>{alter}<octave>{octave}</octave></pitch>"
                text += f"<duration>{length}</duration></note>"
            text += "</measure>"
        text += "</part>"
    return text + "</score-partwise>"


def chorale(seed: int) -> list[list[tuple[int, int, int]]]:
    """A tune over a bass of half notes that ends on C."""
    top = tune(seed)
    draw = random.Random(seed + 1)
    bass = [(start, 4, 48 + draw.choice((0, 5, 7, 9))) for start in range(0, 64, 4)]
    bass[-1] = (60, 4, 48)
    return [bass, top]


def write_library(folder: Path, pieces: int = 12) -> Path:
    """A folder as the package's corpus, with three styles of so many pieces."""
    for style, (first, name) in {"airdsAirs": (0, "book1.abc"), "oneills1850": (500, "0001.abc")}.items():
        write(
            folder / style / name,
            *(in_abc(tune(first + i), i + 1, f"Tune {chr(97 + i) * 3} of {style}") for i in range(pieces)),
        )
    (folder / "bach").mkdir(parents=True)
    for i in range(pieces):
        with zipfile.ZipFile(folder / "bach" / f"bwv{i}.mxl", "w") as archive:
            archive.writestr("score.xml", in_musicxml(chorale(1000 + i), title=f"Chorale {chr(97 + i) * 3}"))
    write(folder / "license.txt", "a licence")
    return folder
