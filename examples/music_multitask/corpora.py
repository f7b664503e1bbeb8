"""From an empty folder to one manifest of rendered scores and single notes, and the label store of its recordings."""

from __future__ import annotations

from collections.abc import Mapping

from settings import HOURS, NOTE_TEST_SHARE, NOTES, SCORES, VALID_SHARE, Settings
from study_tools.fetched import draw, fetch, first_by_checksum, ptsel, recordings
from study_tools.stream import Stream

from ptsel_fairseq.base.files import write_text
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.labels.store.reader import LabelStore

SPLIT = "pool"


def prepare(settings: Settings) -> None:
    """Fetch, choose the recordings, compute every label; what is there stays."""
    fetch(settings, (NOTES,))
    fetch(settings, (SCORES,), "--hours", HOURS)
    chosen = {**pieces(settings), **notes(settings)}
    rows = [f"{path}\t{samples}" for path, samples in sorted(chosen.items())]
    text = "\n".join([str(settings.corpora), *rows]) + "\n"
    file = settings.out / "data" / f"{SPLIT}.tsv"
    if not file.is_file() or file.read_text() != text:
        write_text(file, text)
    ptsel(
        settings, "extract", "extract", file.parent, "--splits", SPLIT, "--labels", *settings.labels,
        "--store", settings.out / "store", "--dtype", "float16", "--jobs", 1,
    )  # fmt: skip


def notes(settings: Settings) -> dict[str, int]:
    """Single notes and their samples, by path below the corpora's folder."""
    return recordings(settings, NOTES)


def pieces(settings: Settings) -> dict[str, int]:
    """Rendered scores likewise, of the training part and of the test part the first by checksum."""
    parts = {"train": ("train", "valid"), "test": ("test",)}
    found: dict[str, int] = {}
    for part, splits in parts.items():
        there = recordings(settings, SCORES, splits)
        found |= {path: there[path] for path in first_by_checksum(there, settings.pieces[part])}
    return found


class Parts:
    """Which part a recording belongs to: of rendered scores their corpus's own, of notes by a checksum."""

    def __init__(self, settings: Settings) -> None:
        self._test = set(recordings(settings, SCORES, ("test",)))
        self._valid = set(recordings(settings, SCORES, ("valid",)))

    def is_test(self, path: str) -> bool:
        return path in self._test or (_is_note(path) and draw(f"note {path}") < NOTE_TEST_SHARE)

    def is_valid(self, path: str) -> bool:
        """Whether probes choose their penalty on it, if it is not of the test part."""
        return path in self._valid or (_is_note(path) and draw(f"valid {path}") < VALID_SHARE)


def _is_note(path: str) -> bool:
    return path.startswith(f"{NOTES}/")


def stream_of(settings: Settings, parts: Parts) -> Stream:
    manifest = read_manifest(settings.out / "data" / f"{SPLIT}.tsv")
    return Stream(manifest, LabelStore(settings.out / "store", SPLIT), parts.is_test)


def present(settings: Settings) -> dict[str, Mapping[str, float]]:
    """Path below the corpora's folder -> instrument -> 1 if it plays, else 0; of every rendered score."""
    root = settings.corpora / SCORES
    found: dict[str, dict[str, float]] = {}
    for split in ("train", "valid", "test"):
        manifest = read_manifest(root / f"{split}.tsv")
        below = manifest.root.resolve().relative_to(settings.corpora.resolve()).as_posix()
        for line in (root / "labels" / f"{split}.tsv").read_text().splitlines()[1:]:
            path, instrument, relevance = line.split("\t")
            found.setdefault(f"{below}/{path}", {})[instrument] = float(relevance)
    return found
