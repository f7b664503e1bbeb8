"""Import librosa, also where numba finds no place for its compiled loops, as in a container that cannot be written."""

from __future__ import annotations

import atexit
import contextlib
import shutil
import sys
import tempfile
from importlib.util import find_spec
from types import ModuleType

from ptsel_fairseq.base.files import in_turn
from ptsel_fairseq.labels.signal.compiled import import_numba


def import_librosa() -> ModuleType:
    """librosa with its filters; numba keeps compiled loops for the life of this process if it finds no other place.

    Processes import it one after the other: it compiles loops meanwhile, in two parts each, and parts that several
    processes have kept at once need not fit together, which crashes later runs.
    """
    numba = import_numba()
    try:
        with contextlib.ExitStack() as stack:
            spec = None if "librosa.filters" in sys.modules else find_spec("librosa")
            for folder in (spec and spec.submodule_search_locations) or ():
                stack.enter_context(in_turn(folder))
            import librosa.filters
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        folder = tempfile.mkdtemp(prefix="ptsel-numba-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        numba.config.CACHE_DIR = folder
        import librosa.filters
    return librosa
