"""Analysis frames are centred on the encoder's frames, and an event lands in its frame for every label."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels import tracks as catalogue
from ptsel_fairseq.labels.signal.framing import (
    BLOCK,
    between_frames,
    count_half_steps,
    grid_frames,
    half_step_frames,
    to_grid,
    to_grid_where_valid,
)

GRID = FrameGrid()
EVENT = 40  # the frame in which it happens
SAMPLES = 16_000 * 2
POSITION = np.arange(SAMPLES) - GRID.centre(EVENT)


def literal_frame(waveform: np.ndarray, centre: int, width: int) -> np.ndarray:
    inside = range(centre - width // 2, centre - width // 2 + width)
    return np.array([waveform[s] if 0 <= s < len(waveform) else 0.0 for s in inside], np.float32)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 4000),
    st.sampled_from([320, 400, 960, 333]),
    st.sampled_from([(320, 400), (160, 400), (320, 960)]),
)
def test_frames_are_cut_where_they_should(samples, width, hop_window):
    grid = FrameGrid(*hop_window)
    waveform = np.random.default_rng(samples).standard_normal(samples).astype(np.float32)
    frames = grid.num_frames(samples)
    on_grid = [row.numpy() for block in grid_frames(waveform, grid, width) for row in block]
    assert len(on_grid) == frames
    for i, found in enumerate(on_grid):
        np.testing.assert_array_equal(found, literal_frame(waveform, grid.centre(i), width))
    half = [row.numpy() for block in half_step_frames(waveform, grid, width) for row in block]
    assert len(half) == count_half_steps(samples, grid) == (2 * frames + 1 if frames else 0)
    for j, found in enumerate(half):
        centre = grid.centre(0) + (j - 1) * grid.hop // 2
        np.testing.assert_array_equal(found, literal_frame(waveform, centre, width))
    between = [row.numpy() for block in between_frames(waveform, grid, width) for row in block]
    assert len(between) == (frames + 1 if frames else 0)
    for i, found in enumerate(between):
        centre = grid.centre(0) + i * grid.hop - grid.hop // 2
        np.testing.assert_array_equal(found, literal_frame(waveform, centre, width))


def test_blocks_join_without_a_seam():
    samples = GRID.num_samples(BLOCK + 5)
    waveform = np.arange(samples, dtype=np.float32)
    blocks = list(grid_frames(waveform, GRID, 400))
    assert [len(block) for block in blocks] == [BLOCK, 5]
    np.testing.assert_array_equal(torch.cat(blocks)[:, 0].numpy(), 320.0 * np.arange(BLOCK + 5))


def test_a_frame_is_the_mean_of_three_half_steps():
    half_steps = np.array([0, 3, 6, 30, 0, 0, 3], np.float32)
    np.testing.assert_allclose(to_grid(half_steps), [3, 12, 1])


def test_undefined_half_steps_are_left_out_of_the_mean():
    half_steps = np.array([9, 3, 9, 30, 8, 4, 9], np.float32)
    valid = np.array([0, 1, 1, 0, 1, 1, 0], bool)
    values, defined = to_grid_where_valid(half_steps, valid)
    np.testing.assert_allclose(values, [6, 0, 6])
    np.testing.assert_array_equal(defined, [True, False, True])


def tone_burst() -> np.ndarray:
    """3 ms of 500 Hz and 2 kHz, the same forwards and backwards around the middle of EVENT."""
    envelope = np.exp(-0.5 * (POSITION / 24) ** 2)
    wave = np.cos(2 * np.pi * 500 * POSITION / 16_000) + 0.3 * np.cos(2 * np.pi * 2000 * POSITION / 16_000)
    return (0.4 * envelope * wave).astype(np.float32)


def voiced_burst() -> np.ndarray:
    """200 ms of a 200 Hz voice, the same forwards and backwards around the middle of EVENT."""
    envelope = np.clip(1.5 * np.cos(np.pi * np.clip(POSITION / 3200, -0.5, 0.5)), 0, 1)
    wave = sum(np.cos(2 * np.pi * 200 * k * POSITION / 16_000) / k for k in range(1, 20))
    return (0.15 * envelope * wave).astype(np.float32)


def track_of(name: str, waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    return catalogue.compute_tracks(waveform, [catalogue.get(name)], GRID)[name]


def long_chord() -> np.ndarray:
    """0.9 s of three tones, the same forwards and backwards around the middle of EVENT."""
    envelope = np.clip(4 * np.cos(np.pi * np.clip(POSITION / 14_400, -0.5, 0.5)), 0, 1)
    wave = sum(np.cos(2 * np.pi * hertz * POSITION / 16_000) for hertz in (220, 277.18, 329.63))
    return (0.2 * envelope * wave).astype(np.float32)


# The RASTA filter and onsets look back by design; what is the same before and after an event has no change in its
# middle, and no tempo. They have tests of their own, below, in test_spectral_shape and in test_music.
SYMMETRIC = [
    name
    for name in catalogue.names()
    if name not in ("rasta_l1", "spectral_flux", "onset_strength", "tempogram", "tempo_ratio")
]
# What needs longer than milliseconds: steady sound, harmony.
SLOW = ("harmonic_energy", "chroma_cens", "chroma_cqt", "tonnetz")


def event_for(name: str) -> np.ndarray:
    if name == "voicing" or (catalogue.get(name).undefined or "").startswith("unvoiced"):
        return voiced_burst()
    return long_chord() if name in SLOW else tone_burst()


@pytest.mark.parametrize("name", SYMMETRIC)
def test_an_event_lands_in_its_frame(name):
    """What an event changes is symmetric around the frame on whose middle it lies."""
    waveform = event_for(name)
    values, valid = track_of(name, waveform)
    silence, _ = track_of(name, np.zeros_like(waveform))
    change = np.abs(values - silence).sum(axis=1)
    sometimes_undefined = catalogue.get(name).undefined is not None
    if sometimes_undefined:
        assert valid[EVENT]
        defined = np.flatnonzero(valid)
        assert abs(defined.mean() - EVENT) <= 0.5
        change = valid.astype(float)
    assert change[EVENT] > 0
    near = change[: 2 * EVENT + 1]  # as much after the event as there is before it
    centre = (near * np.arange(len(near))).sum() / near.sum()
    tolerance = 0.5 if sometimes_undefined else 0.25 if name in SLOW else 0.1
    assert abs(centre - EVENT) < tolerance
    reach = 12
    before, after = change[EVENT - reach : EVENT][::-1], change[EVENT + 1 : EVENT + 1 + reach]
    if not sometimes_undefined:
        np.testing.assert_allclose(before, after, atol=0.12 * change.max())
    if name not in SLOW:
        assert change[EVENT] >= 0.9 * change.max()


@pytest.mark.parametrize("name", ["rms_energy", "loudness", "log_mel"])
def test_a_single_sample_is_seen_by_its_frame(name):
    """At the centre, at the first and at the last sample of the frame's hop."""
    for offset in (0, -159, 159):
        waveform = np.zeros(SAMPLES, np.float32)
        waveform[GRID.centre(EVENT) + offset] = 0.5
        values, _ = track_of(name, waveform)
        response = values.sum(axis=1) - values.sum(axis=1).min()
        assert response[EVENT] == response.max()


def test_rasta_answers_an_onset_in_its_frame():
    """The strongest answer to a sudden rise is in the frame of the rise, the rest dies away after it."""
    noise = np.random.default_rng(0).standard_normal(SAMPLES).astype(np.float32)
    values, _ = track_of("rasta_l1", np.where(POSITION < 0, 1e-3, 0.1).astype(np.float32) * noise)
    steady = np.median(values[:30])
    assert EVENT <= int(values[:, 0].argmax()) <= EVENT + 1
    assert (values[10 : EVENT - 3, 0] < 2 * steady).all()  # nothing well before
    assert (np.diff(values[EVENT + 2 : EVENT + 12, 0]) < 0.1 * values.max()).all()


@pytest.mark.parametrize("kind", ["silence", "constant", "clipped", "noise", "one sample", "denormal"])
@pytest.mark.parametrize("samples", [400, 401, 719, 720, 1600, 16_000])
def test_every_label_is_finite_on_hard_audio(kind, samples):
    draw = np.random.default_rng(0)
    waveform = {
        "silence": np.zeros(samples),
        "constant": np.full(samples, 0.5),
        "clipped": np.clip(20 * np.sin(np.arange(samples) / 9), -1, 1),
        "noise": draw.standard_normal(samples),
        "one sample": np.eye(1, samples, samples // 2)[0],
        "denormal": 1e-30 * draw.standard_normal(samples),
    }[kind].astype(np.float32)
    tracks = catalogue.compute_tracks(waveform, catalogue.resolve(["all"]), GRID)
    for name, (values, valid) in tracks.items():
        assert values.dtype == np.float32
        assert values.shape == (GRID.num_frames(samples), catalogue.get(name).dim)
        assert np.isfinite(values).all()
        assert valid.shape == (GRID.num_frames(samples),)
        assert catalogue.get(name).undefined is not None or valid.all()
        assert (values[~valid] == 0).all()
    if kind in ("silence", "denormal"):
        assert not tracks["f0"][1].any()


@pytest.mark.parametrize("samples", [0, 1, 2, 100, 399])
def test_shorter_than_a_frame_gives_no_frames(samples):
    waveform = np.ones(samples, np.float32)
    for name, (values, valid) in catalogue.compute_tracks(waveform, catalogue.resolve(["all"]), GRID).items():
        assert values.shape == (0, catalogue.get(name).dim)
        assert valid.shape == (0,)


def test_a_track_does_not_depend_on_the_other_labels():
    waveform = tone_burst() + voiced_burst()
    together = catalogue.compute_tracks(waveform, catalogue.resolve(["all"]), GRID)
    for name in catalogue.names():
        np.testing.assert_array_equal(track_of(name, waveform)[0], together[name][0])


def test_another_sample_rate_is_refused():
    with pytest.raises(PtselError, match="24000"):
        catalogue.compute_tracks(
            np.zeros(24_000, np.float32), catalogue.resolve(["zcr"]), FrameGrid(sample_rate=24_000)
        )


def test_unknown_labels_name_those_there_are():
    with pytest.raises(PtselError, match=r"loudness.*zcr"):
        catalogue.resolve(["pitch"])


def test_the_catalogue_is_light_and_sorted():
    import subprocess
    import sys

    code = "import sys, ptsel_fairseq.labels.tracks; print({'torch', 'librosa', 'numba'} & set(sys.modules))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"
    )
    assert catalogue.names() == sorted(catalogue.names())
