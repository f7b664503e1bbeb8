"""Mozilla Common Voice (Ardila et al. 2020): read sentences in many languages, one folder each."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from ptsel_fairseq.downstream.corpora.clips import Clip, Corpus, Reading, read_csv, wrong_root

HOLDS = "the folder of one language (cv-corpus-VERSION/LANGUAGE) with clips, train.tsv, dev.tsv and test.tsv"
SPLITS = ("train", "dev", "test")
APOSTROPHES = "'’ʼ"


def read(root: Path) -> Reading:
    """The official splits, in which no speaker is twice; texts by `normalise`."""
    if not all((root / f"{split}.tsv").is_file() for split in SPLITS) or not (root / "clips").is_dir():
        raise wrong_root(root, HOLDS)
    clips = [
        Clip(
            f"clips/{row['path']}",
            (split,),
            normalise(row["sentence"]),
            classes={"speaker": row["client_id"]},
        )
        for split in SPLITS
        for row in read_csv(root / f"{split}.tsv", ("client_id", "path", "sentence"), "\t")
    ]
    return Reading(root, sorted(clips, key=lambda clip: (SPLITS.index(clip.splits[0]), clip.path)))


def normalise(sentence: str) -> str:
    """Capitals without punctuation: letters with their marks and apostrophes inside words stay."""
    composed = unicodedata.normalize("NFC", sentence)
    kept = [
        "'" if char in APOSTROPHES else char.upper() if unicodedata.category(char)[0] in "LMN" else " "
        for char in composed
    ]
    words = ("".join(kept)).split()
    return " ".join(stripped for word in words if (stripped := word.strip("'")))


CORPUS = Corpus(
    "Common Voice",
    HOLDS,
    read,
    {},
    "no figure is checked: they differ with every release and language; see its clip_durations.tsv",
    convert=True,
)
