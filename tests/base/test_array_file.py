"""Memory maps of which the system is told how they are read: the rows are the same, and only pages of them come."""

from __future__ import annotations

import mmap

import numpy as np
import pytest

from ptsel_fairseq.base.array_file import load_array, read_at_random, read_soon


@pytest.fixture
def file(tmp_path):
    values = np.random.default_rng(0).normal(size=(20_000, 7)).astype(np.float32)
    np.save(tmp_path / "x.npy", values)
    return tmp_path / "x.npy", values


@pytest.mark.parametrize("plain", [False, True])
def test_rows_are_the_same_wherever_they_are_read(file, plain):
    path, values = file
    found = load_array(path)
    found = found.view(np.ndarray) if plain else found
    read_at_random(found)
    for first, last in ((0, 20_000), (0, 1), (146, 5000), (19_999, 20_000), (500, 500)):
        read_soon(found, first, last)
        np.testing.assert_array_equal(found[first:last], values[first:last])


def test_the_ranges_lie_in_the_map_and_hold_the_rows(file):
    """Page by page, as the system wants it: what is asked for begins at a page and ends where the rows do."""
    path, _ = file
    found, asked = load_array(path), []

    class Map:
        def madvise(self, advice, start, length):
            asked.append((start, start + length))

    found._mmap = Map()
    read_soon(found, 1000, 3000)
    read_soon(found, 1000, 1010)  # within a page or two: not worth a call
    read_at_random(found)
    assert asked == [((128 + 28_000) // mmap.PAGESIZE * mmap.PAGESIZE, 128 + 84_000), (0, 128 + 560_000)]


def test_other_arrays_are_let_be(tmp_path):
    np.save(tmp_path / "none.npy", np.zeros((0, 3)))
    for array in (np.ones((9000, 3)), load_array(tmp_path / "none.npy"), np.float32(1)[None]):
        read_at_random(array)
        read_soon(array, 0, len(array))
