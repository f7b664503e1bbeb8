"""How a command ends that cannot go on: one line that says why, and the exit code."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import NoReturn

from ptsel_fairseq.base.errors import PtselError

BAD_INPUT, FAILURE, INTERRUPTED = 2, 1, 130
AGAIN = "every file that is there is whole; the same command, run again, does what is missing"


@contextlib.contextmanager
def one_line_failures(debug: Callable[[], bool], usage: Callable[[], None] = lambda: None) -> Iterator[None]:
    """End the program with one line, and no traceback unless `debug` says so.

    Exit codes: 2 for input or a machine that cannot be used, 130 for Ctrl-C, 1 for what was not foreseen.

    Args:
        usage: prints the usage of the command, for a message about its options.
    """
    try:
        yield
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        with contextlib.suppress(OSError, ValueError):
            os.dup2(
                os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
            )  # what is left is flushed at the end
        sys.exit(0)
    except KeyboardInterrupt:
        _say(f"ptsel: interrupted; {AGAIN}")
        sys.exit(INTERRUPTED)
    except PtselError as error:
        if debug():
            raise
        if str(error).startswith("--"):  # of the options: show which there are
            usage()
        fail(str(error))
    except OSError as error:
        if debug():
            raise
        fail(f"{_place(error)}: {error.strerror or error or type(error).__name__}; {AGAIN}")
    except MemoryError as error:
        if debug():
            raise
        fail(
            f"not enough memory ({_first_line(error)}); give it less at once, or a machine that has more; {AGAIN}"
        )
    except UnicodeDecodeError as error:
        if debug():
            raise
        fail(
            f"expected UTF-8, found other bytes ({error.reason} at byte {error.start}); convert the file to UTF-8"
        )
    except UnicodeEncodeError as error:
        if debug():
            raise
        shown = error.object[max(0, error.start - 40) : error.end]
        fail(f"{shown!r} is not UTF-8: a name in another encoding; rename it (for example with convmv)")
    except RecursionError:
        if debug():
            raise
        fail("a file is nested too deeply to be read")
    except Exception as error:
        if debug():
            raise
        if type(error).__name__ in ("BrokenProcessPool", "TerminatedWorkerError"):
            fail(
                f"a process of this command was killed, as Linux does when memory is full; give fewer --jobs; {AGAIN}"
            )
        _say(
            f"ptsel: error: {type(error).__name__}: {_first_line(error)}; nobody has foreseen this: run the command "
            "with `ptsel --debug ...` and report what it prints"
        )
        sys.exit(FAILURE)


def fail(message: str) -> NoReturn:
    """End with a line on standard error and exit code 2."""
    _say(f"ptsel: error: {' '.join(message.splitlines())}")
    sys.exit(BAD_INPUT)


def _say(line: str) -> None:
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr)


def _place(error: OSError) -> str:
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    return " -> ".join(names) or "a file"


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def print_any_name() -> None:
    """Let names that are no UTF-8 be printed, with their bytes in escapes."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
