"""The bundled class files, and English speech with its texts."""

from __future__ import annotations

from collections import defaultdict

from conftest import ASTERISK

ENGLISH = ASTERISK / "english"


def segments_of(file):
    rows = defaultdict(list)
    for line in file.read_text().splitlines()[1:]:
        path, start, end, name = line.split("\t")
        rows[path].append((float(start), float(end), name))
    return rows
