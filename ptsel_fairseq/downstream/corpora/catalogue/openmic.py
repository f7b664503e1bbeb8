"""OpenMIC-2018 (Humphrey, Durand and McFee 2018): which of 20 instruments are in 10 s of music; few are labelled."""

from __future__ import annotations

from pathlib import Path

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_lines
from ptsel_fairseq.downstream.corpora.corpus import Clip, Corpus, Reading, check_none, read_csv, wrong_root

LABELS = "openmic-2018-aggregated-labels.csv"
HOLDS = f"the folder openmic-2018 with audio, partitions and {LABELS}"
SPLITS = ("train", "test")
EXAMPLE = "000046_3840"


def read(root: Path) -> Reading:
    """The official partition; labels are the aggregated relevance of each pair that was asked about."""
    partitions = {split: root / "partitions" / f"split01_{split}.csv" for split in SPLITS}
    if not (root / LABELS).is_file() or not all(file.is_file() for file in partitions.values()):
        raise wrong_root(root, HOLDS)
    keys = [
        (key.strip(), split)
        for split, file in partitions.items()
        for key in read_lines(file, f"lines such as {EXAMPLE!r}")
    ]
    split_of = dict(keys)
    relevance: dict[tuple[str, str], float] = {}
    for row in read_csv(root / LABELS, ("sample_key", "instrument", "relevance")):
        pair = row["sample_key"], row["instrument"]
        if pair in relevance:
            raise PtselError(f"{root / LABELS}: expected each pair once, found {' '.join(pair)} again")
        relevance[pair] = number_of(root / LABELS, pair, row["relevance"])
    unknown = sorted({key for key, _ in relevance} - split_of.keys())
    check_none(unknown, root, f"samples of {LABELS} are in neither partition", "unpack the corpus again")
    labels: dict[str, list[tuple[str, str, float]]] = {split: [] for split in SPLITS}
    for (key, instrument), number in relevance.items():
        labels[split_of[key]].append((path_of(key), instrument, number))
    clips = [Clip(path_of(key), (split,)) for key, split in sorted(keys)]
    return Reading(root / "audio", clips, labels={split: sorted(rows) for split, rows in labels.items()})


def number_of(file: Path, pair: tuple[str, str], text: str) -> float:
    """A relevance from 0 to 1; raise PtselError for anything else."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise PtselError(f"{file}: expected a relevance from 0 to 1, found {text!r} for {' '.join(pair)}")
    return number


def path_of(key: str) -> str:
    """Where a sample such as `EXAMPLE` lies: ``000/000046_3840.ogg``."""
    return f"{key[:3]}/{key}.ogg"


CORPUS = Corpus(
    name="openmic-2018",
    title="OpenMIC-2018",
    holds=HOLDS,
    read=read,
    published={"train": (14915, None), "test": (5085, None), "all": (20000, 55.6)},
    source="its partition split01; hours: 20,000 clips of 10 s",
    convert=True,
    seconds=10.0,
)
