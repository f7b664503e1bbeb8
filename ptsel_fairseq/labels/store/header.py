"""The header of a split: what it says of each label, whether a store can take more labels, and what it then says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import write_text
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.json_file import read_json
from ptsel_fairseq.base.manifest import Manifest
from ptsel_fairseq.labels.label import Label

FORMAT = 1
HEADER = "header.json"
LENGTHS = "lengths.npy"
DTYPES = ("float32", "float16")
CODE_DTYPES = ("int16", "int32")  # of labels whose track is a code
SOFTWARE = "backend"  # in a label's entry of the header, if another program computed it
THIS_PACKAGE = "ptsel_fairseq itself"


@dataclass(frozen=True)
class LabelInfo:
    """What a label is.

    Attributes:
        unit: of its values; statistics and tracks are in this unit.
        undefined: when it has no value, in words; None if it always has one.
        unvoiced_value: what openSMILE prints there, used by the estimator `reference` only.
        version: of the definition; raised whenever its values change.
        codes: how many codes there are, of a label whose track is a code (0, 1, ...) of each frame; None of others.
    """

    name: str
    dim: int
    unit: str
    description: str
    version: int
    parameters: dict[str, Any]
    undefined: str | None = None
    unvoiced_value: float | None = None
    codes: int | None = None


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of each dimension over the `frames` valid frames of a split, float64 [dim].

    Attributes:
        counts: of a label of codes, how many of the frames have each code, int64 [codes]; None of others.
    """

    mean: np.ndarray
    std: np.ndarray
    frames: int
    counts: np.ndarray | None = None


def read_header(folder: Path) -> dict[str, Any]:
    """The header of one split's folder; raise PtselError if it is absent or of another format."""
    file = folder / HEADER
    try:
        header = read_json(file)
    except FileNotFoundError:
        state = "an extraction that has not finished" if list(folder.glob("*.partial")) else "nothing"
        raise PtselError(
            f"{folder}: expected a label store with {HEADER}, found {state}; run `ptsel extract`"
        ) from None
    except (OSError, ValueError) as error:  # not UTF-8, not JSON
        raise PtselError(f"{file}: the header of the label store cannot be read ({error})") from None
    if not isinstance(header, dict):
        raise PtselError(
            f"{file}: expected the header of a label store, found {type(header).__name__}; "
            f"remove {folder} and extract it again"
        )
    if header.get("format") != FORMAT:
        raise PtselError(
            f"{file}: a label store of format {header.get('format')}, this version reads {FORMAT}; extract it again"
        )
    try:
        FrameGrid(**header["grid"])
        header["manifest_checksum"]
        for entry in header["labels"].values():
            LabelInfo(**entry["info"])
            entry["checksums"].items()
            dtype_of(entry)
            if (LabelInfo(**entry["info"]).codes is None) != (statistics_of(entry).counts is None):
                raise ValueError("codes without counts, or counts without codes")
            software_of(entry)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, PtselError) as error:
        raise PtselError(
            f"{file}: the header of the label store is damaged ({error!r}); remove {folder} and extract it again"
        ) from None
    return header


def software_of(entry: dict[str, Any]) -> str:
    """The program that computed a label, by its entry of the header."""
    found = entry.get(SOFTWARE)
    return THIS_PACKAGE if found is None else f"{found['name']} {found['version']}"


def statistics_of(entry: dict[str, Any]) -> Statistics:
    found = entry["statistics"]
    return Statistics(
        np.array(found["mean"], dtype=np.float64),
        np.array(found["std"], dtype=np.float64),
        int(found["frames"]),
        np.array(found["counts"], dtype=np.int64) if "counts" in found else None,
    )


def dtype_of(entry: dict[str, Any]) -> type:
    name = entry.get("dtype", "float32")
    if name not in DTYPES + CODE_DTYPES:
        raise ValueError(f"dtype {name!r}")
    kind: type = np.dtype(name).type
    return kind


def finished_entry(
    plan: dict[str, Any], statistics: Statistics, checksums: dict[str, str], command: str
) -> dict[str, Any]:
    """How one finished label stands in the header.

    Args:
        plan: what decides its values, see `plan`.
        checksums: SHA-256 of its arrays, by file name.
        command: the command line that asked for it.
    """
    program = {SOFTWARE: plan[SOFTWARE]} if SOFTWARE in plan else {}
    return {
        "info": plan["info"],
        "dtype": plan["dtype"],
        "statistics": {
            "mean": statistics.mean.tolist(),
            "std": statistics.std.tolist(),
            "frames": statistics.frames,
            **({} if statistics.counts is None else {"counts": statistics.counts.tolist()}),
        },
        "checksums": checksums,
        "origin": plan["origin"],
        **program,
        "device": plan["device"],
        "software": plan["software"],
        "command": command,
    }


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
