"""Which of a folder's ``.tsv`` files are manifests."""

from __future__ import annotations

from pathlib import Path

from ptsel_fairseq.base.class_file import is_class_header
from ptsel_fairseq.base.manifest import BYTE_ORDER_MARK

USUAL_SPLITS = ("train", "valid", "dev", "test")


def manifests_of(folder: Path) -> list[Path]:
    """The manifests among a folder's ``.tsv`` files, sorted; class files and other tables are passed over.

    A manifest has the audio folder on its first line and ``path<TAB>samples`` on the second.
    """
    return [file for file in sorted(folder.glob("*.tsv")) if looks_like_manifest(file)]


def looks_like_manifest(file: Path) -> bool:
    """Whether the first line of a file is a folder, or the second is ``path<TAB>samples``.

    A file of a split's usual name is taken for a manifest whatever it holds (but a class file), so that its faults
    are said.
    """
    try:
        with file.open(encoding="utf-8", errors="replace") as lines:
            first, second = lines.readline(), lines.readline()
    except OSError:
        return False
    header = first.strip().removeprefix(BYTE_ORDER_MARK)
    if file.stem in USUAL_SPLITS and not is_class_header(header):
        return True
    if "\t" in header or not header:
        return False
    path, tab, samples = second.rstrip("\r\n").partition("\t")
    return (file.parent / header).is_dir() or bool(path and tab and samples.strip().isdecimal())
