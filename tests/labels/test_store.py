"""The label store: what it gives back, and that a kill, a full disk or a second writer spoils nothing."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import LABELS, contents

from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import file_checksum
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.manifest import Manifest, Utterance, read_manifest
from ptsel_fairseq.labels import tracks as catalogue
from ptsel_fairseq.labels.extraction.extract import extract
from ptsel_fairseq.labels.store.reader import LabelStore
from ptsel_fairseq.labels.store.writer import StoreWriter

GRID = FrameGrid()


@pytest.fixture
def copied_store(store_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(store_dir, tmp_path / "store"))


def test_tracks_are_those_of_the_waveforms(store_dir, valid_manifest):
    store = LabelStore(store_dir, "valid")
    store.check_manifest(valid_manifest)
    assert store.labels == tuple(sorted(LABELS))
    assert store.num_utterances == len(valid_manifest)
    assert store.manifest_checksum == valid_manifest.checksum
    for utterance in valid_manifest.utterances[:4]:
        assert store.num_frames(utterance.index) == GRID.num_frames(utterance.samples)
        waveform = read_audio(valid_manifest.audio_path(utterance), 16_000)
        tracks = catalogue.compute_tracks(waveform, catalogue.resolve(LABELS), GRID)
        for label in LABELS:
            values, valid = tracks[label]
            stored = store.track(label, utterance.index)
            assert stored.dtype == np.float32
            assert stored.shape == (store.num_frames(utterance.index), store.info(label).dim)
            np.testing.assert_allclose(stored, values, atol=1e-4)
            np.testing.assert_array_equal(store.valid(label, utterance.index), valid)


def test_statistics_are_over_valid_frames(store_dir):
    store = LabelStore(store_dir, "train")
    for label in LABELS:
        track = np.concatenate([store.track(label, i) for i in range(store.num_utterances)]).astype(
            np.float64
        )
        valid = np.concatenate([store.valid(label, i) for i in range(store.num_utterances)])
        found = store.statistics(label)
        assert found.frames == valid.sum()
        np.testing.assert_allclose(found.mean, track[valid].mean(axis=0), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found.std, track[valid].std(axis=0), rtol=1e-9)
    assert store.statistics("f0").frames < store.statistics("zcr").frames
    assert 90 < store.statistics("f0").mean[0] < 260  # Hz, of people


def test_info_is_the_catalogues(store_dir):
    info, label = LabelStore(store_dir, "train").info("f0"), catalogue.get("f0")
    assert (info.dim, info.unit, info.undefined, info.unvoiced_value) == (1, "Hz", label.undefined, 0.0)
    assert info.parameters["window_seconds"] == label.window
    assert info.parameters["source"] == label.source


def test_pickles_without_its_maps(store_dir):
    store = LabelStore(store_dir, "train")
    store.track("log_mel", 0)
    packed = pickle.dumps(store)
    assert len(packed) < 20_000
    np.testing.assert_array_equal(pickle.loads(packed).track("log_mel", 3), store.track("log_mel", 3))


def test_open_files_do_not_grow_with_utterances(store_dir):
    store = LabelStore(store_dir, "train")
    store.track("zcr", 0)
    before = len(os.listdir("/proc/self/fd"))
    for i in range(store.num_utterances):
        store.track("zcr", i)
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_unknown_label_names_those_there_are(store_dir):
    with pytest.raises(PtselError, match=r"loudness.*alpha_ratio, f0, log_mel, zcr"):
        LabelStore(store_dir, "train").track("loudness", 0)


def test_no_store(tmp_path):
    with pytest.raises(PtselError, match=r"found nothing.*ptsel extract"):
        LabelStore(tmp_path, "train")


def test_an_unfinished_store(tmp_path, valid_manifest):
    unfinished = StoreWriter(tmp_path, valid_manifest, catalogue.resolve(["zcr"]), GRID)
    unfinished.open()
    with pytest.raises(PtselError, match="not finished"):
        LabelStore(tmp_path, "valid")
    unfinished.close()


def test_another_manifest_is_named_with_its_line(store_dir, valid_manifest, tmp_path):
    store, utterances = LabelStore(store_dir, "valid"), list(valid_manifest.utterances)
    longer = Manifest(
        valid_manifest.file,
        valid_manifest.root,
        (*utterances[:2], Utterance(2, utterances[2].path, 123_456), *utterances[3:]),
    )
    with pytest.raises(PtselError, match=rf"line 4 .*123456 samples.*{utterances[2].samples}"):
        store.check_manifest(longer)
    with pytest.raises(PtselError, match=rf"{len(utterances) - 1} utterances.*{len(utterances)}"):
        store.check_manifest(Manifest(valid_manifest.file, valid_manifest.root, tuple(utterances[:-1])))
    renamed = Utterance(0, "other.ogg", utterances[0].samples)
    with pytest.raises(PtselError, match="paths differ"):
        store.check_manifest(Manifest(valid_manifest.file, valid_manifest.root, (renamed, *utterances[1:])))


def test_a_moved_audio_folder_is_the_same_manifest(store_dir, valid_manifest, tmp_path):
    LabelStore(store_dir, "valid").check_manifest(
        Manifest(tmp_path / "valid.tsv", tmp_path, valid_manifest.utterances)
    )


def edit_header(store: Path, change) -> None:
    file = store / "valid" / "header.json"
    header = json.loads(file.read_text())
    change(header)
    file.write_text(json.dumps(header))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda header: header.update(format=99), "format 99"),
        (lambda header: header.pop("grid"), "damaged"),
        (lambda header: header.update(grid={"hop": "a"}), "damaged"),
        (lambda header: header["labels"]["f0"].pop("info"), "damaged"),
        (lambda header: header["labels"]["f0"]["info"].pop("dim"), "damaged"),
        (lambda header: header["labels"]["f0"].update(statistics={}), "damaged"),
        (lambda header: header.update(labels=3), "damaged"),
    ],
)
def test_a_tampered_header(copied_store, change, expected):
    edit_header(copied_store, change)
    with pytest.raises(PtselError, match=expected):
        LabelStore(copied_store, "valid")


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00\xff"])
def test_a_header_that_is_not_one(copied_store, text):
    (copied_store / "valid" / "header.json").write_text(text, encoding="latin-1")
    with pytest.raises(PtselError, match=r"header\.json"):
        LabelStore(copied_store, "valid")


def test_another_version_of_a_label_is_refused(copied_store, valid_manifest):
    edit_header(copied_store, lambda header: header["labels"]["zcr"]["info"].update(version=99))
    with pytest.raises(PtselError, match="definition 99"):
        extract(valid_manifest, ["zcr"], copied_store)


def test_arrays_that_do_not_fit(copied_store):
    folder = copied_store / "valid"
    with (folder / "zcr.npy").open("r+b") as file:
        file.truncate(os.path.getsize(folder / "zcr.npy") - 100)
    np.save(folder / "alpha_ratio.npy", np.zeros((7, 1), np.float32))
    np.save(folder / "f0.npy", np.load(folder / "f0.npy").astype(np.float64))
    (folder / "log_mel.npy").unlink()
    store = LabelStore(copied_store, "valid")
    for label in LABELS:
        with pytest.raises(PtselError, match=rf"{label}\.npy.*extract it again"):
            store.track(label, 0)


def test_no_pickles_are_read(copied_store):
    np.save(copied_store / "valid" / "zcr.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(PtselError, match="damaged"):
        LabelStore(copied_store, "valid").track("zcr", 0)


def test_labels_added_later_leave_the_others_alone(copied_store, valid_manifest):
    before = contents(copied_store)
    extract(valid_manifest, ["rms_energy", "zcr"], copied_store)
    after = contents(copied_store)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"valid/header.json"}
    assert set(after) - set(before) == {"valid/rms_energy.npy"}
    assert LabelStore(copied_store, "valid").labels == ("alpha_ratio", "f0", "log_mel", "rms_energy", "zcr")


def test_checksums_are_those_of_the_files(store_dir):
    header = json.loads((store_dir / "valid" / "header.json").read_text())
    for label in LABELS:
        for name, checksum in header["labels"][label]["checksums"].items():
            assert file_checksum(store_dir / "valid" / name) == checksum
    assert set(header["labels"]["f0"]["checksums"]) == {"f0.npy", "f0.valid.npy"}


def test_a_second_writer_is_refused(tmp_path, valid_manifest):
    first = StoreWriter(tmp_path, valid_manifest, catalogue.resolve(["zcr"]), GRID)
    with pytest.raises(PtselError, match="another extraction"):
        StoreWriter(tmp_path, valid_manifest, catalogue.resolve(["f0"]), GRID)
    first.close()
    StoreWriter(tmp_path, valid_manifest, catalogue.resolve(["f0"]), GRID).close()


def test_utterances_too_short_for_a_frame(tmp_path):
    import soundfile

    for name, samples in (("a.wav", 399), ("b.wav", 400), ("c.wav", 1)):
        soundfile.write(tmp_path / name, np.full(samples, 0.1), 16_000)
    (tmp_path / "short.tsv").write_text(f"{tmp_path}\na.wav\t399\nb.wav\t400\nc.wav\t1\n")
    (tmp_path / "none.tsv").write_text(f"{tmp_path}\na.wav\t399\n")
    for split, frames in (("short", [0, 1, 0]), ("none", [0])):
        extract(read_manifest(tmp_path / f"{split}.tsv"), ["all"], tmp_path / "store")
        store = LabelStore(tmp_path / "store", split)
        assert [store.num_frames(i) for i in range(len(frames))] == frames
        for label in store.labels:
            assert store.track(label, 0).shape == (0, store.info(label).dim)
            assert store.valid(label, 0).shape == (0,)
            assert np.isfinite(store.statistics(label).mean).all()


def test_lengths_that_are_not_the_manifests(copied_store, valid_manifest):
    """Two exchanged: as many frames in all, and every label of the first utterances in the wrong place."""
    file = copied_store / "valid" / "lengths.npy"
    lengths = np.load(file)
    lengths[[0, 1]] = lengths[[1, 0]]
    np.save(file, lengths)
    with pytest.raises(PtselError, match=rf"line 2 .*{lengths[0]}"):
        LabelStore(copied_store, "valid").check_manifest(valid_manifest)


@pytest.mark.parametrize("index", [-1, 10_000])
def test_an_utterance_that_is_not_there(store_dir, index):
    store = LabelStore(store_dir, "train")
    for read in (
        lambda: store.track("zcr", index),
        lambda: store.valid("f0", index),
        lambda: store.num_frames(index),
    ):
        with pytest.raises(PtselError, match=f"no utterance {index}"):
            read()


def test_large_arrays_are_read_at_random_and_give_the_same(data_dir, store_dir, monkeypatch):
    plain, advised = LabelStore(store_dir, "train"), LabelStore(store_dir, "train")
    monkeypatch.setattr("ptsel_fairseq.labels.store.reader.LARGE_ARRAY", 0)
    told = []
    monkeypatch.setattr(
        "ptsel_fairseq.labels.store.reader.read_at_random", lambda array: told.append(len(array))
    )
    advised.track("f0", 0)
    assert told == []
    advised.read_at_random()
    for index in range(3):
        for label in ("f0", "log_mel"):
            assert np.array_equal(advised.track(label, index), plain.track(label, index))
            assert np.array_equal(advised.valid(label, index), plain.valid(label, index))
    assert told == [plain.total_frames] * 3  # both, and where f0 is defined
