"""IEMOCAP (Busso et al. 2008): acted dialogues of ten speakers in five sessions, four emotions as in SUPERB."""

from __future__ import annotations

import re
from pathlib import Path

from ptsel_fairseq.downstream.corpora.corpus import Clip, Corpus, Reading, check_none, wrong_root

HOLDS = "the folder IEMOCAP_full_release with Session1 to Session5"
EXAMPLE = "[6.2901 - 8.2357]<TAB>Ses01F_impro01_F000<TAB>neu<TAB>[2.5000, 2.5000, 2.5000]"
UNPACK = "unpack the corpus again"
LINE = re.compile(r"^\[[\d.]+ - [\d.]+\]\t(?P<name>\S+)\t(?P<emotion>\w+)\t")
NAME = re.compile(r"Ses(?P<session>\d\d)\w_\w+_(?P<sex>[FM])\w+")
EMOTIONS = {"ang": "angry", "hap": "happy", "exc": "happy", "neu": "neutral", "sad": "sad"}
OTHERS = ("fru", "fea", "sur", "dis", "oth", "xxx")  # xxx: the judges disagree


def read(root: Path) -> Reading:
    """The utterances of the four emotions (excited counts as happy), a split for each session."""
    clips, faulty = [], []
    for file in sorted(root.glob("Session[1-5]/dialog/EmoEvaluation/Ses*.txt")):
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if not line.startswith("["):
                continue  # of one judge, or the header
            match = LINE.match(line)
            emotion, name = (match["emotion"], match["name"]) if match else ("", "")
            parts = NAME.fullmatch(name)
            if emotion in EMOTIONS and parts is not None:
                session = f"session{int(parts['session'])}"
                path = f"{file.parts[-4]}/sentences/wav/{name.rpartition('_')[0]}/{name}.wav"
                classes = {
                    "emotion": EMOTIONS[emotion],
                    "speaker": f"{session}{parts['sex']}",
                    "session": session,
                }
                clips.append(Clip(path, (session,), classes=classes))
            elif emotion not in OTHERS:
                faulty.append(f"{file.relative_to(root)}, line {number}, {line!r}")
    check_none(faulty, root, f"turns are not written as {EXAMPLE!r} with one of IEMOCAP's emotions", UNPACK)
    if not clips:
        raise wrong_root(root, HOLDS)
    return Reading(root, clips)


CORPUS = Corpus(
    name="iemocap",
    title="IEMOCAP, four emotions",
    holds=HOLDS,
    read=read,
    published={
        "session1": (1085, None),
        "session2": (1023, None),
        "session3": (1151, None),
        "session4": (1031, None),
        "session5": (1241, None),
    },
    source="angry 1,103, happy with excited 1,636, neutral 1,708, sad 1,084: as in SUPERB (Yang et al. 2021)",
)
