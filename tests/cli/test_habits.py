"""Habits of a command line that hold for every command."""

from __future__ import annotations

import io
import json
import shlex
import subprocess
import sys

import pytest
from conftest import run_command

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.cli import main
from ptsel_fairseq.cli.examples import EXAMPLES
from ptsel_fairseq.cli.parser import OLD_SPELLINGS, read_standard_input, subparsers, with_new_spellings
from ptsel_fairseq.cli.program import build_parser, check_arguments

COMMANDS = subparsers(build_parser())
# What one word means wherever it is an option.
MEANINGS = {
    "--jobs": {"processes (default: all cores)"},
    "--device": None,
    "--json": None,
    "--quiet": {"show no progress and no report, only errors"},
}


def run_main(capsys, *words):
    try:
        main([str(word) for word in words])
        code = 0
    except SystemExit as ended:
        code = ended.code
    return code, *capsys.readouterr()


def test_bare_ptsel_and_the_module_show_the_help():
    bare = run_command("ptsel")
    assert (bare.returncode, bare.stderr) == (0, "")
    assert bare.stdout == run_command("ptsel", "--help").stdout
    done = subprocess.run(
        [sys.executable, "-m", "ptsel_fairseq", "--version"], capture_output=True, text=True
    )
    assert done.stdout.startswith("ptsel ")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_that_its_parser_takes(name):
    example = EXAMPLES[name]
    assert example in COMMANDS[name].format_help()
    if name == "user-dir":
        return
    words = shlex.split(example.split(" > ")[0])
    assert words[:2] == ["ptsel", name]
    check_arguments(words[1:], "")


@pytest.mark.parametrize("name", COMMANDS)
def test_no_option_is_without_a_description_and_one_word_is_one_thing(name):
    for action in COMMANDS[name]._actions:
        assert action.help, action.option_strings or action.dest
        for option in action.option_strings:
            if MEANINGS.get(option):
                assert action.help in MEANINGS[option]
            if option == "--model":
                assert action.metavar == "CHECKPOINT"
            if option == "--weights":
                assert str(action.metavar).startswith("FILE")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["exract", "data"], "no command 'exract'; did you mean 'extract'?"),
        (["extract", "data", "--lables", "f0", "--store", "s", "--labels", "f0"], "did you mean '--labels'?"),
        (
            ["score", "data", "--store", "s", "--classes", "c", "--out", "o", "--summary", "men"],
            "did you mean 'mean'?",
        ),
        (["export", "c.pt", "--out", "o", "--format", "fairsec"], "did you mean 'fairseq'?"),
    ],
)
def test_a_wrong_word_is_answered_by_the_usage_and_the_nearest(capsys, words, expected):
    code, out, err = run_main(capsys, *words)
    assert (code, out) == (2, "")
    assert expected in err
    assert err.startswith(f"usage: ptsel {words[0]}" if words[0] in COMMANDS else "usage: ptsel")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["labels", "loudnes"], "did you mean 'loudness'?"),
        (["prepare", "librispech", "a", "b"], "did you mean 'librispeech'?"),
        (["fetch", "asterix", "a"], "did you mean 'asterisk'?"),
        (["recipe", "base_100"], "did you mean 'base_100h'?"),
    ],
)
def test_so_is_a_name_that_does_not_exist(capsys, words, expected):
    code, _, err = run_main(capsys, *words)
    assert code == 2
    assert expected in err.replace("(did you mean librispeech?)", "did you mean 'librispeech'?")


def test_an_error_of_the_options_shows_the_usage(capsys, tmp_path):
    code, _, err = run_main(capsys, "check", tmp_path, "--weights", "w.yaml")
    assert code == 2
    assert err.startswith("usage: ptsel check")
    assert "ptsel: error: --weights: give --store as well" in err


@pytest.mark.parametrize(("command", "old", "new"), [(*key, new) for key, new in OLD_SPELLINGS.items()])
def test_old_spellings_work_with_a_notice(capsys, command, old, new):
    assert with_new_spellings(["--debug", command, old, "x", f"{old}=y"]) == [
        "--debug",
        command,
        new,
        "x",
        f"{new}=y",
    ]
    assert f"ptsel {command}: {old} is now called {new}" in capsys.readouterr().err
    options = {option for action in COMMANDS[command]._actions for option in action.option_strings}
    assert new in options
    assert old not in options


def test_lists_come_from_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("f0 zcr\nloudness\n"))
    options = {"labels": ["mfcc", "-"], "splits": ["train"]}
    read_standard_input(options)
    assert options == {"labels": ["mfcc", "f0", "zcr", "loudness"], "splits": ["train"]}
    with pytest.raises(PtselError, match="expected words on standard input"):
        read_standard_input({"labels": ["-"]})
    with pytest.raises(PtselError, match="one list from standard input"):
        read_standard_input({"labels": ["-"], "splits": ["-"]})


def test_quiet_is_quiet_before_and_after_the_command(tmp_path, capsys):
    for words in (["--quiet", "example-data", tmp_path / "a"], ["example-data", tmp_path / "b", "--quiet"]):
        assert run_main(capsys, *words) == (0, "", "")
    code, out, _ = run_main(capsys, "user-dir", "--quiet")  # whose output is what it is asked for
    assert code == 0
    assert out.strip()
    code, out, err = run_main(capsys, "--quiet", "manifest", tmp_path / "none", "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert "no such folder" in err


def test_json_for_programs(capsys, data_dir):
    code, out, _ = run_main(capsys, "labels", "f0", "zcr", "--json")
    assert code == 0
    assert set(json.loads(out)) == {"f0", "zcr"}
    code, out, _ = run_main(capsys, "recipe", "--json")
    assert "pretraining/tiny" in json.loads(out)
    code, out, _ = run_main(capsys, "check", data_dir, "--headers-only", "--json")
    found = json.loads(out)
    assert code == 0
    assert (
        found["splits"]["train"]["utterances"] == len((data_dir / "train.tsv").read_text().splitlines()) - 1
    )
    assert found["findings"] == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_every_command_and_its_options(capsys, shell):
    pytest.importorskip("shtab")
    code, out, err = run_main(capsys, "completion", shell)
    assert code == 0, err
    assert all(name in out for name in COMMANDS)
    assert "--split-long" in out or "split-long" in out
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=out, text=True).returncode == 0


def test_progress_is_silent_where_there_is_no_terminal(tmp_path, data_dir):
    done = run_command("ptsel", "check", data_dir)
    assert done.stderr == ""
