"""Signals to processes that fairseq started itself, and which checkpoints are whole."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

import pytest
import torch
from conftest import wait_for

pytest.importorskip("fairseq", reason="training needs the extra [fairseq]")

from ptsel_fairseq.plugin import preemption

SPAWNING = """
import sys, time
from pathlib import Path
import torch.multiprocessing

def work(rank, folder):
    from ptsel_fairseq.plugin import preemption
    preemption.watch_for_signals()
    Path(folder, "ready").touch()
    while not preemption.asked_to_stop():
        time.sleep(0.01)
    Path(folder, "asked").touch()

if __name__ == "__main__":
    torch.multiprocessing.spawn(work, (sys.argv[1],), nprocs=1)
"""


def test_a_spawned_process_hears_of_its_parents_end(tmp_path):
    script = tmp_path / "spawning.py"
    script.write_text(SPAWNING)
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path)], stderr=subprocess.DEVNULL)
    wait_for(tmp_path / "ready")
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(timeout=20) == -signal.SIGTERM
    wait_for(tmp_path / "asked")


ALONE = """
import sys, time
from pathlib import Path
from ptsel_fairseq.plugin import preemption
preemption.watch_for_signals()
Path(sys.argv[1], "ready").touch()
while not preemption.asked_to_stop():
    time.sleep(0.01)
Path(sys.argv[1], "asked").touch()
time.sleep(60)
"""


def test_ctrl_c_asks_for_a_checkpoint_and_a_second_one_ends_at_once(tmp_path):
    run = subprocess.Popen([sys.executable, "-c", ALONE, str(tmp_path)], stderr=subprocess.PIPE, text=True)
    wait_for(tmp_path / "ready")
    run.send_signal(signal.SIGINT)
    wait_for(tmp_path / "asked")
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=30)
    assert "SIGINT: a checkpoint is written after the next update, then training ends" in errors
    assert errors.rstrip().endswith("KeyboardInterrupt")


def test_a_loader_leaves_ctrl_c_to_the_trainer(monkeypatch):
    heard = {}
    monkeypatch.setattr(signal, "signal", lambda number, handler: heard.update({number: handler}))
    preemption.keep_loader_alive()
    assert heard[signal.SIGINT] == heard[signal.SIGTERM] == heard[signal.SIGUSR1] == signal.SIG_IGN


@pytest.fixture
def checkpoints(tmp_path):
    for number, name in enumerate(("checkpoint_1_10.pt", "checkpoint_1_20.pt", "checkpoint_last.pt")):
        torch.save({"update": 10 * (number + 1), "weights": torch.randn(2000)}, tmp_path / name)
        os.utime(tmp_path / name, (number, number))
    return tmp_path


def test_a_whole_checkpoint_is_left_alone(checkpoints):
    before = (checkpoints / "checkpoint_last.pt").read_bytes()
    preemption.mend_last_checkpoint(checkpoints)
    assert (checkpoints / "checkpoint_last.pt").read_bytes() == before
    assert len(list(checkpoints.iterdir())) == 3


@pytest.mark.parametrize("left", [0, 1, 100, 5000, -1])
def test_the_newest_whole_one_takes_its_place(checkpoints, left, caplog):
    last = checkpoints / "checkpoint_last.pt"
    last.write_bytes(last.read_bytes()[:left])
    preemption.mend_last_checkpoint(checkpoints)
    assert torch.load(last)["update"] == 20
    assert "checkpoint_last.pt.damaged is cut off" in caplog.text
    newest = checkpoints / "checkpoint_1_20.pt"
    newest.write_bytes(newest.read_bytes()[:200])
    last.write_bytes(b"")
    preemption.mend_last_checkpoint(checkpoints)
    assert torch.load(last)["update"] == 10


def test_without_another_training_starts_anew(tmp_path, caplog):
    (tmp_path / "checkpoint_last.pt").write_bytes(b"PK")
    preemption.mend_last_checkpoint(tmp_path)
    assert not (tmp_path / "checkpoint_last.pt").exists()
    assert "there is no other checkpoint: training starts anew" in caplog.text
    preemption.mend_last_checkpoint(tmp_path / "absent")


def test_what_a_killed_save_has_left_unfinished_is_removed(checkpoints):
    (checkpoints / "checkpoint_1_30.pt.tmp").write_bytes(b"PK")
    preemption.mend_last_checkpoint(checkpoints)
    assert sorted(file.name for file in checkpoints.iterdir()) == [
        "checkpoint_1_10.pt",
        "checkpoint_1_20.pt",
        "checkpoint_last.pt",
    ]


def test_a_copy_that_is_cut_off_leaves_the_checkpoint_of_before(checkpoints, monkeypatch):
    from fairseq.file_io import PathManager

    whole = shutil.copyfileobj

    def die_halfway(source, target):
        target.write(source.read(1000))
        raise KeyboardInterrupt

    new, last = checkpoints / "checkpoint_1_20.pt", checkpoints / "checkpoint_last.pt"
    monkeypatch.setattr(PathManager, "copy", staticmethod(PathManager.copy))  # undone afterwards
    monkeypatch.setattr("fairseq.file_io.IOPathManager", None)
    preemption._copy_whole()
    preemption._copy_whole()  # once is enough
    monkeypatch.setattr("shutil.copyfileobj", die_halfway)
    with pytest.raises(KeyboardInterrupt):
        PathManager.copy(str(new), str(last), overwrite=True)
    assert torch.load(last)["update"] == 30
    monkeypatch.setattr("shutil.copyfileobj", whole)
    assert PathManager.copy(str(new), str(last), overwrite=True)
    assert torch.load(last)["update"] == 20
    assert {file.suffix for file in checkpoints.iterdir()} == {".pt"}
