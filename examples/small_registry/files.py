"""Text files of a run, each written in full or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ptsel_fairseq.base.files import write_text

ROOT = Path(__file__).resolve().parents[2]


def write(file: Path, text: str, keep: bool = False) -> None:
    """Write a file; not again if it holds the text, or with `keep` if it is there."""
    if not file.is_file() or not (keep or file.read_text() == text):
        write_text(file, text)


def lines(rows: Sequence[str]) -> str:
    return "".join(f"{row}\n" for row in rows)
