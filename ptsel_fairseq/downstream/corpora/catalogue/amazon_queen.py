"""Flight of the Amazon Queen (1995): an acted adventure game, 30 characters, its texts beside its speech.

All is in one file, ``queen.1c``; integers are big-endian. A table of names, offsets and sizes comes first. ``.SB`` are
clips, bare MPEG-2.5 layer III. ``.DOG`` are dialogues of the hero with one character, ``.CUT`` are scenes; both hold
texts, from whose place in the file the name of a clip follows.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import WholeFile
from ptsel_fairseq.downstream.corpora.corpus import Clip, Corpus, Reading, wrong_root
from ptsel_fairseq.downstream.corpora.packages import Package
from ptsel_fairseq.downstream.corpora.splits import fold_of, sentence_of, split_of
from ptsel_fairseq.downstream.corpora.texts import normalise

MAGIC = b"QTBLC"
HERO = "JOE"
# Not one voice each: LOU2 sounds like SPARKY, MAN2 is not MAN1; the others have few clips.
UNSURE = ("LOU", "MAN", "PRIN", "IAN")
ENOUGH_CLIPS, MOST_CLIPS = 60, 150  # of a character, to tell characters apart: the hero alone has 1,366
SKIPPED = 20  # bytes before the content of .DOG and .CUT
HOLDS = "queen.1c of the Debian package flight-of-the-amazon-queen 1.0.0-9"


def read(root: Path) -> Reading:
    """All clips, copied out of the archive; texts where the game has them."""
    archives = sorted(root.rglob("queen.1c"))
    if not archives:
        raise wrong_root(root, HOLDS)
    entries = read_archive(archives[0])
    speech = {name: data for name, data in entries.items() if name.endswith(".SB")}
    folder = root / "clips"
    for name, data in speech.items():
        file = folder / clip_file(name)
        if not file.is_file():
            with WholeFile(file) as out:
                out.write(data)
    texts: dict[str, str] = {}
    characters: dict[str, str] = {}
    for name, data in sorted(entries.items()):
        stem, _, kind = name.partition(".")
        if kind == "CUT":
            texts.update(scene_texts(stem, data))
        elif kind == "DOG":
            other = stem.rstrip("0123456789")
            for clip, text in dialogue_texts(data):
                texts[clip] = text
                characters[clip] = HERO if clip[6] == "J" else other
    sure = balanced({name: characters[name] for name in speech if name in characters})
    clips = []
    for name in sorted(speech):
        classes = {"fold": fold_of(name)}
        if name in characters:
            classes["character"] = characters[name]
            if name in sure:
                classes["character_sure"] = characters[name]
        shown = texts.get(name)
        if shown is not None and (sentence := sentence_of(shown)):
            classes["sentence"] = sentence
        split = "untranscribed" if shown is None else split_of(name)
        said = None if shown is None else normalise(shown)
        clips.append(Clip(clip_file(name), (split,), said, classes=classes))
    return Reading(folder, clips)


def balanced(characters: Mapping[str, str]) -> set[str]:
    """Clips of the characters with one voice and enough clips, of each at most `MOST_CLIPS`, drawn by a checksum."""
    of_character: dict[str, list[str]] = {}
    for name in sorted(characters, key=lambda name: hashlib.sha256(name.encode()).digest()):
        of_character.setdefault(characters[name], []).append(name)
    return {
        name
        for character, names in of_character.items()
        if len(names) >= ENOUGH_CLIPS and character not in UNSURE
        for name in names[:MOST_CLIPS]
    }


def clip_file(name: str) -> str:
    return f"{name.removesuffix('.SB')}.mp3"


def read_archive(file: Path) -> dict[str, bytes]:
    """The content of every entry by name."""
    content = file.read_bytes()
    if content[:5] != MAGIC:
        raise PtselError(f"{file}: expected {HOLDS}, which begins with {MAGIC!r}; found {content[:5]!r}")
    (count,) = struct.unpack_from(">H", content, 13)
    entries = {}
    for i in range(count):
        name, _, offset, size = struct.unpack_from(">12sBII", content, 15 + 21 * i)
        if offset + size > len(content):
            raise PtselError(f"{file}: entry {i} reaches beyond the end of the file; it is cut off")
        entries[name.rstrip(b"\0").decode("ascii")] = content[offset : offset + size]
    return entries


def dialogue_texts(data: bytes) -> Iterator[tuple[str, str]]:
    """Names of clips and their texts, as the game shows them, in a ``.DOG``."""
    data = data[SKIPPED:]
    levels, _, key, own, other = struct.unpack_from(">hhhhh", data, 0)
    other_at, met_at = struct.unpack_from(">H2xH", data, 22)
    own_at = 32 + 96 * abs(levels)
    opening = struct.unpack_from(">H", data, own_at + 2)[0] == 0
    for start, count, side in ((own_at, own, "J"), (other_at, other, "P")):
        for i, (number, text) in enumerate(_strings(data, start, count, rounding=4, numbered=True)):
            name = "SSSS" if side == "J" and i == 0 and opening else f"{number:4x}"
            yield from _segments(f"{key:2d}{name}{side}", text)
    met = _strings(data, met_at, 2, rounding=2, numbered=False)
    for side, (_, text) in zip("PJ", met, strict=False):
        yield from _segments(f"{key:2d}XXXX{side}", text)


def scene_texts(stem: str, data: bytes) -> Mapping[str, str]:
    """Names of clips and their texts, as the game shows them, in a ``.CUT``, whose first string is no line."""
    data = data[SKIPPED:]
    (lines,) = struct.unpack_from(">h", data, 2)
    (start,) = struct.unpack_from(">H", data, 8)
    strings = list(_strings(data, start, abs(lines) + 1, rounding=2, numbered=False))
    found: dict[str, str] = {}
    for i, (_, text) in enumerate(strings[1:], start=1):
        if text != "*" and not text.startswith("#"):  # pauses and stage directions
            found.update(_segments(f"{stem.ljust(5, '_')}{i:02d}", text))
    return found


def _strings(data: bytes, start: int, count: int, rounding: int, numbered: bool) -> Iterator[tuple[int, str]]:
    """Strings one after the other with their numbers, until `count` or the end of the data."""
    at = start
    for _ in range(count):
        number = 0
        if numbered:
            if at + 5 > len(data):
                return
            (number,) = struct.unpack_from(">h", data, at + 2)
            at += 4
        if at >= len(data):
            return
        length = data[at]
        text = data[at + 1 : at + 1 + length].decode("cp437")
        at += 1 + length
        if length:
            at += -at % rounding
        yield number, text


def _segments(prefix: str, text: str) -> Iterator[tuple[str, str]]:
    """A text is spoken in several clips: a star and two characters divide it, ``*XY`` has eleven more."""
    if not text:
        return
    parts, rest = [], text
    while "*" in rest:
        part, _, rest = rest.partition("*")
        parts.append(part)
        rest = rest[2 + (11 if rest.startswith("XY") else 0) :]
    parts.append(rest)
    for k, part in enumerate(parts, start=1):
        yield f"{prefix}{k:1x}.SB".upper().replace(" ", "0"), part


CORPUS = Corpus(
    name="amazon-queen",
    title="Flight of the Amazon Queen",
    holds=HOLDS,
    read=read,
    published={"all": (6745, 4.618)},
    source="the package, decoded with soundfile 0.14: 277.1 min, of these 6,023 clips (249 min) with a text",
    convert=True,
    licence=(
        "its own: free to distribute with its readme and notices, changed versions marked, no fee for the game itself"
    ),
    packages=(
        Package(
            "apt",
            "flight-of-the-amazon-queen",
            "1.0.0-9",
            "40c08fd258d6fe95c46c1eaf5e9137f84ba330657995a281bd887c94a560a0f1",
        ),
    ),
)
