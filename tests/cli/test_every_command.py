"""Each subcommand: its help, its options, and how it answers a wrong word, a wrong file and a pipe."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest
from conftest import ROOT

from ptsel_fairseq.cli import main
from ptsel_fairseq.cli.parser import subparsers
from ptsel_fairseq.cli.program import build_parser

COMMANDS = subparsers(build_parser())
# Options whose argument is of another kind in another command, and what it may be.
OF_SEVERAL_KINDS = {"--out", "--from", "--random", "--head"}


def options_of(name):
    """Options of a command that take a value, by name."""
    return {
        option: action
        for action in COMMANDS[name]._actions
        for option in action.option_strings
        if option.startswith("--") and action.nargs != 0
    }


def ended(capsys, *words):
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    return end.value.code, *capsys.readouterr()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_has_a_sentence_an_example_and_the_options_of_every_command(name, capsys):
    code, out, err = ended(capsys, name, "--help")
    assert (code, err) == (0, "")
    assert re.search(r"^usage: ptsel " + name, out)
    assert re.search(r"^[A-Z].{20,}\.$", out, re.M), "a description"
    assert re.search(rf"^example:\n  .*{name}", out, re.M)
    for option in ("--quiet", "--debug"):
        assert option in out
    assert "%(" not in out


@pytest.mark.parametrize("name", COMMANDS)
def test_a_description_says_more_than_a_default(name):
    for action in COMMANDS[name]._actions:
        without_default = re.sub(r"\(?default:? .*", "", str(action.help))
        assert re.search(r"\w{2,}", without_default), f"{action.option_strings}: {action.help}"


@pytest.mark.parametrize("name", COMMANDS)
def test_values_are_written_in_capitals_or_listed(name):
    for option, action in options_of(name).items():
        assert action.metavar or action.choices, (
            f"{option} shows {action.dest.upper()}, a name of the program"
        )


def test_an_option_takes_the_same_kind_of_value_everywhere():
    kinds = defaultdict(set)
    for name in COMMANDS:
        for option, action in options_of(name).items():
            kinds[option].add((action.metavar, action.nargs, getattr(action.type, "__name__", "str")))
    several = {option for option, found in kinds.items() if len(found) > 1}
    assert several <= OF_SEVERAL_KINDS, {option: kinds[option] for option in several - OF_SEVERAL_KINDS}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_mistyped_option_is_answered_with_the_right_one(name, capsys):
    known = next(
        (option for option in options_of(name) if len(option) > 6 and option not in ("--from-folders",)),
        "--quiet",
    )
    typed = known[:-2] + known[-1] + known[-2]
    code, out, err = ended(capsys, name, *minimal(name), typed, "x")
    assert (code, out) == (2, "")
    assert err.startswith(f"usage: ptsel {name}")
    assert f"did you mean '{known}'" in err


def minimal(name):
    """The fewest words that a command's parser takes; the files are not there."""
    words, groups = [], COMMANDS[name]._mutually_exclusive_groups
    for action in COMMANDS[name]._actions:
        first_of_group = any(group.required and group._group_actions[0] is action for group in groups)
        value = next(iter(action.choices)) if action.choices else "1" if action.type is int else "nowhere"
        if not action.option_strings:
            words += [] if action.nargs in ("*", "?") else [str(value)]
        elif action.required or first_of_group:
            words += [action.option_strings[0], str(value)]
    return words


@pytest.mark.parametrize(
    "name", sorted(set(COMMANDS) - {"user-dir", "completion", "recipe", "labels", "example-data"})
)
def test_what_is_not_there_is_one_line_that_names_it(name, tmp_path, monkeypatch, capsys):
    if name == "estimate":
        pytest.importorskip("fairseq")
    monkeypatch.chdir(tmp_path)
    code, _, err = ended(capsys, name, *minimal(name))
    assert code == 2
    assert len([line for line in err.splitlines() if line.startswith("ptsel: error: ")]) == 1, err
    assert "nowhere" in err
    assert "Traceback" not in err


def test_only_one_bar_is_drawn_anywhere():
    """Every bar is that of `base.progress`, which is silent where there is no terminal and with --quiet."""
    package = ROOT / "ptsel_fairseq"
    users = {
        str(file.relative_to(package))
        for file in package.rglob("*.py")
        if re.search(r"\btqdm\b|\btrange\b", file.read_text())
    }
    assert users == {str(Path("base", "progress.py"))}
