"""MTG-Jamendo (Bogdanov et al. 2019): genres, instruments, and moods and themes of whole tracks, several at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_lines
from ptsel_fairseq.downstream.corpora.corpus import Clip, Corpus, Reading, check_none, wrong_root

LISTS = Path("data") / "splits" / "split-0"
AUDIO = "audio"
COLUMNS = ("TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS")
TASKS = ("genre", "instrument", "moodtheme", "top50tags")
SPLITS = {"train": "train", "validation": "valid", "test": "test"}
LOW = ".low.mp3"  # of the smaller copies that are published beside the first ones
HOLDS = (
    f"the folder of the corpus with {LISTS.as_posix()}/autotagging_TASK-train.tsv, -validation.tsv and -test.tsv for "
    f"one of {', '.join(TASKS)}, and {AUDIO}/14/214.mp3 or {AUDIO}/14/214{LOW}"
)


@dataclass(frozen=True)
class Track:
    """A line of a list."""

    artist: str
    path: str
    tags: frozenset[str]


def read(root: Path) -> Reading:
    """The published split 0 of each task whose three lists are there.

    A tag that a track of a task has not is taken for absent, as the published evaluation does.
    """
    tasks = [task for task in TASKS if all((root / list_of(task, name)).is_file() for name in SPLITS)]
    if not tasks or not (root / AUDIO).is_dir():
        raise wrong_root(root, HOLDS)
    splits: dict[str, list[str]] = {}
    artists: dict[str, str] = {}
    labels: dict[str, list[tuple[str, str, float]]] = {}
    for task in tasks:
        by_split = {
            split: list(tracks(root / list_of(task, name), root / AUDIO)) for name, split in SPLITS.items()
        }
        check_artists_apart(root, task, by_split)
        names = sorted({tag for own in by_split.values() for track in own for tag in track.tags})
        for split, own in by_split.items():
            for track in own:
                artists[track.path] = track.artist
                splits.setdefault(track.path, []).append(f"{task}/{split}")
            labels[f"{task}/{split}"] = [
                (track.path, name, float(name in track.tags))
                for track in sorted(own, key=lambda track: track.path)
                for name in names
            ]
    clips = [
        Clip(path, tuple(own), classes={"artist": artists[path]}) for path, own in sorted(splits.items())
    ]
    return Reading(root / AUDIO, clips, labels=labels)


def list_of(task: str, split: str) -> Path:
    """The list of one split, below the root."""
    return LISTS / f"autotagging_{task}-{split}.tsv"


def tracks(file: Path, audio: Path) -> Iterator[Track]:
    """The tracks of a list; each tag is a column of its own, as many as there are."""
    lines = read_lines(file, f"the columns {', '.join(COLUMNS)}")
    if not lines or tuple(lines[0].split("\t")) != COLUMNS:
        found = lines[0] if lines else "nothing"
        raise PtselError(f"{file}, line 1: expected the columns {', '.join(COLUMNS)}, found {found!r}")
    for number, line in enumerate(lines[1:], 2):
        fields = line.split("\t")
        tags = [tag.partition("---") for tag in fields[len(COLUMNS) - 1 :]]
        if not tags or not all(category and name for category, _, name in tags):
            raise PtselError(
                f"{file}, line {number}: expected {', '.join(COLUMNS[:-1])} and tags such as "
                f"mood/theme---happy, found {line!r}"
            )
        yield Track(fields[1], there(fields[3], audio), frozenset(f"{kind}/{name}" for kind, _, name in tags))


def there(path: str, audio: Path) -> str:
    """The path of the copy that is there; the larger one's if none is."""
    low = path.removesuffix(".mp3") + LOW
    return low if not (audio / path).is_file() and (audio / low).is_file() else path


def check_artists_apart(root: Path, task: str, by_split: dict[str, list[Track]]) -> None:
    """The published splits share no artist; lists that do are damaged or of another split."""
    splits_of: dict[str, set[str]] = {}
    for split, own in by_split.items():
        for track in own:
            splits_of.setdefault(track.artist, set()).add(split)
    shared = sorted(artist for artist, splits in splits_of.items() if len(splits) > 1)
    check_none(shared, root, f"artists are in two splits of {task}", "take all lists from one split")


CORPUS = Corpus(
    name="mtg-jamendo",
    title="MTG-Jamendo, split 0",
    holds=HOLDS,
    read=read,
    published={
        "genre/train": (32572, 2212.6),
        "genre/valid": (11043, 714.2),
        "genre/test": (11479, 808.2),
        "instrument/train": (14395, 934.7),
        "instrument/valid": (5466, 337.1),
        "instrument/test": (5115, 356.6),
        "moodtheme/train": (9949, 611.0),
        "moodtheme/valid": (3802, 223.0),
        "moodtheme/test": (4231, 261.1),
        "top50tags/train": (32136, 2183.8),
        "top50tags/valid": (10888, 703.6),
        "top50tags/test": (11356, 801.0),
    },
    source="tracks and durations of the lists of its repository",
    convert=True,
)
