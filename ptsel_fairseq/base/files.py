"""Write files whole or not at all, lock folders, and name sizes and times."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ptsel_fairseq.base.errors import PtselError


@contextlib.contextmanager
def replacing(file: Path | str) -> Iterator[Path]:
    """A name beside `file` to write to; it takes the place of `file` when the block ends without an error.

    Makes the folder. After an error nothing is left of it, and a `file` that was there stays as it was.

    Raises:
        PtselError: the operating system refuses.
    """
    file = Path(file)
    partial = file.with_name(file.name + ".partial")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, file)
    except OSError as error:
        with contextlib.suppress(OSError):  # the folder may be none
            partial.unlink()
        raise PtselError(f"{file}: cannot be written ({error.strerror or error})") from None
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_text(file: Path | str, text: str) -> None:
    """Write UTF-8 text as it is, line endings included, by `replacing`."""
    with replacing(file) as partial:
        partial.write_text(text, encoding="utf-8", newline="")


def write_lines(file: Path | str, lines: Iterable[str]) -> Path:
    """Write lines of UTF-8 text, each with a line feed at its end; returns the file."""
    write_text(file, "".join(f"{line}\n" for line in lines))
    return Path(file)


@contextlib.contextmanager
def locked_folder(folder: Path, busy: str) -> Iterator[None]:
    """Make a folder, and keep other processes that lock it out for as long as the block runs.

    The folder itself is locked, which leaves no file behind and ends with the process.

    Raises:
        PtselError: `busy`, if another process has it.
        OSError: it cannot be made or opened.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PtselError(busy) from None
        yield
    finally:
        os.close(lock)


def file_checksum(file: Path) -> str:
    """SHA-256 of a file's content, read in pieces."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def readable_size(size: float) -> str:
    """Bytes for reading, such as ``1.5 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def readable_time(seconds: float) -> str:
    """Seconds for reading, such as ``3 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 600:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
