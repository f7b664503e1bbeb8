"""Polish emotional speech (Miesikowska and Swisulski 2020): five men, six words, three emotions, five takes."""

from __future__ import annotations

import re
from pathlib import Path

from ptsel_fairseq.downstream.corpora.corpus import Clip, Corpus, Reading, wrong_root
from ptsel_fairseq.downstream.corpora.packages import Package

HOLDS = "the folder POLISH of data/polish in the nkululeko 1.14.1 source package"
NAME = re.compile(r"^(?P<speaker>m\d)\.(?P<emotion>[asn])_(?P<word>[a-z]+)_(?P<take>\d)\.wav$")
EMOTIONS = {"a": "anger", "s": "fear", "n": "neutral"}
# As in the package's lists; leave a speaker out instead where figures are to be compared.
SPLITS = {"m1": "test", "m4": "valid"}


def read(root: Path) -> Reading:
    """The clips; splits by speaker."""
    clips, folder = [], root
    for file in sorted(root.rglob("POLISH/*.wav")):
        match = NAME.match(file.name)
        if match is not None:
            folder = file.parent
            speaker, word = match["speaker"], match["word"]
            classes = {"speaker": speaker, "emotion": EMOTIONS[match["emotion"]], "word": word}
            clips.append(Clip(file.name, (SPLITS.get(speaker, "train"),), word.upper(), classes=classes))
    if not clips:
        raise wrong_root(root, HOLDS)
    return Reading(folder, clips)


CORPUS = Corpus(
    name="polish-emotions",
    title="Polish emotional speech",
    holds=HOLDS,
    read=read,
    published={"all": (450, 0.105)},
    source="the package: 450 recordings, 6.3 min; doi 10.34808/h46c-hb44",
    licence="NOT STATED by the package that holds it; do not pass it on, and cite doi 10.34808/h46c-hb44",
    packages=(
        Package(
            "pip",
            "nkululeko",
            "1.14.1",
            "a1eb6d5c5047cda99561d1f872a5f841b3e77bccc19d754b32437cbd3f2208d2",
        ),
    ),
)
