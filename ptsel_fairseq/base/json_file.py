"""Read JSON of whomever: what Python's own reader lets pass, this one names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LARGEST = 2 << 30  # bytes of a file


class JsonError(ValueError):
    """Why a file is no JSON that can be used, without its name."""


def parse_json(text: str, finite: bool = True) -> Any:
    """The value of a JSON text.

    Args:
        finite: whether to refuse NaN and infinity, which JSON does not have.

    Raises:
        JsonError: not JSON, a repeated key, extreme nesting, or an invalid number.
    """
    try:
        return json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refused if finite else None, parse_int=_integer
        )
    except JsonError:
        raise
    except RecursionError:
        raise JsonError("nested too deeply") from None
    except ValueError as error:
        raise JsonError(str(error)) from None


def read_json(file: Path | str, finite: bool = True) -> Any:
    """The value of a JSON file in UTF-8.

    Raises:
        JsonError: see `parse_json`, or not UTF-8.
        OSError: the file cannot be read.
    """
    file = Path(file)
    if file.stat().st_size > LARGEST:
        raise JsonError(f"larger than {LARGEST >> 30} GiB")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise JsonError(f"not UTF-8 ({error.reason})") from None
    return parse_json(text, finite)


def is_number(value: Any) -> bool:
    """Whether a value of a JSON file is a finite number, which true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise JsonError(f"the key {twice!r} stands twice")
    return found


def _refused(constant: str) -> Any:
    raise JsonError(f"{constant} where a number was expected")


def _integer(digits: str) -> int:
    if len(digits) > 300:
        raise JsonError("an integer of more than 300 digits")
    return int(digits)
