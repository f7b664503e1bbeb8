"""`ptsel check` of large corpora: the same findings whatever the pieces, and a few bytes an utterance."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import ASTERISK
from hypothesis import given
from hypothesis import strategies as st

from ptsel_fairseq.base.manifest import Manifest, Utterance, read_manifest
from ptsel_fairseq.data import check_audio as checks
from ptsel_fairseq.data.check_audio import check_audio, find_shared_paths, first_of_same_path, repeated
from ptsel_fairseq.data.inspection import inspect_file


def manifest_of(paths, split="train", root="/audio", samples=16_000):
    utterances = [Utterance(i, path, samples) for i, path in enumerate(paths)]
    return Manifest(Path(root) / f"{split}.tsv", Path(root), utterances)


@given(st.lists(st.integers(-3, 3)))
def test_repeated_are_those_that_are_there_more_than_once(numbers):
    assert repeated(np.array(numbers, dtype=np.int64)).tolist() == [numbers.count(n) > 1 for n in numbers]


@given(st.lists(st.sampled_from(["a", "b", "a/b", "ä", "c"])))
def test_each_repeated_path_names_the_first_line_that_has_it(paths):
    expected = {i: paths.index(path) for i, path in enumerate(paths) if paths.index(path) < i}
    assert first_of_same_path(manifest_of(paths)) == expected


def test_paths_whose_hashes_are_equal_by_chance_are_not_taken_for_the_same(monkeypatch):
    monkeypatch.setattr(checks, "hash", lambda path: 7, raising=False)
    assert first_of_same_path(manifest_of(["a", "b", "a"])) == {2: 0}
    found = find_shared_paths([manifest_of(["a", "b"]), manifest_of(["b", "c"], "valid")])
    assert [finding.place for finding in found] == ["/audio/valid.tsv, line 2 (b)"]


@pytest.mark.parametrize("other", ["x/a.wav", "x//a.wav", "x/./a.wav", "./x/a.wav"])
def test_one_file_in_two_splits_is_found_however_it_is_written(other):
    train = manifest_of(["y.wav", "x/a.wav"])
    assert len(find_shared_paths([train, manifest_of([other, "b.wav"], "valid")])) == 1
    below = manifest_of(["a.wav"], "valid", root="/audio/x")
    assert len(find_shared_paths([train, below])) == 1
    assert find_shared_paths([train]) == []


@pytest.fixture
def clips(tmp_path):
    """Forty names of five real clips, one of them at another rate, one missing, one cut off, one written twice."""
    for number, utterance in enumerate(read_manifest(ASTERISK / "train.tsv").utterances[:50:10]):
        waveform, rate = soundfile.read(ASTERISK / "audio" / utterance.path, dtype="float32")
        soundfile.write(tmp_path / f"{number}.wav", waveform, 8000 if number == 4 else rate)
    lines = []
    for i in range(40):
        (tmp_path / f"clip{i}.wav").write_bytes((tmp_path / f"{i % 5}.wav").read_bytes())
        lines.append(f"clip{i}.wav\t{soundfile.info(tmp_path / f'clip{i}.wav').frames}")
    (tmp_path / "clip7.wav").unlink()
    (tmp_path / "clip22.wav").write_bytes((tmp_path / "clip22.wav").read_bytes()[:5000])
    lines[31] = lines[3]
    (tmp_path / "train.tsv").write_text("\n".join([str(tmp_path), *lines]) + "\n")
    return read_manifest(tmp_path / "train.tsv")


@pytest.mark.parametrize("headers_only", [True, False])
@pytest.mark.parametrize(("size", "jobs"), [(7, 1), (1000, 1), (16, 2)])
def test_the_pieces_and_processes_do_not_matter(clips, monkeypatch, headers_only, size, jobs):
    monkeypatch.setattr(checks, "FILES_A_PIECE", {True: size, False: size})
    monkeypatch.setattr(checks, "FEW_HEADERS", 0)
    monkeypatch.setattr("ptsel_fairseq.base.workers.SHORT_WORK_SECONDS", 0)
    hours, findings = check_audio(clips, headers_only, jobs)
    said = [(finding.kind, int(finding.place.split("line ")[1].split()[0]) - 2) for finding in findings]
    expected = []
    for utterance in clips:
        facts = inspect_file(clips.audio_path(utterance), utterance.samples, headers_only)
        expected += [(kind, utterance.index) for kind, _, _ in facts.findings]
        if utterance.index == 31:
            expected.append(("duplicate", 31))
        elif not headers_only and utterance.index >= 5 and utterance.index not in (7, 22):
            expected.append(("duplicate", utterance.index))
    assert said == expected
    assert {"missing", "wrong rate"} <= {kind for kind, _ in said}
    rates = [8000 if i % 5 == 4 else 16_000 for i in range(40)]
    assert hours == pytest.approx(sum(u.samples / rate for u, rate in zip(clips, rates, strict=True)) / 3600)


def test_memory_is_some_bytes_an_utterance(monkeypatch):
    monkeypatch.setattr(checks, "map_ordered", lambda function, pieces, jobs: ((0.0, {}) for _ in pieces))
    train = manifest_of([f"train/{i // 50}/{i:07d}.wav" for i in range(60_000)])
    valid = manifest_of([f"valid/{i:07d}.wav" for i in range(1000)], "valid")
    tracemalloc.start()
    try:
        assert check_audio(train, True, None)[1] == []
        assert find_shared_paths([train, valid]) == []
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 60 * 60_000
