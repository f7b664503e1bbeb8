"""Patterns by which a file's name says its class: ``{class}_*``, or a regular expression."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from ptsel_fairseq.base.errors import PtselError


def compile_pattern(pattern: str) -> Callable[[str], str | None]:
    """What gives the class of a path, or None if it does not fit.

    With ``{class}`` the pattern is plain text in which ``*`` stands for any letters but ``/``; with ``(?P<class>...)``
    it is a regular expression. It must fit the whole name without its suffix, or the whole path without its suffix if
    it holds ``/``.

    Raises:
        PtselError: a pattern that does not say which part is the class.
    """
    if "(?P<class>" in pattern:
        expression = pattern
    elif pattern.count("{class}") == 1:
        parts = re.split(r"(\{class\}|\*)", pattern)
        meaning = {"{class}": "(?P<class>[^/]+?)", "*": "[^/]*"}
        expression = "".join(meaning.get(part, re.escape(part)) for part in parts)
    else:
        raise PtselError(
            "--from-names: expected a pattern with one {class}, such as '{class}_*', or a regular expression with "
            f"(?P<class>...), found {pattern!r}"
        )
    try:
        compiled = re.compile(expression)
    except re.error as error:
        raise PtselError(f"--from-names: {pattern!r} is no regular expression ({error})") from None
    whole_path = "/" in pattern

    def class_of(path: str) -> str | None:
        shown = str(Path(path).with_suffix("").as_posix()) if whole_path else Path(path).stem
        match = compiled.fullmatch(shown)
        return match["class"] if match else None

    return class_of
