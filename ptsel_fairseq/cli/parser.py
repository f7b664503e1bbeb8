"""The parser of `ptsel`: errors come with the usage of their command and the word that was meant."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.suggestion import did_you_mean

# Options that were called otherwise before; the old word still does, with a notice.
OLD_SPELLINGS = {
    ("probe", "--model"): "--head",
    ("verify", "--backend"): "--scoring",
    ("select", "--weights"): "--given",
}
STANDARD_INPUT = "-"


class Parser(argparse.ArgumentParser):
    """As argparse's, of which a wrong word is answered by the usage of its command and the nearest word."""

    raising = ""  # how messages begin, if errors are to be raised rather than printed

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*arguments, **settings)

    def error(self, message: str) -> NoReturn:
        if Parser.raising:
            raise PtselError(f"{Parser.raising}{message} ({' '.join(self.format_usage().split())})")
        super().error(message)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            what = "command" if isinstance(action, argparse._SubParsersAction) else "choice"
            raise argparse.ArgumentError(
                action,
                f"no {what} {value!r}{did_you_mean(str(value), known)} (choose from {', '.join(known)})",
            )

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """As argparse's; an unknown option is the error of the command that it was given to."""
        words = list(sys.argv[1:] if args is None else args)
        parsed, unknown = self.parse_known_args(words, namespace)
        if unknown:
            command = self._command_of(words) or self
            options = [option for action in command._actions for option in action.option_strings]
            meant = did_you_mean(unknown[0].split("=")[0], options) if unknown[0].startswith("-") else ""
            command.error(f"unknown: {' '.join(unknown)}{meant}")
        return parsed

    def _command_of(self, words: Sequence[str]) -> argparse.ArgumentParser | None:
        known = subparsers(self)
        return next((known[word] for word in words if word in known), None)


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parser of each command, by its name."""
    return next(
        (
            dict(action.choices)
            for action in parser._actions
            if isinstance(action, argparse._SubParsersAction)
        ),
        {},
    )


def with_new_spellings(words: Sequence[str]) -> list[str]:
    """The words of a command line, options in their present spelling; a notice on standard error names each."""
    words = list(words)
    command = next((word for word in words if not word.startswith("-")), "")
    for i, word in enumerate(words):
        option, equals, value = word.partition("=")
        new = OLD_SPELLINGS.get((command, option))
        if new is not None:
            print(
                f"ptsel {command}: {option} is now called {new}; the old spelling still works",
                file=sys.stderr,
            )
            words[i] = f"{new}{equals}{value}"
    return words


def read_standard_input(options: dict[str, Any]) -> None:
    """Put the words of standard input, separated by white space, in place of a ``-`` in any list of an option.

    Raises:
        PtselError: nothing comes from there, or two lists ask for it.
    """
    asked = [
        name
        for name, value in options.items()
        if isinstance(value, list) and any(str(item) == STANDARD_INPUT for item in value)
    ]
    if not asked:
        return
    if len(asked) > 1:
        raise PtselError(f"expected one list from standard input (-), found {' and '.join(asked)}")
    found = sys.stdin.read().split()
    if not found:
        raise PtselError(f"{asked[0]}: expected words on standard input, found none")
    value = options[asked[0]]
    kind = Path if isinstance(value[0], Path) else str
    options[asked[0]] = [
        entry
        for item in value
        for entry in ([kind(word) for word in found] if str(item) == STANDARD_INPUT else [item])
    ]
