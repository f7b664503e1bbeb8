"""Forced alignment by pocketsphinx with the US-English acoustic model and dictionary that its wheel brings."""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ptsel_fairseq.base.audio import read_whole_audio
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import file_checksum
from ptsel_fairseq.base.grid import SAMPLE_RATE
from ptsel_fairseq.base.manifest import read_lines
from ptsel_fairseq.downstream.alignment.aligner import NotAligned, Stretch
from ptsel_fairseq.downstream.speech.utterances import Spoken

FRAMES = 100  # a second
PAD = 20  # frames of faint noise put around the speech, so that silence can be found
NOISE = 3  # its standard deviation, of 32768
# A unit of pocketsphinx's scores: 1024 steps of the logarithm to the base 1.0001.
NATS = 1024 * math.log(1.0001)
EXAMPLE = "zaiem Z AY EH M"


@dataclass(frozen=True)
class SphinxAligner:
    """Words and phones by two passes of Viterbi: words first, then their phones' states.

    The confidence of a stretch is how likely its states made its frames beside the best state that the search had
    open: the geometric mean over frames of that ratio, 0 to 1. Right transcripts and others are told apart by it, but
    it is no probability.

    Attributes:
        dictionary: file of pronunciations beyond pocketsphinx's own (`EXAMPLE` a line).
        checksum: of that file.
    """

    dictionary: Path | None = None
    checksum: str = ""

    kinds: tuple[str, ...] = ("word", "phone")
    transcripts: str | None = ".wrd"

    @classmethod
    def of_dictionary(cls, dictionary: Path | None) -> SphinxAligner:
        """Check that pocketsphinx and the dictionary can be used; raise PtselError if not."""
        pronunciations(dictionary)
        return cls(dictionary, "" if dictionary is None else file_checksum(dictionary))

    def provenance(self) -> dict[str, Any]:
        version = importlib.metadata.version("pocketsphinx")
        return {"kind": "pocketsphinx", "version": version, "dictionary": self.checksum, "pad": PAD}

    def align(self, spoken: Spoken) -> dict[str, list[Stretch]]:
        known = pronunciations(self.dictionary)
        words = spoken.text.split()
        lower = [word.lower() for word in words]
        if not words:
            raise NotAligned("no words in its transcript")
        unknown = sorted({word for word in words if word.lower() not in known})
        if unknown:
            raise NotAligned(f"not in the dictionary: {' '.join(unknown)}", unknown)
        waveform = read_whole_audio(spoken.file, SAMPLE_RATE, spoken.samples, spoken.where)
        # A decoder takes something of one utterance into the next, so that each gets its own: 6 ms.
        decoder = new_decoder()
        for word in dict.fromkeys(lower):
            for i, phones in enumerate(known[word]):
                decoder.add_word(word if i == 0 else f"{word}({i + 1})", phones, True)
        decoder.set_align_text(" ".join(lower))
        audio = _padded(waveform)
        try:
            _decode(decoder, audio)  # words
            decoder.set_alignment()
            _decode(decoder, audio)  # and their phones
        except RuntimeError:
            raise NotAligned("pocketsphinx finds no path through it; do text and audio fit?") from None
        entries = list(_spoken_entries(decoder, spoken.seconds))
        if [name for name, _, _ in entries] != lower:
            raise NotAligned("pocketsphinx aligned other words than the transcript's")
        return {
            "word": [
                stretch._replace(name=word) for word, (_, stretch, _) in zip(words, entries, strict=True)
            ],
            "phone": [phone for _, _, phones in entries for phone in phones],
        }


@lru_cache(maxsize=1)
def pronunciations(dictionary: Path | None) -> dict[str, tuple[str, ...]]:
    """The phones of each word, in one or more ways: of pocketsphinx's dictionary and of a file of one's own.

    Raises:
        PtselError: pocketsphinx is absent, or a line of the file cannot be used.
    """
    sphinx = import_pocketsphinx()
    known: dict[str, tuple[str, ...]] = {}
    own = Path(sphinx.get_model_path("en-us/cmudict-en-us.dict"))
    for line in own.read_text(encoding="utf-8").splitlines():
        word, _, phones = line.partition(" ")
        known[_bare(word)] = (*known.get(_bare(word), ()), phones)
    if dictionary is None:
        return known
    decoder = new_decoder()
    for number, line in enumerate(read_lines(dictionary, f"lines such as {EXAMPLE!r}"), start=1):
        word, *listed = line.split() or [""]
        phones = " ".join(listed).upper()
        try:
            decoder.add_word(f"{number}", phones or "?", True)
        except RuntimeError:
            raise PtselError(
                f"{dictionary}, line {number}: expected a word and its phones, such as {EXAMPLE!r}, in pocketsphinx's "
                f"phone set, found {line!r}"
            ) from None
        word = _bare(word.lower())
        known[word] = tuple(dict.fromkeys((*known.get(word, ()), phones)))
    return known


def import_pocketsphinx() -> Any:
    try:
        import pocketsphinx
    except ImportError:
        raise PtselError(
            "alignment of transcripts needs pocketsphinx (English) or a model of your own (--model), or give TextGrids "
            "(--textgrids); pip install 'ptsel_fairseq[align]'"
        ) from None
    return pocketsphinx


def new_decoder() -> Any:
    """A decoder that knows no word yet."""
    return import_pocketsphinx().Decoder(
        samprate=SAMPLE_RATE, lm=None, dict=None, silprob=0.5, loglevel="FATAL"
    )


def _bare(word: str) -> str:
    """A word without the number of its pronunciation."""
    return word.split("(")[0] or word


def _padded(waveform: np.ndarray) -> bytes:
    """16-bit samples between two pieces of the same faint noise."""
    scaled = np.clip(waveform * 32767, -32768, 32767).round().astype(np.int16)
    return _noise() + scaled.tobytes() + _noise()


def _noise() -> bytes:
    noise = np.random.default_rng(1).normal(0, NOISE, PAD * SAMPLE_RATE // FRAMES)
    return noise.round().astype(np.int16).tobytes()


def _decode(decoder: Any, audio: bytes) -> None:
    decoder.start_utt()
    try:
        decoder.process_raw(audio, full_utt=True)
    finally:
        decoder.end_utt()


def _spoken_entries(decoder: Any, seconds: float) -> Iterator[tuple[str, Stretch, list[Stretch]]]:
    """Word as in the dictionary, its stretch, its phones; without silence and noise."""
    alignment = decoder.get_alignment()
    if alignment is None:
        raise NotAligned("pocketsphinx finds no path through it; do text and audio fit?")
    for word in alignment:  # entries are valid only within the loop
        if word.name[0] in "<[+":
            continue
        # A word at either end may reach a little into the noise around the speech.
        phones = [phone for entry in word if (phone := _stretch(entry, seconds)).start < phone.end]
        stretch = _stretch(word, seconds)
        if stretch.start < stretch.end:
            yield word.name.split("(")[0], stretch, phones


def _stretch(entry: Any, seconds: float) -> Stretch:
    start = min(max((entry.start - PAD) / FRAMES, 0.0), seconds)
    end = min(max((entry.start + entry.duration - PAD) / FRAMES, 0.0), seconds)
    confidence = math.exp(min(0.0, NATS * entry.score / max(entry.duration, 1)))
    return Stretch(start, end, entry.name.split("(")[0].upper(), confidence)
