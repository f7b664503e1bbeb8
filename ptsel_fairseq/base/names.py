"""Which paths a manifest can hold and lead inside its folder."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

UNUSABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def path_fault(path: str) -> str:
    """Why a path from somebody's list can be no path below a folder; empty if it can.

    It must lead to a place inside, whatever lies there, and stand in a line of a manifest, which has tabs and line
    breaks of its own and which fairseq strips of blanks.
    """
    if not path or path in (".", "/"):
        return "is no path"
    if path.startswith(("/", "~")) or re.match(r"[A-Za-z]:[\\/]", path):
        return "is not a path below the corpus's folder"
    if ".." in PurePosixPath(path.replace("\\", "/")).parts:
        return "leads outside the corpus's folder"
    if UNUSABLE.search(path):
        return "has a tab, a line break or bytes that are no UTF-8"
    if path != path.strip():
        return "has a blank at an end"
    return ""
