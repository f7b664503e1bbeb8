"""The header of a split that is being written: whether a store can take what is asked for, and what it then says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import write_text
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.manifest import Manifest
from ptsel_fairseq.labels.label import Label
from ptsel_fairseq.labels.store.reader import FORMAT, HEADER, read_header


def header_for(
    folder: Path, manifest: Manifest, labels: Sequence[Label], grid: FrameGrid, dtype: str
) -> dict[str, Any]:
    """The header that is there, or one without labels.

    Raises:
        PtselError: a store that these labels cannot be added to, see `StoreWriter`.
    """
    if not (folder / HEADER).exists():
        return {"grid": vars(grid), "manifest_checksum": manifest.checksum, "labels": {}}
    header = read_header(folder)
    same = header["manifest_checksum"] == manifest.checksum
    if not same and header["labels"] and header.get("recordings") is None:
        without = len(header.get("skipped", {}).get("lines", ()))
        hint = f" (one without {without} skipped files)" if without else ""
        raise PtselError(
            f"{folder}: version 0.1 made this store from another manifest than {manifest.file}{hint}, and did not keep "
            "which recordings its rows are of; give another --store, or remove this one"
        )
    if header["grid"] != vars(grid):
        raise PtselError(
            f"{folder}: this store is on another frame grid ({header['grid']}); give another --store"
        )
    for label in labels:
        entry = header["labels"].get(label.name)
        if entry is None:
            continue
        if entry["info"]["version"] != label.version:
            raise PtselError(
                f"{folder}: {label.name} is of definition {entry['info']['version']}, this version of ptsel makes "
                f"{label.version}; extract into another --store"
            )
        stored = entry.get("dtype", "float32")
        if not same and stored != dtype:
            raise PtselError(
                f"{folder}: {label.name} is stored as {stored}, and would be completed as {dtype}; give --dtype "
                f"{stored}, or another --store"
            )
    return header


def write_header(
    folder: Path,
    manifest: Manifest,
    grid: FrameGrid,
    labels: Mapping[str, Any],
    recordings: str | None,
    skipped: Mapping[str, Any] | None,
) -> None:
    """Write the header of a split.

    Args:
        labels: entries by name, of `reader.finished_entry`.
        recordings: checksum of their list; None while it is being replaced.
        skipped: which lines of which manifest this one lacks.
    """
    header = {
        "format": FORMAT,
        "grid": vars(grid),
        "manifest": manifest.file.name,
        "manifest_checksum": manifest.checksum,
        **({} if recordings is None else {"recordings": recordings}),
        "labels": dict(sorted(labels.items())),
        **({} if skipped is None else {"skipped": skipped}),
    }
    write_text(folder / HEADER, json.dumps(header, indent=1))
