"""What comes with the package beside its code: training recipes and example speech.

In a clone they are the folders ``configs`` and ``examples/asterisk``; a wheel has copies below ``bundled``.
"""

from __future__ import annotations

from pathlib import Path

from ptsel_fairseq.base.errors import PtselError

PACKAGE = Path(__file__).resolve().parents[1]
RECIPES, SPEECH = "configs", "asterisk"
IN_CLONE = {RECIPES: "configs", SPEECH: "examples/asterisk"}


def bundled(name: str) -> Path:
    """The folder of the recipes or of the example speech.

    Raises:
        PtselError: an installation that lacks it.
    """
    for folder in (PACKAGE / "bundled" / name, PACKAGE.parent / IN_CLONE[name]):
        if folder.is_dir():
            return folder
    raise PtselError(
        f"{PACKAGE}: this installation lacks the folder bundled/{name}; install the package again"
    )
