"""Labels of voice and energy against literal loops and against signals whose F0 and noise are known."""

from __future__ import annotations

import importlib.util
import itertools
import sys

import numpy as np
import pytest
from conftest import ASTERISK, ROOT

from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels.signal import pitch
from ptsel_fairseq.labels.signal.pitch_path import PitchPath
from ptsel_fairseq.labels.tracks import compute_tracks, resolve

GRID = FrameGrid()
SECOND = np.arange(16_000) / 16_000


def tracks_of(waveform: np.ndarray, *names: str):
    return compute_tracks(waveform.astype(np.float32), resolve(names), GRID)


def voice(f0: float | np.ndarray, seconds: float = 1.0, slope: float = 1.0) -> np.ndarray:
    """A pulse train of the given F0, band-limited to 7 kHz, each harmonic k^-slope of the first."""
    time = np.arange(round(16_000 * seconds)) / 16_000
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(f0, time.shape)) / 16_000
    highest = int(7000 / np.max(f0))
    wave = sum(np.cos(k * phase) / k**slope for k in range(1, highest + 1))
    return 0.3 * wave / np.abs(wave).max()


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return read_audio(ASTERISK / "audio" / "en" / "agent-pass.ogg", 16_000)


def literal_half_steps(waveform: np.ndarray, width: int):
    frames = 1 + (len(waveform) - 400) // 320
    for j in range(2 * frames + 1):
        first = 200 + 160 * (j - 1) - width // 2
        yield range(max(0, first), min(len(waveform), first + width))


def three_point_mean(values) -> np.ndarray:
    values = list(values)
    return np.array([sum(values[j - 1 : j + 2]) / 3 for j in range(1, len(values) - 1, 2)])


def test_rms_energy_is_the_definition(speech):
    wave = speech[:8000].astype(float)
    expected = [(sum(wave[s] ** 2 for s in inside) / 320) ** 0.5 for inside in literal_half_steps(wave, 320)]
    np.testing.assert_allclose(
        tracks_of(speech[:8000], "rms_energy")["rms_energy"][0][:, 0], three_point_mean(expected), atol=1e-6
    )


def literal_zcr(wave: np.ndarray) -> np.ndarray:
    def crosses(s: int) -> bool:
        if s == 0:
            return False
        if wave[s] > 0:
            return wave[s - 1] < 0
        if wave[s] < 0:
            return wave[s - 1] > 0
        return s + 1 < len(wave) and not (wave[s - 1] > 0 < wave[s + 1] or wave[s - 1] < 0 > wave[s + 1])

    flags = [crosses(s) for s in range(len(wave))]
    return three_point_mean([sum(flags[s] for s in inside) / 960 for inside in literal_half_steps(wave, 960)])


def test_zcr_is_the_definition(speech):
    gated = np.where(np.abs(speech) < 0.02, 0, speech)[:12_000]
    tiny = 1e-30 * speech[:4000]  # whose products underflow
    for wave in (speech[:12_000], gated, tiny, np.zeros(2000)):
        wave = wave.astype(np.float32)
        np.testing.assert_allclose(tracks_of(wave, "zcr")["zcr"][0][:, 0], literal_zcr(wave), atol=1e-6)


@pytest.mark.parametrize("frequency", [110, 997, 3001])
def test_zcr_of_a_tone(frequency):
    found = tracks_of(0.5 * np.sin(2 * np.pi * frequency * SECOND), "zcr")["zcr"][0][3:-3]
    np.testing.assert_allclose(found.mean(), 2 * frequency / 16_000, rtol=0.01)


@pytest.mark.parametrize(("slope", "tolerance_at_80"), [(1.0, 0.01), (2.0, 0.025)])
def test_f0_of_pulse_trains(slope, tolerance_at_80):
    """Falling by 6 dB an octave, as of speech at the lips, and by 12, as of the glottis alone."""
    for f0 in (80, 93.7, 110, 131.5, 160, 199, 250, 317, 400):
        values, valid = tracks_of(voice(f0, slope=slope), "f0")["f0"]
        inner = slice(3, -3)
        assert valid[inner].all(), f0
        tolerance = tolerance_at_80 if f0 == 80 else 0.01
        np.testing.assert_allclose(values[inner], f0, rtol=tolerance, err_msg=f"{f0} Hz")


def test_f0_follows_a_glide():
    f0 = np.linspace(120, 240, 32_000)
    values, valid = tracks_of(voice(f0, 2.0), "f0")["f0"]
    centres = [GRID.centre(i) for i in range(len(values))]
    assert valid[3:-3].all()
    np.testing.assert_allclose(values[3:-3, 0], f0[centres][3:-3], rtol=0.015)


def test_f0_is_undefined_where_there_is_no_voice():
    noise = 0.1 * np.random.default_rng(0).standard_normal(16_000)
    wave = np.concatenate([noise, voice(150), np.zeros(16_000), 1e-4 * voice(150)])
    values, valid = tracks_of(wave, "f0")["f0"]
    assert valid[:48].mean() < 0.05
    assert valid[53:96].all()
    assert not valid[103:].any()  # silence, and a voice too quiet
    assert (values[~valid] == 0).all()


def test_voicing_tells_voice_from_noise_and_silence():
    noise = 0.1 * np.random.default_rng(0).standard_normal(16_000)
    found = [tracks_of(wave, "voicing")["voicing"][0][3:-3] for wave in (voice(150), noise, np.zeros(16_000))]
    assert found[0].min() > 0.75
    assert found[1].max() < 0.65
    assert (found[2] == 0).all()


def shared_with_the_window(f0: float) -> float:
    """Autocorrelation of the 60 ms Gaussian window at one period: what a voice without noise gets."""
    position = (np.arange(960) - 479.5) / (0.4 * 479.5)
    window = np.exp(-0.5 * position**2)
    lag = round(16_000 / f0)
    return float((window[lag:] * window[:-lag]).sum() / (window**2).sum())


@pytest.mark.parametrize("f0", [120, 200, 300])
def test_log_hnr_of_known_mixtures(f0):
    """Against H / (H + N) times the window's own autocorrelation, and rising with it."""
    clean = voice(f0, 2.0)
    noise = np.random.default_rng(1).standard_normal(len(clean))
    noise *= clean.std() / noise.std()
    found = []
    for decibels in (0, 5, 10, 15, 20, 40):
        values, valid = tracks_of(clean + 10 ** (-decibels / 20) * noise, "log_hnr")["log_hnr"]
        assert valid.mean() > (0.4 if decibels == 0 else 0.9)
        share = shared_with_the_window(f0) / (1 + 10 ** (-decibels / 10))
        expected = 10 * np.log10(share / (1 - share))
        found.append(np.median(values[valid]))
        assert abs(found[-1] - expected) < 1.5, (f0, decibels)
    assert (np.diff(found) > 0).all()


def test_the_path_is_the_best_of_all():
    """Dynamic programming against trying every path."""
    from itertools import product

    draw = np.random.default_rng(0)
    for _ in range(5):
        frequency = draw.uniform(60, 600, (5, 3)).astype(np.float32)
        score = draw.uniform(-0.5, 4, (5, 3)).astype(np.float32)
        unvoiced = draw.uniform(1, 4, 5).astype(np.float32)

        def worth(path, frequency=frequency, score=score, unvoiced=unvoiced) -> float:
            total = 0.0
            for t, state in enumerate(path):
                own = unvoiced[t] if state == 3 else score[t, state]
                if own < 0 and state != 3:
                    return -np.inf
                total += own
                if t:
                    before = path[t - 1]
                    if (state == 3) != (before == 3):
                        total -= 0.3
                    elif state != 3:
                        total -= 2.0 * abs(np.log2(frequency[t, state] / frequency[t - 1, before]))
            return total

        best = max(product(range(4), repeat=5), key=worth)
        expected = [0.0 if state == 3 else frequency[t, state] for t, state in enumerate(best)]
        for pieces in ([0, 5], [0, 2, 5], [0, 1, 1, 2, 3, 4, 5]):
            path = PitchPath(5, 3)
            for first, last in itertools.pairwise(pieces):
                path.extend(frequency[first:last], score[first:last], unvoiced[first:last])
            np.testing.assert_allclose(path.f0(), expected)


def test_a_long_waveform_is_analysed_as_a_short_one(speech, monkeypatch):
    """Whether spectra are kept or made again changes nothing."""
    kept = tracks_of(speech, "log_hnr")["log_hnr"]
    monkeypatch.setattr(pitch, "KEPT_STEPS", 0)
    for one, other in zip(kept, tracks_of(speech, "log_hnr")["log_hnr"], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_f0_agrees_with_an_independent_tracker(speech):
    """librosa's pyin on real speech: no gross errors to speak of where both hear a voice."""
    import librosa

    padded = np.pad(speech, (1024 - GRID.centre(0), 1024))
    theirs, voiced, _ = librosa.pyin(
        padded, fmin=60, fmax=500, sr=16_000, frame_length=2048, hop_length=320, center=False
    )
    values, valid = tracks_of(speech, "f0")["f0"]
    theirs, voiced = theirs[: len(values)], voiced[: len(values)]
    both = valid & voiced
    assert both.sum() > 50
    error = np.abs(values[both, 0] / theirs[both] - 1)
    assert (error > 0.2).mean() < 0.05
    assert np.corrcoef(np.log(values[both, 0][error < 0.2]), np.log(theirs[both][error < 0.2]))[0, 1] > 0.98


@pytest.mark.slow
def test_agreement_with_opensmile():
    """The whole table is in docs/labels.md; this keeps it true on a tenth of the clips."""
    pytest.importorskip("opensmile")
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import agreement_opensmile as agreement
    finally:
        sys.path.pop(0)
    waveforms = [
        agreement.as_16_bit(waveform)
        for waveform in agreement.read_waveforms(agreement.read_manifest(ASTERISK / "train.tsv"), minutes=1)
    ]
    rows = agreement.compare(waveforms, waveforms, quality=True)
    least = {
        "loudness": 0.999, "alpha_ratio": 0.999, "rms_energy": 0.9999, "zcr": 0.999, "rasta_l1": 0.999,
        "voicing, voiced frames": 0.99, "f0 (log)": 0.998, "log_hnr": 0.985, "voiced or not": 0.97,
    }  # fmt: skip
    for name, expected in least.items():
        assert np.nanmedian(rows[f"{name}|same place"]) > expected, name
    if importlib.util.find_spec("parselmouth"):
        assert np.nanmedian(rows["Praat: jitter|encoder"]) > 0.7
        assert np.nanmedian(rows["Praat: shimmer|encoder"]) > 0.65
    wrong, compared = np.array(rows["f0, gross errors|same place"]).sum(axis=0)
    assert wrong < 0.005 * compared
