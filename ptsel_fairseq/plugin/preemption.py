"""Clusters end jobs by a signal and a moment's notice: write a checkpoint, stop, and let the same command go on.

A signal may reach one rank only, or each at another update. So it is counted in the log outputs, which fairseq sums
over ranks after each update anyway, and all ranks stop after the same one.
"""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import os
import shutil
import signal
import threading
import zipfile
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from ptsel_fairseq.base.files import WholeFile

logger = logging.getLogger(__name__)

LOG_KEY = "_asked_to_stop"
LAST = "checkpoint_last.pt"
UNFINISHED = ".tmp"  # fairseq's own suffix of a checkpoint that is being written

_asked = False  # this process was
_agreed = False  # some process was, and all know by now


def watch_for_signals() -> None:
    """From now on SIGTERM, SIGUSR1 and Ctrl-C end the training after the next update, with a checkpoint.

    A second Ctrl-C ends it at once. In a process that fairseq has started for a GPU SIGINT is what it gets when its
    parent is terminated, and is heeded once.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, _ask)
    spawned = multiprocessing.parent_process() is not None
    signal.signal(signal.SIGINT, _ask if spawned else _ask_or_interrupt)
    atexit.register(_end_loaders)
    _stop_when_agreed()
    _end_at_once_when_ended()
    _copy_whole()


def _ask(number: int, frame: FrameType | None) -> None:
    global _asked
    if not _asked:
        name = signal.Signals(number).name
        logger.warning("%s: a checkpoint is written after the next update, then training ends", name)
    _asked = True


def _ask_or_interrupt(number: int, frame: FrameType | None) -> None:
    if _asked:  # who presses Ctrl-C twice means at once
        signal.default_int_handler(number, frame)
    _ask(number, frame)


def asked_to_stop() -> float:
    """1 if this process was, for the log output."""
    return float(_asked)


def agree(count: float) -> None:
    """Take note of how many ranks were asked."""
    global _agreed
    _agreed = _agreed or count > 0


def _stop_when_agreed() -> None:
    """Make fairseq's loop, which asks after each update whether to stop early, save and stop."""
    from fairseq_cli import train

    if hasattr(train.should_stop_early, "before_ptsel"):
        return
    before = train.should_stop_early

    def should_stop_early(cfg: Any, valid_loss: float | None) -> bool:
        return before(cfg, valid_loss) or _agreed

    should_stop_early.before_ptsel = before  # type: ignore[attr-defined]
    train.should_stop_early = should_stop_early


def _end_at_once_when_ended() -> None:
    """Keep fairseq from adding an update, and a checkpoint, to a training that has reached its last one."""
    from fairseq_cli import train

    if hasattr(train.train, "before_ptsel"):
        return
    before = train.train

    def ended_or_train(cfg: Any, trainer: Any, task: Any, epoch_itr: Any) -> tuple[list[float | None], bool]:
        last = cfg.optimization.max_update
        if 0 < last <= trainer.get_num_updates():
            logger.info("the training has ended before, at update %d of %d", trainer.get_num_updates(), last)
            return [None], True
        return before(cfg, trainer, task, epoch_itr)

    ended_or_train.before_ptsel = before  # type: ignore[attr-defined]
    train.train = ended_or_train


def _copy_whole() -> None:
    """Make fairseq's copies of a checkpoint (best, last) appear under their names only when they are complete.

    The first file of a save it writes that way itself; a kill while it was copied left the others cut off.
    """
    from fairseq.file_io import PathManager

    if hasattr(PathManager.copy, "before_ptsel"):
        return
    before = PathManager.copy

    def copy(src_path: str, dst_path: str, overwrite: bool = False) -> Any:
        if not PathManager.supports_rename(dst_path):  # an object store, not a file system
            return before(src_path, dst_path, overwrite)
        with WholeFile(dst_path) as out, open(src_path, "rb") as content:
            shutil.copyfileobj(content, out)
        return True

    copy.before_ptsel = before  # type: ignore[attr-defined]
    PathManager.copy = staticmethod(copy)


def keep_loader_alive() -> None:
    """In a data loader's process: leave signals to the trainer, which a dying loader would take along."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to every process of the training


def _end_loaders() -> None:
    """Before Python asks them by the signal that they do not heed, and waits."""
    for process in multiprocessing.active_children():
        if process.daemon:
            process.kill()


def mend_last_checkpoint(save_dir: Path) -> None:
    """Replace a ``checkpoint_last.pt`` that was cut off, as fairseq alone leaves it, by the newest whole one.

    Files that a killed save has left unfinished are removed.
    To be called by every rank; the first does it while the others wait.
    """
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    if not distributed or torch.distributed.get_rank() == 0:
        _mend(save_dir)
    if distributed:
        torch.distributed.barrier()


def _mend(save_dir: Path) -> None:
    for left in save_dir.glob(f"checkpoint*.pt{UNFINISHED}"):  # by a kill; each as large as a checkpoint
        left.unlink()
    last = save_dir / LAST
    if not last.exists() or is_whole(last):
        return
    others = [file for file in save_dir.glob("checkpoint*.pt") if file != last and is_whole(file)]
    damaged = last.with_name(LAST + ".damaged")
    os.replace(last, damaged)
    if not others:
        logger.warning("%s is cut off and there is no other checkpoint: training starts anew", damaged)
        return
    newest = max(others, key=lambda file: file.stat().st_mtime)
    with WholeFile(last) as out, newest.open("rb") as content:
        shutil.copyfileobj(content, out)
    logger.warning("%s is cut off: training goes on from %s", damaged, newest)


def is_whole(checkpoint: Path) -> bool:
    """Whether a file that torch.save wrote is complete: its directory comes last."""
    try:
        with zipfile.ZipFile(checkpoint):
            return True
    except (zipfile.BadZipFile, OSError):
        return False
