"""Harmony, rhythm and texture against librosa's own functions on the same frames, and against known music."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
from test_spectral_shape import magnitude_of

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels.signal.analysis import Analysis
from ptsel_fairseq.labels.tracks import compute_tracks, resolve

GRID = FrameGrid()
RATE = 16_000


def tones(pitches: list[int], seconds: float) -> np.ndarray:
    """Notes (MIDI numbers) together, four harmonics each, decaying."""
    time = np.arange(round(RATE * seconds)) / RATE
    wave = np.zeros(len(time))
    for pitch in pitches:
        for k in range(1, 5):
            hertz = k * librosa.midi_to_hz(pitch)
            if hertz < 7500:
                wave += np.sin(2 * np.pi * hertz * time) / k**1.5
    return wave * np.exp(-1.5 * time)


@pytest.fixture(scope="module")
def music() -> np.ndarray:
    """6 s: four chords at 120 beats a minute, with a hiss of 30 ms on every beat."""
    draw = np.random.default_rng(0)
    beats = []
    for beat in range(12):
        chord = [[48, 60, 64, 67], [45, 57, 60, 64], [53, 60, 65, 69], [43, 59, 62, 67]][beat // 3]
        wave = tones(chord, 0.5)
        wave[:480] += draw.standard_normal(480) * np.hanning(960)[480:]
        beats.append(wave)
    wave = np.concatenate(beats)
    return (0.3 * wave / np.abs(wave).max()).astype(np.float32)


def tracks_of(waveform: np.ndarray, *names: str) -> dict[str, np.ndarray]:
    return {name: track[0] for name, track in compute_tracks(waveform, resolve(names), GRID).items()}


def shifted(waveform: np.ndarray) -> np.ndarray:
    """Zeros in front, so that librosa's centres (multiples of 320) fall on the grid's from its frame 1 on."""
    return np.pad(waveform, (120, 320))


def test_harmony_is_librosas(music):
    found = tracks_of(music, "chroma", "chroma_cqt", "chroma_cens", "tonnetz", "cqt")
    frames = slice(1, 1 + GRID.num_frames(len(music)))
    magnitude = np.abs(librosa.cqt(shifted(music), sr=RATE, hop_length=320, n_bins=84, tuning=0.0))[:, frames]
    power = magnitude_of(music, 2048, 2048) ** 2
    expected = {
        "chroma": librosa.feature.chroma_stft(S=power, sr=RATE, tuning=0.0),
        "chroma_cqt": librosa.feature.chroma_cqt(C=magnitude, bins_per_octave=12),
        "chroma_cens": librosa.feature.chroma_cens(C=magnitude, bins_per_octave=12),
        "tonnetz": librosa.feature.tonnetz(
            chroma=librosa.feature.chroma_cqt(C=magnitude, bins_per_octave=12)
        ),
        "cqt": librosa.power_to_db(magnitude**2, ref=1.0, amin=1e-10, top_db=None),
    }
    for name, values in expected.items():
        tolerance = 0.05 if name == "cqt" else 1e-3
        inner = slice(0, -20)  # the end of what librosa resamples depends on how many zeros follow
        np.testing.assert_allclose(found[name][inner], values.T[inner], atol=tolerance, err_msg=name)


def test_rhythm_is_librosas(music):
    found = tracks_of(music, "onset_strength", "tempogram", "tempo_ratio")
    bands = librosa.feature.melspectrogram(
        y=np.pad(music, (56, 56)), sr=RATE, n_fft=512, win_length=400, hop_length=320, n_mels=80, center=False
    )
    onset = librosa.onset.onset_strength(S=librosa.power_to_db(bands, ref=1.0), center=False)
    np.testing.assert_allclose(found["onset_strength"][:, 0], onset, atol=5e-3)
    lags = librosa.feature.tempogram(onset_envelope=onset, sr=RATE, hop_length=320, win_length=384)
    tempi = librosa.tempo_frequencies(384, sr=RATE, hop_length=320)
    np.testing.assert_allclose(found["tempogram"], lags[(tempi >= 30) & (tempi <= 240)].T, atol=1e-3)
    ratios = librosa.feature.tempogram_ratio(tg=lags, sr=RATE, hop_length=320)
    np.testing.assert_allclose(found["tempo_ratio"], ratios.T, atol=1e-3)


def test_harmonic_and_percussive_parts_are_librosas(music):
    found = tracks_of(music, "harmonic_energy", "percussive_energy")
    parts = librosa.decompose.hpss(magnitude_of(music, 2048, 2048))
    for name, part in zip(("harmonic_energy", "percussive_energy"), parts, strict=True):
        expected = 10 * np.log10(np.maximum((part.astype(float) ** 2).sum(axis=0), 1e-10))
        np.testing.assert_allclose(found[name][:, 0], expected, atol=5e-3, err_msg=name)


def test_medians_in_blocks_are_those_of_the_whole(music, monkeypatch):
    names = ("harmonic_energy", "percussive_energy")
    whole = tracks_of(music, *names)
    for block in (1, 40, 290):
        monkeypatch.setattr("ptsel_fairseq.labels.signal.harmonic_percussive.MEDIAN_BLOCK", block)
        for name, values in tracks_of(music, *names).items():
            np.testing.assert_array_equal(values, whole[name])


@pytest.mark.parametrize("label", ["chroma", "chroma_cqt"])
def test_a_scale_walks_through_the_pitch_classes(label):
    """C major from middle C, a note every half second."""
    scale = [60, 62, 64, 65, 67, 69, 71, 72]
    wave = np.concatenate([tones([pitch], 0.5) for pitch in scale]).astype(np.float32) * 0.2
    strongest = tracks_of(wave, label)[label].argmax(axis=1)
    for n, pitch in enumerate(scale):
        assert (strongest[25 * n + 8 : 25 * n + 20] == pitch % 12).all()


def test_the_constant_q_spectrum_has_a_bin_for_each_semitone():
    for pitch in (40, 57, 69, 100):
        tone = 0.3 * np.sin(2 * np.pi * librosa.midi_to_hz(pitch) * np.arange(32_000) / RATE)
        assert (tracks_of(tone.astype(np.float32), "cqt")["cqt"][40:60].argmax(axis=1) == pitch - 24).all()


def test_tonnetz_tells_related_chords_from_distant_ones():
    """C major lies nearer to G major than to F sharp major."""
    chords = {"C": [60, 64, 67], "G": [59, 62, 67], "F#": [58, 61, 66]}
    place = {
        name: tracks_of((0.2 * tones(chord, 1.5)).astype(np.float32), "tonnetz")["tonnetz"][30:40].mean(
            axis=0
        )
        for name, chord in chords.items()
    }
    near, far = (np.linalg.norm(place["C"] - place[other]) for other in ("G", "F#"))
    assert near < 0.8 * far


@pytest.mark.parametrize("offset", [-140, -80, 0, 80, 140])
def test_an_onset_answers_in_its_frame(offset):
    event = 40
    noise = 0.1 * np.random.default_rng(0).standard_normal(32_000)
    wave = np.where(np.arange(32_000) < GRID.centre(event) + offset, 1e-3 * noise, noise).astype(np.float32)
    strength = tracks_of(wave, "onset_strength")["onset_strength"][:, 0]
    assert strength.argmax() == event
    assert strength[event] > 5 * np.delete(strength, [event - 1, event, event + 1]).max()


def test_onsets_do_not_depend_on_the_level(music):
    loud, soft = (tracks_of(gain * music, "onset_strength")["onset_strength"] for gain in (1.0, 0.1))
    np.testing.assert_allclose(loud, soft, atol=0.02)


@pytest.mark.parametrize("tempo", [60, 100, 150])
def test_the_tempogram_peaks_at_the_tempo(tempo):
    """Clicks: the strongest lag is a beat or a multiple of one; the beat itself is a peak."""
    seconds = 12
    clicks = librosa.clicks(
        times=np.arange(0.1, seconds, 60 / tempo), sr=RATE, click_freq=2000, length=seconds * RATE
    )
    middle = tracks_of((0.5 * clicks).astype(np.float32), "tempogram")["tempogram"][300]
    beat = round(50 * 60 / tempo) - 13  # the first lag kept is 13 frames, 231 beats a minute
    assert middle[beat - 1 : beat + 2].max() > 0.8
    between = round(50 * 60 / tempo * 1.5) - 13
    if between < len(middle):
        assert middle[between] < 0.5 * middle[beat - 1 : beat + 2].max()


def test_a_change_of_tempo_is_in_its_place():
    """Played backwards, the tempi change over as far from the end as they did from the start."""
    times = np.concatenate([np.arange(0.25, 10, 0.5), np.arange(10.375, 20, 0.75)])
    clicks = librosa.clicks(times=times, sr=RATE, click_freq=2000, click_duration=0.02, length=20 * RATE)
    crossings = []
    for wave in (clicks, clicks[::-1]):
        found = tracks_of((0.5 * wave).astype(np.float32), "tempogram")["tempogram"]
        first, second = found[:, 25 - 13], found[:, 38 - 13]  # lags of 0.5 and 0.76 s
        stronger = first > second
        crossings.append(int(np.flatnonzero(np.diff(stronger[200:800].astype(int)))[0]) + 200.5)
        assert stronger[100] != stronger[-100]
    assert abs(crossings[0] - 499) < 50
    assert abs(sum(crossings) - (GRID.num_frames(20 * RATE) - 1)) <= 4


def test_tempo_ratio_of_even_beats_is_strongest_at_whole_beats(music):
    ratios = tracks_of(np.tile(music, 2), "tempo_ratio")["tempo_ratio"][250]
    assert ratios.shape == (13,)
    assert ratios[6] > 0.5  # the tempo itself
    assert ratios[6] > ratios[4]  # 4/3 of it


def test_steady_and_struck_sound_are_told_apart():
    tone = 0.2 * np.sin(2 * np.pi * 440 * np.arange(48_000) / RATE)
    clicks = np.zeros(48_000)
    clicks[:: RATE // 4] = 0.9
    for wave, stronger, weaker in (
        (tone, "harmonic_energy", "percussive_energy"),
        (clicks, "percussive_energy", "harmonic_energy"),
    ):
        found = tracks_of(wave.astype(np.float32), stronger, weaker)
        loud = found[stronger] > found[stronger].max() - 3
        assert (found[stronger] - found[weaker])[loud].min() > 10


def test_chroma_is_nothing_in_silence(music):
    wave = np.concatenate([music[:16_000], np.zeros(40_000, np.float32)])
    for name, values in tracks_of(wave, "chroma", "chroma_cqt", "tonnetz").items():
        assert (values[-40:] == 0).all(), name


def test_spectra_are_shared():
    """All harmony and texture of a waveform come from one analysis."""
    analysis = Analysis(np.zeros(16_000, np.float32), GRID)
    assert analysis.long_power is analysis.long_power
    assert analysis.cqt_magnitude is analysis.cqt_magnitude
