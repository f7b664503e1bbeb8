"""By what a recording is known again: its content, not its path and length.

A file whose size and time of modification are as they were is taken to be as it was, and one of another size is
another. Only where the size is the same and the time is not does the content, by its SHA-256, decide.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import file_checksum

# One row of an array of identities; all zeros, which no file has, where there is none yet.
IDENTITY = np.dtype([("size", "<i8"), ("mtime_ns", "<i8"), ("sha256", "u1", (32,))])


class Identity(NamedTuple):
    """What a file held: its size in bytes, when it was modified (nanoseconds), and the SHA-256 of its content."""

    size: int
    mtime_ns: int
    sha256: str

    @classmethod
    def of(cls, file: Path | str) -> Identity:
        """The identity of a file as it is now, which reads all of it.

        To be taken before the file is read for its content, so that a change in between shows afterwards.

        Raises:
            PtselError: there is no such file, or it cannot be read.
        """
        try:
            found = os.stat(file)
            return cls(found.st_size, found.st_mtime_ns, file_checksum(Path(file)))
        except OSError as error:
            raise PtselError(f"{file}: cannot be read ({error.strerror or error})") from None

    def is_of(self, file: Path | str, thorough: bool = False) -> bool:
        """Whether a file is still what it was.

        Args:
            thorough: compare the content even where size and time of modification agree.

        Raises:
            PtselError: the file cannot be read; one that is not there is merely not what it was.
        """
        try:
            found = os.stat(file)
            if found.st_size != self.size:
                return False
            same_time = found.st_mtime_ns == self.mtime_ns
            return (same_time and not thorough) or file_checksum(Path(file)) == self.sha256
        except FileNotFoundError:
            return False
        except OSError as error:
            raise PtselError(f"{file}: cannot be read ({error.strerror or error})") from None


def to_array(identities: Iterable[Identity]) -> np.ndarray:
    """Identities as rows of the type `IDENTITY`, [N]."""
    rows = [(size, time, np.frombuffer(bytes.fromhex(sha256), np.uint8)) for size, time, sha256 in identities]
    return np.array(rows, dtype=IDENTITY)


def from_row(row: np.void) -> Identity:
    """The identity in one row of an array of type `IDENTITY`."""
    return Identity(int(row["size"]), int(row["mtime_ns"]), row["sha256"].tobytes().hex())


def changed(
    identities: np.ndarray | Sequence[Identity],
    files: Iterable[Path],
    thorough: bool = False,
    or_absent: bool = True,
) -> list[int]:
    """Positions of the files that are not what they were.

    Args:
        identities: one for each file, as an array of type `IDENTITY` or as they are.
        thorough: see `Identity.is_of`.
        or_absent: whether a file that is not there any more is one of them.
    """
    rows = map(from_row, identities) if isinstance(identities, np.ndarray) else iter(identities)
    return [
        i
        for i, (row, file) in enumerate(zip(rows, files, strict=True))
        if not row.is_of(file, thorough) and (or_absent or not row.sha256.strip("0") or os.path.exists(file))
    ]
