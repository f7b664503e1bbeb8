"""A packed copy of labels gives the crops of the store's own arrays, and is noticed when it is not of the store."""

from __future__ import annotations

import json
import os
import pickle
import shutil

import numpy as np
import pytest
import torch
from conftest import LABELS, run_command

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.base.partial_array import PartialArray
from ptsel_fairseq.labels import LabelStore
from ptsel_fairseq.labels.crops import Crop, CropTracks, standardisation
from ptsel_fairseq.labels.store import packing
from ptsel_fairseq.labels.store.pack import find_pack, packs_of
from ptsel_fairseq.labels.store.packing import pack_labels


@pytest.fixture
def store(store_dir, tmp_path) -> LabelStore:
    shutil.copytree(store_dir, tmp_path / "store")
    return LabelStore(tmp_path / "store", "train")


def opened(store: LabelStore) -> LabelStore:
    return LabelStore(store.folder, store.split)


def tracks_of(store: LabelStore, manifest, labels=LABELS, online=()) -> CropTracks:
    return CropTracks(manifest, store.grid, store, standardisation(store, labels), online)


def random_crops(manifest, number: int, longest: int, seed: int) -> list[Crop]:
    rng = np.random.default_rng(seed)
    crops = []
    for line in rng.choice(len(manifest), number, replace=False).tolist():
        samples = int(manifest.samples[line])
        length = int(rng.integers(1, min(longest, samples) + 1))
        crops.append(Crop(line, 320 * int(rng.integers(0, (samples - length) // 320 + 1)), length))
    return crops


@pytest.mark.parametrize("order", [LABELS, LABELS[::-1], LABELS[1:2]])
def test_packed_crops_are_the_unpacked_ones_bit_for_bit(store, data_dir, order):
    """Of any length and place, padded or not, of all labels of the copy or some, in any order."""
    manifest = read_manifest(data_dir / "train.tsv")
    plain = tracks_of(store, manifest, order)
    assert plain.pack is None
    pack_labels(store, LABELS)
    packed = pickle.loads(pickle.dumps(tracks_of(store, manifest, order)))
    assert packed.pack is not None
    for seed in range(20):
        crops = random_crops(manifest, 5, 50_000, seed)
        longest = max(crop.samples for crop in crops)
        expected, found = plain(crops, longest), packed(crops, longest)
        for key in ("target", "valid", "samples"):
            assert torch.equal(expected[key], found[key])


def test_online_labels_stand_between_packed_ones(store, data_dir):
    manifest = read_manifest(data_dir / "train.tsv")
    plain = tracks_of(store, manifest, online=["log_mel"])
    pack_labels(store, [label for label in LABELS if label != "log_mel"])
    packed = tracks_of(store, manifest, online=["log_mel"])
    assert packed.pack is not None
    crops = random_crops(manifest, 4, 40_000, 1)
    expected, found = plain(crops, 40_000), packed(crops, 40_000)
    assert torch.equal(expected["target"], found["target"])
    assert torch.equal(expected["valid"], found["valid"])


def test_a_crop_is_one_read(store, data_dir, monkeypatch):
    manifest = read_manifest(data_dir / "train.tsv")
    pack_labels(store, LABELS)
    tracks, reads, real = tracks_of(store, manifest), [], os.preadv
    monkeypatch.setattr("os.preadv", lambda *arguments: reads.append(1) or real(*arguments))
    monkeypatch.setattr(store, "track", None)
    tracks([Crop(0, 320, 8000), Crop(3, 0, 6000)], 8000)
    assert len(reads) == 2


def test_a_copy_of_another_state_of_the_store_is_not_used_and_replaced(store, caplog):
    first = pack_labels(store, LABELS)
    assert pack_labels(store, LABELS[:2]).file == first.file  # one of more labels will do
    header = store.split_folder / "header.json"
    content = json.loads(header.read_text())
    content["labels"]["f0"]["checksums"]["f0.npy"] = "0" * 64
    header.write_text(json.dumps(content))
    changed = opened(store)
    assert find_pack(changed, LABELS) is None
    assert "has changed since this packed copy was made" in caplog.text
    assert len(packs_of(changed)[1]) == 1
    pack_labels(changed, LABELS)
    assert find_pack(changed, LABELS) is not None
    assert not packs_of(changed)[1]
    with pytest.raises(PtselError, match="changed after it was opened"):
        pack_labels(store, LABELS)


def interrupted(store: LabelStore, monkeypatch, spoiled: int = -1) -> tuple[bytes, list[int]]:
    """What the whole copy would be, and the places that a run wrote which was killed after five pieces."""
    monkeypatch.setattr(packing, "BYTES_AT_ONCE", 4000)
    monkeypatch.setattr(packing, "SECONDS_BETWEEN_FLUSHES", 0)
    whole = pack_labels(store, LABELS)
    expected = whole.file.read_bytes()
    shutil.rmtree(whole.file.parent)
    real, written = PartialArray.write, []

    def write(self, first, rows):
        if len(written) == 5:
            raise KeyboardInterrupt
        real(self, first, rows + 1 if len(written) == spoiled else rows)
        written.append(first)

    with monkeypatch.context() as patched:
        patched.setattr(PartialArray, "write", write)
        with pytest.raises(KeyboardInterrupt):
            pack_labels(store, LABELS)
    assert find_pack(store, LABELS) is None
    assert not list(whole.file.parent.glob("*.npy"))
    return expected, written


def test_goes_on_where_it_was_killed(store, monkeypatch):
    """Neither a reader nor the next run takes for whole what is not; what was written is not written again."""
    expected, before = interrupted(store, monkeypatch)
    real, after = PartialArray.write, []
    monkeypatch.setattr(
        PartialArray, "write", lambda self, first, rows: after.append(first) or real(self, first, rows)
    )
    pack = pack_labels(store, LABELS)
    assert min(after) > max(before)
    assert pack.file.read_bytes() == expected
    assert sorted(file.suffix for file in pack.file.parent.iterdir()) == [".json", ".npy"]


def test_what_an_interrupted_run_left_is_looked_at(store, monkeypatch):
    expected, _ = interrupted(store, monkeypatch, spoiled=2)
    assert pack_labels(store, LABELS).file.read_bytes() == expected


def test_a_full_disk_is_said_and_leaves_nothing_half_done(store, monkeypatch):
    usage = shutil.disk_usage(store.folder)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=1000))
        with pytest.raises(PtselError, match=r"needs .* 1 kB are free"):
            pack_labels(store, LABELS)

    def refuse(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", refuse)
        with pytest.raises(PtselError, match="No space left on device"):
            pack_labels(store, LABELS)
    assert find_pack(store, LABELS) is None
    assert pack_labels(store, LABELS)


def test_damage_is_named(store, data_dir):
    manifest = read_manifest(data_dir / "train.tsv")
    pack = pack_labels(store, LABELS)
    content = pack.file.read_bytes()
    damaged = bytearray(content)
    damaged[200:204] = np.float32(np.nan).tobytes()
    pack.file.write_bytes(damaged)
    with pytest.raises(
        PtselError, match=r"packed copy of the labels is damaged \(it has values of utterance 0 "
    ):
        tracks_of(opened(store), manifest)([Crop(0, 0, 8000)], 8000)
    done = run_command("ptsel", "check", data_dir, "--store", store.folder)
    assert done.returncode == 2
    assert "the packed copy is not what was written" in done.stdout
    pack.file.write_bytes(content[:-10])
    with pytest.raises(PtselError, match=r"damaged \(expected \d+ bytes"):
        find_pack(opened(store), LABELS)


def test_the_command_packs_what_it_extracts(store, data_dir):
    done = run_command(
        *("ptsel", "extract", data_dir, "--labels", *LABELS, "--store", store.folder),
        *("--splits", "train", "--pack"),
    )
    assert done.returncode == 0, done.stderr
    assert "train: packing" in done.stdout
    assert find_pack(opened(store), LABELS).labels == sorted(LABELS)
