"""AudioSet's musical instruments (Gemmeke et al. 2017): 10 s of YouTube's videos, those that one still has."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.json_file import read_json
from ptsel_fairseq.base.manifest import read_lines
from ptsel_fairseq.base.messages import examples
from ptsel_fairseq.data.audio_folder import look_into
from ptsel_fairseq.downstream.corpora.corpus import Clip, Corpus, Reading, wrong_root

ONTOLOGY = "ontology.json"
INSTRUMENT = "/m/04szw"  # "Musical instrument"; the subset is what lies below it
LISTS = {  # which splits the clips of a list are in
    "balanced_train_segments.csv": ("train", "balanced"),
    "unbalanced_train_segments.csv": ("train",),
    "eval_segments.csv": ("eval",),
}
HOLDS = (
    f"a folder with {ONTOLOGY}, any of {', '.join(LISTS)}, and below it the clips, named by their YouTube ids"
)
AUDIO = {".wav", ".flac", ".ogg", ".opus", ".mp3"}
# The id alone; what downloaders add: Y before it, start (and end) of the clip after it.
NAME = re.compile(r"(?:(?P<bare>[\w-]{11})|Y(?P<marked>[\w-]{11}))(?:[_-]\d+(?:\.\d+)?){0,2}")


def read(root: Path) -> Reading:
    """The clips with an instrument, as multi-label sets; a class where one instrument is left.

    An instrument is left when none below it is named as well: of a clip called guitar and acoustic guitar it is the
    second.
    """
    lists = [name for name in LISTS if (root / name).is_file()]
    if not (root / ONTOLOGY).is_file() or not lists:
        raise wrong_root(root, HOLDS)
    names, above = instruments(root / ONTOLOGY)
    files: dict[str, str] = {}
    spare: list[str] = []
    unnamed: list[str] = []
    for path in audio_below(root):
        clip = youtube_id(Path(path).stem)
        if clip is None:
            unnamed.append(path)
        elif files.setdefault(clip, path) != path:
            spare.append(path)
    clips: list[Clip] = []
    labels: dict[str, list[tuple[str, str, float]]] = {"balanced": [], "eval": []}
    listed = 0
    for name in lists:
        for clip, marks in rows(root / name):
            found = sorted(marks & names.keys())
            listed += bool(found)
            if not found or clip not in files:
                continue
            covered = set().union(*(above[mark] for mark in found))
            left = [mark for mark in found if mark not in covered]
            classes = {"instrument": names[left[0]]} if len(left) == 1 else {}
            clips.append(Clip(files[clip], LISTS[name], classes=classes))
            for split in labels.keys() & set(LISTS[name]):
                labels[split] += [(files[clip], names[mark], float(mark in marks)) for mark in names]
    if not clips:
        raise PtselError(
            f"{root}: {listed:,} clips of {', '.join(lists)} hold an instrument, and the audio of none is below this "
            f"folder; expected files such as --4gqARaEJE.wav, Y--4gqARaEJE.wav or --4gqARaEJE_0_10.flac"
        )
    remarks = [
        f"Of {listed:,} clips with an instrument in {', '.join(lists)}, the audio of {len(clips):,} is here; videos "
        "are withdrawn from YouTube, so two copies of AudioSet are seldom equal. Name the number beside a result."
    ]
    for paths, what in (
        (unnamed, "have no YouTube id in their names"),
        (spare, "have the id of another file"),
    ):
        if paths:
            remarks.append(f"Not used: {len(paths)} files that {what} {examples(paths)}.")
    clips.sort(key=lambda clip: clip.path)
    return Reading(
        root,
        clips,
        labels={split: sorted(found) for split, found in labels.items() if found},
        remarks=remarks,
    )


def instruments(file: Path) -> tuple[dict[str, str], dict[str, set[str]]]:
    """Names of all marks below "Musical instrument", in the file's order, and the marks above each."""
    try:
        entries = {entry["id"]: entry for entry in read_json(file)}
        above: dict[str, set[str]] = {}
        waiting = [(child, set[str]()) for child in entries[INSTRUMENT]["child_ids"]]
        while waiting:
            mark, parents = waiting.pop()
            above[mark] = above.get(mark, set()) | parents
            waiting += [(child, parents | {mark}) for child in entries[mark]["child_ids"]]
        return {mark: entries[mark]["name"] for mark in entries if mark in above}, above
    except (ValueError, KeyError, TypeError) as error:
        raise PtselError(
            f"{file}: expected AudioSet's ontology, a list of entries with id, name and child_ids; found {error!r}"
        ) from None


def rows(file: Path) -> Iterator[tuple[str, set[str]]]:
    """YouTube id and marks of each line ``YTID, start, end, "mark,mark"``; lines that begin with # are comments."""
    lines = read_lines(file, "lines such as '--4gqARaEJE, 0.000, 10.000, \"/m/0342h\"'")
    for number, row in enumerate(csv.reader(lines, skipinitialspace=True), 1):
        if row and row[0].startswith("#"):
            continue
        if len(row) != 4:
            raise PtselError(
                f'{file}, line {number}: expected YTID, start, end and "marks", found {len(row)} fields'
            )
        yield row[0], set(row[3].split(","))


def audio_below(root: Path) -> Iterator[str]:
    """Paths of audio files, relative to `root`, in an order that does not depend on the file system."""
    yield from look_into(root, AUDIO).files


def youtube_id(stem: str) -> str | None:
    """The id in a clip's file name, None if there is none."""
    match = NAME.fullmatch(stem)
    return match and (match["bare"] or match["marked"])


CORPUS = Corpus(
    name="audioset",
    title="AudioSet, musical instruments",
    holds=HOLDS,
    read=read,
    published={},
    source="no count of this subset",
    convert=True,
    searched=True,
    seconds=10.0,
)
