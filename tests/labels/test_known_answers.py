"""Signals whose labels are known beforehand, for every label that there is; nowhere a value that is not finite."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels.tracks import compute_tracks, names, resolve

GRID = FrameGrid()
RATE = 16_000
SECONDS = 2.0
TIME = np.arange(int(SECONDS * RATE)) / RATE
SECOND_HALF = TIME >= SECONDS / 2
FRAME_TIME = np.array([GRID.centre(i) for i in range(GRID.num_frames(len(TIME)))]) / RATE


def tone(hertz: float, amplitude: float = 0.3) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * hertz * TIME)


def voice(phase: np.ndarray) -> np.ndarray:
    """19 harmonics that fall by 6 dB an octave; the phase is of the first, in periods."""
    return 0.1 * sum(np.cos(2 * np.pi * k * phase) / k for k in range(1, 20))


def pulses(distances: tuple[int, ...], heights: tuple[float, ...] = (1.0,)) -> np.ndarray:
    """A voice of single pulses: distances in samples and heights are taken in turn."""
    wave = np.zeros(len(TIME))
    at, turn = 0, 0
    while at < len(wave):
        wave[at] = heights[turn % len(heights)]
        at += distances[turn % len(distances)]
        turn += 1
    decay = np.exp(-np.arange(60) / 12) * np.cos(2 * np.pi * 600 / RATE * np.arange(60))
    return 0.5 * np.convolve(wave, decay)[: len(wave)]


def clicks(period: float) -> np.ndarray:
    """Decaying noise every `period` seconds."""
    since = np.mod(TIME, period)
    return 0.5 * np.random.default_rng(1).standard_normal(len(TIME)) * np.exp(-since / 0.01)


NOISE = 0.1 * np.random.default_rng(0).standard_normal(len(TIME))
SWEEP_HERTZ = 300 + 1500 * TIME  # up to 3.3 kHz
SIGNALS = {
    "silence": 0 * TIME,
    "tone": tone(1000),
    "loud tone": tone(1000, 0.6),
    "tone, then twice as loud": np.where(SECOND_HALF, 2, 1) * tone(1000),
    "tone, then another": np.where(SECOND_HALF, tone(2000), tone(1000)),
    "a4": tone(440),
    "two tones": tone(500) + tone(1500),
    "sweep": 0.3 * np.sin(2 * np.pi * np.cumsum(SWEEP_HERTZ) / RATE),
    "noise": NOISE,
    "AM noise": NOISE * (1 + 0.8 * np.sin(2 * np.pi * 2 * TIME)),
    "voice": voice(200 * TIME),
    "voice, then ten times as loud": np.where(SECOND_HALF, 1, 0.1) * voice(200 * TIME),
    "gliding voice": voice(120 * TIME + 30 * TIME**2),  # 120 to 240 Hz
    "uneven periods": pulses((78, 82)),
    "uneven heights": pulses((80,), (1.0, 0.8)),
    "clicks": clicks(0.5),
    "clipped": np.clip(4 * tone(250, 1.0), -1, 1),
    "offset": tone(1000) + 0.4,
    "offset voice": voice(200 * TIME) + 0.3,
}


@cache
def tracks(signal: str) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    return compute_tracks(SIGNALS[signal].astype(np.float32), resolve(["all"]), GRID)


class Known(NamedTuple):
    """What a number made of a label's track of a signal must be."""

    label: str
    signal: str
    number: Callable[[np.ndarray], float]
    expected: float
    within: float


INNER = slice(10, -10)  # frames away from the ends of the signal
BEFORE, AFTER = slice(10, 40), slice(60, -10)  # of the change in the middle
SWEPT = 300 + 1500 * FRAME_TIME
STRONGEST_BAND = (
    26  # of 80 mel bands: 1 kHz is 15 on Slaney's scale, 8 kHz 45.25, so that bands are 0.5586 apart
)
FLOOR = -100.0
CUT = math.asin(0.25)  # where a sine of amplitude 4 reaches 1: 16 sin^2 below, 1 above
CLIPPED_RMS = math.sqrt(1 + 2 / math.pi * (16 * (CUT / 2 - math.sin(2 * CUT) / 4) - CUT))


def median(values: np.ndarray) -> float:
    return float(np.median(values[INNER]))


def strongest(values: np.ndarray) -> float:
    return float(np.median(values[INNER].argmax(axis=1)))


def rise(values: np.ndarray) -> float:
    return float(values[AFTER].mean() / values[BEFORE].mean())


def worst_to(expected: np.ndarray) -> Callable[[np.ndarray], float]:
    return lambda values: float(np.abs(values[INNER, 0] - expected[INNER]).max())


def everywhere(values: np.ndarray) -> float:
    """The value of all dimensions and frames; NaN if they differ."""
    return float(values.min()) if np.ptp(values) < 1e-3 else math.nan


# The tonal centroid of the one pitch class A: fifths, minor and major thirds (Harte et al. 2006).
TONNETZ_A = [
    radius * wave(9 * np.pi * turn)
    for turn, radius in ((7 / 6, 1), (3 / 2, 1), (2 / 3, 0.5))
    for wave in (np.sin, np.cos)
]


def likeness_to_a(values: np.ndarray) -> float:
    mean = values[INNER].mean(axis=0)
    return float(mean @ TONNETZ_A / np.linalg.norm(mean) / np.linalg.norm(TONNETZ_A))


KNOWN = [
    # 500 Hz and 1.5 kHz of the same power, one in either band.
    Known("alpha_ratio", "two tones", median, 0.0, 0.01),
    Known("alpha_ratio", "silence", everywhere, 0.0, 0.0),
    # Stevens' power law: amplitude to the power 0.66.
    Known("audspec_l1", "tone, then twice as loud", rise, 2**0.66, 1e-3),
    Known("loudness", "tone, then twice as loud", rise, 2**0.66, 1e-3),
    Known("loudness", "silence", everywhere, 0.0, 1e-6),
    Known("chroma", "a4", strongest, 9, 0),
    Known("chroma_cens", "a4", strongest, 9, 0),
    Known("chroma_cqt", "a4", strongest, 9, 0),
    Known("chroma_cqt", "silence", everywhere, 0.0, 0.0),
    Known("cqt", "a4", strongest, 45, 0),  # semitones above C1
    Known("cqt", "silence", everywhere, FLOOR, 1e-4),
    Known("f0", "voice", median, 200, 1),
    Known("f0", "offset voice", median, 200, 1),
    Known("f0", "gliding voice", worst_to(120 + 60 * FRAME_TIME), 0, 2),
    Known("gammatone", "tone", strongest, 28, 1),  # (15.62 - 1.84) of (33.29 - 1.84) on the ERB scale from 50 Hz
    Known("gammatone", "silence", everywhere, FLOOR, 1e-4),
    # A tone is steady, a sweep is not.
    Known("harmonic_energy", "tone", lambda values: float(median(values) > 40), 1, 0),
    Known("harmonic_energy", "silence", everywhere, FLOOR, 1e-4),
    Known("percussive_energy", "sweep", lambda values: float(median(values) > 40), 1, 0),
    Known("percussive_energy", "tone", median, FLOOR, 1e-3),
    Known("jitter", "voice", median, 0, 1e-3),
    Known("jitter", "uneven periods", median, 4 / 80, 0.002),
    Known("shimmer", "uneven heights", median, 0.2 / 0.9, 0.01),
    Known("shimmer", "uneven periods", median, 0, 1e-3),
    # Of 200 Hz: 13 dB is the most that the window's own autocorrelation lets through.
    Known("log_hnr", "voice", median, 13, 1),
    Known("log_hnr", "offset voice", median, 13, 1),
    Known("log_mel", "tone", strongest, STRONGEST_BAND, 0),
    Known("log_mel", "silence", everywhere, FLOOR, 1e-4),
    Known("log_mel_long", "tone", strongest, STRONGEST_BAND, 0),
    Known("lps", "tone", strongest, 1000 / (RATE / 512), 0),
    Known("lps", "silence", everywhere, FLOOR, 1e-4),
    # 80 bands of -100 dB, by an orthonormal cosine transform; nothing changes.
    Known("mfcc", "silence", lambda values: everywhere(values[:, :1]), FLOOR * math.sqrt(80), 1e-2),
    Known("mfcc", "silence", lambda values: everywhere(values[:, 1:]), 0, 1e-3),
    Known("mfcc_deltas", "silence", lambda values: everywhere(values[:, :1]), FLOOR * math.sqrt(80), 1e-2),
    Known("mfcc_deltas", "tone", lambda values: float(np.abs(values[INNER, 20:]).max()), 0, 0.1),
    # Six decibels of power, compressed to 0.33, are in the first coefficient and in no other.
    Known("plp", "tone, then twice as loud", lambda v: float((v[AFTER] - v[BEFORE][:1])[:, 0].mean()),
          0.66 * math.log(2), 1e-3),
    Known("plp", "tone, then twice as loud", lambda v: float(np.abs((v[AFTER] - v[BEFORE][:1])[:, 1:]).max()), 0, 1e-3),
    Known("rasta_l1", "tone", lambda values: float(values[-5:].mean() / tracks("silence")["rasta_l1"][0].mean()), 1,
          0.01),
    Known("rasta_l1", "silence", lambda values: float(np.ptp(values)), 0, 1e-4),
    Known("rms_energy", "tone", median, 0.3 / math.sqrt(2), 1e-3),
    Known("rms_energy", "offset", median, math.hypot(0.3 / math.sqrt(2), 0.4), 1e-3),
    Known("rms_energy", "silence", everywhere, 0.0, 0.0),
    Known("rms_energy", "AM noise",
          lambda v: float(np.corrcoef(v[:, 0], 1 + 0.8 * np.sin(4 * np.pi * FRAME_TIME))[0, 1] > 0.98), 1, 0),
    Known("rms_energy", "clipped", median, CLIPPED_RMS, 2e-3),
    Known("onset_strength", "voice, then ten times as loud", lambda values: float(values[40:60].sum()), 20, 6),
    Known("onset_strength", "voice, then ten times as loud", lambda values: float(values.argmax()), 49.5, 0.5),
    Known("onset_strength", "tone", lambda values: float(values[INNER].max()), 0, 1e-3),
    Known("spectral_bandwidth", "two tones", median, 500, 5),
    Known("spectral_centroid", "tone", median, 1000, 1),
    Known("spectral_centroid", "sweep", worst_to(SWEPT), 0, 2),
    Known("spectral_contrast", "tone", strongest, 3, 0),  # 800 Hz to 1.6 kHz
    Known("spectral_contrast", "silence", everywhere, 0, 1e-4),
    # Power spectra of white noise are exponential: E log is -0.577, E p log p is 0.423.
    Known("spectral_entropy", "noise", median, 1 - (1 - np.euler_gamma) / math.log(257), 5e-3),
    Known("spectral_flatness", "noise", median, math.exp(-np.euler_gamma), 0.02),
    Known("spectral_flatness", "tone", median, 0, 1e-4),
    Known("spectral_flux", "tone, then another", lambda values: float(values.argmax()), 49, 1),
    Known("spectral_flux", "tone, then another", lambda v: float(np.delete(v[INNER, 0], range(38, 42)).max()), 0, 1e-3),
    Known("spectral_rolloff", "noise", median, 0.85 * RATE / 2, 50),
    Known("spectral_rolloff", "tone", median, 1000, RATE / 512),
    Known("tempo_ratio", "clicks", strongest, 6, 0),  # of 13 from 4 to 1/4: the tempo itself
    Known("tempogram", "clicks", strongest, 25 - 13, 0),  # 0.5 s is 25 frames, 240 beats a minute are 13
    Known("tonnetz", "a4", likeness_to_a, 1, 0.25),
    Known("tonnetz", "silence", everywhere, 0, 0),
    Known("voicing", "silence", everywhere, 0, 0),
    Known("voicing", "voice", median, 0.85, 0.1),
    Known("voicing", "noise", median, 0.42, 0.1),
    Known("zcr", "tone", median, 2 * 1000 / RATE, 1 / 960),
    Known("zcr", "sweep", worst_to(2 * SWEPT / RATE), 0, 1.5 / 960),
    Known("zcr", "offset", median, 0, 0),
    Known("zcr", "silence", median, 1, 2e-3),
]  # fmt: skip


@pytest.mark.parametrize("name", names())
def test_a_label_says_what_is_known_of_a_signal(name):
    known = [entry for entry in KNOWN if entry.label == name]
    assert known, "every label has its known answers here"
    for entry in known:
        found = entry.number(tracks(entry.signal)[name][0])
        assert abs(found - entry.expected) <= entry.within, f"{entry.signal}: {found}"


@pytest.mark.parametrize("signal", SIGNALS)
def test_every_label_is_finite_and_has_a_mask_only_if_it_can_be_undefined(signal):
    for label in resolve(["all"]):
        values, valid = tracks(signal)[label.name]
        assert values.shape == (len(FRAME_TIME), label.dim)
        assert np.isfinite(values).all(), label.name
        assert label.undefined is not None or valid.all()
        assert (values[~valid] == 0).all()


# signal -> whether its inner frames have a voice, and whether they have a spectrum.
DEFINED = {
    "silence": (False, False),
    "noise": (False, True),
    "AM noise": (False, True),
    "voice": (True, True),
}


@pytest.mark.parametrize("signal", DEFINED)
def test_labels_are_undefined_where_they_say(signal):
    voice, spectrum = DEFINED[signal]
    for label in resolve(["all"]):
        if label.undefined is not None:
            expected = spectrum if label.undefined == "digital silence" else voice
            assert (tracks(signal)[label.name][1][INNER] == expected).all(), label.name
