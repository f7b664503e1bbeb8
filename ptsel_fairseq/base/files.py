"""Write files whole or not at all, lock folders, and name sizes and times."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from ptsel_fairseq.base.errors import BusyError, PtselError

UNFINISHED = ".ptsel-", ".partial"  # beginning and end of the names of files that are being written


class WholeFile:
    """Write a file so that its name stands for the old content or the whole new one at any moment.

    ``with WholeFile(file) as out: out.write(...)`` gives a binary file of a name that nobody can foresee, made anew
    beside `file`. It takes the place of `file`, never of what a link there points to, when the block ends without an
    error; otherwise nothing is left of it. Of several writers of one file, each puts its whole file there, the last
    one last. The folder is made. A file that is replaced passes on its permissions.

    Args:
        file: the name in the end.
        sync: whether to wait until the content is on the disk before it gets its name. Without it a machine that
            loses power may leave a file of zeros, which is right only for what is checked before it is used again.

    Raises:
        PtselError: the operating system refuses, or an OSError leaves the block.
    """

    def __init__(self, file: Path | str, sync: bool = True) -> None:
        self.file = Path(file)
        self._sync = sync
        self._out: BinaryIO | None = None
        self._unfinished = self.file

    def __enter__(self) -> BinaryIO:
        for last in (False, False, True):
            try:
                self.file.parent.mkdir(parents=True, exist_ok=True)
                _remove_leftovers(self.file.parent)
                self._out = self._made()
                break
            except OSError as error:
                # Another process may remove the folder as soon as it is made.
                if last or not isinstance(error, FileNotFoundError):
                    raise self._refused(error) from None
        assert self._out is not None
        return self._out

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._out is not None
        try:
            if error is None:
                self._finish(self._out)
            else:
                self._remove()
        except OSError as refusal:
            self._remove()
            raise self._refused(refusal) from None
        except BaseException:
            self._remove()
            raise
        if isinstance(error, OSError):
            raise self._refused(error) from None

    def _made(self) -> BinaryIO:
        """A new file that is locked for as long as it is open, which tells it from what a killed process left."""
        while True:
            unfinished = self.file.with_name(f"{UNFINISHED[0]}{secrets.token_hex(8)}{UNFINISHED[1]}")
            found = os.open(
                unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666
            )
            out = os.fdopen(found, "w+b")
            try:
                fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
                lost = os.fstat(found).st_nlink == 0
            except BlockingIOError:
                lost = True
            except OSError:  # a file system without locks: nobody will take it for a leftover there either
                lost = False
            if not lost:
                self._unfinished = unfinished
                return out
            out.close()  # another process took it for a leftover before it was locked

    def _finish(self, out: BinaryIO) -> None:
        out.flush()
        with contextlib.suppress(FileNotFoundError):
            before = os.lstat(self.file)
            if stat.S_ISREG(before.st_mode):
                os.fchmod(out.fileno(), stat.S_IMODE(before.st_mode))
        if self._sync:
            os.fsync(out.fileno())
        os.replace(self._unfinished, self.file)
        out.close()

    def _remove(self) -> None:
        """Leave nothing behind, whatever the disk says of what is not yet written."""
        with contextlib.suppress(OSError):
            self._unfinished.unlink()
        with contextlib.suppress(OSError):
            if self._out is not None:
                self._out.close()

    def _refused(self, error: OSError) -> PtselError:
        return PtselError(f"{self.file}: cannot be written ({error.strerror or error})")


def write_text(file: Path | str, text: str) -> None:
    """Write UTF-8 text as it is, line endings included, by `WholeFile`.

    Raises:
        PtselError: it cannot be written, or holds what UTF-8 cannot (bytes of a file name in another encoding).
    """
    try:
        content = text.encode()
    except UnicodeEncodeError as error:
        raise PtselError(
            f"{file}: cannot be written, since {text[max(0, error.start - 40) : error.end]!r} is not UTF-8; rename "
            "the files that have names in another encoding (for example with convmv)"
        ) from None
    with WholeFile(file) as out:
        out.write(content)


@functools.cache
def _remove_leftovers(folder: Path) -> None:
    """Remove, once in the life of this process, what killed writers have left in a folder."""
    with os.scandir(folder) as entries:
        names = [
            entry.name
            for entry in entries
            if entry.name.startswith(UNFINISHED[0]) and entry.name.endswith(UNFINISHED[1])
        ]
    for name in names:
        with contextlib.suppress(OSError):  # another process writes it, has finished it, or has removed it
            found = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(folder / name)
            finally:
                os.close(found)


def write_lines(file: Path | str, lines: Iterable[str]) -> Path:
    """Write lines of UTF-8 text, each with a line feed at its end; returns the file."""
    write_text(file, "".join(f"{line}\n" for line in lines))
    return Path(file)


@contextlib.contextmanager
def output_folder(folder: Path) -> Iterator[None]:
    """`locked_folder` for what a command writes, with the messages that any command gives.

    Raises:
        PtselError: another process writes there, or the folder cannot be made.
    """
    with contextlib.ExitStack() as stack:
        try:
            busy = f"{folder}: another ptsel is writing here; wait for it to end"
            stack.enter_context(locked_folder(folder, busy))
        except OSError as error:
            raise PtselError(f"{folder}: cannot be written ({error.strerror or error})") from None
        yield


@contextlib.contextmanager
def locked_folder(folder: Path, busy: str) -> Iterator[int]:
    """Make a folder, and keep other processes that lock it out for as long as the block runs.

    It gives the lock's file descriptor: a process that inherits it holds the lock too until it ends.

    The folder itself is locked, which leaves no file behind and ends with the process. If the block fails before it
    has written anything into a folder that was made here, the folder is removed.

    Raises:
        BusyError: `busy`, if another process has it.
        OSError: it cannot be made or opened.
    """
    made = not folder.exists()
    lock = _lock_of(folder, busy)
    try:
        yield lock
    except BaseException:
        if made:
            with contextlib.suppress(OSError):  # it holds finished work, which is kept
                folder.rmdir()
        raise
    finally:
        os.close(lock)


@contextlib.contextmanager
def in_turn(folder: Path | str) -> Iterator[None]:
    """Wait until no other process is in such a block with this folder; without a folder or locks, do not wait.

    The folder is another program's, and is left as it is.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            lock = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _lock_of(folder: Path, busy: str) -> int:
    """A locked descriptor of the folder that has this name now; a writer that failed may remove it at any moment."""
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            if _is_in_the_way(Path(error.filename or folder)):  # which may be above it
                raise
            continue  # a folder that was removed as mkdir looked what it is
        try:
            lock = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue
        kept = False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            kept = _is_at(lock, folder)
        except BlockingIOError:
            raise BusyError(busy) from None
        finally:
            if not kept:
                os.close(lock)
        if kept:
            return lock


def _is_in_the_way(path: Path) -> bool:
    """Whether something that is no folder has this name."""
    try:
        kind = os.lstat(path).st_mode
    except FileNotFoundError:
        return False
    return not (stat.S_ISDIR(kind) or (stat.S_ISLNK(kind) and path.is_dir()))


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file or folder is the one at this path."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


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
