"""Compiled loops that several processes put into one folder at once are each for their own types."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

LOOPS = 6
MODULE = "\n".join(
    f"def twice{number}(values):\n    return values[0] + values[-1]\n" for number in range(LOOPS)
)
COMPILE = """
import itertools, sys, time
from concurrent.futures import ThreadPoolExecutor
sys.path.insert(0, sys.argv[1])
import numpy as np
from ptsel_fairseq.labels.signal import compiled
numba = compiled.import_numba()
from numba.core.caching import IndexDataCacheFile

save_index = IndexDataCacheFile._save_index
def save_late(self, overloads):  # as on a busy machine
    time.sleep(0.1)
    save_index(self, overloads)
IndexDataCacheFile._save_index = save_late

import loops
types = [np.float64, np.int32, np.complex64]
types = types[int(sys.argv[2]):] + types[:int(sys.argv[2])]
names = [name for name in sorted(vars(loops)) if name.startswith("twice")]
def check(pair):
    name, dtype = pair
    loop = compiled.compiled(getattr(loops, name))
    assert loop(np.array([1, 2, 3], dtype=dtype)) == 4, pair
with ThreadPoolExecutor(int(sys.argv[3])) as pool:
    list(pool.map(check, itertools.product(names, types)))
"""


def test_processes_that_compile_at_once_do_not_mix_their_loops(tmp_path):
    """numba alone names one type's code as another's: garbage, or a crash, in the runs that come after."""
    (tmp_path / "loops.py").write_text(MODULE)
    cache = tmp_path / "cache"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    words = [sys.executable, "-c", COMPILE, str(tmp_path)]
    together = [subprocess.Popen([*words, str(first), "1"], env=environment) for first in range(3)]
    assert [process.wait(timeout=300) for process in together] == [0, 0, 0]
    kept = sorted(cache.rglob("*.nbc"))
    assert len(kept) == 3 * LOOPS
    for first in range(3):
        # Several threads, which also take turns by a lock of numba's own.
        subprocess.run([*words, str(first), "4"], env=environment, check=True, timeout=300)
    assert sorted(cache.rglob("*.nbc")) == kept


ONCE = """
import threading
from ptsel_fairseq.labels.signal.compiled import import_numba
barrier = threading.Barrier(16)
def first():
    barrier.wait()
    import_numba()
threads = [threading.Thread(target=first) for _ in range(16)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
from numba.core.caching import IndexDataCacheFile
assert not hasattr(IndexDataCacheFile.save.__wrapped__, "__wrapped__")
"""


def test_threads_that_come_first_at_once_wrap_it_once():
    """Twice, and saving would wait for its own lock for ever."""
    subprocess.run([sys.executable, "-c", ONCE], check=True, timeout=100)


UFUNCS = """
import sys, time
from ptsel_fairseq.labels.signal.compiled import import_numba
from ptsel_fairseq.labels.signal.librosa_import import importing_in_turn
numba = import_numba()
for number in range(int(sys.argv[1])):  # names of loops count what this process has compiled before
    numba.njit(lambda value: value + number)(1)
from numba.core.caching import IndexDataCacheFile
save = IndexDataCacheFile.save
def save_late(self, *arguments):  # as on a busy machine
    time.sleep(0.2 * int(sys.argv[1]))
    save(self, *arguments)
IndexDataCacheFile.save = save_late
with importing_in_turn():
    import librosa.core.pitch
import numpy as np
for dtype in (np.float64, np.float32):
    assert librosa.core.pitch._parabolic_interpolation(np.ones((2, 5), dtype)).shape == (2, 5)
"""


@pytest.mark.slow
def test_processes_that_import_librosa_at_once_leave_ufuncs_that_fit_together(tmp_path):
    """Without turns a part of one process is kept beside a part of the other, and the last run crashes."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    words = [sys.executable, "-c", UFUNCS]
    together = [subprocess.Popen([*words, str(number)], env=environment) for number in (0, 3)]
    assert [process.wait(timeout=300) for process in together] == [0, 0]
    subprocess.run([*words, "0"], env=environment, check=True, timeout=300)
