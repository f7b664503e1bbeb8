"""Single notes of twenty instruments, from the npm packages tonejs-instrument-*-mp3."""

from __future__ import annotations

from pathlib import Path

from ptsel_fairseq.downstream.corpora.corpus import Clip, Corpus, Reading, wrong_root
from ptsel_fairseq.downstream.corpora.splits import fold_of, split_of

HOLDS = "folders of the npm packages, tonejs-instrument-NAME-mp3/package/NOTE.mp3"
PREFIX, SUFFIX = "tonejs-instrument-", "-mp3"
MOST_PIECES = 6  # of one second: what of a long note is more than its decay


def read(root: Path) -> Reading:
    """The notes, and their first seconds as segments; no note of an instrument is in two splits or folds."""
    import soundfile

    clips = []
    for file in sorted(root.glob(f"{PREFIX}*{SUFFIX}/package/*.mp3")):
        package = file.parts[-3]
        instrument = package.removeprefix(PREFIX).removesuffix(SUFFIX)
        key = f"{instrument} {file.stem}"
        pieces = min(MOST_PIECES, int(soundfile.info(file).duration))
        clips.append(
            Clip(
                file.relative_to(root).as_posix(),
                (split_of(key),),
                classes={"instrument": instrument, "note": file.stem, "fold": fold_of(key)},
                segments={"instrument_seconds": [(k, k + 1, instrument) for k in range(pieces)]},
            )
        )
    if not clips:
        raise wrong_root(root, HOLDS)
    return Reading(root, clips)


CORPUS = Corpus(
    "tonejs instruments",
    HOLDS,
    read,
    {"all": (450, 0.983)},
    "the packages 1.1.1 and 1.1.2: 450 notes, 59.0 min",
    convert=True,
)
