"""IEMOCAP (Busso et al. 2008): acted dialogues of ten speakers in five sessions, four emotions as in SUPERB."""

from __future__ import annotations

import re
from pathlib import Path

from ptsel_fairseq.downstream.corpora.clips import Clip, Corpus, Reading, wrong_root

HOLDS = "the folder IEMOCAP_full_release with Session1 to Session5"
# [6.2901 - 8.2357]<TAB>Ses01F_impro01_F000<TAB>neu<TAB>[2.5000, 2.5000, 2.5000]
LINE = re.compile(
    r"^\[[\d.]+ - [\d.]+\]\t(?P<name>Ses(?P<session>\d\d)\w_(?P<dialogue>\w+)_(?P<sex>[FM])\w+)\t(?P<emotion>\w+)\t"
)
EMOTIONS = {"ang": "angry", "hap": "happy", "exc": "happy", "neu": "neutral", "sad": "sad"}


def read(root: Path) -> Reading:
    """The utterances of the four emotions (excited counts as happy), a split for each session."""
    clips = []
    for file in sorted(root.glob("Session[1-5]/dialog/EmoEvaluation/Ses*.txt")):
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            match = LINE.match(line)
            if match is None or match["emotion"] not in EMOTIONS:
                continue
            name, session = match["name"], f"session{int(match['session'])}"
            path = f"{file.parts[-4]}/sentences/wav/{name.rpartition('_')[0]}/{name}.wav"
            classes = {
                "emotion": EMOTIONS[match["emotion"]],
                "speaker": f"{session}{match['sex']}",
                "session": session,
            }
            clips.append(Clip(path, (session,), classes=classes))
    if not clips:
        raise wrong_root(root, HOLDS)
    return Reading(root, clips)


CORPUS = Corpus(
    "IEMOCAP, four emotions",
    HOLDS,
    read,
    {
        "session1": (1085, None),
        "session2": (1023, None),
        "session3": (1151, None),
        "session4": (1031, None),
        "session5": (1241, None),
    },
    "angry 1,103, happy with excited 1,636, neutral 1,708, sad 1,084: as in SUPERB (Yang et al. 2021)",
)
