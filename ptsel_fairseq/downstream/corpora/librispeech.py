"""LibriSpeech (Panayotov et al. 2015): read English, words."""

from __future__ import annotations

from pathlib import Path

from ptsel_fairseq.downstream.corpora.clips import Clip, Corpus, Reading, wrong_root
from ptsel_fairseq.errors import PtselError
from ptsel_fairseq.manifest import read_lines

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
    clips = []
    silent = [
        folder.relative_to(root).as_posix()
        for split in SPLITS
        for folder in sorted((root / split).glob("*/*"))
        if folder.is_dir() and folder.name.isdecimal() and not any(folder.glob("*.trans.txt"))
    ]
    if silent:
        raise PtselError(
            f"{root}: {len(silent)} chapters have no transcripts, SPEAKER-CHAPTER.trans.txt (first: "
            f"{', '.join(silent[:3])}); unpack all archives here again"
        )
    for split in SPLITS:
        for file in sorted((root / split).glob("*/*/*.trans.txt")):
            folder = file.parent
            if not folder.name.isdecimal():
                continue
            for number, line in enumerate(read_lines(file, f"lines such as {EXAMPLE!r}"), start=1):
                name, space, text = line.partition(" ")
                if not space:
                    raise PtselError(
                        f"{file}, line {number}: expected an utterance and its text, found {line!r}"
                    )
                path = (folder / f"{name}.flac").relative_to(root).as_posix()
                clips.append(Clip(path, (split,), text.strip(), classes={"speaker": name.split("-")[0]}))
    if not clips:
        raise wrong_root(root, HOLDS)
    return Reading(root, clips)


CORPUS = Corpus(
    "LibriSpeech",
    HOLDS,
    read,
    SPLITS,
    "hours: Panayotov et al. 2015, table 1; utterances: the released archives",
)
