"""Long work that survives an interruption: what is finished is kept on disk, and the next run goes on from there."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ptsel_fairseq.base.array_file import load_array
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import WholeFile, file_checksum, write_text
from ptsel_fairseq.base.identity import IDENTITY, Identity, changed, to_array
from ptsel_fairseq.base.json_file import read_json
from ptsel_fairseq.base.partial_array import PartialArray
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.base.workers import jobs_for_audio, map_where_faster

SECONDS_BETWEEN_FLUSHES = 5.0  # what a kill can lose of an array that is being filled

Item = TypeVar("Item")
Values = Any  # of a block: what JSON can hold for `JSON`, an array for `ARRAYS`


@dataclass(frozen=True)
class Form:
    """How the values of a block are kept in a file; `read` raises OSError, ValueError or EOFError for a damaged one."""

    suffix: str
    write: Callable[[Path, Values], None]
    read: Callable[[Path], Values]


def _write_json(file: Path, values: Values) -> None:
    write_text(file, json.dumps(values, ensure_ascii=False))


def _write_array(file: Path, values: Values) -> None:
    with WholeFile(file) as out:
        np.save(out, values)


JSON = Form(".json", _write_json, read_json)
ARRAYS = Form(".npy", _write_array, lambda file: np.array(load_array(file)))


def key_of(*described: Any) -> str:
    """A short name for what kept values depend on: 16 hexadecimal digits of the SHA-256 of its JSON."""
    return hashlib.sha256(json.dumps(list(described)).encode()).hexdigest()[:16]


def in_blocks(
    function: Callable[[Sequence[Item]], Values],
    items: Sequence[Item],
    folder: Path,
    *,
    size: int,
    seconds: Callable[[Item], float],
    title: str,
    jobs: int | None,
    form: Form = JSON,
    rows: Callable[[Item], int] = lambda item: 1,
    audio: Callable[[Item], Path] | None = None,
    is_final: Callable[[Values], bool] = lambda values: True,
    before_processes: Callable[[], None] = lambda: None,
) -> list[Values]:
    """The values that `function` gives for each block of items; blocks that `folder` holds are not computed again.

    Args:
        function: of a block of items; importable by other processes.
        items: utterances, or what else the work is on.
        folder: of the blocks' files; its name must say what the values depend on, see `key_of`.
        size: items in a block, which is what an interruption can lose.
        seconds: of audio in an item; little work stays in this process, see `jobs_for_audio`.
        title: of the progress bar.
        jobs: processes; default, as many as are faster, see `map_where_faster`.
        form: of the files.
        rows: values that belong to an item; a file with another number of them is not used.
        audio: the recording of an item; a block is done again if one of its recordings is another than it was.
        is_final: whether the values of a block may be kept for good; otherwise the next run computes them again.
        before_processes: called before other processes are started; may raise.

    Returns:
        The values of every block, in order.
    """
    blocks = [items[first : first + size] for first in range(0, len(items), size)]
    files = [folder / f"{number:06d}{form.suffix}" for number in range(len(blocks))]
    kept = [
        _read(form, file, sum(map(rows, block))) if audio is None or _same(file, map(audio, block)) else None
        for file, block in zip(files, blocks, strict=True)
    ]
    todo = [number for number, values in enumerate(kept) if values is None or not is_final(values)]
    total = sum(seconds(item) for number in todo for item in blocks[number])
    if jobs_for_audio(total, jobs) == 1:
        jobs = 1
    elif todo:
        before_processes()
    work = function if audio is None else partial(_identified, function, audio)
    found = map_where_faster(
        work, (blocks[number] for number in todo), lambda block: sum(map(seconds, block)), total, jobs
    )
    done = len(items) - sum(len(blocks[number]) for number in todo)
    with progress_bar(total=len(items), initial=done, desc=title, unit="utterance") as progress:
        for number, result in zip(todo, found, strict=True):
            values, identities = (result, None) if audio is None else result
            _identities_file(files[number]).unlink(missing_ok=True)
            form.write(files[number], values)
            if identities is not None:
                write_text(_identities_file(files[number]), json.dumps(identities))
            kept[number] = values
            progress.update(len(blocks[number]))
    return kept


def _identified(
    function: Callable[[Sequence[Item]], Values], audio: Callable[[Item], Path], block: Sequence[Item]
) -> tuple[Values, list[Identity | None]]:
    """The values of a block, and what its recordings were before they were read; None of one that cannot be."""
    identities: list[Identity | None] = []
    for item in block:
        try:
            identities.append(Identity.of(audio(item)))
        except PtselError:
            identities.append(None)
    return function(block), identities


def _identities_file(file: Path) -> Path:
    return file.with_suffix(".audio.json")


def _same(file: Path, recordings: Iterable[Path]) -> bool:
    """Whether the recordings of a block's file are those that it was made of; one that is gone may have been."""
    try:
        identities = [Identity(*row) for row in read_json(_identities_file(file))]
        return not changed(identities, recordings, or_absent=False)
    except (OSError, ValueError, TypeError, AttributeError):
        return False


def _read(form: Form, file: Path, count: int) -> Values | None:
    """The values of a file, None if it is absent, damaged or holds another number of them."""
    try:
        values = form.read(file)
        return values if len(values) == count else None
    except (OSError, ValueError, EOFError, TypeError):
        return None


def filled_array(
    file: Path,
    shape: tuple[int, ...],
    recordings: Sequence[Path],
    parts: Callable[[Sequence[int]], Iterable[tuple[slice, np.ndarray, Identity]]],
) -> np.ndarray:
    """A float32 array that is made part by part, one of each recording, and kept.

    What an interrupted run has finished is not done again, nor what was made of a recording that is what it was (or
    is gone). Until it is complete it is a `PartialArray`; beside it lie the identities of the recordings and, once it
    is complete, its checksum. Only one process may do so at a time, see `files.locked_folder`.

    Args:
        file: ``.npy``.
        shape: of the whole array.
        recordings: of the parts, in order.
        parts: gives rows, values and recording of the parts of these numbers, in order.

    Raises:
        PtselError: the array is complete and not what was written.
        OSError: the disk refuses.
    """
    array = PartialArray(file.parent, file.stem, shape, np.dtype(np.float32))
    made_of = PartialArray(file.parent, f"{file.stem}.audio", (len(recordings),), IDENTITY)
    complete = file.exists() and made_of.final.exists() and _checksum_file(file).exists()
    if complete and made_of.is_whole():
        identities = np.array(load_array(made_of.final))
        if not changed(identities, recordings, or_absent=False):
            return _checked(file, shape)
    if not array.is_whole():
        made_of.remove()
    _checksum_file(file).unlink(missing_ok=True)
    array.make()
    made_of.make()
    try:
        todo = changed(made_of.read(0, len(recordings)), recordings, or_absent=False)
        waiting: list[tuple[int, Identity]] = []
        flushed = time.monotonic()
        for number, (rows, values, identity) in zip(todo, parts(todo), strict=True):
            made_of.write(number, np.zeros(1, IDENTITY))
            array.write(rows.start, values)
            waiting.append((number, identity))
            if time.monotonic() - flushed > SECONDS_BETWEEN_FLUSHES:
                _note(array, made_of, waiting)
                flushed = time.monotonic()
        _note(array, made_of, waiting)
    finally:
        array.close()
        made_of.close()
    write_text(_checksum_file(file), file_checksum(array.partial) + "\n")
    array.finish()
    made_of.finish()
    return _checked(file, shape)


def _note(array: PartialArray, made_of: PartialArray, waiting: list[tuple[int, Identity]]) -> None:
    """Say of parts that they are done, after they are safely on the disk."""
    array.flush()
    for number, identity in waiting:
        made_of.write(number, to_array([identity]))
    made_of.flush()
    waiting.clear()


def _checksum_file(file: Path) -> Path:
    return file.with_suffix(".sha256")


def _checked(file: Path, shape: tuple[int, ...]) -> np.ndarray:
    advice = f"remove {file.parent} and run the command again"
    try:
        expected = _checksum_file(file).read_text(encoding="ascii").strip()
        if file_checksum(file) != expected:
            raise PtselError(f"{file}: its content is not what was written; {advice}")
        found = np.array(load_array(file))
    except (ValueError, EOFError) as error:
        raise PtselError(f"{file}: cannot be read ({error}); {advice}") from None
    if found.shape != shape or found.dtype != np.float32:
        raise PtselError(
            f"{file}: expected float32 of shape {shape}, found {found.dtype} {found.shape}; {advice}"
        )
    return found
