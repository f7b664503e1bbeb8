"""The torch dataset of crops: labels of exactly the samples of a batch; the same crops in any process and later."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import LABELS
from crop_tools import find_crop
from torch.utils.data import DataLoader

from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels import CropDataset, LabelStore, UpdateBatches
from ptsel_fairseq.labels.crops import Crop, CropTracks, crop_length, crop_start, standardisation


def make(data_dir: Path, store_dir: Path, split: str = "train", labels=LABELS, **settings) -> CropDataset:
    return CropDataset(
        data_dir / f"{split}.tsv", LabelStore(store_dir, split), labels, **{"seed": 1, **settings}
    )


@pytest.mark.parametrize("padded", [False, True])
def test_labels_are_those_of_the_whole_recording_at_the_samples_of_the_crop(data_dir, store_dir, padded):
    dataset = make(data_dir, store_dir, padded=padded, longest=30_000)
    store = LabelStore(store_dir, "train")
    rng = np.random.default_rng(0)
    starts, crops = set(), 0
    for epoch in range(1, 61):
        numbers = [int(n) for n in rng.choice(len(dataset), 4, replace=False)]
        batch = dataset.collate([dataset[epoch, number] for number in numbers])
        width = batch["source"].shape[1]
        assert batch["numbers"].tolist() == numbers
        assert batch["pretext"]["target"].shape[:2] == (4, store.grid.num_frames(width))
        for row, number in enumerate(numbers):
            line = dataset.lines[number]
            utterance = dataset.manifest.utterances[line]
            audio = read_audio(dataset.manifest.audio_path(utterance), 16_000)
            length = min(width, len(audio))
            assert int((~batch["padding_mask"][row]).sum()) == length
            assert not batch["padding_mask"][row, :length].any()
            assert not batch["source"][row, length:].any()
            start = find_crop(audio, batch["source"][row, :length].numpy())
            assert start % 320 == 0
            starts.add(start)
            crops += 1
            first, frames, column = start // 320, store.grid.num_frames(length), 0
            for k, label in enumerate(LABELS):
                track = store.track(label, line)[first : first + frames]
                statistics = store.statistics(label)
                expected = (track - statistics.mean) / statistics.std
                got = batch["pretext"]["target"][row, :, column : column + track.shape[1]].numpy()
                np.testing.assert_allclose(got[:frames], expected, atol=1e-5)
                assert not got[frames:].any()
                valid = batch["pretext"]["valid"][row, :, k].numpy()
                np.testing.assert_array_equal(
                    valid[:frames], store.valid(label, line)[first : first + frames]
                )
                assert not valid[frames:].any()
                column += track.shape[1]
    assert crops == 240
    assert len(starts) > 40


def test_starts_reach_from_the_first_hop_to_the_last():
    grid = FrameGrid()
    starts = {crop_start(5000, 3000, grid, 1, epoch, 7) for epoch in range(300)}
    assert starts == {320 * i for i in range(7)}  # 7 · 320 + 3000 would be beyond the end
    assert crop_start(3000, 3000, grid, 1) == crop_start(100, 3000, grid, 1) == 0


def test_length_of_a_batch():
    assert crop_length([5, 9, 7], None, padded=False) == 5
    assert crop_length([5, 9, 7], None, padded=True) == 9
    assert crop_length([5, 9, 7], 8, padded=True) == 8
    assert crop_length([5, 9, 7], 4, padded=False) == 4


def test_normalised_audio_has_the_labels_of_the_recording(data_dir, store_dir):
    plain, normal = (make(data_dir, store_dir, longest=20_000, normalize=n) for n in (False, True))
    one, other = (d.collate([d[3, 5], d[3, 8]]) for d in (plain, normal))
    torch.testing.assert_close(one["pretext"]["target"], other["pretext"]["target"], rtol=0, atol=0)
    for row, number in enumerate((5, 8)):
        whole = plain[3, number].waveform
        expected = (one["source"][row] - whole.mean()) / (whole.var(correction=0) + 1e-5).sqrt()
        torch.testing.assert_close(other["source"][row], expected, rtol=1e-4, atol=1e-4)


def test_other_splits_are_standardised_by_the_training_split(data_dir, store_dir):
    train = LabelStore(store_dir, "train")
    dataset = make(data_dir, store_dir, "valid", ["zcr"], statistics=train)
    batch = dataset.collate([dataset[0]])
    track = LabelStore(store_dir, "valid").track("zcr", 0)
    expected = (track - train.statistics("zcr").mean) / train.statistics("zcr").std
    np.testing.assert_allclose(batch["pretext"]["target"][0].numpy(), expected, atol=1e-5)


def test_raw_labels_keep_their_values(data_dir, store_dir):
    dataset = make(data_dir, store_dir, labels=["zcr", "f0"], raw={"zcr"})
    batch = dataset.collate([dataset[0]])
    track = LabelStore(store_dir, "train").track("zcr", 0)
    np.testing.assert_array_equal(batch["pretext"]["target"][0, :, :1].numpy(), track)


def test_without_labels_there_is_audio_alone(data_dir, store_dir):
    dataset = make(data_dir, store_dir, labels=[])
    assert "pretext" not in dataset.collate([dataset[0], dataset[1]])
    assert dataset.dims == {}


def loaded(dataset: CropDataset, batches: UpdateBatches, workers: int = 0) -> list[dict]:
    return list(DataLoader(dataset, batch_sampler=batches, collate_fn=dataset.collate, num_workers=workers))


def test_loader_workers_change_nothing(data_dir, store_dir):
    dataset = make(data_dir, store_dir, longest=16_000)
    batches = UpdateBatches(len(dataset), 4, last=2 * len(dataset) // 4, seed=3)  # more than an epoch
    alone, by_two = loaded(dataset, batches), loaded(dataset, batches, workers=2)
    assert len(alone) == len(by_two) == len(batches)
    for one, other in zip(alone, by_two, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_every_epoch_has_each_utterance_once_in_an_order_and_a_crop_of_its_own():
    batches = list(UpdateBatches(12, 4, last=6, seed=1))
    epochs = [[pair for batch in batches[i : i + 3] for pair in batch] for i in (0, 3)]
    assert [{epoch for epoch, _ in pairs} for pairs in epochs] == [{1}, {2}]
    assert all(sorted(number for _, number in pairs) == list(range(12)) for pairs in epochs)
    assert [number for _, number in epochs[0]] != [number for _, number in epochs[1]]


def test_a_resumed_training_sees_the_rest():
    settings = {"last": 9, "seed": 5}
    whole = list(UpdateBatches(10, 3, **settings))
    for first in range(10):
        rest = UpdateBatches(10, 3, first=first, **settings)
        assert list(rest) == whole[first:]
        assert len(rest) == 9 - first


def test_processes_share_the_batches_of_one(data_dir, store_dir):
    dataset = make(data_dir, store_dir, padded=True, longest=24_000)
    whole = loaded(dataset, UpdateBatches(len(dataset), 4, last=3, seed=1))
    parts = [
        loaded(dataset, UpdateBatches(len(dataset), 4, last=3, seed=1, process=p, processes=2))
        for p in (0, 1)
    ]
    for update, batch in enumerate(whole):
        for process in (0, 1):
            part = parts[process][update]
            assert part["numbers"].tolist() == batch["numbers"][process::2].tolist()
            width, frames = part["source"].shape[1], part["pretext"]["target"].shape[1]
            # Padded crops do not depend on the others of a batch.
            torch.testing.assert_close(part["source"], batch["source"][process::2, :width], rtol=0, atol=0)
            for name in ("target", "valid"):
                torch.testing.assert_close(
                    part["pretext"][name], batch["pretext"][name][process::2, :frames], rtol=0, atol=0
                )
            assert part["seeds"] == batch["seeds"][process::2]


def test_what_does_not_fit_is_refused(data_dir, store_dir, tmp_path):
    with pytest.raises(PtselError, match="extract the labels for this encoder's grid"):
        make(data_dir, store_dir, grid=FrameGrid(hop=160))
    with pytest.raises(PtselError, match=r"none of its .* utterances has the 9000000 samples"):
        make(data_dir, store_dir, shortest=9_000_000)
    with pytest.raises(PtselError, match="longest: expected at least 400 samples"):
        make(data_dir, store_dir, longest=300)
    with pytest.raises(PtselError, match="no label 'loudness' in this store"):
        make(data_dir, store_dir, labels=["loudness"])
    with pytest.raises(PtselError, match=r"the store .* was made from a manifest"):
        CropDataset(data_dir / "valid.tsv", LabelStore(store_dir, "train"), LABELS, seed=1)
    with pytest.raises(PtselError, match="a positive multiple of the number of processes, 2, found 3"):
        UpdateBatches(10, 3, last=1, seed=1, processes=2)
    with pytest.raises(PtselError, match="at most the 10 utterances that are long enough, found 12"):
        UpdateBatches(10, 12, last=1, seed=1)


def test_audio_of_another_length_than_the_manifest_is_refused(data_dir, store_dir, monkeypatch):
    dataset = make(data_dir, store_dir)
    monkeypatch.setattr("ptsel_fairseq.labels.dataset.read_audio", lambda *args: np.zeros(7, np.float32))
    with pytest.raises(PtselError, match=r"line 5 .*the manifest says \d+ samples, the audio has 7"):
        dataset[3]


def test_a_constant_label_is_refused(data_dir, store_dir, monkeypatch):
    store = LabelStore(store_dir, "train")
    statistics = replace(store.statistics("zcr"), std=np.zeros(1))
    monkeypatch.setattr(store, "statistics", lambda label: statistics)
    with pytest.raises(PtselError, match="zcr is constant over the split train; give it the weight 0"):
        standardisation(store, ["zcr"])


def test_a_crop_at_the_end_has_the_last_frames(data_dir, store_dir):
    dataset = make(data_dir, store_dir, labels=["zcr"])
    store = LabelStore(store_dir, "train")
    samples = dataset.manifest.utterances[0].samples
    start = 320 * ((samples - 4000) // 320)
    tracks = CropTracks(dataset.manifest, store.grid, store, {"zcr": (np.zeros(1), np.ones(1))})
    found = tracks([Crop(0, start, samples - start)], samples - start)
    np.testing.assert_array_equal(found["target"][0].numpy(), store.track("zcr", 0)[start // 320 :])
    assert found["valid"].all()
