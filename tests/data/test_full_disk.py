"""A converted copy is whole or is not there, wherever the room ends."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from disk_tools import room

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.data.conversion import write_flac


def test_a_copy_is_whole_or_is_not_there(tmp_path):
    blocks = [np.random.default_rng(i).uniform(-0.3, 0.3, 4000).astype(np.float32) for i in range(3)]
    write_flac(tmp_path / "whole.flac", blocks, "0" * 64)
    size = (tmp_path / "whole.flac").stat().st_size
    expected = (tmp_path / "whole.flac").read_bytes()
    for limit in [*range(0, size, size // 23), *range(size - 40, size + 3)]:
        if limit < size:
            with room(limit), pytest.raises(PtselError, match="cannot be written"):
                write_flac(tmp_path / "a.flac", blocks, "0" * 64)
            assert not (tmp_path / "a.flac").exists()
        else:
            with room(limit):
                write_flac(tmp_path / "a.flac", blocks, "0" * 64)
            assert (tmp_path / "a.flac").read_bytes() == expected
    assert len(soundfile.read(tmp_path / "whole.flac")[0]) == 12_000
