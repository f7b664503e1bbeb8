"""The one exception that a user is meant to read."""

from __future__ import annotations


class PtselError(Exception):
    """Input that cannot be used, or a machine that cannot finish the work.

    The message says what was expected, what was found, where (file, line or utterance) and what to
    do about it. The command line prints it without a traceback and exits with code 2.
    """
