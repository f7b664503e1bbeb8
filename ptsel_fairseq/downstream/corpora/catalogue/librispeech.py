"""LibriSpeech (Panayotov et al. 2015): read English, words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_lines
from ptsel_fairseq.downstream.corpora.corpus import Clip, Corpus, Reading, check_none, wrong_root

SPLITS = {
    "train-clean-100": (28539, 100.6),
    "train-clean-360": (104014, 363.6),
    "train-other-500": (148688, 496.7),
    "dev-clean": (2703, 5.4),
    "dev-other": (2864, 5.3),
    "test-clean": (2620, 5.4),
    "test-other": (2939, 5.1),
}
EXAMPLE = "84-121123-0000 GO DO YOU HEAR"
HOLDS = "the folder LibriSpeech with one or more of " + ", ".join(SPLITS)


def read(root: Path) -> Reading:
    """The transcripts of all splits that were unpacked: ``SPLIT/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt``."""
    clips: list[Clip] = []
    silent: list[str] = []
    untold: list[str] = []
    for split in SPLITS:
        for folder in sorted((root / split).glob("*/*")):
            if not folder.name.isdecimal() or not folder.is_dir():
                continue
            chapter = folder.relative_to(root).as_posix()
            files = sorted(folder.glob("[!.]*.trans.txt"))
            texts = [line for file in files for line in read_texts(file)]
            if not files:
                silent.append(chapter)
            else:
                names = {name for name, _ in texts}
                untold += sorted(
                    f"{chapter}/{file.name}" for file in folder.glob("[!.]*.flac") if file.stem not in names
                )
            clips += [
                Clip(f"{chapter}/{name}.flac", (split,), text, classes={"speaker": name.split("-")[0]})
                for name, text in texts
            ]
    advice = "unpack all archives here again"
    check_none(silent, root, "chapters have no transcripts, SPEAKER-CHAPTER.trans.txt", advice)
    check_none(untold, root, "recordings have no line in the transcripts of their chapter", advice)
    if not clips:
        raise wrong_root(root, HOLDS)
    return Reading(root, clips)


def read_texts(file: Path) -> Iterator[tuple[str, str]]:
    """Name and text of each utterance of a chapter."""
    for number, line in enumerate(read_lines(file, f"lines such as {EXAMPLE!r}"), start=1):
        name, space, text = line.partition(" ")
        if not space:
            raise PtselError(f"{file}, line {number}: expected an utterance and its text, found {line!r}")
        yield name, text.strip()


CORPUS = Corpus(
    name="librispeech",
    title="LibriSpeech",
    holds=HOLDS,
    read=read,
    published=SPLITS,
    source="hours: Panayotov et al. 2015, table 1; utterances: the released archives",
)
