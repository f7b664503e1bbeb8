"""Mozilla Common Voice (Ardila et al. 2020): read sentences in many languages, one folder each."""

from __future__ import annotations

from pathlib import Path

from ptsel_fairseq.base.messages import examples
from ptsel_fairseq.downstream.corpora.corpus import Clip, Corpus, Reading, read_csv, wrong_root
from ptsel_fairseq.downstream.corpora.texts import normalise

HOLDS = "the folder of one language (cv-corpus-VERSION/LANGUAGE) with clips, train.tsv, dev.tsv and test.tsv"
SPLITS = ("train", "dev", "test")


def read(root: Path) -> Reading:
    """The official splits, in which no speaker is twice; texts by `normalise`."""
    if not all((root / f"{split}.tsv").is_file() for split in SPLITS) or not (root / "clips").is_dir():
        raise wrong_root(root, HOLDS)
    clips = [
        Clip(
            f"clips/{row['path']}",
            (split,),
            normalise(row["sentence"], row.get("locale") or root.name),
            classes={"speaker": row["client_id"]},
        )
        for split in SPLITS
        for row in read_csv(root / f"{split}.tsv", ("client_id", "path", "sentence"), "\t")
    ]
    if not clips:
        raise wrong_root(root, HOLDS)
    named = {split for clip in clips for split in clip.splits}
    remarks = [f"{split}.tsv names no clip." for split in SPLITS if split not in named]
    empty = [clip.path for clip in clips if not clip.text]
    if empty:
        remarks.append(
            f"{len(empty)} sentences hold no letter or digit, their text is empty {examples(empty)}."
        )
    clips.sort(key=lambda clip: (SPLITS.index(clip.splits[0]), clip.path))
    return Reading(root, clips, remarks=remarks)


CORPUS = Corpus(
    name="common-voice",
    title="Common Voice",
    holds=HOLDS,
    read=read,
    published={},
    source="no figure is checked: they differ with every release and language; see its clip_durations.tsv",
    convert=True,
)
