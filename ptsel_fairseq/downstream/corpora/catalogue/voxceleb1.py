"""VoxCeleb1 (Nagrani et al. 2017): who speaks, as 1,251 classes and as trials of unseen speakers."""

from __future__ import annotations

from pathlib import Path

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_lines
from ptsel_fairseq.downstream.corpora.corpus import Clip, Corpus, Reading, wrong_root
from ptsel_fairseq.downstream.metrics.answer_files import read_trials

HOLDS = (
    "a folder with wav/id10001/... (development and test archives together) and the published lists iden_split.txt "
    "and veri_test.txt (or veri_test2.txt, the cleaned one)"
)
IDENTIFICATION = {"1": "identification/train", "2": "identification/valid", "3": "identification/test"}
TRIALS = ("veri_test.txt", "veri_test2.txt")


def read(root: Path) -> Reading:
    """All utterances; the test speakers of verification are those of the trials."""
    lists = [root / name for name in TRIALS if (root / name).is_file()]
    if not (root / "wav").is_dir() or not lists or not (root / "iden_split.txt").is_file():
        raise wrong_root(root, HOLDS)
    splits: dict[str, list[str]] = {}
    expected = "lines such as '3 id10003/na8-QEFmj44/00003.wav'"
    for number, line in enumerate(read_lines(root / "iden_split.txt", expected), start=1):
        part, _, path = line.partition(" ")
        if part not in IDENTIFICATION or path.count("/") != 2:
            raise PtselError(f"{root / 'iden_split.txt'}, line {number}: expected {expected}, found {line!r}")
        if path in splits:
            raise PtselError(
                f"{root / 'iden_split.txt'}, line {number}: expected each file once, found {path} again"
            )
        splits[path] = [IDENTIFICATION[part]]
    trials: dict[str, list[tuple[bool, str, str]]] = {}
    for file in lists:
        pairs = [(value, *item.split("\t")) for item, value in read_trials(file).values.items()]
        trials[f"verification/{file.name}"] = [
            (value == "1", first, second) for value, first, second in pairs
        ]
    compared = {path for rows in trials.values() for _, *sides in rows for path in sides}
    tested = {path.split("/")[0] for path in compared}
    for path in compared:
        splits.setdefault(path, [])  # what a list of trials names must be there
    for path, found in splits.items():
        found.append("verification/test" if path.split("/")[0] in tested else "verification/train")
    clips = [
        Clip(path, tuple(found), classes={"speaker": path.split("/")[0]})
        for path, found in sorted(splits.items())
    ]
    return Reading(root / "wav", clips, trials)


CORPUS = Corpus(
    name="voxceleb1",
    title="VoxCeleb1",
    holds=HOLDS,
    read=read,
    published={
        "identification/train": (138361, None),
        "identification/valid": (6904, None),
        "identification/test": (8251, None),
        "verification/train": (148642, 340.4),
        "verification/test": (4874, 11.2),
    },
    source="Nagrani et al. 2017, tables 4 and 5, and the published lists",
)
