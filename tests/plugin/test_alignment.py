"""The frames handed to the heads are those of the very samples that the model sees."""

from __future__ import annotations

import numpy as np
import pytest
from crop_tools import find_crop
from plugin_tools import WEIGHTS, batch_of, build, recipe

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.labels.store.reader import LabelStore

ACTIVE = [label for label, weight in WEIGHTS.items() if weight > 0]


@pytest.mark.parametrize("padded", [False, True])
def test_labels_follow_random_crops_bit_for_bit(data_dir, store_dir, padded):
    cfg = recipe(data_dir, store_dir, task__enable_padding=padded, task__max_sample_size=48_000)
    task, _, _ = build(cfg)
    task.load_dataset("train")
    dataset, store = task.dataset("train"), LabelStore(store_dir, "train")
    rng = np.random.default_rng(0)
    starts_seen, crops = set(), 0
    for epoch in range(1, 100):
        dataset.set_epoch(epoch)
        ids = sorted(int(i) for i in rng.choice(len(dataset), 4, replace=False))
        items = [dataset[i] for i in ids]
        batch = dataset.collater(items)
        width = batch["net_input"]["source"].shape[1]
        assert batch["pretext"]["target"].shape[1] == store.grid.num_frames(width)
        for row, item in enumerate(items):
            audio = item["source"].numpy()
            length = min(width, len(audio))
            start = find_crop(audio, batch["net_input"]["source"][row, :length].numpy())
            assert start % store.grid.hop == 0
            starts_seen.add(start)
            crops += 1
            frames = store.grid.num_frames(length)
            column = 0
            for k, label in enumerate(ACTIVE):
                first, line = start // store.grid.hop, dataset.lines[ids[row]]
                track = store.track(label, line)[first : first + frames]
                valid = store.valid(label, line)[first : first + frames]
                statistics = store.statistics(label)
                expected = (track - statistics.mean.astype(np.float32)) / statistics.std.astype(np.float32)
                dim = track.shape[1]
                got = batch["pretext"]["target"][row, :, column : column + dim].float().numpy()
                np.testing.assert_array_equal(got[:frames], expected)
                np.testing.assert_array_equal(batch["pretext"]["valid"][row, :frames, k].numpy(), valid)
                assert not batch["pretext"]["valid"][row, frames:, k].any()
                column += dim
        if crops >= 200:
            break
    assert crops >= 200
    assert len(starts_seen) > 20  # random crops, not always the beginning


def test_a_crop_depends_on_seed_epoch_and_utterance_only(data_dir, store_dir):
    def sources(epoch: int, seed: int = 1) -> np.ndarray:
        task, _, _ = build(recipe(data_dir, store_dir, task__max_sample_size=20_000, task__seed=seed))
        task.load_dataset("train")
        np.random.seed(epoch * 17)  # the global generator must not matter
        task.dataset("train").set_epoch(epoch)
        return batch_of(task, "train", [0, 5, 9])["net_input"]["source"].numpy()

    np.testing.assert_array_equal(sources(1), sources(1))
    assert not np.array_equal(sources(1), sources(2))
    assert not np.array_equal(sources(1), sources(1, seed=2))


def test_short_utterances_keep_the_others_on_their_lines(data_dir, store_dir):
    longer_than = sorted(u.samples for u in read_manifest(data_dir / "train.tsv"))[10]
    task, _, _ = build(recipe(data_dir, store_dir, task__min_sample_size=longer_than))
    task.load_dataset("train")
    dataset = task.dataset("train")
    manifest = read_manifest(data_dir / "train.tsv")
    assert len(dataset) == len(manifest) - 10
    for i in range(len(dataset)):
        assert dataset.manifest.utterances[dataset.lines[i]].samples == len(dataset[i]["source"])


def test_another_manifest_is_refused(data_dir, store_dir, tmp_path):
    lines = (data_dir / "train.tsv").read_text().splitlines()
    (tmp_path / "train.tsv").write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")
    task, _, _ = build(recipe(tmp_path, store_dir))
    with pytest.raises(PtselError, match=r"train\.tsv"):
        task.load_dataset("train")


def test_audio_of_another_length_than_the_manifest_is_refused(data_dir, store_dir):
    task, _, _ = build(recipe(data_dir, store_dir))
    task.load_dataset("train")
    dataset = task.dataset("train")
    item = dataset[3]
    with pytest.raises(PtselError, match=r"line 5 .*the manifest says \d+ samples, the audio has \d+"):
        dataset.collater([{**item, "source": item["source"][:-7]}])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"task__num_batch_buckets": 4}, "num_batch_buckets"),
        ({"task__binarized_dataset": True}, "binarized_dataset"),
        ({"task__multi_corpus_keys": "a,b"}, "multi_corpus_keys"),
        ({"task__tpu": True}, "tpu"),
    ],
)
def test_what_cannot_be_aligned_is_refused(data_dir, store_dir, overrides, message):
    task, _, _ = build(recipe(data_dir, store_dir, **overrides))
    with pytest.raises(PtselError, match=message):
        task.load_dataset("train")


def test_a_store_is_opened_once_for_each_need(data_dir, store_dir, monkeypatch):
    from ptsel_fairseq.plugin import task as task_module

    opened = []

    def counting(folder, split):
        opened.append(split)
        return LabelStore(folder, split)

    monkeypatch.setattr(task_module, "LabelStore", counting)
    task, _, _ = build(recipe(data_dir, store_dir))
    assert opened == ["train", "train"]  # the weights are judged, the heads planned
    opened.clear()
    task.load_dataset("train")
    assert opened == ["train"]
    opened.clear()
    task.load_dataset("valid")
    assert sorted(opened) == ["train", "valid"]
