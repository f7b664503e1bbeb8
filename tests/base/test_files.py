"""Files that stand for the old content or the whole new one, whoever else writes and whatever lies there."""

import fcntl
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from disk_tools import room

from ptsel_fairseq.base import files
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import WholeFile, locked_folder, output_folder, write_text
from ptsel_fairseq.base.partial_array import PartialArray

A_LEFTOVER = ".ptsel-0123456789abcdef.partial"


LITTLE_ROOM = 10_000  # bytes


def test_links_under_the_final_and_the_old_temporary_names_are_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    out = tmp_path / "w.yaml"
    out.symlink_to(victim)
    (tmp_path / "w.yaml.partial").symlink_to(victim)
    write_text(out, "new")
    assert victim.read_text() == "mine"
    assert out.read_text() == "new"
    assert not out.is_symlink()


def test_temporary_names_differ_each_time_and_exist_once(tmp_path):
    seen = set()
    for _ in range(20):
        with WholeFile(tmp_path / "x") as out:
            seen.add(out.name if isinstance(out.name, str) else os.readlink(f"/proc/self/fd/{out.fileno()}"))
            out.write(b"x")
    assert len(seen) == 20
    assert [file.name for file in tmp_path.iterdir()] == ["x"]


def test_a_writer_does_not_disturb_another_of_the_same_file(tmp_path):
    """Also when the first has been killed in the meantime, or ends last."""
    with WholeFile(tmp_path / "x") as first:
        first.write(b"first")
        first.flush()
        script = (
            "import sys; from ptsel_fairseq.base.files import write_text; write_text(sys.argv[1], 'second')"
        )
        subprocess.run([sys.executable, "-c", script, tmp_path / "x"], check=True)
        assert (tmp_path / "x").read_text() == "second"
    assert (tmp_path / "x").read_text() == "first"


def test_what_a_killed_writer_has_left_is_removed_and_nothing_else(tmp_path):
    (tmp_path / A_LEFTOVER).write_text("half")
    (tmp_path / "mine.partial").write_text("mine")
    outside = tmp_path / "outside"
    outside.write_text("mine")
    (tmp_path / A_LEFTOVER.replace("0", "f")).symlink_to(outside)
    busy = tmp_path / A_LEFTOVER.replace("0", "e")
    with busy.open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        script = "import sys; from ptsel_fairseq.base.files import write_text; write_text(sys.argv[1], 'new')"
        subprocess.run([sys.executable, "-c", script, tmp_path / "x"], check=True)
        assert busy.exists()
    assert not (tmp_path / A_LEFTOVER).exists()
    assert outside.read_text() == (tmp_path / "mine.partial").read_text() == "mine"


def interrupted(out):
    out.write(b"new")
    raise KeyboardInterrupt


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "x").write_text("old")
    with pytest.raises(KeyboardInterrupt), WholeFile(tmp_path / "x") as out:
        interrupted(out)
    assert (tmp_path / "x").read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["x"]


def test_a_file_keeps_its_permissions_and_a_new_one_has_those_of_the_user(tmp_path):
    write_text(tmp_path / "x", "old")
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o666 & ~mask
    (tmp_path / "x").chmod(0o600)
    write_text(tmp_path / "x", "new")
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o600


def whole_of(kind, out):
    if kind == "torch":
        torch.save({"a": torch.zeros(10_000)}, out)
    elif kind == "npy":
        np.save(out, np.zeros(10_000))
    elif kind == "flac":
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, 20_000)
        soundfile.write(out.fileno(), noise, 16_000, format="FLAC", closefd=False)
    else:
        out.write(bytes(20_000))


@pytest.mark.parametrize("kind", ["torch", "npy", "flac", "bytes"])
def test_no_room_leaves_the_old_file_whatever_writes(tmp_path, kind):
    (tmp_path / "x").write_text("old")
    with room(LITTLE_ROOM), pytest.raises((PtselError, RuntimeError)), WholeFile(tmp_path / "x") as out:
        whole_of(kind, out)
    assert (tmp_path / "x").read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("name", ["x" * 300, "a/" * 3000 + "x", "file/x"])
def test_names_that_no_file_can_have(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(PtselError, match="cannot be written"):
        write_text(tmp_path / name, "")


def test_a_longest_name_is_possible(tmp_path):
    write_text(tmp_path / ("x" * 255), "whole")
    assert (tmp_path / ("x" * 255)).read_text() == "whole"


def test_text_that_is_not_utf8_is_refused_before_anything_is_there(tmp_path):
    with pytest.raises(PtselError, match="not UTF-8"):
        write_text(tmp_path / "x", os.fsdecode(b"clips/k\xe4se.wav\t1"))
    assert not list(tmp_path.iterdir())


def test_a_locked_folder_keeps_others_out(tmp_path):
    with (
        locked_folder(tmp_path / "a", "busy"),
        pytest.raises(PtselError, match="busy"),
        locked_folder(tmp_path / "a", "busy"),
    ):
        pass
    with locked_folder(tmp_path / "a", "busy"):
        pass


def test_of_many_writers_that_begin_and_fail_one_at_a_time_has_the_folder(tmp_path):
    """A writer that fails removes the empty folder it made, never one that another has locked meanwhile."""
    folder, inside, faults = tmp_path / "a", [], []

    def work(number: int) -> None:
        for turn in range(60):
            try:
                with locked_folder(folder, "busy"):
                    inside.append(number)
                    if len(inside) > 1:
                        faults.append(f"{inside} at once")
                    if turn % 2 == 0:
                        with WholeFile(folder / "w.txt", sync=False) as out:
                            out.write(b"whole")
                        if (folder / "w.txt").read_bytes() != b"whole":
                            faults.append("another file")
                        (folder / "w.txt").unlink()
                    inside.remove(number)
                    raise RuntimeError("failed")
            except RuntimeError:
                pass
            except PtselError as error:
                if str(error) != "busy":
                    faults.append(str(error))
            except OSError as error:
                faults.append(repr(error))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


def test_a_folder_that_goes_as_it_is_looked_at_is_made_again(tmp_path, monkeypatch):
    """mkdir fails since it is there, and finds nothing when it looks whether that is a folder."""
    make, calls = Path.mkdir, []

    def mkdir(self, *arguments, **options):
        calls.append(self)
        if len(calls) == 1:
            raise FileExistsError(17, "File exists")
        make(self, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with locked_folder(tmp_path / "a", "busy"):
        assert (tmp_path / "a").is_dir()
    assert len(calls) == 2


@pytest.mark.parametrize("below", ["", "b/c"])
@pytest.mark.parametrize("what", ["file", "link to a file", "link to nothing"])
def test_what_is_no_folder_is_said_to_be_in_the_way(what, below, tmp_path):
    there, other = tmp_path / "a", tmp_path / "b"
    if what != "link to nothing":
        other.write_text("")
    there.write_text("") if what == "file" else there.symlink_to(other)
    with pytest.raises((FileExistsError, NotADirectoryError)), locked_folder(there / below, "busy"):
        pass
    with pytest.raises(PtselError, match="cannot be written"), output_folder(there / below):
        pass


def test_arrays_being_filled_are_no_links_and_claim_their_room(tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    array = PartialArray(tmp_path, "f0", (5, 2), np.dtype(np.float32))
    array.partial.symlink_to(victim)
    assert not array.is_whole()
    array.make()
    array.write(3, np.ones((2, 2)))
    array.finish()
    assert victim.read_bytes() == b"mine"
    assert np.load(tmp_path / "f0.npy").sum() == 4
    with room(LITTLE_ROOM), pytest.raises(OSError, match="large"):
        PartialArray(tmp_path, "large", (5000, 2), np.dtype(np.float32)).make()


@pytest.mark.parametrize("size", [0, 60, 128, 300])
def test_an_array_that_was_cut_off_is_not_whole(tmp_path, size):
    array = PartialArray(tmp_path, "f0", (100, 2), np.dtype(np.float32))
    array.make()
    assert array.is_whole()
    with array.partial.open("r+b") as file:
        file.truncate(size)
    assert not array.is_whole()
    with pytest.raises(PtselError, match="damaged"):
        PartialArray(tmp_path, "f0", (100, 2), np.dtype(np.float32)).read(0, 1)
    array.make()
    assert array.is_whole()
    assert not PartialArray(tmp_path, "f0", (100, 3), np.dtype(np.float32)).is_whole()


def test_leftovers_are_looked_for_once_per_folder(tmp_path):
    files._remove_leftovers.cache_clear()
    for i in range(5):
        write_text(tmp_path / str(i), "")
    assert files._remove_leftovers.cache_info().misses == 1
