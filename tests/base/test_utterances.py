"""Manifests held as arrays: what a sequence of utterances says, whatever the block and the kind of line."""

from __future__ import annotations

import hashlib
import pickle

import numpy as np
import pytest

from ptsel_fairseq.base import manifest as module
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.manifest import Manifest, Utterance, read_manifest
from ptsel_fairseq.base.utterances import Utterances

LINES = [(f"Ünïcode dir/{i}/{'x' * (i % 7)}.flac", 400 + 37 * i) for i in range(200)]


def written(tmp_path, lines, ending="\n"):
    file = tmp_path / "train.tsv"
    file.write_bytes((ending.join(["/audio", *lines]) + ending).encode())
    return file


@pytest.mark.parametrize("block", [1, 50, 1000, 1 << 18])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\n\n \n"])
def test_blocks_and_line_endings_change_nothing(tmp_path, monkeypatch, block, ending):
    monkeypatch.setattr(module, "BLOCK", block)
    text = [f"{path}\t{samples}" for path, samples in LINES]
    file = written(tmp_path, text, ending if ending != "\n\n \n" else "\n")
    if ending == "\n\n \n":
        file.write_bytes(file.read_bytes() + ending.encode())
    found = read_manifest(file)
    assert [(u.index, u.path, u.samples) for u in found] == [(i, *line) for i, line in enumerate(LINES)]
    assert found.checksum == hashlib.sha256("".join(f"{line}\n" for line in text).encode()).hexdigest()
    assert found.samples.tolist() == [samples for _, samples in LINES]


def test_unusual_numbers_are_read_and_an_empty_line_between_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 1)
    found = read_manifest(written(tmp_path, ["a\t 16000 ", "b\t007", "c\t١٢"]))
    assert found.samples.tolist() == [16000, 7, 12]
    assert found.checksum == Manifest(found.file, found.root, tuple(found)).checksum
    with pytest.raises(PtselError, match="line 3: expected a path"):
        read_manifest(written(tmp_path, ["a\t16000", "", "b\t16000"]))
    with pytest.raises(PtselError, match="line 3: expected a path"):
        read_manifest(written(tmp_path, ["a\t1", f"b\t{1 << 63}"]))


def test_is_a_sequence_of_utterances():
    utterances = tuple(Utterance(i, path, samples) for i, (path, samples) in enumerate(LINES))
    found = Utterances.of(utterances)
    assert found == utterances
    assert list(found) == list(utterances)
    assert (found[3], found[-1], found[np.int64(5)]) == (utterances[3], utterances[-1], utterances[5])
    assert found[10:4:-2] == utterances[10:4:-2]
    assert pickle.loads(pickle.dumps(found)) == found
    assert found != utterances[:-1]
    with pytest.raises(IndexError):
        found[len(found)]
    # A part of a manifest keeps the lines of the whole.
    assert [u.index for u in Utterances.of(utterances[50::50])] == [50, 100, 150]


def test_takes_eight_bytes_an_utterance_beside_the_paths():
    utterances = Utterances.of(Utterance(i, path, samples) for i, (path, samples) in enumerate(LINES))
    paths = sum(len(path.encode()) for path, _ in LINES)
    assert len(pickle.dumps(utterances)) < paths + 8 * len(LINES) + 1000


def test_lengths_beyond_four_bytes():
    long = Utterances.of([Utterance(0, "a", 1 << 40), Utterance(1, "b", 3)])
    assert [u.samples for u in long] == [1 << 40, 3]


def test_offsets_are_the_sum_of_the_frames():
    grid = FrameGrid()
    samples = np.array([0, 399, 400, 719, 720, 48_000])
    frames = [grid.num_frames(int(n)) for n in samples]
    assert grid.offsets(samples).tolist() == [0, *np.cumsum(frames).tolist()]
    assert grid.offsets(samples[:0]).tolist() == [0]
