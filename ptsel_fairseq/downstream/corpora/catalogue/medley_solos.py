"""Medley-solos-DB (Lostanlen and Cella 2016): one of eight instruments in clips of 3 s."""

from __future__ import annotations

from pathlib import Path

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.downstream.corpora.corpus import Clip, Corpus, Reading, read_csv, wrong_root

METADATA = "Medley-solos-DB_metadata.csv"
HOLDS = f"a folder with {METADATA} and the clips Medley-solos-DB_*.wav, there or in one folder below"
SPLITS = {"training": "train", "validation": "valid", "test": "test"}


def read(root: Path) -> Reading:
    """The clips of the metadata; the splits share no song."""
    tables = sorted(root.glob(METADATA)) + sorted(root.glob(f"*/{METADATA}"))
    folders = [root, *sorted(entry for entry in root.glob("*") if entry.is_dir())]
    audio = next((folder for folder in folders if any(folder.glob("Medley-solos-DB_*.wav"))), None)
    if not tables or audio is None:
        raise wrong_root(root, HOLDS)
    clips = []
    for row in read_csv(tables[0], ("subset", "instrument", "instrument_id", "song_id", "uuid4")):
        if row["subset"] not in SPLITS:
            raise PtselError(
                f"{tables[0]}: expected a subset among {', '.join(SPLITS)}, found {row['subset']!r}"
            )
        path = f"Medley-solos-DB_{row['subset']}-{row['instrument_id']}_{row['uuid4']}.wav"
        classes = {"instrument": row["instrument"], "song": row["song_id"]}
        clips.append(Clip(path, (SPLITS[row["subset"]],), classes=classes))
    return Reading(audio, sorted(clips, key=lambda clip: clip.path))


CORPUS = Corpus(
    name="medley-solos-db",
    title="Medley-solos-DB",
    holds=HOLDS,
    read=read,
    published={"train": (5841, None), "valid": (3494, None), "test": (12236, None), "all": (21571, 17.8)},
    source="its metadata; hours: 21,571 clips of 2.972 s",
    convert=True,
)
