"""Every way in which a command can fail ends in one line and an exit code."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.cli import program
from ptsel_fairseq.cli.failures import one_line_failures, print_any_name


def ended(error, capsys, debug=False):
    def fails():
        raise error

    with pytest.raises(SystemExit) as code, one_line_failures(lambda: debug):
        fails()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "Traceback" not in said
    return code.value.code, said


KINDS = ("EACCES", "EBUSY", "EDQUOT", "EFBIG", "EIO", "EISDIR", "ELOOP", "EMFILE", "ENAMETOOLONG", "ENODEV")
MORE = (
    "ENOENT",
    "ENOLCK",
    "ENOMEM",
    "ENOSPC",
    "ENOTDIR",
    "ENXIO",
    "EOVERFLOW",
    "EPERM",
    "EROFS",
    "ESTALE",
    "ETXTBSY",
)


@pytest.mark.parametrize("name", [*KINDS, *MORE])
def test_what_the_operating_system_refuses_is_bad_input(name, capsys):
    number = getattr(errno, name)
    code, said = ended(OSError(number, os.strerror(number), "/data/x.npy"), capsys)
    assert code == 2
    assert said.startswith(f"ptsel: error: /data/x.npy: {os.strerror(number)}; ")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (PtselError("x.tsv, line 3: expected\na path"), 2, "x.tsv, line 3: expected a path"),
        (KeyboardInterrupt(), 130, "interrupted; every file that is there is whole"),
        (MemoryError(), 2, "not enough memory"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), 2, "expected UTF-8"),
        (UnicodeEncodeError("utf-8", "a\udcff", 1, 2, "surrogates"), 2, "is not UTF-8"),
        (RecursionError(), 2, "nested too deeply"),
        (type("TerminatedWorkerError", (RuntimeError,), {})(), 2, "was killed"),
        (OSError("no number"), 2, "a file: no number"),
        (ZeroDivisionError("division\nby zero"), 1, "ZeroDivisionError: division; nobody has foreseen this"),
    ],
)
def test_other_failures(error, code, message, capsys):
    found, said = ended(error, capsys)
    assert found == code
    assert message in said


@pytest.mark.parametrize("error", [PtselError("x"), OSError(5, "x"), MemoryError(), KeyError("x")])
def test_debug_shows_where(error):
    with pytest.raises(type(error)), one_line_failures(lambda: True):
        raise error


def test_ctrl_c_while_arguments_are_read(monkeypatch, capsys):
    def interrupted(words):
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "with_new_spellings", interrupted)
    with pytest.raises(SystemExit) as code:
        program.main(["labels"])
    assert code.value.code == 130
    assert capsys.readouterr().err.startswith("ptsel: interrupted")


def test_a_name_in_another_encoding_can_be_printed():
    script = "from ptsel_fairseq.cli.failures import print_any_name; print_any_name(); print('k\\udce4se')"
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert done.stdout == "k\\udce4se\n", done.stderr
    print_any_name()


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    script = "from ptsel_fairseq.cli import main; main(['labels'])"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 0


@pytest.mark.slow
def test_ctrl_c_in_the_middle_of_a_command(tmp_path):
    script = (
        "import time; from ptsel_fairseq.cli import program\n"
        "program.load_plugins = lambda files: print('on', flush=True) or time.sleep(60)\n"
        "program.main(['labels'])"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"on\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130
    assert said.count(b"\n") == 1
