"""The command that runs a whole pipeline, and the one for the shell: argument parsing only."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.cli.arguments import add_command
from ptsel_fairseq.cli.parser import subparsers
from ptsel_fairseq.pipeline.settings import EXAMPLE

SHELLS = ("bash", "zsh", "tcsh")
PIPELINE_HELP = f"""\
PIPELINE.yaml  recordings, and for each step the options of its command; relative paths are meant from its folder
{textwrap.indent(EXAMPLE, "    ").rstrip()}
  steps in this order: convert or manifest, classes, check, extract, score, select, report, train, untrained, export,
  probe, finetune, decode; a step that is not named is left out (check: false leaves that one out)
"""


def add_run(commands) -> None:
    parser = add_command(
        commands,
        "run",
        "run the road from recordings to weights, and to a trained model, as one file describes it",
        PIPELINE_HELP,
    )
    parser.add_argument("pipeline", metavar="PIPELINE.yaml", type=Path, help="what is to be done")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where everything goes (default: as the file says, or its name)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the commands, and which steps are done")
    parser.add_argument(
        "--from", dest="from_step", metavar="STEP", help="do this step and all after it again"
    )

    def run(options: dict) -> None:
        from ptsel_fairseq.cli.program import check_arguments
        from ptsel_fairseq.pipeline.run import run_command

        run_command(**options, check=check_arguments)

    parser.set_defaults(command=run)


def add_completion(commands) -> None:
    parser = add_command(commands, "completion", "print what a shell needs to complete the words of ptsel")
    parser.add_argument("shell", choices=SHELLS, help="the shell to complete in")

    def run(options: dict) -> None:
        print(completion(options["shell"]), end="")

    parser.set_defaults(command=run, prints=True)


def completion(shell: str) -> str:
    """The completion script of a shell, by shtab.

    Raises:
        PtselError: shtab is not installed.
    """
    try:
        import shtab
    except ImportError:
        raise PtselError(
            "completion is written by shtab, which is not installed; pip install shtab"
        ) from None
    from ptsel_fairseq.cli.program import build_parser

    parser = build_parser()
    for command in (parser, *subparsers(parser).values()):
        for action in command._actions:
            if action.type is Path:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
            if isinstance(action.help, str):
                action.help = action.help.replace("%%", "%")
    return shtab.complete(_plain(parser), shell)


def _plain(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """shtab writes descriptions of many lines as they are, which a shell cannot read; one line is enough."""
    for command in subparsers(parser).values():
        command.epilog = None
    parser.epilog = None
    return parser


ADDED = (add_run, add_completion)
