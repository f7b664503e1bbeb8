"""A recording is known by its content."""

import hashlib
import os

import numpy as np
import pytest

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.identity import IDENTITY, Identity, changed, from_row, to_array


def write(file, content, time):
    file.write_bytes(content)
    os.utime(file, ns=(time, time))


@pytest.fixture
def recording(tmp_path):
    file = tmp_path / "a.wav"
    write(file, b"as it was", 10**18)
    return file, Identity.of(file)


def test_it_is_size_time_and_checksum(recording):
    assert recording[1] == (9, 10**18, hashlib.sha256(b"as it was").hexdigest())


@pytest.mark.parametrize(
    ("content", "time", "same"),
    [
        (b"as it was", 10**18, True),
        (b"as it was", 2 * 10**18, True),  # copied elsewhere and back
        (b"otherwise", 2 * 10**18, False),
        (b"otherwise", 10**18 + 1, False),
        (b"longer than it was", 10**18, False),
        (b"", 10**18, False),
    ],
)
def test_content_decides(recording, content, time, same):
    file, identity = recording
    write(file, content, time)
    assert identity.is_of(file) == identity.is_of(file, thorough=True) == same
    assert changed([identity, identity], [file, file]) == ([] if same else [0, 1])


def test_only_a_thorough_look_sees_through_an_equal_size_and_time(recording):
    file, identity = recording
    write(file, b"otherwise", 10**18)
    assert identity.is_of(file)
    assert not identity.is_of(file, thorough=True)


def test_content_is_read_only_where_it_must_be(recording, monkeypatch):
    file, identity = recording

    def never(file):
        raise AssertionError

    monkeypatch.setattr("ptsel_fairseq.base.identity.file_checksum", never)
    assert identity.is_of(file)
    file.write_bytes(b"longer than it was")
    assert not identity.is_of(file)


def test_a_file_that_is_gone_or_cannot_be_read(recording, tmp_path):
    file, identity = recording
    file.unlink()
    assert not identity.is_of(file)
    with pytest.raises(PtselError, match="No such file"):
        Identity.of(file)
    with pytest.raises(PtselError, match="cannot be read"):
        Identity.of(tmp_path)


def test_arrays_hold_identities_without_pickles(recording, tmp_path):
    file, identity = recording
    np.save(tmp_path / "audio.npy", to_array([identity, identity]))
    rows = np.load(tmp_path / "audio.npy", allow_pickle=False)
    assert rows.dtype == IDENTITY
    assert [from_row(row) for row in rows] == [identity, identity]
    assert changed(rows, [file, tmp_path / "b.wav"]) == [1]
    assert changed(np.zeros(1, IDENTITY), [file]) == [0]
