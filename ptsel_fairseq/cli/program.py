"""`ptsel`: argument parsing only; each command's work is in the room it belongs to.

Nothing heavy is imported before a command runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ptsel_fairseq.base.progress import be_quiet
from ptsel_fairseq.base.version import __version__
from ptsel_fairseq.cli import data, downstream, labels, pipeline, selection, training
from ptsel_fairseq.cli.arguments import add_common
from ptsel_fairseq.cli.failures import one_line_failures, print_any_name
from ptsel_fairseq.cli.parser import Parser, read_standard_input, subparsers, with_new_spellings


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; exit with 0, with 2 for input that cannot be used, with 1 for any other failure."""
    print_any_name()
    options: dict[str, Any] = {"debug": "--debug" in (sys.argv[1:] if arguments is None else arguments)}

    def usage() -> None:
        subparsers(parser)[name].print_usage(sys.stderr)

    with one_line_failures(lambda: options["debug"], usage):
        words = with_new_spellings(sys.argv[1:] if arguments is None else arguments)
        parser = build_parser()
        options = vars(parser.parse_args(words))
        command, quiet = options.pop("command"), options.pop("quiet")
        prints, name = options.pop("prints"), options.pop("name_of_command")
        if command is None:
            parser.print_help()
            return
        load_plugins(options.pop("plugins", []))
        read_standard_input(options)
        if quiet:
            be_quiet()
        with silenced(quiet and not prints and not options.get("json", False)):
            command({key: value for key, value in options.items() if key != "debug"})
        sys.stdout.flush()


def load_plugins(files: Sequence[Path]) -> None:
    if files:
        from ptsel_fairseq.base.extensions import load_files

        load_files(files)


def check_arguments(words: Sequence[str], where: str) -> None:
    """Parse a command line of `ptsel` without running it.

    Raises:
        PtselError: what is wrong, and the usage; the message begins with `where`.
    """
    Parser.raising = where
    try:
        build_parser().parse_args(with_new_spellings(words))
    finally:
        Parser.raising = ""


@contextlib.contextmanager
def silenced(quiet: bool) -> Iterator[None]:
    """Throw away what is printed on standard output; errors and warnings go elsewhere."""
    if not quiet:
        yield
        return
    with open(os.devnull, "w", encoding="utf-8") as nothing, contextlib.redirect_stdout(nothing):
        yield


def build_parser() -> Parser:
    """The parser of all commands; each sets ``command``, which does its work with the other options."""
    parser = Parser(
        prog="ptsel",
        description="Choose pretext labels, and their weights, for pretraining wav2vec 2.0 before any training.",
        epilog="the road: convert -> classes -> check -> extract -> score -> select -> fairseq-hydra-train -> export\n"
        "`ptsel run` goes it by itself; `ptsel COMMAND --help` shows an example of each command and file\n"
        "a list of words, such as of --labels, may come from standard input: --labels - < labels.txt",
    )
    parser.add_argument("--version", action="version", version=f"ptsel {__version__}")
    add_common(parser)
    parser.set_defaults(command=None, prints=False, name_of_command="")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="name_of_command", parser_class=Parser
    )
    rooms = (pipeline, data, labels, selection, training, downstream)
    for add in (add for room in rooms for add in room.ADDED):
        add(commands)
    return parser
