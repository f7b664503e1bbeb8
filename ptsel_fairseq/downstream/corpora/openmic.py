"""OpenMIC-2018 (Humphrey, Durand and McFee 2018): which of 20 instruments are in 10 s of music; few are labelled."""

from __future__ import annotations

from pathlib import Path

from ptsel_fairseq.downstream.corpora.clips import Clip, Corpus, Reading, read_csv, wrong_root

LABELS = "openmic-2018-aggregated-labels.csv"
HOLDS = f"the folder openmic-2018 with audio, partitions and {LABELS}"
SPLITS = ("train", "test")


def read(root: Path) -> Reading:
    """The official partition; labels are the aggregated relevance of each pair that was asked about."""
    partitions = {split: root / "partitions" / f"split01_{split}.csv" for split in SPLITS}
    if not (root / LABELS).is_file() or not all(file.is_file() for file in partitions.values()):
        raise wrong_root(root, HOLDS)
    split_of = {
        key: split for split, file in partitions.items() for key in file.read_text(encoding="utf-8").split()
    }
    labels: dict[str, list[tuple[str, str, float]]] = {split: [] for split in SPLITS}
    for row in read_csv(root / LABELS, ("sample_key", "instrument", "relevance")):
        key = row["sample_key"]
        if key in split_of:
            labels[split_of[key]].append((path_of(key), row["instrument"], float(row["relevance"])))
    clips = [Clip(path_of(key), (split,)) for key, split in sorted(split_of.items())]
    return Reading(root / "audio", clips, labels={split: sorted(rows) for split, rows in labels.items()})


def path_of(key: str) -> str:
    """Where a sample such as ``000046_3840`` lies: ``000/000046_3840.ogg``."""
    return f"{key[:3]}/{key}.ogg"


CORPUS = Corpus(
    "OpenMIC-2018",
    HOLDS,
    read,
    {"train": (14915, None), "test": (5085, None), "all": (20000, 55.6)},
    "its partition split01; hours: 20,000 clips of 10 s",
    convert=True,
)
