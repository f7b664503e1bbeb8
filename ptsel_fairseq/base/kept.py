"""Long work that survives an interruption: what is finished is kept on disk, and the next run goes on from there."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ptsel_fairseq.base.files import WholeFile, write_text
from ptsel_fairseq.base.partial_array import PartialArray
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.base.workers import jobs_for_audio, map_ordered

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


JSON = Form(".json", _write_json, lambda file: json.loads(file.read_text(encoding="utf-8")))
ARRAYS = Form(".npy", _write_array, lambda file: np.load(file, allow_pickle=False))


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
        jobs: processes; default, all cores.
        form: of the files.
        rows: values that belong to an item; a file with another number of them is not used.
        is_final: whether the values of a block may be kept for good; otherwise the next run computes them again.
        before_processes: called before other processes are started; may raise.

    Returns:
        The values of every block, in order.
    """
    blocks = [items[first : first + size] for first in range(0, len(items), size)]
    files = [folder / f"{number:06d}{form.suffix}" for number in range(len(blocks))]
    kept = [_read(form, file, sum(map(rows, block))) for file, block in zip(files, blocks, strict=True)]
    todo = [number for number, values in enumerate(kept) if values is None or not is_final(values)]
    processes = jobs_for_audio(sum(seconds(item) for number in todo for item in blocks[number]), jobs)
    if processes != 1 and todo:
        before_processes()
    found = map_ordered(function, (blocks[number] for number in todo), jobs=processes)
    done = len(items) - sum(len(blocks[number]) for number in todo)
    with progress_bar(total=len(items), initial=done, desc=title, unit="utterance") as progress:
        for number, values in zip(todo, found, strict=True):
            form.write(files[number], values)
            kept[number] = values
            progress.update(len(blocks[number]))
    return kept


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
    parts_from: Callable[[int], Iterable[tuple[slice, np.ndarray]]],
) -> None:
    """Write a float32 array part by part, beginning where an interrupted run stopped.

    Until it is complete it is a `PartialArray`, and ``done`` beside it says how many parts are safely in it. Only one
    process may do so at a time, see `files.locked_folder`.

    Args:
        file: ``.npy``.
        shape: of the whole array.
        parts_from: gives rows and values of each part from a number on, always in the same order.

    Raises:
        OSError: the disk refuses.
    """
    array, journal = PartialArray(file.parent, file.stem, shape, np.dtype(np.float32)), file.with_name("done")
    done = _parts_done(journal) if array.is_whole() else 0
    array.make()
    flushed = time.monotonic()
    try:
        for rows, values in parts_from(done):
            array.write(rows.start, values)
            done += 1
            if time.monotonic() - flushed > SECONDS_BETWEEN_FLUSHES:
                array.flush()
                write_text(journal, f"{done}\n")
                flushed = time.monotonic()
        array.flush()
    finally:
        array.close()
    array.finish()
    journal.unlink(missing_ok=True)


def _parts_done(journal: Path) -> int:
    """How many parts are safely there; 0 if the file is none that we have written."""
    try:
        text = journal.read_text(encoding="ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return 0
    return int(text) if text.isdecimal() else 0
