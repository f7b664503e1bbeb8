"""Compiled loops that several processes put into one folder at once are each for their own types."""

from __future__ import annotations

import os
import subprocess
import sys

LOOPS = 6
MODULE = "\n".join(
    f"def twice{number}(values):\n    return values[0] + values[-1]\n" for number in range(LOOPS)
)
COMPILE = """
import sys, time
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
for name in sorted(vars(loops)):
    if name.startswith("twice"):
        loop = compiled.compiled(getattr(loops, name))
        for dtype in types:
            assert loop(np.array([1, 2, 3], dtype=dtype)) == 4, (name, dtype)
"""


def test_processes_that_compile_at_once_do_not_mix_their_loops(tmp_path):
    """numba alone names one type's code as another's: garbage, or a crash, in the runs that come after."""
    (tmp_path / "loops.py").write_text(MODULE)
    cache = tmp_path / "cache"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    words = [sys.executable, "-c", COMPILE, str(tmp_path)]
    together = [subprocess.Popen([*words, str(first)], env=environment) for first in range(3)]
    assert [process.wait(timeout=300) for process in together] == [0, 0, 0]
    kept = sorted(cache.rglob("*.nbc"))
    assert len(kept) == 3 * LOOPS
    for first in range(3):
        subprocess.run([*words, str(first)], env=environment, check=True, timeout=300)
    assert sorted(cache.rglob("*.nbc")) == kept
