"""FluidR3Mono: notes of acoustic instruments in a soundfont, recorded once for every few semitones.

The file is RIFF (SoundFont 2.04, sections 4 to 8) with Ogg Vorbis in place of raw samples; all integers are
little-endian. Presets point to instruments, instruments to samples, each over a table of bags and one of generators.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import WholeFile
from ptsel_fairseq.downstream.corpora.corpus import Clip, Corpus, Reading, wrong_root
from ptsel_fairseq.downstream.corpora.packages import Package
from ptsel_fairseq.downstream.corpora.splits import fold_of, split_of

HOLDS = "FluidR3Mono_GM.sf3 of the Debian package fluidr3mono-gm-soundfont 2.315-7"
# General MIDI's programs from 0: one instrument that is played by hand or mouth and sounds by itself.
ACOUSTIC = {
    **{0: "piano", 6: "harpsichord", 8: "celesta", 9: "glockenspiel", 12: "marimba", 13: "xylophone"},
    **{19: "church_organ", 21: "accordion", 22: "harmonica", 24: "nylon_guitar", 25: "steel_guitar"},
    **{32: "acoustic_bass", 40: "violin", 41: "viola", 42: "cello", 43: "contrabass", 46: "harp"},
    **{56: "trumpet", 57: "trombone", 58: "tuba", 60: "french_horn", 64: "soprano_sax", 65: "alto_sax"},
    **{66: "tenor_sax", 67: "baritone_sax", 68: "oboe", 69: "english_horn", 70: "bassoon", 71: "clarinet"},
    **{73: "flute"},
}
SHORTEST = 0.15  # seconds; sustained notes are short since a synthesiser repeats their end
INSTRUMENT, SAMPLE = 41, 53  # generators that point on
RECORDS = {
    "phdr": "<20sHHHIII",
    "pbag": "<HH",
    "pgen": "<HH",
    "inst": "<20sH",
    "ibag": "<HH",
    "igen": "<HH",
    "shdr": "<20sIIIIIBbHH",
}
Chunks = dict[str, bytes]


def read(root: Path) -> Reading:
    """All samples, copied out of the soundfont; those of an acoustic instrument have its class."""
    import soundfile

    fonts = sorted(root.rglob("*.sf3"))
    if not fonts:
        raise wrong_root(root, HOLDS)
    chunks = read_chunks(fonts[0])
    instruments = instruments_of_samples(chunks)
    folder = root / "notes"
    clips = []
    for i, record in enumerate(records(chunks, "shdr")[:-1]):
        label, start, end = record[0].split(b"\0")[0].decode("latin-1"), record[1], record[2]
        name = f"{i:04d}_{re.sub('[^A-Za-z0-9#]+', '_', label).strip('_')}.ogg"
        file = folder / name
        if not file.is_file():
            with WholeFile(file) as out:
                out.write(chunks["smpl"][start:end])
        instrument = instruments.get(i)
        if instrument is None or soundfile.info(file).duration < SHORTEST:
            clips.append(Clip(name, ("other",)))
        else:
            classes = {"instrument": instrument, "fold": fold_of(name)}
            clips.append(Clip(name, (split_of(name),), classes=classes))
    return Reading(folder, clips)


def read_chunks(file: Path) -> Chunks:
    """The chunks of a RIFF file by name, those in lists too."""
    content = file.read_bytes()
    if content[:4] != b"RIFF" or content[8:12] != b"sfbk":
        raise PtselError(f"{file}: expected {HOLDS}, found a file that is no soundfont")
    chunks = dict(_chunks(content, 12, len(content)))
    lacking = [name for name in ("smpl", *RECORDS) if name not in chunks]
    if lacking:
        raise PtselError(f"{file}: expected the chunks of a soundfont, found none of {', '.join(lacking)}")
    return chunks


def _chunks(content: bytes, at: int, end: int) -> Iterator[tuple[str, bytes]]:
    while at + 8 <= end:
        kind, size = content[at : at + 4], struct.unpack_from("<I", content, at + 4)[0]
        if kind == b"LIST":
            yield from _chunks(content, at + 12, at + 8 + size)
        else:
            yield kind.decode("latin-1"), content[at + 8 : at + 8 + size]
        at += 8 + size  # this file has no padding after chunks of odd size


def records(chunks: Chunks, name: str) -> list[tuple]:
    """The records of a table; the last one only says where the one before ends."""
    return list(struct.iter_unpack(RECORDS[name], chunks[name]))


def instruments_of_samples(chunks: Chunks) -> dict[int, str]:
    """The acoustic instrument of each sample: that of the lowest program of bank 0 which uses it."""
    presets, instruments = records(chunks, "phdr"), records(chunks, "inst")
    found: dict[int, str] = {}
    for preset, following in sorted(pairwise(presets), key=lambda pair: pair[0][1]):
        program, bank = preset[1:3]
        if bank != 0 or program not in ACOUSTIC:
            continue
        for instrument in _pointed_at(chunks, "p", preset[3], following[3], INSTRUMENT):
            first, last = instruments[instrument][1], instruments[instrument + 1][1]
            for sample in _pointed_at(chunks, "i", first, last, SAMPLE):
                found.setdefault(sample, ACOUSTIC[program])
    return found


def _pointed_at(chunks: Chunks, level: str, first: int, last: int, generator: int) -> Iterator[int]:
    """What the bags `first` to `last` point to by a generator."""
    bags, generators = records(chunks, f"{level}bag"), records(chunks, f"{level}gen")
    for bag in range(first, last):
        for kind, amount in generators[bags[bag][0] : bags[bag + 1][0]]:
            if kind == generator:
                yield amount


CORPUS = Corpus(
    name="fluidr3mono",
    title="FluidR3Mono",
    holds=HOLDS,
    read=read,
    published={"all": (1037, 0.503)},
    source="the package, decoded: 1,037 samples, 30.2 min",
    convert=True,
    licence="MIT",
    packages=(
        Package(
            "apt",
            "fluidr3mono-gm-soundfont",
            "2.315-7",
            "4098301bf29f4253c2f5799a844f42dd4aa733d91a210071ad16d7757dea51d6",
        ),
    ),
)
