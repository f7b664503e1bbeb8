"""Which files of a folder are audio, which were passed over, and what their copies are called."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ptsel_fairseq.base.errors import PtselError

# formats without a header, by suffix: FFmpeg's name
SUFFIXES = frozenset(
    (
        *(
            ".3gp",
            ".aac",
            ".ac3",
            ".aif",
            ".aifc",
            ".aiff",
            ".amr",
            ".ape",
            ".au",
            ".awb",
            ".caf",
            ".flac",
            ".g722",
        ),
        *(
            ".m4a",
            ".m4b",
            ".mka",
            ".mkv",
            ".mov",
            ".mp2",
            ".mp3",
            ".mp4",
            ".mpc",
            ".nist",
            ".oga",
            ".ogg",
            ".opus",
        ),
        *(
            ".ra",
            ".rf64",
            ".snd",
            ".sph",
            ".spx",
            ".tta",
            ".voc",
            ".w64",
            ".wav",
            ".wave",
            ".webm",
            ".wma",
            ".wv",
        ),
    )
)

PIECE_NAME = re.compile(r"(.+)\.part\d{4,}\.flac")
UNUSABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]"
)  # a manifest has lines and tabs, in UTF-8


@dataclass(frozen=True)
class AudioFolder:
    """What a folder holds.

    Attributes:
        root: the folder.
        files: audio by its suffix, paths below `root` with ``/``, sorted.
        passed_over: files of other suffixes, counted by suffix in lower case (``""`` for none).
        hidden: files and folders whose name begins with a dot; what such folders hold is not counted.
    """

    root: Path
    files: tuple[str, ...]
    passed_over: dict[str, int]
    hidden: int

    def describe(self) -> str:
        """What was passed over, in a line; empty if nothing was."""
        parts = [
            f"{count} {suffix or 'without a suffix'}" for suffix, count in sorted(self.passed_over.items())
        ]
        if self.hidden:
            parts.append(f"{self.hidden} hidden")
        return f"passed over: {', '.join(parts)}" if parts else ""


def look_into(root: Path, suffixes: Iterable[str] = SUFFIXES) -> AudioFolder:
    """Search a folder and all folders below it, links to folders included, for files with the `suffixes`."""
    known, hidden = frozenset(suffixes), 0
    found: list[str] = []
    others: Counter[str] = Counter()
    seen: set[str] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link to a folder above
            folders.clear()
            continue
        seen.add(real)
        hidden += sum(name.startswith(".") for name in (*folders, *files))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            if name.startswith("."):
                continue
            suffix = Path(name).suffix.lower()
            if suffix in known:
                found.append((Path(folder) / name).relative_to(root).as_posix())
            else:
                others[suffix] += 1
    return AudioFolder(root, tuple(sorted(found)), dict(others), hidden)


def copy_names(paths: Iterable[str]) -> dict[str, str]:
    """The path of each file's copy: the same with .flac, letters composed (NFC), nothing that a manifest cannot hold.

    Files that differ by their suffix only, or by upper and lower case, keep their suffix: ``a.mp3.flac``,
    ``a.wav.flac``.

    Raises:
        PtselError: two files whose copies would have one name all the same.
    """
    paths = list(paths)
    plain = {path: clean(str(Path(path).with_suffix(".flac").as_posix())) for path in paths}
    counts = Counter(name.casefold() for name in plain.values())
    names = {
        path: name if counts[name.casefold()] == 1 else clean(f"{path}.flac") for path, name in plain.items()
    }
    taken: dict[str, str] = {}
    for path, name in names.items():
        piece = PIECE_NAME.fullmatch(name)
        first = taken.setdefault(name.casefold(), path)
        if first != path:
            raise PtselError(f"{first!r} and {path!r}: both would be written as {name!r}; rename one of them")
        if piece and f"{piece[1]}.flac".casefold() in counts:
            raise PtselError(
                f"{path!r}: its copy {name!r} has the name of a piece of another file; rename it"
            )
    return names


def clean(path: str) -> str:
    """A path as a manifest can hold it: control characters and bytes that are no UTF-8 become ``_``, letters NFC."""
    return unicodedata.normalize("NFC", UNUSABLE.sub("_", path)).strip()
