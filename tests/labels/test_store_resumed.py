"""An extraction that was interrupted, killed or met a full disk, and one that finds another's rest."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, contents, write_manifest

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.manifest import Manifest, read_manifest
from ptsel_fairseq.labels import tracks as catalogue
from ptsel_fairseq.labels.extraction.extract import analyse_one, extract
from ptsel_fairseq.labels.store import writer
from ptsel_fairseq.labels.store.reader import LabelStore
from ptsel_fairseq.labels.store.writer import StoreWriter

GRID = FrameGrid()


def test_no_room_is_said_and_a_rerun_finishes(tmp_path, valid_manifest, monkeypatch):
    def no_room(*arguments) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", no_room)
        with pytest.raises(PtselError, match="No space left"):
            extract(valid_manifest, ["zcr"], tmp_path)
    extract(valid_manifest, ["zcr"], tmp_path)
    assert LabelStore(tmp_path, "valid").labels == ("zcr",)
    assert not list(tmp_path.rglob("*.partial"))


def test_a_journal_of_another_plan_starts_anew(tmp_path, valid_manifest):
    """Also when arrays of the other plan already have their final names, but no header names them."""
    first = StoreWriter(tmp_path, valid_manifest, catalogue.resolve(["zcr"]), GRID)
    first.open()
    first.close()
    (tmp_path / "valid" / "zcr.npy.partial").rename(tmp_path / "valid" / "zcr.npy")
    extract(valid_manifest, ["rms_energy", "zcr"], tmp_path)
    store = LabelStore(tmp_path, "valid")
    assert store.statistics("zcr").mean[0] > 0
    extract(valid_manifest, ["rms_energy", "zcr"], tmp_path / "clean")
    assert contents(tmp_path / "valid") == contents(tmp_path / "clean" / "valid")


def test_a_torn_last_line_of_the_journal_is_not_believed(tmp_path, valid_manifest, monkeypatch):
    monkeypatch.setattr(writer, "SECONDS_BETWEEN_FLUSHES", -1.0)
    unfinished = StoreWriter(tmp_path, valid_manifest, catalogue.resolve(["zcr"]), GRID)
    unfinished.open()
    track = catalogue.compute_tracks(
        np.zeros(valid_manifest.utterances[0].samples, np.float32), unfinished.missing, GRID
    )
    unfinished.write(0, track)
    unfinished.close()
    with (tmp_path / "valid" / "zcr.journal.partial").open("a") as journal:
        journal.write("\n1\t0\ten/a.ogg\t17434\t5000")
    again = StoreWriter(tmp_path, valid_manifest, catalogue.resolve(["zcr"]), GRID)
    assert [utterance.index for utterance in again.todo()] == list(range(1, len(valid_manifest)))
    again.close()


# One interpreter that forks children, each killed at another moment; a fresh interpreter each would take minutes.
KILLER = """
import os, random, shutil, signal, sys, threading, time
from pathlib import Path
from tqdm import tqdm
from ptsel_fairseq.labels.store import writer
from ptsel_fairseq.labels.extraction.extract import extract
from ptsel_fairseq.base.manifest import read_manifest

tqdm.monitor_interval = 0
tqdm.set_lock(threading.RLock())  # its own is shared with forked children, and a killed one never gives it back

manifest, out, kind, count = read_manifest(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
labels = ["f0", "log_mel", "zcr"]
writer.SECONDS_BETWEEN_FLUSHES = 0.02
sys.stderr = open(os.devnull, "w")
extract(manifest, labels, out / "clean", jobs=1)
if kind == "growth":  # another label, which the growth does not name, is there for another manifest
    extract(read_manifest(sys.argv[5]), [*labels, "rms_energy"], out / "before", jobs=1)
    extract(manifest, ["rms_energy"], out / "clean", jobs=1)
started = time.monotonic()
extract(manifest, labels, out / "timed", jobs=1)
seconds = time.monotonic() - started

def child(work):
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    finally:
        os._exit(0)

def die_at_call(number):
    # SIGKILL instead of the n-th call that changes the folder's state: write or rename.
    calls = [0]
    def dying(real):
        def call(*arguments, **options):
            calls[0] += 1
            if calls[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)
        return call
    os.replace, os.fsync, os.posix_fallocate = dying(os.replace), dying(os.fsync), dying(os.posix_fallocate)
    os.unlink = dying(os.unlink)
    Path.unlink = dying(Path.unlink)
    extract(manifest, labels, store, jobs=1)

draw, killed = random.Random(0), 0
for n in range(1, count + 1):
    store = out / f"store{n}"
    if kind == "growth":
        shutil.copytree(out / "before", store)
    for attempt in range(3 if kind == "time" else 1):
        if kind == "time":
            pid = child(lambda: extract(manifest, labels, store, jobs=1))
            time.sleep(draw.uniform(0, seconds))
            os.kill(pid, signal.SIGKILL)
        else:
            pid = child(lambda: die_at_call(n))
        killed += os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    extract(manifest, labels, store, jobs=1)
    if kind == "growth":
        extract(manifest, ["rms_energy"], store, jobs=1)
print("killed", killed)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "count"), [("call", 40), ("growth", 60), ("time", 8)])
def test_killed_at_any_moment_a_rerun_gives_the_same_bytes(kind, count, data_dir, tmp_path):
    manifest = write_manifest(data_dir / "valid.tsv", tmp_path / "valid.tsv", every=2)
    fewer = write_manifest(data_dir / "valid.tsv", tmp_path / "fewer" / "valid.tsv", every=3)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KILLER, manifest, tmp_path, kind, str(count), fewer],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > count / 4
    clean = contents(tmp_path / "clean")
    assert {"valid/header.json", "valid/f0.npy", "valid/f0.valid.npy", "valid/lengths.npy"} <= set(clean)
    for n in range(1, count + 1):
        assert contents(tmp_path / f"store{n}") == clean, n


def extract_a_part(store: Path, manifest: Manifest, labels: list[str], count: int) -> None:
    """Begin or go on, do `count` utterances and stop."""
    part = StoreWriter(store, manifest, catalogue.resolve(labels), GRID)
    for utterance in part.open()[:count]:
        part.write(utterance.index, analyse_one(manifest, utterance, part.missing, GRID))
    part.close()


def assert_finishes_as_clean(store: Path, manifest: Manifest, labels: list[str]) -> None:
    extract(manifest, labels, store, jobs=1)
    extract(manifest, labels, store.parent / "clean", jobs=1)
    assert contents(store) == contents(store.parent / "clean")


def test_a_record_behind_a_torn_one_is_read_right(tmp_path, data_dir):
    """A full disk cuts a line short; with the next one it must not be read as one, whose frames would stay zero."""
    store, manifest = tmp_path / "store", read_manifest(data_dir / "train.tsv")
    assert len(manifest) > 21
    extract_a_part(store, manifest, ["zcr"], 1)
    with (store / "train" / "zcr.journal.partial").open("a") as journal:
        journal.write("\n1\t2")
    extract_a_part(store, manifest, ["zcr"], 1)
    assert_finishes_as_clean(store, manifest, ["zcr"])


@pytest.mark.parametrize(
    "text",
    [
        "x y .\n",
        "\x00\x00\xff\n",
        "3\t4\n",
        "3\t-4\ten/a.ogg\t17434\t5000\t1\t" + 64 * "0" + "\t0\t0\t.\n",
        "3\t4\ten/a.ogg\t17434\t5000\t1\t" + 62 * "0" + "\t0\t0\t.\n",
        "99999\t4\ten/a.ogg\t17434\t5000\t1\t" + 64 * "0" + "\t0\t0\t.\n",
    ],
    ids=["words", "bytes", "too few", "a negative row", "no SHA-256", "no such utterance"],
)
def test_damage_in_the_journal_is_passed_over(tmp_path, valid_manifest, text):
    extract_a_part(tmp_path / "store", valid_manifest, ["zcr"], 2)
    with (tmp_path / "store" / "valid" / "zcr.journal.partial").open("ab") as journal:
        journal.write(text.encode("latin-1"))
    assert_finishes_as_clean(tmp_path / "store", valid_manifest, ["zcr"])


def test_killed_while_another_plan_clears_the_arrays(tmp_path, valid_manifest, monkeypatch):
    """The first plan's journal must not outlive its arrays: its frames would be stored as zeros."""
    store = tmp_path / "store"
    extract_a_part(store, valid_manifest, ["zcr"], 3)

    class Kill(BaseException):
        pass

    def die(*arguments) -> None:
        raise Kill

    with monkeypatch.context() as patch:
        patch.setattr("ptsel_fairseq.labels.store.journal.write_text", die)
        with pytest.raises(Kill):
            extract(valid_manifest, ["zcr"], store, jobs=1, dtype="float16")
    assert_finishes_as_clean(store, valid_manifest, ["zcr"])


def test_an_array_removed_in_the_middle_is_made_again(tmp_path, valid_manifest):
    extract_a_part(tmp_path / "store", valid_manifest, ["f0", "zcr"], 3)
    (tmp_path / "store" / "valid" / "f0.valid.npy.partial").unlink()
    assert_finishes_as_clean(tmp_path / "store", valid_manifest, ["f0", "zcr"])
