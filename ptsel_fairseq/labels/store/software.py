"""Which program computed a stored label: said before the work, written into the header, never mixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.labels.label import Label
from ptsel_fairseq.labels.store.header import HEADER, SOFTWARE, read_header, software_of


def announce_software(labels: Sequence[Label]) -> None:
    """Say which programs other than this package compute labels, and under which licence."""
    for software in dict.fromkeys(label.software for label in labels):
        if software is not None:
            print(f"labels by {software.name} {software.version}; licence: {software.licence}")


def software_entry(label: Label) -> dict[str, Any]:
    """For a label's entry of the header: name, version and licence of the program, nothing for this package."""
    return {} if label.software is None else {SOFTWARE: asdict(label.software)}


def check_software(store: Path, labels: Sequence[Label]) -> None:
    """Raise PtselError if any split of a store has one of the labels by another program, or another version of it.

    Splits are looked at together, because the statistics of one are used for the others.
    """
    for file in sorted(store.glob(f"*/{HEADER}")):
        entries = read_header(file.parent)["labels"]
        for label in labels:
            if label.name not in entries:
                continue
            wanted, found = software_of(software_entry(label)), software_of(entries[label.name])
            if wanted != found:
                raise PtselError(
                    f"{file.parent}: {label.name} is there as computed by {found}, this would be by {wanted}; a store "
                    "holds one of them; extract into another --store"
                )
