"""The command line: quick, light, and every command explains the files it reads."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import BIN, run_command

from ptsel_fairseq.cli.arguments import memory_size
from ptsel_fairseq.cli.parser import subparsers
from ptsel_fairseq.cli.program import build_parser

COMMANDS = tuple(subparsers(build_parser()))


def test_help_answers_at_once():
    fastest = min(timed("ptsel", "--help") for _ in range(5))
    assert fastest < 0.5


def timed(*command):
    """Seconds of processor time, which other work on the machine does not lengthen."""
    before = os.times()
    assert run_command(*command).returncode == 0
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def test_help_imports_neither_torch_nor_fairseq():
    code = (
        "import sys\nfrom ptsel_fairseq import cli\n"
        "try:\n    cli.main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'fairseq', 'numpy', 'librosa', 'omegaconf'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command):
    done = run_command("ptsel", command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: ptsel {command}")


@pytest.mark.parametrize("command", ["check", "extract", "score", "probe"])
def test_help_shows_an_example_line_of_each_file(command):
    shown = run_command("ptsel", command, "--help").stdout
    assert "clips/en_0001.flac<TAB>93680" in shown
    if command != "extract":
        assert "clips/en_0001.flac<TAB>0.310<TAB>0.420<TAB>AH" in shown


@pytest.mark.parametrize(
    ("text", "size"),
    [("4GB", 4e9), ("500 MB", 5e8), ("1.5gib", 1.5 * 2**30), ("64KiB", 65536), ("2e9", 2e9), ("7b", 7)],
)
def test_sizes_of_memory(text, size):
    assert memory_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1GB", "0", "inf", "nan", "4 GiBs"])
def test_no_size_of_memory(text):
    with pytest.raises(argparse.ArgumentTypeError, match="a size above 0 such as 4GB"):
        memory_size(text)


def test_user_dir_is_the_folder_that_fairseq_imports():
    done = run_command("ptsel", "user-dir")
    folder = Path(done.stdout.strip())
    assert folder.is_absolute()
    assert (folder / "plugin" / "task.py").is_file()
    assert not (folder / "tasks").exists()  # fairseq imports folders of these names by itself
    assert not (folder / "models").exists()


def test_errors_are_one_line_and_exit_code_2(tmp_path):
    done = run_command("ptsel", "extract", tmp_path, "--labels", "f0", "--store", tmp_path / "store")
    assert done.returncode == 2
    assert done.stderr.startswith("ptsel: error: ")
    assert "Traceback" not in done.stderr
    assert (
        "Traceback"
        in run_command("ptsel", "--debug", "extract", tmp_path, "--labels", "f0", "--store", "x").stderr
    )


def test_the_plugin_without_fairseq_says_what_to_install(tmp_path):
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'fairseq':\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import ptsel_fairseq.plugin"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode != 0
    assert "ImportError: the training plugin of ptsel_fairseq found no fairseq; install" in done.stderr


def test_the_plugin_with_a_fairseq_that_lacks_wav2vec_says_so(tmp_path):
    (tmp_path / "fairseq").mkdir()
    (tmp_path / "fairseq" / "__init__.py").write_text("")
    done = subprocess.run(
        [sys.executable, "-c", "import ptsel_fairseq.plugin"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode != 0
    assert "a fairseq that lacks fairseq.criterions" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("reader", ["head -n 1", "true"])
def test_a_reader_that_has_seen_enough_is_no_error(reader):
    script = f'"$0" labels | {reader}; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(
        ["bash", "-c", script, str(BIN / "ptsel")], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
