"""A converted copy is whole or is not there, wherever the room ends."""

from __future__ import annotations

import resource
import signal

import numpy as np
import pytest
import soundfile

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.data.conversion import write_flac


@pytest.fixture
def room():
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, before)


def test_a_copy_is_whole_or_is_not_there(tmp_path, room):
    blocks = [np.random.default_rng(i).uniform(-0.3, 0.3, 4000).astype(np.float32) for i in range(3)]
    write_flac(tmp_path / "whole.flac", blocks, "0" * 64)
    size = (tmp_path / "whole.flac").stat().st_size
    expected = (tmp_path / "whole.flac").read_bytes()
    for limit in [*range(0, size, size // 23), *range(size - 40, size + 3)]:
        room(limit)
        if limit < size:
            with pytest.raises(PtselError, match="cannot be written"):
                write_flac(tmp_path / "a.flac", blocks, "0" * 64)
            assert not (tmp_path / "a.flac").exists()
        else:
            write_flac(tmp_path / "a.flac", blocks, "0" * 64)
            assert (tmp_path / "a.flac").read_bytes() == expected
    assert len(soundfile.read(tmp_path / "whole.flac")[0]) == 12_000
