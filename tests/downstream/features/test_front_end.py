"""Features of frozen front ends: vectors against literal formulas, kept so that no run computes them twice."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import ASTERISK

from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.class_file import read_classes
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.downstream.asr.probe import probe_asr_command
from ptsel_fairseq.downstream.features import front_end as features_module
from ptsel_fairseq.downstream.features.front_end import FrontEnd, cache_key, extract, front_ends
from ptsel_fairseq.downstream.probing.probe import probe_command
from ptsel_fairseq.labels.pools import ZAIEM_SPEECH
from ptsel_fairseq.labels.signal.analysis import Analysis
from ptsel_fairseq.labels.signal.cepstral import mfcc
from ptsel_fairseq.labels.signal.pitch import f0
from ptsel_fairseq.labels.user import read_user_files

PHONES, VOICES = (ASTERISK / "classes" / f"{name}.tsv" for name in ("phone", "voice"))


@pytest.fixture
def split(voices):
    manifest = read_manifest(voices / "valid.tsv")
    return manifest, read_classes(PHONES, manifest, 16000)


def test_vectors_are_mean_and_deviation_of_the_segments_frames(split, tmp_path):
    manifest, class_file = split
    segments = class_file.in_order()
    found = {
        name: extract(FrontEnd(name, name), manifest, class_file, tmp_path) for name in ("mfcc", "log_mel")
    }
    assert found["mfcc"].shape == (len(segments), 1, 2 * 39)
    assert found["log_mel"].shape == (len(segments), 1, 2 * 80)
    for i in (0, len(segments) // 2, len(segments) - 1):
        utterance = manifest.utterances[segments[i].utterance]
        mels = Analysis(read_audio(manifest.audio_path(utterance), 16000), FrameGrid()).log_mel
        centres = (320 * np.arange(len(mels)) + 200) / 16000
        inside = (centres >= segments[i].start) & (centres < segments[i].end)
        assert inside.any()
        for name, frames in (("log_mel", mels), ("mfcc", mfcc(mels))):
            expected = [*frames[inside].mean(axis=0), *frames[inside].std(axis=0)]
            np.testing.assert_allclose(found[name][i, 0], expected, rtol=1e-4, atol=1e-4)


def test_a_label_that_can_be_undefined_is_pooled_where_it_is_defined(split, tmp_path):
    manifest, class_file = split
    segments = class_file.in_order()
    found = extract(FrontEnd("pitch", "f0"), manifest, class_file, tmp_path)[:, 0]
    assert found.shape == (len(segments), 3)
    shares = set()
    for vector, segment in zip(found, segments, strict=True):
        utterance = manifest.utterances[segment.utterance]
        grid = FrameGrid()
        pitch = Analysis(read_audio(manifest.audio_path(utterance), 16000), grid).pitch
        first, last = grid.frames_between(segment.start, segment.end, utterance.samples)
        values, mask = (column[first:last] for column in f0(pitch))
        voiced = values[mask].ravel()
        expected = (voiced.mean(), voiced.std(), mask.mean()) if len(voiced) else (0, 0, 0)
        np.testing.assert_allclose(vector, expected, rtol=1e-4, atol=1e-4)
        shares.add(round(float(mask.mean()), 3))
    assert {0.0, 1.0} < shares  # phones without voice, wholly voiced ones, and some of both


def test_a_pool_is_its_labels_side_by_side_and_a_users_label_is_a_feature(split, tmp_path):
    manifest, class_file = split
    own = tmp_path / "own.py"
    own.write_text(OWN_LABEL.format(value=1))
    users = read_user_files([own])
    (pool, peak) = front_ends(["zaiem_speech", "own_peak"], users)
    vectors = extract(pool, manifest, class_file, tmp_path)[:, 0]
    singly = [extract(end, manifest, class_file, tmp_path)[:, 0] for end in front_ends(sorted(ZAIEM_SPEECH))]
    np.testing.assert_array_equal(vectors, np.concatenate(singly, axis=1))
    assert extract(peak, manifest, class_file, tmp_path).shape[2] == 2
    own.write_text(OWN_LABEL.format(value=2))
    assert front_ends(["own_peak"], read_user_files([own]))[0].checksum != peak.checksum


OWN_LABEL = """
import numpy as np
from ptsel_fairseq.labels.user import register

@register("own_peak", unit="full scale", description="peak times {value}")
def own_peak(analysis):
    return {value} * np.abs(analysis.frames(0.025)).max(axis=1)
"""


def test_features_are_computed_once_and_an_interruption_loses_little(split, tmp_path, monkeypatch):
    manifest, class_file = split
    monkeypatch.setattr(features_module, "BLOCK", 2)
    read, seen = features_module.read_whole_audio, []

    def counting(file, *arguments):
        seen.append(file.name)
        if len(seen) == 5:
            raise KeyboardInterrupt
        return read(file, *arguments)

    monkeypatch.setattr(features_module, "read_whole_audio", counting)
    front_end = FrontEnd("mfcc", "mfcc")
    with pytest.raises(KeyboardInterrupt):
        extract(front_end, manifest, class_file, tmp_path)
    whole = extract(front_end, manifest, class_file, tmp_path)
    labelled = len({segment.utterance for segment in class_file.segments})
    assert len(seen) == 5 + labelled - 4  # two blocks of two were kept
    np.testing.assert_array_equal(extract(front_end, manifest, class_file, tmp_path), whole)
    assert len(seen) == labelled + 1
    sorted(tmp_path.rglob("*.npy"))[1].write_bytes(b"cut off")
    np.testing.assert_array_equal(extract(front_end, manifest, class_file, tmp_path), whole)
    assert len(seen) == labelled + 3


def test_the_cache_key_is_of_checkpoint_manifest_and_segments(voices, split):
    manifest, _ = split
    work = [(0, [(0.0, 1.0)])]
    front_end = FrontEnd("w", "wav2vec2", ASTERISK / "x.pt", "abc")
    keys = {
        cache_key(front_end, manifest, work),
        cache_key(FrontEnd("w", "wav2vec2", ASTERISK / "x.pt", "abd"), manifest, work),
        cache_key(front_end, read_manifest(voices / "train.tsv"), work),
        cache_key(front_end, manifest, [(0, [(0.0, 1.5)])]),
        cache_key(FrontEnd("mfcc", "mfcc"), manifest, work),
    }
    assert len(keys) == 5
    moved = FrontEnd("other", "wav2vec2", ASTERISK / "y.pt", "abc")
    assert cache_key(moved, manifest, work) in keys


def test_features_that_are_no_numbers_are_refused_and_not_kept(voices, tmp_path, monkeypatch):
    monkeypatch.setattr(
        FrontEnd, "vectors", lambda self, waveform, spans: [np.full((1, 2), np.nan)] * len(spans)
    )
    with pytest.raises(
        PtselError, match=r"train.tsv, line 2 .* features of zcr are not finite numbers; take another"
    ):
        probe_command(voices, VOICES, ["zcr"], tmp_path / "out", jobs=1)
    monkeypatch.setattr(FrontEnd, "frames", lambda self, waveform: np.full((1, 9, 2), np.inf))
    (tmp_path / "train.tsv").write_text((voices / "train.tsv").read_text())
    (tmp_path / "train.wrd").write_text("A B\n" * (len(read_manifest(tmp_path / "train.tsv"))))
    with pytest.raises(PtselError, match=r"train.tsv, line 2 .* features of zcr are not finite numbers"):
        probe_asr_command(tmp_path, ["zcr"], tmp_path / "out", ["train"] * 3, jobs=1)
    assert not [file for file in (tmp_path / "out").rglob("*") if file.is_file()]
