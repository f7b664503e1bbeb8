"""Folders whose ``__init__.py`` registers things of a user's own, as fairseq's ``common.user_dir`` does in training.

They are kept in the environment, where worker processes find them too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ptsel_fairseq.base.errors import PtselError

VARIABLE = "PTSEL_USER_DIR"  # folders, with ":" between them


def use(folders: Iterable[Path]) -> None:
    """Add folders for this process and those it starts; raise PtselError for one that is no package."""
    for folder in folders:
        if not (folder / "__init__.py").is_file():
            raise PtselError(
                f"--user-dir {folder}: expected a folder with __init__.py, as common.user_dir in training, found none"
            )
        used = [str(known) for known in in_use()]
        if str(folder.resolve()) not in used:
            os.environ[VARIABLE] = os.pathsep.join([*used, str(folder.resolve())])


def in_use() -> list[Path]:
    """The folders in use, in the order in which they were given."""
    return [Path(folder) for folder in os.environ.get(VARIABLE, "").split(os.pathsep) if folder]
