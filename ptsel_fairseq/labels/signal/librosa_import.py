"""Import librosa, also where numba finds no place for its compiled loops, as in a container that cannot be written."""

from __future__ import annotations

import atexit
import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from types import ModuleType

from ptsel_fairseq.base.files import in_turn
from ptsel_fairseq.labels.signal.compiled import import_numba


def import_librosa() -> ModuleType:
    """librosa with its filters; numba keeps compiled loops for the life of this process if it finds no other place."""
    numba = import_numba()
    try:
        with importing_in_turn():
            import librosa.filters
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        folder = tempfile.mkdtemp(prefix="ptsel-numba-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        numba.config.CACHE_DIR = folder
        import librosa.filters
    return librosa


@contextlib.contextmanager
def importing_in_turn() -> Iterator[None]:
    """Modules of librosa are imported by one process at a time; a module that is there already is not waited for.

    As it is imported it compiles ufuncs, which numba keeps in two parts, the loop and what calls it by a name that
    differs from process to process. Parts of several processes do not fit together and crash every later run.
    """
    import_numba()
    spec = None if "librosa.filters" in sys.modules else find_spec("librosa")
    with contextlib.ExitStack() as stack:
        for folder in (spec and spec.submodule_search_locations) or ():
            stack.enter_context(in_turn(folder))
        yield
