"""Embedded speech is made once: cached by what it depends on, resumed after a kill, refused where it cannot be kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ASTERISK, run_command

from ptsel_fairseq.base.class_file import read_classes
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.identity import IDENTITY
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.labels.store.reader import LabelStore
from ptsel_fairseq.selection import build_points, gaussian_downsample
from ptsel_fairseq.selection import speech_vectors as speech_cache
from ptsel_fairseq.selection.speech_vectors import is_cached, speech_vectors

KEPT = {"vectors.npy", "vectors.audio.npy", "vectors.sha256"}


def kept_parts(folder) -> int:
    """How many utterances a run that was killed has noted as done."""
    found = list(folder.rglob("vectors.audio.npy.partial"))
    try:
        return int(np.count_nonzero(np.load(found[0]) != np.zeros(1, IDENTITY))) if found else 0
    except (OSError, ValueError, EOFError):  # it is being made
        return 0


@pytest.fixture(scope="module")
def manifest(data_dir):
    return read_manifest(data_dir / "train.tsv")


@pytest.fixture(scope="module")
def segments(manifest):
    return read_classes(ASTERISK / "classes" / "phone.tsv", manifest, 16000).in_order()


@pytest.fixture(scope="module")
def vectors(manifest, segments):
    return speech_vectors(manifest, segments, 10, jobs=1)


def test_kept_vectors_are_the_same_and_not_made_again(manifest, segments, vectors, tmp_path, monkeypatch):
    np.testing.assert_array_equal(speech_vectors(manifest, segments, 10, tmp_path, jobs=2), vectors)
    assert is_cached(manifest, segments, 10, tmp_path)
    monkeypatch.setattr(speech_cache, "map_ordered", None)  # nothing is embedded any more
    np.testing.assert_array_equal(speech_vectors(manifest, segments, 10, tmp_path), vectors)
    assert {file.name for file in tmp_path.rglob("*") if file.is_file()} == KEPT
    # Other segments or another number of frames are something else.
    assert not is_cached(manifest, segments[1:], 10, tmp_path)
    assert not is_cached(manifest, segments, 30, tmp_path)


def test_a_killed_run_is_resumed(manifest, segments, vectors, tmp_path, data_dir, monkeypatch):
    script = f"""
import time
from ptsel_fairseq.base import kept
from ptsel_fairseq.base.class_file import read_classes
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.selection import speech_vectors as speech_cache
kept.SECONDS_BETWEEN_FLUSHES = 0.0
embed = speech_cache.embed
speech_cache.embed = lambda *arguments: (time.sleep(0.05), embed(*arguments))[1]
manifest = read_manifest({str(data_dir / "train.tsv")!r})
segments = read_classes({str(ASTERISK / "classes" / "phone.tsv")!r}, manifest, 16000).in_order()
speech_cache.speech_vectors(manifest, segments, 10, {str(tmp_path)!r}, jobs=1)
"""
    running = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    waited = time.monotonic()
    while (done := kept_parts(tmp_path)) < 3:
        assert time.monotonic() - waited < 60, "nothing was written"
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    done = kept_parts(tmp_path)
    again = []
    embed_file = speech_cache._embed_file
    monkeypatch.setattr(
        speech_cache, "_embed_file", lambda piece: (again.append(piece), embed_file(piece))[1]
    )
    np.testing.assert_array_equal(speech_vectors(manifest, segments, 10, tmp_path, jobs=1), vectors)
    utterances = len({segment.utterance for segment in segments})
    assert len(again) == utterances - done
    assert {file.name for file in tmp_path.rglob("*") if file.is_file()} == KEPT


def test_two_runs_at_once(manifest, segments, tmp_path):
    import fcntl

    speech_vectors(manifest, segments, 10, tmp_path, jobs=1)
    (folder,) = tmp_path.iterdir()
    held = os.open(folder, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        with pytest.raises(PtselError, match="another run is embedding the same speech"):
            speech_vectors(manifest, segments, 10, tmp_path, jobs=1)
    finally:
        os.close(held)


def test_a_cache_that_cannot_be_written_is_named(manifest, segments, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PtselError, match=r"cannot be kept there .*give another folder with --cache"):
        speech_vectors(manifest, segments, 10, tmp_path / "file", jobs=1)


def test_the_command_keeps_them_beside_the_labels(data_dir, store_dir, tmp_path):
    arguments = [
        "ptsel", "score", data_dir, "--store", store_dir, "--classes", ASTERISK / "classes" / "voice.tsv",
        "--labels", "zcr", "--permutations", 9, "--bootstrap", 9,
    ]  # fmt: skip
    cached = run_command(*arguments, "--out", tmp_path / "one", "--cache", tmp_path / "cache")
    assert cached.returncode == 0, cached.stderr
    assert len(list((tmp_path / "cache").rglob("vectors.npy"))) == 1
    assert "min of audio to embed" in cached.stdout
    again = run_command(*arguments, "--out", tmp_path / "two", "--cache", tmp_path / "cache")
    assert "speech embedded already" in again.stdout
    one, two = ((tmp_path / name / "points.npz").read_bytes() for name in ("one", "two"))
    assert one == two
    default = run_command(*arguments, "--out", tmp_path / "three")
    assert default.returncode == 0, default.stderr
    assert list((store_dir / "speech").rglob("vectors.npy"))
    LabelStore(store_dir, "train").check_manifest(read_manifest(data_dir / "train.tsv"))


@pytest.mark.parametrize("label", ["f0", "log_mel"])
def test_downsampled_tracks(data_dir, store_dir, manifest, label):
    store = LabelStore(store_dir, "train")
    class_file = read_classes(ASTERISK / "classes" / "phone.tsv", manifest, 16000)
    points = build_points(manifest, store, class_file, [label], "downsample", frames=6, jobs=1)
    means = build_points(manifest, store, class_file, [label], "mean", frames=6, jobs=1)
    dim = store.info(label).dim
    assert points.labels[label].shape == (len(points), 6 * dim)
    np.testing.assert_array_equal(
        np.isnan(points.labels[label]).any(axis=1), np.isnan(means.labels[label]).any(axis=1)
    )
    for row in range(0, len(points), 61):
        samples = manifest.utterances[points.utterance[row]].samples
        first, last = store.grid.frames_between(points.start[row], points.end[row], samples)
        track = np.array(store.track(label, points.utterance[row])[first:last], dtype=float)
        valid = np.ones(len(track), bool)
        if label == "f0":
            valid = np.array(store.valid(label, points.utterance[row])[first:last])
            if not valid.any():
                assert np.isnan(points.labels[label][row]).all()
                continue
        for frame in np.flatnonzero(~valid):  # interpolated by hand
            before = [i for i in np.flatnonzero(valid) if i < frame]
            after = [i for i in np.flatnonzero(valid) if i > frame]
            if before and after:
                share = (frame - before[-1]) / (after[0] - before[-1])
                track[frame] = (1 - share) * track[before[-1]] + share * track[after[0]]
            else:
                track[frame] = track[before[-1] if before else after[0]]
        np.testing.assert_allclose(
            points.labels[label][row], gaussian_downsample(track, 6).ravel(), rtol=1e-10, atol=1e-10
        )
