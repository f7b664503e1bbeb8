#!/usr/bin/env python3
"""Make the example data in this folder from the Asterisk core sounds.

You do not need this to use the data; it is here so that everybody can see where each
file comes from and can make it again::

    mkdir asterisk-packages && cd asterisk-packages
    apt-get download asterisk-core-sounds-{en,es,fr,it,ru}{,-g722}
    for package in *.deb; do dpkg -x "$package" .; done
    cd ..
    pip install numpy soundfile av pocketsphinx tqdm
    python make_asterisk.py asterisk-packages

The steps, for each of the five voices:

1. read the package's list of texts, decode the G.722 recordings (mono, 16 kHz), keep what
   is 1-6 s long, has a clean text and is spoken at the voice's usual rate;
2. drop clips whose text is (nearly) that of an earlier clip;
3. English only: spell out digits, keep clips whose words are all in pocketsphinx's
   dictionary and force-align their phones and words;
4. choose clips with many different words until the voice's share is full, and put about one
   in eight into ``valid``, preferring texts whose words also occur in ``train``;
5. write the audio as Ogg Opus, then manifests, transcripts, dictionary and class files.

Nothing depends on the order of a directory listing; ties are broken by a seeded shuffle. The
text files come out the same each time. Ogg puts a random serial number into each file and
another libsndfile may encode differently, so compare decoded samples, not bytes.

Made with soundfile 0.14.0 (libsndfile 1.2.2), av 18.1.0, pocketsphinx 5.1.1 and numpy 2.4.6
from version 1.6.1-1 of the packages.
"""

from __future__ import annotations

import argparse
import difflib
import gzip
import io
import math
import random
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile as sf
from numpy.typing import NDArray
from pocketsphinx import Decoder
from tqdm import tqdm

RATE = 16000
SEED = 1
SHORTEST, LONGEST = 1.0, 6.0  # seconds
SAME_TEXT = 0.9  # difflib ratio above which two texts count as the same
VALID_SHARE = 0.12
ONCE_ONLY = 0.3  # what a word that only one clip has is worth, beside other words
OPUS_LEVEL = 0.893  # soundfile's compression_level; about 36 kbit/s
ALIGNER_FRAMES = 100  # pocketsphinx frames a second
ALIGNER_PAD = 20  # frames of faint noise put around a clip, so that silence can be found
# Mean log score of a frame. Of 62 clips the right texts score -21 to -7, the texts of other
# clips below -29 (and half of those cannot be aligned at all).
WORST_ALIGNMENT = -25.0

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
# Remarks, keys, abbreviations, names of protocols, and letters lost in the list itself.
UNCLEAN = re.compile(r"[\[\](){}*#:/\ufffd]|\?.|\d\d|\d[^\W\d]|[^\W\d_]\.[^\W\d_]")

Samples = NDArray[np.int16]


class InputError(Exception):
    """The packages or their contents are not what this script needs."""


@dataclass(frozen=True)
class Voice:
    """One recorded voice: its language, its folder in the packages and its class here."""

    language: str
    folder: str
    name: str
    seconds: float
    one_letter_words: str


VOICES = (
    Voice("en", "en_US_f_Allison", "en_allison", 306.0, "ai"),
    Voice("es", "es_MX_f_Allison", "es_allison", 90.0, "aeoyuó"),
    Voice("fr", "fr_CA_f_June", "fr_june", 90.0, "aày"),
    Voice("it", "it_IT_m_Carlo", "it_carlo", 90.0, "aeoièé"),
    Voice("ru", "ru_RU_f_IvrvoiceRU", "ru_ivrvoice", 90.0, "авикосуя"),
)


@dataclass(frozen=True)
class Segment:
    """A stretch of a clip, in aligner frames (end not included), and its class."""

    start: int
    end: int
    name: str


@dataclass(eq=False)
class Clip:
    """One recording with its text, and later its encoded form and alignment."""

    voice: Voice
    path: str  # as in the manifests
    text: str  # normalised
    source: Samples
    encoded: bytes = b""
    samples: int = 0
    phones: list[Segment] = field(default_factory=list)
    words: list[Segment] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """The clip's duration."""
        return len(self.source) / RATE


# ---------------------------------------------------------------- reading the packages


def read_texts(packages: Path, voice: Voice) -> list[tuple[str, str]]:
    """(name, text) of every clip in the package's own list, sorted by name."""
    package = f"asterisk-core-sounds-{voice.language}"
    file = packages / f"usr/share/doc/{package}/core-sounds-{voice.language}.txt.gz"
    if not file.is_file():
        raise InputError(
            f"expected the list of texts {file}, found no such file; unpack the Debian package "
            f"'{package}' there with 'dpkg -x' (an installed package may lack its documents)"
        )
    with gzip.open(file, "rt", encoding="utf-8-sig", errors="replace") as lines:
        pairs = [line.split(":", 1) for line in lines if ":" in line and line[0] != ";"]
    return sorted((name.strip(), text.strip()) for name, text in pairs)


def decode_g722(file: Path) -> Samples:
    """The samples of one G.722 recording (empty for an empty file)."""
    with av.open(str(file), format="g722") as container:
        stream = container.streams.audio[0]
        if stream.rate != RATE or stream.channels != 1:
            raise InputError(
                f"expected mono audio at {RATE} Hz in {file}, found {stream.channels} "
                f"channel(s) at {stream.rate} Hz; use the '-g722' packages"
            )
        parts = [frame.to_ndarray().reshape(-1) for frame in container.decode(stream)]
    return np.concatenate([np.zeros(0, np.int16), *parts]).astype(np.int16)


def is_clean(text: str, voice: Voice) -> bool:
    """True if the text is plainly what is said: no remarks, abbreviations or lost letters."""
    if UNCLEAN.search(text) or (voice.language != "en" and re.search(r"\d", text)):
        return False
    if re.search(r"\b(re|de|un)-", text, re.IGNORECASE):  # a word, but cut in two
        return False
    words = WORD.findall(text.replace("\u2019", "'"))
    if any(len(word) == 1 and word.lower() not in voice.one_letter_words for word in words):
        return False
    if any(len(word) > 1 and word.isupper() for word in words):
        return False
    return sum(map(len, words)) >= 3


def normalise(text: str) -> str:
    """Upper-case words with single blanks; digits spelled out in English."""
    text = unicodedata.normalize("NFC", text).replace("\u2019", "'")
    text = re.sub(r"\d", lambda digit: f" {DIGITS[int(digit[0])]} ", text)
    return " ".join(WORD.findall(text)).upper()


def flat_path(voice: Voice, name: str) -> str:
    """The clip's path here: one folder a language, only lower case, digits, - and _."""
    return f"{voice.language}/{re.sub(r'[^a-z0-9_-]', '-', name.lower())}.ogg"


def is_sound(audio: Samples) -> bool:
    """True for 1-6 s that are neither silent nor clipped."""
    if not SHORTEST * RATE <= len(audio) <= LONGEST * RATE:
        return False
    wave = audio / 32768.0
    return bool(wave.std() > 0.01 and np.abs(wave).max() < 0.95)


def read_clips(packages: Path, voice: Voice) -> list[Clip]:
    """All usable clips of a voice, sorted by name, one for each text."""
    folder = packages / "usr/share/asterisk/sounds" / voice.folder
    if not folder.is_dir():
        raise InputError(
            f"expected the recordings in {folder}, found no such folder; unpack the Debian "
            f"package 'asterisk-core-sounds-{voice.language}-g722' there with 'dpkg -x'"
        )
    clips = []
    for name, text in tqdm(read_texts(packages, voice), desc=f"{voice.language} read"):
        file = folder / f"{name}.g722"
        if is_clean(text, voice) and file.is_file():
            audio = decode_g722(file)
            if is_sound(audio):
                clips.append(Clip(voice, flat_path(voice, name), normalise(text), audio))
    return drop_same_texts(drop_unusual_rates(clips))


def drop_unusual_rates(clips: Sequence[Clip]) -> list[Clip]:
    """Without clips far from the voice's line of seconds over letters: wrong texts, pauses."""
    letters = np.array([len(clip.text) for clip in clips], float)
    seconds = np.array([clip.seconds for clip in clips])
    slope, offset = np.polyfit(letters, seconds, 1)
    error = np.abs(seconds - slope * letters - offset)
    limit = 3 * 1.4826 * np.median(error)
    return [clip for clip, far in zip(clips, error > limit, strict=True) if not far]


def drop_same_texts(clips: Iterable[Clip]) -> list[Clip]:
    """The first clip of each group with (nearly) the same text."""
    kept: list[Clip] = []
    for clip in clips:
        match = difflib.SequenceMatcher(b=clip.text, autojunk=False)
        for other in kept:
            match.set_seq1(other.text)
            if match.quick_ratio() > SAME_TEXT and match.ratio() > SAME_TEXT:
                break
        else:
            kept.append(clip)
    return kept


# ---------------------------------------------------------------- encoding and alignment


def encode(clip: Clip) -> Samples:
    """Encode the clip as Ogg Opus; the samples as they are read back."""
    buffer = io.BytesIO()
    wave = (clip.source / 32768.0).astype(np.float32)
    sf.write(buffer, wave, RATE, format="OGG", subtype="OPUS", compression_level=OPUS_LEVEL)
    clip.encoded = buffer.getvalue()
    decoded, rate = sf.read(io.BytesIO(clip.encoded), dtype="float32")
    if rate != RATE or decoded.shape != wave.shape or np.abs(decoded).max() >= 1.0:
        raise InputError(
            f"expected {len(wave)} unclipped samples at {RATE} Hz back from the encoded "
            f"{clip.path}, found {decoded.shape} at {rate} Hz; use libsndfile 1.2 or newer"
        )
    clip.samples = len(decoded)
    back: Samples = np.round(decoded * 32767).astype(np.int16)
    return back


class Aligner:
    """Forced alignment with pocketsphinx and its own US-English model and dictionary."""

    def __init__(self) -> None:
        self.decoder: Any = Decoder(samprate=RATE, lm=None, silprob=0.5, loglevel="FATAL")

    def knows(self, text: str) -> bool:
        """True if every word is in the dictionary."""
        return all(self.decoder.lookup_word(word) for word in text.lower().split())

    def align(self, clip: Clip, audio: Samples) -> bool:
        """Fill in the clip's words and phones; False if text and audio do not fit."""
        noise = np.random.default_rng(SEED).normal(0, 3, ALIGNER_PAD * RATE // ALIGNER_FRAMES)
        faint = noise.round().astype(np.int16)
        padded = np.concatenate([faint, audio, faint]).tobytes()
        self.decoder.set_align_text(clip.text.lower())
        try:
            self._decode(padded)  # first pass: words
            self.decoder.set_alignment()
            self._decode(padded)  # second pass: phones
        except RuntimeError:
            return False
        score = self._read(clip)
        return [word.name for word in clip.words] == clip.text.split() and score > WORST_ALIGNMENT

    def _decode(self, audio: bytes) -> None:
        self.decoder.start_utt()
        self.decoder.process_raw(audio, full_utt=True)
        self.decoder.end_utt()

    def _read(self, clip: Clip) -> float:
        """Fill in words and phones; the mean log score of a spoken frame."""
        last = len(clip.source) * ALIGNER_FRAMES // RATE
        clip.words, clip.phones = [], []
        score, frames = 0, 0
        for word in self.decoder.get_alignment():  # entries are valid only within the loop
            if word.name[0] in "<[+":
                continue  # silence and noise
            clip.words.append(cut(word, last))
            clip.phones.extend(cut(phone, last) for phone in word)
            score, frames = score + word.score, frames + word.duration
        return score / max(frames, 1)


def cut(entry: Any, last: int) -> Segment:
    """An aligner's entry as a segment of the clip without its padding."""
    start = min(max(entry.start - ALIGNER_PAD, 0), last)
    end = min(max(entry.start + entry.duration - ALIGNER_PAD, 0), last)
    return Segment(start, end, re.sub(r"\(\d+\)$", "", entry.name).upper())


def align_all(clips: Sequence[Clip]) -> list[Clip]:
    """The English clips that pocketsphinx can align."""
    aligner = Aligner()
    known = [clip for clip in clips if aligner.knows(clip.text)]
    aligned = []
    for clip in tqdm(known, desc="en align"):
        fits = aligner.align(clip, encode(clip))
        if fits and all(part.start < part.end for part in clip.phones):
            aligned.append(clip)
    print(f"en: {len(clips)} clips, {len(known)} in the dictionary, {len(aligned)} aligned")
    return aligned


# ---------------------------------------------------------------- choosing


def choose(clips: Sequence[Clip], seconds: float) -> list[Clip]:
    """Clips of that many seconds in all with many different words, most of them repeatedly.

    Greedy: the next clip is the one whose words are worth most a second. A word is worth
    less each time it is chosen, and less from the start if no other clip has it.
    """
    rest = list(clips)
    random.Random(SEED).shuffle(rest)
    texts = Counter(word for clip in clips for word in set(clip.text.split()))
    seen: Counter[str] = Counter()
    chosen: list[Clip] = []

    def worth(word: str) -> float:
        return (1.0 if texts[word] > 1 else ONCE_ONLY) / math.sqrt(1 + seen[word])

    def gain(clip: Clip) -> float:
        return sum(worth(word) for word in sorted(set(clip.text.split()))) / clip.seconds

    while rest and sum(clip.seconds for clip in chosen) < seconds:
        best = max(rest, key=gain)
        rest.remove(best)
        chosen.append(best)
        seen.update(best.text.split())
    return sorted(chosen, key=lambda clip: clip.path)


def split(clips: Sequence[Clip]) -> tuple[list[Clip], list[Clip]]:
    """(train, valid): texts of which few words are lost to train go to valid."""
    count = round(VALID_SHARE * len(clips))
    order = list(clips)
    random.Random(SEED).shuffle(order)
    left = Counter(word for clip in clips for word in clip.text.split())
    valid: list[Clip] = []

    def lost(clip: Clip) -> float:
        words = Counter(clip.text.split())
        alone = sum(n for word, n in words.items() if left[word] <= n)
        return (alone + (len(words) < 3)) / len(words)

    for _ in range(count):
        best = min((clip for clip in order if clip not in valid), key=lost)
        valid.append(best)
        left.subtract(best.text.split())
    return [clip for clip in clips if clip not in valid], sorted(valid, key=lambda c: c.path)


# ---------------------------------------------------------------- writing


def write_lines(file: Path, lines: Iterable[str]) -> None:
    """Write a text file, making its folder if need be."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(f"{line}\n" for line in lines)


def write_audio(out: Path, clips: Iterable[Clip]) -> None:
    """Write the clips and remove .ogg files of an earlier choice."""
    for voice in VOICES:
        folder = out / "audio" / voice.language
        folder.mkdir(parents=True, exist_ok=True)
        for old in sorted(folder.glob("*.ogg")):
            old.unlink()
    for clip in tqdm(list(clips), desc="write"):
        if not clip.encoded:
            encode(clip)
        (out / "audio" / clip.path).write_bytes(clip.encoded)


def write_manifest(file: Path, root: str, clips: Iterable[Clip]) -> None:
    """Write fairseq's manifest: the root, then path and number of samples a line."""
    write_lines(file, [root, *(f"{clip.path}\t{clip.samples}" for clip in clips)])


def letters(text: str) -> str:
    """fairseq's letter transcript: ``T H E | N U M B E R |``."""
    return " ".join(text.replace(" ", "|") + "|")


def write_english(folder: Path, splits: dict[str, list[Clip]]) -> None:
    """The English part of the splits, as fairseq's CTC fine-tuning reads it."""
    for name, clips in splits.items():
        write_manifest(folder / f"{name}.tsv", "../audio", clips)
        write_lines(folder / f"{name}.wrd", (clip.text for clip in clips))
        write_lines(folder / f"{name}.ltr", (letters(clip.text) for clip in clips))
    counts = Counter(s for clip in splits["train"] for s in letters(clip.text).split())
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    write_lines(folder / "dict.ltr.txt", (f"{symbol} {count}" for symbol, count in ranked))


def segment_lines(clips: Iterable[Clip], kind: str) -> Iterator[str]:
    """A class file of segments; kind is ``phones`` or ``words``."""
    yield "path\tstart\tend\tclass"
    for clip in clips:
        for part in getattr(clip, kind):
            start, end = part.start / ALIGNER_FRAMES, part.end / ALIGNER_FRAMES
            yield f"{clip.path}\t{start:.2f}\t{end:.2f}\t{part.name}"


def write_all(out: Path, splits: dict[str, list[Clip]]) -> None:
    """Write every file of the folder but the hand-written ones."""
    clips = sorted((clip for part in splits.values() for clip in part), key=lambda c: c.path)
    write_audio(out, clips)
    for name, part in splits.items():
        write_manifest(out / f"{name}.tsv", "audio", part)
        write_lines(out / f"{name}.wrd", (clip.text for clip in part))
    english = {n: [c for c in p if c.voice.language == "en"] for n, p in splits.items()}
    write_english(out / "english", english)
    voices = (f"{clip.path}\t{clip.voice.name}" for clip in clips)
    write_lines(out / "classes/voice.tsv", ["path\tclass", *voices])
    write_lines(out / "classes/phone.tsv", segment_lines(clips, "phones"))
    write_lines(out / "classes/word.tsv", segment_lines(clips, "words"))


# ---------------------------------------------------------------- main


def make_splits(packages: Path) -> dict[str, list[Clip]]:
    """Read, choose and split the clips of all voices."""
    splits: dict[str, list[Clip]] = {"train": [], "valid": []}
    for voice in VOICES:
        clips = read_clips(packages, voice)
        if voice.language == "en":
            clips = align_all(clips)
        train, valid = split(choose(clips, voice.seconds))
        splits["train"] += train
        splits["valid"] += valid
    return {name: sorted(part, key=lambda clip: clip.path) for name, part in splits.items()}


def report(splits: dict[str, list[Clip]]) -> None:
    """Print the table of the README."""
    print("| voice | train | valid | minutes | kB |\n| --- | --- | --- | --- | --- |")
    for voice in VOICES:
        parts = {n: [c for c in part if c.voice == voice] for n, part in splits.items()}
        clips = [clip for part in parts.values() for clip in part]
        minutes = sum(clip.samples for clip in clips) / RATE / 60
        size = sum(len(clip.encoded) for clip in clips) / 1000
        counts = " | ".join(str(len(part)) for part in parts.values())
        print(f"| {voice.name} | {counts} | {minutes:.2f} | {size:.0f} |")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 on success, 2 for bad input."""
    parser = argparse.ArgumentParser(description="Make the Asterisk example data.")
    parser.add_argument("packages", type=Path, help="folder with the unpacked Debian packages")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent, help="where to write (default: here)"
    )
    options = parser.parse_args(arguments)
    try:
        splits = make_splits(options.packages)
        write_all(options.out, splits)
    except InputError as error:
        print(f"make_asterisk: {error}", file=sys.stderr)
        return 2
    report(splits)
    return 0


if __name__ == "__main__":
    sys.exit(main())
