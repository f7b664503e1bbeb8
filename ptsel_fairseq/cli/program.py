"""`ptsel`: argument parsing only; each command's work is in the room it belongs to.

Nothing heavy is imported before a command runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ptsel_fairseq import __version__
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.cli import data, downstream, labels, selection, training


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; exit with 0, with 2 for input that cannot be used, with 1 for any other failure."""
    parser = build_parser()
    options = vars(parser.parse_args(arguments))
    command, debug = options.pop("command"), options.pop("debug")
    try:
        load_plugins(options.pop("plugins", []))
        command(options)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is flushed at the end
        sys.exit(0)
    except PtselError as error:
        if debug:
            raise
        fail(str(error))
    except OSError as error:
        if debug or error.errno not in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT):
            raise
        fail(
            f"{error.filename or 'writing'}: {error.strerror}; nothing already finished is lost, run the command again"
        )
    except KeyboardInterrupt:
        print(
            "ptsel: interrupted; what is finished is kept, the same command goes on from there",
            file=sys.stderr,
        )
        sys.exit(130)


def load_plugins(files: Sequence[Path]) -> None:
    if files:
        from ptsel_fairseq.base.extensions import load_files

        load_files(files)


def fail(message: str) -> None:
    print(f"ptsel: error: {message}", file=sys.stderr)
    sys.exit(2)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ptsel",
        description="Choose pretext labels, and their weights, for pretraining wav2vec 2.0 before any training.",
        epilog="manifest -> check -> extract -> score -> select -> fairseq-hydra-train -> export",
    )
    parser.add_argument("--version", action="version", version=f"ptsel {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (*data.ADDED, *labels.ADDED, *selection.ADDED, *training.ADDED, *downstream.ADDED):
        add(commands)
    return parser
