"""The points of recorded speech that scores are of: segments, labels, and their file."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from conftest import ASTERISK

from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.class_file import read_classes
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.labels.extraction.extract import extract
from ptsel_fairseq.labels.store.reader import LabelStore
from ptsel_fairseq.selection import (
    Points,
    build_points,
    embed,
)
from ptsel_fairseq.selection.points import summarise_label


@pytest.fixture(scope="module")
def inputs(data_dir, store_dir):
    manifest = read_manifest(data_dir / "train.tsv")
    return (
        manifest,
        LabelStore(store_dir, "train"),
        read_classes(ASTERISK / "classes" / "phone.tsv", manifest, 16000),
    )


def test_points_are_what_they_say(inputs):
    manifest, store, class_file = inputs
    points = build_points(manifest, store, class_file, ["zcr", "f0", "log_mel"], jobs=2)
    assert points.x.shape == (len(class_file.segments), 400)
    assert list(points.labels) == ["f0", "log_mel", "zcr"]
    for row in range(0, len(points), 97):
        index, start, end = points.utterance[row], points.start[row], points.end[row]
        utterance = manifest.utterances[index]
        waveform = read_audio(manifest.audio_path(utterance), 16000, "here")
        np.testing.assert_array_equal(points.x[row], embed(waveform, [(start, end)], 10)[0])
        centres = (np.arange(store.num_frames(index)) * 320 + 200) / 16000
        inside = (centres >= start) & (centres < end)
        if not inside.any():  # shorter than a frame: the nearest one
            continue
        np.testing.assert_allclose(
            points.labels["log_mel"][row], store.track("log_mel", index)[inside].mean(axis=0), rtol=1e-5
        )
        voiced = inside & store.valid("f0", index)
        if voiced.any():
            assert points.labels["f0"][row, 0] == pytest.approx(
                store.track("f0", index)[voiced].mean(), rel=1e-5
            )
        else:
            assert np.isnan(points.labels["f0"][row, 0])
    assert 0 < np.isnan(points.labels["f0"]).sum() < len(points)


def test_the_reference_reads_unvoiced_frames_as_the_papers_did(inputs):
    manifest, store, class_file = inputs
    filled = build_points(manifest, store, class_file, ["f0"], fill_undefined=True, jobs=1).labels["f0"][:, 0]
    row = 0
    for row, segment in enumerate(sorted(class_file.segments, key=lambda one: one.utterance)):
        first, last = store.grid.frames_between(
            segment.start, segment.end, manifest.utterances[segment.utterance].samples
        )
        values = store.track("f0", segment.utterance)[first:last, 0]  # 0 Hz where unvoiced
        assert filled[row] == pytest.approx(values.astype(float).mean(), rel=1e-6)
        if row > 200:
            break
    assert np.isfinite(filled).all()
    assert (filled == 0).any()


def test_the_reference_reads_an_undefined_harmonicity_as_minus_100(inputs, data_dir, tmp_path):
    manifest, _, class_file = inputs
    extract(manifest, ["log_hnr"], tmp_path / "store", jobs=1)
    store = LabelStore(tmp_path / "store", "train")
    segments = class_file.in_order()[:100]
    filled = summarise_label(store, "log_hnr", manifest, segments, fill_undefined=True)[:, 0]
    literal = []
    for segment in segments:
        first, last = store.grid.frames_between(
            segment.start, segment.end, manifest.utterances[segment.utterance].samples
        )
        frames = range(first, last)
        tracks = store.track("log_hnr", segment.utterance), store.valid("log_hnr", segment.utterance)
        literal.append(sum(float(tracks[0][i, 0]) if tracks[1][i] else -100.0 for i in frames) / len(frames))
    np.testing.assert_allclose(filled, literal, rtol=1e-6)
    assert (filled == -100).any()
    assert (filled > 0).any()


def test_mean_and_deviation(inputs):
    manifest, store, class_file = inputs
    both = build_points(manifest, store, class_file, ["zcr"], summary="mean_std", jobs=1).labels["zcr"]
    mean = build_points(manifest, store, class_file, ["zcr"], jobs=1).labels["zcr"]
    np.testing.assert_array_equal(both[:, :1], mean)
    assert (both[:, 1] >= 0).all()
    with pytest.raises(PtselError, match="a summary among"):
        build_points(manifest, store, class_file, ["zcr"], summary="median")


def test_points_on_disk(tmp_path, inputs):
    manifest, store, class_file = inputs
    points = build_points(manifest, store, class_file, ["f0", "zcr"], jobs=1)
    points.save(tmp_path / "points.npz")
    back = Points.load(tmp_path / "points.npz")
    for name in ("x", "classes", "utterance", "start", "end"):
        np.testing.assert_array_equal(getattr(back, name), getattr(points, name))
    np.testing.assert_array_equal(back.labels["f0"], points.labels["f0"])
    with pytest.raises(ValueError, match="pickle"), np.load(_pickled(tmp_path), allow_pickle=False) as arrays:
        arrays["x"]
    for content, message in ((b"", "cannot be read"), (b"PK\x03\x04 broken", "cannot be read")):
        (tmp_path / "points.npz").write_bytes(content)
        with pytest.raises(PtselError, match=message):
            Points.load(tmp_path / "points.npz")
    with pytest.raises(PtselError, match="no such file"):
        Points.load(tmp_path / "absent.npz")
    with pytest.raises(PtselError, match="cannot be read"):
        Points.load(_pickled(tmp_path))


def _pickled(folder):
    np.savez(folder / "pickled.npz", x=np.array([pickle.dumps(1), {}], dtype=object))
    return folder / "pickled.npz"
