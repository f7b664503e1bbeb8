"""Labels where neither the home folder nor the installation can be written."""

import subprocess
import sys

import pytest

SCRIPT = """
import numba.core.caching as caching
for kind in [caching.CacheImpl, *caching.CacheImpl.__subclasses__()]:
    kind._locator_classes = [kind._locator_classes[0]]  # the folder that a user names
import numpy as np
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels.tracks import compute_tracks, resolve
waveform = np.random.default_rng(0).uniform(-0.1, 0.1, 4000).astype(np.float32)
print(compute_tracks(waveform, resolve(["log_mel", "f0"]), FrameGrid())["log_mel"][0].shape)
"""


@pytest.mark.slow
def test_librosa_is_imported_where_numba_finds_no_place_for_its_cache(tmp_path):
    environment = {
        "HOME": "/nonexistent",
        "PATH": "/usr/bin:/bin",
        "TMPDIR": str(tmp_path),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "(12, 80)", done.stderr
    assert not list(tmp_path.glob("ptsel-numba-*"))
