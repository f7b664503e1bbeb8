"""What is kept of recordings is of the recordings as they are: another of the same name and length is noticed."""

from __future__ import annotations

import os
from operator import itemgetter

import numpy as np
import pytest

from ptsel_fairseq.base import kept
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.identity import Identity

DONE: list[str] = []


@pytest.fixture
def files(tmp_path):
    found = [tmp_path / f"{i}.wav" for i in range(5)]
    for i, file in enumerate(found):
        file.write_bytes(bytes([i]) * 10)
    DONE.clear()
    return found


def values_of(block):
    DONE.extend(file.name for (file,) in block)
    return [file.read_bytes()[0] for (file,) in block]


def in_blocks(files, folder, **more):
    blocks = kept.in_blocks(
        values_of, [(file,) for file in files], folder, size=2, seconds=lambda item: 1.0, title="work", jobs=1,
        audio=itemgetter(0), **more,
    )  # fmt: skip
    return [value for block in blocks for value in block]


def test_blocks_of_recordings_that_were_replaced_are_done_again(files, tmp_path):
    assert in_blocks(files, tmp_path / "kept") == [0, 1, 2, 3, 4]
    assert len(DONE) == 5
    DONE.clear()
    assert in_blocks(files, tmp_path / "kept") == [0, 1, 2, 3, 4]
    assert not DONE
    files[3].write_bytes(bytes([9]) * 10)  # same name, same length
    assert in_blocks(files, tmp_path / "kept") == [0, 1, 2, 9, 4]
    assert DONE == ["2.wav", "3.wav"]


def test_a_copy_with_another_time_is_the_same_and_one_that_is_gone_may_be(files, tmp_path):
    in_blocks(files, tmp_path / "kept")
    DONE.clear()
    os.utime(files[0])
    files[1].unlink()
    assert in_blocks(files, tmp_path / "kept") == [0, 1, 2, 3, 4]
    assert not DONE


@pytest.mark.parametrize("damage", ["gone", "no JSON", "other types", "too few"])
def test_blocks_whose_recordings_are_not_known_are_done_again(files, tmp_path, damage):
    in_blocks(files, tmp_path / "kept")
    DONE.clear()
    file = tmp_path / "kept" / "000000.audio.json"
    if damage == "gone":
        file.unlink()
    else:
        file.write_text({"no JSON": "[", "other types": '[3, "x"]', "too few": '[[1, 2, "x"]]'}[damage])
    assert in_blocks(files, tmp_path / "kept") == [0, 1, 2, 3, 4]
    assert DONE == ["0.wav", "1.wav"]


def parts_of(files):
    def parts(numbers):
        for i in numbers:
            DONE.append(files[i].name)
            identity = Identity.of(files[i])
            yield slice(2 * i, 2 * i + 2), np.full((2, 3), files[i].read_bytes()[0], np.float32), identity

    return parts


def filled(files, folder):
    return kept.filled_array(folder / "v.npy", (2 * len(files), 3), files, parts_of(files))[::2, 0].tolist()


def test_only_rows_of_recordings_that_were_replaced_are_made_again(files, tmp_path):
    (tmp_path / "kept").mkdir()
    assert filled(files, tmp_path / "kept") == [0, 1, 2, 3, 4]
    DONE.clear()
    assert filled(files, tmp_path / "kept") == [0, 1, 2, 3, 4]
    assert not DONE
    files[2].write_bytes(bytes([7]) * 10)
    assert filled(files, tmp_path / "kept") == [0, 1, 7, 3, 4]
    assert DONE == ["2.wav"]


def test_an_interrupted_run_goes_on(files, tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "SECONDS_BETWEEN_FLUSHES", 0.0)
    (tmp_path / "kept").mkdir()

    def dies(numbers):
        for part, _ in zip(parts_of(files)(numbers), range(3), strict=False):
            yield part
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept.filled_array(tmp_path / "kept" / "v.npy", (10, 3), files, dies)
    DONE.clear()
    files[0].write_bytes(bytes([8]) * 10)
    assert filled(files, tmp_path / "kept") == [8, 1, 2, 3, 4]
    assert DONE == ["0.wav", "3.wav", "4.wav"]


def test_a_damaged_array_is_refused_and_one_cut_off_while_it_was_made_is_made_again(files, tmp_path):
    folder = tmp_path / "kept"
    folder.mkdir()
    filled(files, folder)
    content = bytearray((folder / "v.npy").read_bytes())
    content[-2] ^= 1
    (folder / "v.npy").write_bytes(bytes(content))
    with pytest.raises(PtselError, match="not what was written"):
        filled(files, folder)
    (folder / "v.npy").rename(folder / "v.npy.partial")
    (folder / "v.npy.partial").write_bytes(bytes(content[:200]))
    DONE.clear()
    assert filled(files, folder) == [0, 1, 2, 3, 4]
    assert len(DONE) == 5
