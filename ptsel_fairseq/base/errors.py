"""The exceptions that a user is meant to read."""

from __future__ import annotations


class PtselError(Exception):
    """Input that cannot be used, or a machine that cannot finish the work.

    The message says what was expected, what was found, where (file, line or utterance) and what to
    do about it. The command line prints it without a traceback and exits with code 2.
    """


class RecordingError(PtselError):
    """A recording that cannot be used.

    Attributes:
        where: how messages name it: a file, or a line of a manifest.
        fault: what is wrong with it.
    """

    def __init__(self, where: str, fault: str) -> None:
        super().__init__(where, fault)
        self.where, self.fault = where, fault

    def __str__(self) -> str:
        return f"{self.where}: {self.fault}"


class BusyError(PtselError):
    """Another process is at work where this one wants to write."""
