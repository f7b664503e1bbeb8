"""Import librosa, also where numba finds no place for its compiled loops, as in a container that cannot be written."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from types import ModuleType

from ptsel_fairseq.labels.signal.compiled import import_numba


def import_librosa() -> ModuleType:
    """librosa with its filters; numba keeps compiled loops for the life of this process if it finds no other place."""
    numba = import_numba()
    try:
        import librosa.filters
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        folder = tempfile.mkdtemp(prefix="ptsel-numba-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        numba.config.CACHE_DIR = folder
        import librosa.filters
    return librosa
