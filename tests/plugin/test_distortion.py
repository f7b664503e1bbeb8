"""Distortions: what each does to real speech, where its chance comes from, and that labels stay clean."""

from __future__ import annotations

import random

import numpy as np
import pytest
import soundfile
import torch
from plugin_tools import batch_of, build, recipe

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.plugin.distortion import Distortion, check_distortion

pytest.importorskip("audiomentations", reason="distortions need the extra [distortion]")

RATE = 16_000
ALL = {
    "overlap": {"probability": 0.5},
    "noise": {"probability": 0.5},
    "clipping": {"probability": 0.5},
    "chop": {"probability": 0.5},
    "band_drop": {"probability": 0.5},
}


@pytest.fixture(scope="module")
def speech(data_dir):
    root, *lines = (data_dir / "train.tsv").read_text().splitlines()
    return [
        soundfile.read(f"{root}/{line.split(chr(9))[0]}", dtype="float32")[0][: 3 * RATE]
        for line in lines[:4]
    ]


def apply(settings, waveform, seed=3, other=None):
    distortion = Distortion(check_distortion(settings), RATE)
    return distortion(waveform, seed, lambda number: other)


def decibels(signal, rest):
    return 10 * np.log10(np.mean(np.square(signal, dtype=float)) / np.mean(np.square(rest, dtype=float)))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_noise_is_added_at_the_ratio_asked_for(speech, seed):
    noisy = apply({"noise": {"probability": 1.0, "snr": [6, 6]}}, speech[0], seed)
    assert decibels(speech[0], noisy - speech[0]) == pytest.approx(6, abs=0.1)


def test_noise_from_files_is_theirs(speech, tmp_path):
    tone = np.sin(2 * np.pi * 1000 * np.arange(10 * RATE) / RATE).astype(np.float32)
    soundfile.write(tmp_path / "tone.wav", tone, RATE)
    noisy = apply({"noise": {"probability": 1, "snr": [3, 3], "folder": str(tmp_path)}}, speech[0])
    added = noisy - speech[0]
    assert decibels(speech[0], added) == pytest.approx(3, abs=0.1)
    spectrum = np.abs(np.fft.rfft(added)) ** 2
    frequency = np.fft.rfftfreq(len(added), 1 / RATE)
    assert spectrum[np.abs(frequency - 1000) < 5].sum() > 0.99 * spectrum.sum()


def test_overlap_adds_the_other_utterance_at_the_ratio_asked_for(speech):
    other = speech[1][: RATE // 2]
    mixed = apply({"overlap": {"probability": 1.0, "snr": [5, 5]}}, speech[0], other=other)
    added = mixed - speech[0]
    start = int(np.argmax(np.correlate(added, other, mode="valid")))
    scale = float(added[start : start + len(other)] @ other / (other @ other))
    np.testing.assert_allclose(added[start : start + len(other)], scale * other, atol=1e-6)
    assert decibels(speech[0], scale * other) == pytest.approx(5, abs=0.1)
    assert np.abs(np.delete(added, np.arange(start, start + len(other)))).max() < 1e-6


def test_clipping_flattens_the_share_asked_for(speech):
    clipped = apply({"clipping": {"probability": 1.0, "percent": [10, 10]}}, speech[0])
    at_the_ends = np.isin(clipped, [clipped.min(), clipped.max()]).mean()
    assert 0.09 < at_the_ends < 0.12
    inside = np.abs(clipped) < min(-clipped.min(), clipped.max())
    np.testing.assert_array_equal(clipped[inside], speech[0][inside])


def test_chop_zeroes_stretches_and_nothing_else(speech):
    loud = speech[0] + 1.0  # no zeros of its own
    chopped = apply({"chop": {"probability": 1.0, "times": 1, "seconds": [0.1, 0.1]}}, loud)
    zero = np.flatnonzero(chopped == 0)
    assert len(zero) == pytest.approx(0.1 * RATE, abs=1)
    assert zero[-1] - zero[0] == len(zero) - 1
    np.testing.assert_array_equal(np.delete(chopped, zero), np.delete(loud, zero))


def test_band_drop_takes_one_band_out_and_leaves_the_rest_where_it_was(speech):
    rng = np.random.default_rng(1)
    white = rng.normal(0, 0.1, 4 * RATE).astype(np.float32)
    settings = {"band_drop": {"probability": 1.0, "centre": [2000, 2000], "width": [1, 1]}}
    left = apply(settings, white)
    frequency = np.fft.rfftfreq(len(white), 1 / RATE)
    before, after = (np.abs(np.fft.rfft(signal)) ** 2 for signal in (white, left))

    def kept(low, high):
        band = (frequency > low) & (frequency < high)
        return after[band].sum() / before[band].sum()

    assert kept(1800, 2200) < 0.05
    assert kept(100, 500) > 0.95
    assert kept(6500, 7500) > 0.95
    assert np.argmax(np.correlate(white, left[1000:-1000], mode="valid")) == 1000  # no delay


def test_reverberation_keeps_level_and_place(speech, tmp_path):
    rng = np.random.default_rng(2)
    response = np.zeros(RATE // 2, np.float32)
    response[80] = 1.0  # 5 ms until the direct sound
    tail = np.arange(120, len(response))
    response[tail] = 0.1 * rng.normal(size=len(tail)) * np.exp(-(tail - 120) / 1600)
    soundfile.write(tmp_path / "room.wav", response, RATE, subtype="FLOAT")
    heard = apply({"reverberation": {"probability": 1.0, "folder": str(tmp_path)}}, speech[0])
    assert heard.shape == speech[0].shape
    assert decibels(heard, speech[0]) == pytest.approx(0, abs=0.01)
    expected = np.convolve(speech[0], response)[80 : 80 + len(speech[0])]  # from the definition
    expected *= np.sqrt(np.mean(speech[0] ** 2) / np.mean(expected**2))
    np.testing.assert_allclose(heard, expected, atol=1e-4)


def test_chance_comes_from_the_seed_alone(speech):
    states = random.getstate(), np.random.get_state()[1].copy()
    one = [apply(ALL, speech[0], seed, speech[1]) for seed in range(12)]
    assert random.getstate() == states[0]
    assert np.array_equal(np.random.get_state()[1], states[1])
    random.seed(99)
    np.random.seed(99)
    again = [apply(ALL, speech[0], seed, speech[1]) for seed in range(12)]
    for first, second in zip(one, again, strict=True):
        np.testing.assert_array_equal(first, second)
    assert len({wave.tobytes() for wave in one}) >= 11


def test_each_distortion_happens_as_often_as_asked(speech):
    short = speech[0][:8000] + 1.0
    settings = {"chop": {"probability": 0.3}, "clipping": {"probability": 0.0}}
    distortion = Distortion(check_distortion(settings), RATE)
    happened = sum(not np.array_equal(distortion(short, seed, None), short) for seed in range(400))
    assert happened == pytest.approx(120, abs=4 * np.sqrt(400 * 0.3 * 0.7))


def test_one_probability_does_not_change_what_another_distortion_does(speech):
    loud = speech[0] + 1.0

    def zeros(noise):
        settings = {"noise": {"probability": noise}, "chop": {"probability": 1.0}}
        return np.flatnonzero(apply(settings, loud) == 0)

    assert len(zeros(1.0)) > 0
    np.testing.assert_array_equal(zeros(1.0), zeros(1e-12))


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"echo": {"probability": 0.5}}, "expected distortions among reverberation, overlap"),
        ({"noise": 0.5}, r"expected settings such as \{probability: 0.4\}"),
        ({"noise": {"probability": 1.5}}, "noise.probability: expected a number from 0 to 1"),
        ({"noise": {"probability": 0.5, "level": 3}}, "found level"),
        ({"noise": {"probability": 0.5, "snr": [10, 0]}}, "the smallest and the largest"),
        ({"noise": {"probability": 0.5, "folder": "/nowhere"}}, "noise.folder: expected an absolute path"),
        ({"reverberation": {"probability": 0.5}}, "reverberation.folder: expected an absolute path"),
        ({"chop": {"probability": 0.5, "times": 0}}, "chop.times: expected a whole number"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(block, message):
    with pytest.raises(PtselError, match=message):
        check_distortion(block)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(PtselError, match="no audio files below"):
        Distortion(check_distortion({"noise": {"probability": 0.1, "folder": str(tmp_path)}}), RATE)


def loaded(data_dir, store_dir, **overrides):
    task, _, _ = build(recipe(data_dir, store_dir, **overrides))
    for split in ("train", "valid"):
        task.load_dataset(split)
    return task


def test_the_model_hears_distorted_crops_and_predicts_the_clean_labels(data_dir, store_dir):
    clean = loaded(data_dir, store_dir)
    task = loaded(data_dir, store_dir, task__distortion=ALL)
    ids = list(range(8))
    for padded in (False, True):
        for each in (clean, task):
            each.dataset("train").audio.pad = padded
        one, two = batch_of(clean, "train", ids), batch_of(task, "train", ids)
        assert torch.equal(one["pretext"]["target"], two["pretext"]["target"])
        assert torch.equal(one["pretext"]["valid"], two["pretext"]["valid"])
        assert one["mask_seed"] == two["mask_seed"]
        before, after = one["net_input"]["source"], two["net_input"]["source"]
        changed = (before != after).any(1)
        assert changed.sum() >= 6
        if padded:
            assert torch.equal(one["net_input"]["padding_mask"], two["net_input"]["padding_mask"])
            assert (after[two["net_input"]["padding_mask"]] == 0).all()
    one, two = batch_of(clean, "valid", [0, 1]), batch_of(task, "valid", [0, 1])
    assert torch.equal(one["net_input"]["source"], two["net_input"]["source"])  # validation stays clean


@pytest.mark.parametrize("normalize", [False, True])
def test_labels_computed_in_training_are_of_the_clean_audio(data_dir, store_dir, normalize):
    heads = {"alpha_ratio": {"source": "online"}}
    settings = {"criterion__pretext_heads": heads, "task__normalize": normalize}
    clean = loaded(data_dir, store_dir, **settings)
    task = loaded(data_dir, store_dir, task__distortion=ALL, **settings)
    one, two = (batch_of(each, "train", list(range(8))) for each in (clean, task))
    assert torch.equal(one["clean_source"], two["clean_source"])
    assert (one["net_input"]["source"] != two["net_input"]["source"]).any(1).sum() >= 6


def test_a_distortion_follows_from_epoch_and_utterance_whatever_the_batch(data_dir, store_dir):
    task = loaded(data_dir, store_dir, task__distortion=ALL)
    dataset = task.dataset("train")
    dataset.set_epoch(2)
    together = batch_of(task, "train", [5, 6])["net_input"]["source"]
    size = together.size(1)
    dataset.audio.max_sample_size = size  # the same crop, drawn alone
    alone = batch_of(task, "train", [5])["net_input"]["source"]
    assert torch.equal(together[0], alone[0])
    assert torch.equal(batch_of(task, "train", [5])["net_input"]["source"], alone)
    dataset.set_epoch(3)
    assert not torch.equal(batch_of(task, "train", [5])["net_input"]["source"], alone)
