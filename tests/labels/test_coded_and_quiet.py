"""What the tables of docs/labels.md claim holds on coded and near-silent audio too, within the bounds stated there."""

from __future__ import annotations

import io
import itertools

import librosa
import numpy as np
import pytest
import soundfile
from conftest import ASTERISK

from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels.tracks import compute_tracks, resolve

GRID = FrameGrid()
CLIPS = ["en/agent-pass.ogg", "en/call-waiting.ogg"]
FLOOR = 1e-5  # magnitude below which our contrast counts nothing
OCTAVES = [0.0, 200, 400, 800, 1600, 3200, 6400, 8000]


def as_mp3(waveform: np.ndarray) -> np.ndarray:
    content = io.BytesIO()
    soundfile.write(content, waveform, 16_000, format="MP3")
    content.seek(0)
    return soundfile.read(content, dtype="float32")[0]


KINDS = {
    "Ogg": lambda waveform: waveform,
    "MP3": as_mp3,
    "quiet": lambda waveform: waveform * np.float32(1e-3),
    "near-silent": lambda waveform: waveform * np.float32(1e-4),
}


@pytest.fixture(scope="module", params=[(kind, clip) for kind in KINDS for clip in CLIPS], ids=str)
def heard(request) -> tuple[str, np.ndarray]:
    """A whole recording of one kind, beginning and end included, where coders leave next to nothing."""
    kind, clip = request.param
    return kind, KINDS[kind](read_audio(ASTERISK / "audio" / clip, 16_000)[:32_000])


def peaks_and_valleys(magnitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of the 2 % largest and smallest bins of each octave, [frames, 7], one band and frame at a time."""
    frequency = np.arange(1025) * 16_000 / 2048
    peaks, valleys = [], []
    for k, (low, high) in enumerate(itertools.pairwise(OCTAVES)):
        bins = np.flatnonzero((frequency >= low) & (frequency <= high))
        if k > 0:
            bins = np.concatenate([[bins[0] - 1], bins])
        count = max(int(np.rint(0.02 * len(bins))), 1)
        ordered = np.sort(magnitude[bins if k == 6 else bins[:-1]], axis=0)
        peaks.append(ordered[-count:].mean(axis=0))
        valleys.append(ordered[:count].mean(axis=0))
    return np.array(peaks).T, np.array(valleys).T


def test_contrast_is_librosas_where_neither_floor_is_reached(heard):
    """librosa's floor is 80 dB below the file's loudest, ours 1e-5 whatever else is in the file."""
    kind, waveform = heard
    tolerance = (
        0.3 if kind == "MP3" else 0.02
    )  # its valleys are next to nothing, which single precision rounds
    magnitude = np.abs(librosa.stft(np.pad(waveform, 824), n_fft=2048, hop_length=320, center=False))
    theirs = librosa.feature.spectral_contrast(S=magnitude, sr=16_000).T
    ours = compute_tracks(waveform, resolve(["spectral_contrast"]), GRID)["spectral_contrast"][0]
    peak, valley = peaks_and_valleys(magnitude)
    low = np.minimum(peak, valley)
    above = (low > 2 * FLOOR) & (10 * np.log10(low) > 10 * np.log10(peak.max()) - 79)
    np.testing.assert_allclose(ours[above], theirs[above], atol=tolerance)
    floored = 10 * np.log10(np.maximum(peak, FLOOR)) - 10 * np.log10(np.maximum(valley, FLOOR))
    sure = ((peak > 2 * FLOOR) | (peak < FLOOR / 2)) & ((valley > 2 * FLOOR) | (valley < FLOOR / 2))
    np.testing.assert_allclose(ours[sure], floored[sure], atol=tolerance)


def test_log_mel_is_librosas(heard):
    kind, waveform = heard
    power = librosa.feature.melspectrogram(
        y=np.pad(waveform, 56), sr=16_000, n_fft=512, win_length=400, hop_length=320, center=False, n_mels=80
    )
    expected = librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=None).T
    ours = compute_tracks(waveform, resolve(["log_mel"]), GRID)["log_mel"][0]
    # A coder leaves bands 100 dB below the loudest, which single precision rounds as it likes.
    np.testing.assert_allclose(ours, expected, atol=0.1 if kind == "MP3" else 2e-3)


def test_constant_q_labels_are_librosas_of_12_bins_an_octave_and_not_its_default_of_36():
    draw = np.random.default_rng(0)
    t = np.arange(5 * 16_000) / 16_000
    waveform = sum(np.sin(2 * np.pi * 220 * 2 ** (k / 12) * t) / (k + 1) for k in (0, 4, 7)) * 0.2
    waveform = (waveform + 0.001 * draw.standard_normal(len(t))).astype(np.float32)
    ours = compute_tracks(waveform, resolve(["chroma_cqt"]), GRID)["chroma_cqt"][0]
    how = {"y": np.pad(waveform, (200, 120)), "sr": 16_000, "hop_length": 320, "n_octaves": 7}
    agreement = {}
    for bins in (12, 36):
        theirs = librosa.feature.chroma_cqt(**how, bins_per_octave=bins).T[: len(ours)]
        agreement[bins] = np.corrcoef(ours[50:-50].ravel(), theirs[50 : len(ours) - 50].ravel())[0, 1]
    assert agreement[12] > 0.98
    assert agreement[12] > agreement[36]
