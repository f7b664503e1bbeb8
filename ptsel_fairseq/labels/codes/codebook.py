"""A codebook: what gives each frame of a label its code. It is kept in the store, so that all splits have the same.

``STORE/codebooks/NAME.json`` says what it was made of, ``NAME.<array>.npy`` holds its arrays. It is written once, the
JSON file last, and never changed: a code means the same in every split, and in those that come later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ptsel_fairseq.base.array_file import load_array
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import WholeFile, file_checksum, write_text
from ptsel_fairseq.base.json_file import read_json

FOLDER = "codebooks"
FORMAT = 1
FRAMES_AT_ONCE = 1 << 12
TINY = 1e-30


@dataclass(frozen=True)
class Codebook:
    """Centres, one for each code, and what is done to a frame before it is compared with them.

    A frame x [dim] becomes ``x - mean`` over ``std``, times ``projection``, each where there is such an array. Its code
    is the number of the nearest of the ``centres`` [codes, width]; with ``unit`` both have length one first.

    Attributes:
        kind: ``kmeans`` or ``random``.
        label: whose frames are coded.
        of: the definition of that label in the store, version and parameters.
        settings: what the codebook was made by, for the record: seed, split, frames.
        arrays: by name, float64.
    """

    kind: str
    label: str
    of: Mapping[str, Any]
    settings: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray] = field(repr=False)
    unit: bool = False

    @property
    def codes(self) -> int:
        return len(self.arrays["centres"])

    def code(self, values: np.ndarray) -> np.ndarray:
        """The code of each frame: values [frames, dim] -> int64 [frames]; of equally near centres the first."""
        centres = self.arrays["centres"]
        if self.unit:
            centres = _unit(centres)
        found = np.empty(len(values), np.int64)
        lengths = np.square(centres).sum(axis=1)
        for first in range(0, len(values), FRAMES_AT_ONCE):
            points = self._projected(values[first : first + FRAMES_AT_ONCE])
            # |x - c|² without |x|², which is the same for all centres.
            found[first : first + FRAMES_AT_ONCE] = (lengths - 2 * points @ centres.T).argmin(axis=1)
        return found

    def _projected(self, values: np.ndarray) -> np.ndarray:
        points = values.astype(np.float64)
        if "mean" in self.arrays:
            points = (points - self.arrays["mean"]) / self.arrays["std"]
        if "projection" in self.arrays:
            points = points @ self.arrays["projection"]
        return _unit(points) if self.unit else points

    def checksum(self) -> str:
        """SHA-256 of everything that decides a code."""
        digest = hashlib.sha256(json.dumps([self.kind, self.label, self.of, self.unit]).encode())
        for name, array in sorted(self.arrays.items()):
            digest.update(f"{name} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
        return digest.hexdigest()


def _unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length one; of zeros where they were zeros."""
    lengths = np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
    unit: np.ndarray = rows / np.maximum(lengths, TINY)
    return unit


def codebook_file(store: Path, name: str) -> Path:
    return store / FOLDER / f"{name}.json"


def save_codebook(store: Path, name: str, codebook: Codebook, command: str) -> None:
    """Write a codebook into a store; the folder must be locked by the caller."""
    file = codebook_file(store, name)
    checksums = {}
    for key, array in codebook.arrays.items():
        array_file = file.with_name(f"{name}.{key}.npy")
        with WholeFile(array_file) as out:
            np.save(out, np.ascontiguousarray(array, dtype=np.float64))
        checksums[key] = file_checksum(array_file)
    content = {
        "format": FORMAT,
        "kind": codebook.kind,
        "label": codebook.label,
        "of": codebook.of,
        "unit": codebook.unit,
        "settings": codebook.settings,
        "arrays": checksums,
        "command": command,
    }
    write_text(file, json.dumps(content, indent=1))


def load_codebook(store: Path, name: str) -> Codebook | None:
    """The codebook of a name in a store, None if there is none; raise PtselError for one that is damaged."""
    file = codebook_file(store, name)
    if not file.exists():
        return None
    advice = "remove it and the label in every split, and make the codes again"
    try:
        content = read_json(file)
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}, this version reads {FORMAT}")
        arrays = {}
        for key, checksum in content["arrays"].items():
            array_file = file.with_name(f"{name}.{key}.npy")
            if file_checksum(array_file) != checksum:
                raise ValueError(f"{array_file.name} is not the array that was written")
            arrays[key] = np.array(load_array(array_file), dtype=np.float64)
        codebook = Codebook(
            content["kind"], content["label"], content["of"], content["settings"], arrays, content["unit"]
        )
        if arrays["centres"].ndim != 2:
            raise ValueError("centres of another shape")
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise PtselError(f"{file}: the codebook cannot be read ({error}); {advice}") from None
    return codebook
