"""The speech vectors against literal formulas, on noise and on recorded speech."""

from __future__ import annotations

from math import erf, log10, sqrt

import numpy as np
import pytest
from conftest import ASTERISK
from hypothesis import given
from hypothesis import strategies as st

from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.selection.embedding import (
    embed,
    gaussian_downsample,
    log_mel_db,
    mel_frames_between,
    mel_triangles,
)


def phi(x: float) -> float:
    return (1 + erf(x / sqrt(2))) / 2


def literal_downsample(frames: np.ndarray, n: int) -> np.ndarray:
    """The papers' formula, one weight at a time."""
    length = len(frames)
    nearer_end = [*range((n + 1) // 2), *reversed(range(n // 2))]
    rows = []
    for i in range(n):
        centre = i * (length - 1) / (n - 1)
        std = 0.07 * length + 0.1 * nearer_end[i]
        weights = [phi((t + 0.5 - centre) / std) - phi((t - 0.5 - centre) / std) for t in range(length)]
        rows.append(sum(w * frame for w, frame in zip(weights, frames, strict=True)) / sum(weights))
    return np.array(rows)


@given(length=st.integers(1, 120), n=st.sampled_from([2, 3, 5, 10, 11, 30]), seed=st.integers(0, 9))
def test_downsampling_is_the_papers_formula(length, n, seed):
    frames = np.random.default_rng(seed).normal(size=(length, 3))
    np.testing.assert_allclose(gaussian_downsample(frames, n), literal_downsample(frames, n), atol=1e-11)


@given(length=st.integers(1, 300), n=st.integers(1, 40))
def test_downsampling_commutes_with_reversal_and_keeps_constants(length, n):
    frames = np.random.default_rng(length).normal(size=(length, 2))
    np.testing.assert_allclose(
        gaussian_downsample(frames[::-1], n), gaussian_downsample(frames, n)[::-1], atol=1e-10
    )
    np.testing.assert_allclose(gaussian_downsample(np.full((length, 1), -7.5), n), -7.5, atol=1e-12)


def test_downsampling_works_for_one_frame_and_one_row():
    np.testing.assert_allclose(gaussian_downsample(np.array([[3.0, 4.0]]), 10), np.tile([3.0, 4.0], (10, 1)))
    assert gaussian_downsample(np.arange(9.0)[:, None], 1)[0, 0] == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("frames", "n", "options"),
    [
        (np.empty((0, 4)), 10, {}),
        (np.ones(4), 10, {}),
        (np.ones((5, 2)), 0, {}),
        (np.ones((5, 2)), 10, {"std_ratio": 0.0}),
    ],
)
def test_downsampling_refuses_what_it_cannot_do(frames, n, options):
    with pytest.raises(PtselError, match="gaussian_downsample: expected"):
        gaussian_downsample(frames, n, **options)


def literal_log_mel(waveform: np.ndarray) -> np.ndarray:
    """Frame by frame with an explicit Fourier sum and one triangle at a time."""
    padded = np.concatenate([np.zeros(200), waveform.astype(float), np.zeros(200)])
    n = np.arange(400)
    hamming = 0.54 - 0.46 * np.cos(2 * np.pi * n / 400)
    fourier = np.exp(-2j * np.pi * np.outer(np.arange(201), n) / 400)
    mel = [2595 * log10(1 + 8000 / 700) * k / 41 for k in range(42)]
    hertz = [700 * (10 ** (m / 2595) - 1) for m in mel]
    rows = []
    for start in range(0, len(waveform) + 1, 160):
        power = np.abs(fourier @ (padded[start : start + 400] * hamming)) ** 2
        row = []
        for k in range(1, 41):
            # Both slopes as wide as the distance to the band below.
            width = hertz[k] - hertz[k - 1]
            band = sum(max(0.0, 1 - abs(40 * b - hertz[k]) / width) * power[b] for b in range(201))
            row.append(10 * log10(max(band, 1e-10)))
        rows.append(row)
    return np.maximum(rows, np.max(rows) - 80)


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    return read_audio(ASTERISK / "audio" / "en" / "agent-alreadyon.ogg", 16000, "the clip")


def test_log_mel_is_the_literal_formula(clip):
    part = clip[3000:9137]
    mels = log_mel_db(part)
    assert mels.shape == (1 + len(part) // 160, 40)
    assert mels.dtype == np.float32
    np.testing.assert_allclose(mels, literal_log_mel(part), atol=2e-4)
    assert mels.max() - mels.min() <= 80 + 1e-3


def test_log_mel_of_silence_and_of_very_little():
    np.testing.assert_allclose(log_mel_db(np.zeros(1000)), -100)
    assert log_mel_db(np.ones(1)).shape == (1, 40)


def test_log_mel_in_pieces_is_the_same(clip, monkeypatch):
    whole = log_mel_db(clip)
    monkeypatch.setattr("ptsel_fairseq.selection.embedding.FRAMES_AT_ONCE", 7)
    np.testing.assert_array_equal(log_mel_db(clip), whole)


def test_a_tone_falls_into_its_band():
    hertz = 1000.0
    mels = log_mel_db(0.5 * np.sin(2 * np.pi * hertz * np.arange(8000) / 16000))
    band = int(np.argmax(mels[25]))
    weights = mel_triangles()[round(hertz / 40)]
    assert band == int(np.argmax(weights))


@pytest.mark.parametrize(
    ("start", "end", "total", "frames"),
    [
        (0.0, np.inf, 50, (0, 50)),
        (0.05, 0.19, 50, (5, 19)),
        (0.101, 0.105, 50, (10, 11)),  # at least one frame
        (0.49, 0.52, 50, (49, 50)),
        (0.6, 0.7, 50, (49, 50)),  # the aligner's last segment may begin where the mels end
    ],
)
def test_frames_of_a_segment(start, end, total, frames):
    found = mel_frames_between(start, end, total)
    assert (found.start, found.stop) == frames


def test_embedding_is_downsampled_mels(clip):
    segments = [(0.05, 0.19), (0.0, np.inf)]
    vectors = embed(clip, segments, 10)
    assert vectors.shape == (2, 400)
    assert vectors.dtype == np.float32
    mels = log_mel_db(clip)
    np.testing.assert_allclose(
        vectors[0], literal_downsample(mels[5:19].astype(float), 10).ravel(), atol=1e-4
    )
    np.testing.assert_allclose(vectors[1], literal_downsample(mels.astype(float), 10).ravel(), atol=1e-4)
    assert embed(clip, [], 30).shape == (0, 1200)
