"""Stores in half precision: half the room, the same tracks to a rounding, and nothing that does not fit."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import ROOT, run_command

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.labels.extraction.extract import extract
from ptsel_fairseq.labels.store.reader import LabelStore

LABELS = ["f0", "log_mel", "rms_energy"]


@pytest.fixture(scope="module")
def manifest(data_dir):
    return read_manifest(data_dir / "valid.tsv")


@pytest.fixture(scope="module")
def stores(manifest, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dtypes")
    for dtype in ("float32", "float16"):
        extract(manifest, LABELS, folder / dtype, jobs=1, dtype=dtype)
    return {dtype: LabelStore(folder / dtype, "valid") for dtype in ("float32", "float16")}


def test_half_the_room_the_same_tracks(stores, manifest):
    whole, half = stores["float32"], stores["float16"]
    for label in LABELS:
        sizes = [(store.folder / "valid" / f"{label}.npy").stat().st_size - 128 for store in (whole, half)]
        assert sizes[0] == 2 * sizes[1]
        for utterance in manifest.utterances[:3]:
            found, expected = (store.track(label, utterance.index) for store in (half, whole))
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, expected, rtol=2**-11, atol=1e-7)
            np.testing.assert_array_equal(
                half.valid(label, utterance.index), whole.valid(label, utterance.index)
            )
        np.testing.assert_allclose(half.statistics(label).mean, whole.statistics(label).mean, rtol=1e-3)
        np.testing.assert_allclose(half.statistics(label).std, whole.statistics(label).std, rtol=1e-3)


def test_the_header_says_which(stores):
    for dtype, store in stores.items():
        header = json.loads((store.folder / "valid" / "header.json").read_text())
        assert {entry["dtype"] for entry in header["labels"].values()} == {dtype}


def test_a_store_without_the_word_is_of_float32(stores):
    """As stores were before there was a choice."""
    store = stores["float32"]
    expected = store.track("f0", 0)
    entry = store._labels["f0"]
    dtype = entry.pop("dtype")
    try:
        store._arrays.clear()
        np.testing.assert_array_equal(store.track("f0", 0), expected)
    finally:
        entry["dtype"] = dtype


def test_both_in_one_store(manifest, tmp_path):
    """Labels that are there stay as they are; each label knows its own."""
    extract(manifest, ["zcr"], tmp_path, jobs=1, dtype="float16")
    extract(manifest, ["zcr", "rms_energy"], tmp_path, jobs=1)
    store = LabelStore(tmp_path, "valid")
    assert np.load(tmp_path / "valid" / "zcr.npy").dtype == np.float16
    assert np.load(tmp_path / "valid" / "rms_energy.npy").dtype == np.float32
    assert store.track("zcr", 0).dtype == store.track("rms_energy", 0).dtype == np.float32


def test_values_that_do_not_fit_are_refused(manifest, tmp_path):
    own = tmp_path / "big.py"
    own.write_text(
        "import numpy as np\nfrom ptsel_fairseq.labels.user import register\n"
        "@register('big', unit='Pa', description='d')\n"
        "def big(analysis):\n    return np.full(analysis.num_frames, 1e6)\n"
    )
    try:
        with pytest.raises(
            PtselError, match=r"line 2 .*label big reaches 1e\+06 Pa, more than float16 holds"
        ):
            extract(manifest, ["big"], tmp_path / "store", jobs=1, user_labels=[own], dtype="float16")
        extract(manifest, ["big"], tmp_path / "store", jobs=1, user_labels=[own])
    finally:
        from ptsel_fairseq.labels import registry

        registry._registered.pop("big", None)


def test_another_dtype_is_refused(manifest, tmp_path):
    with pytest.raises(PtselError, match=r"--dtype: expected float32 or float16, found 'int8'"):
        extract(manifest, ["zcr"], tmp_path, dtype="int8")
    assert not list(tmp_path.iterdir())


def test_the_command_and_the_check(data_dir, tmp_path):
    """`ptsel check --store` reads every array and names the one that was changed, and the one that is gone."""
    store = tmp_path / "store"
    done = run_command("ptsel", "extract", data_dir, "--splits", "valid", "--labels", "zcr", "f0", "--dtype", "float16",
                       "--store", store, cwd=ROOT)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert np.load(store / "valid" / "zcr.npy").dtype == np.float16
    assert run_command("ptsel", "check", data_dir, "--store", store).returncode == 0
    with (store / "valid" / "zcr.npy").open("r+b") as file:
        file.seek(-1, 2)
        byte = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([byte[0] ^ 1]))
    (store / "valid" / "f0.valid.npy").unlink()
    found = run_command("ptsel", "check", data_dir, "--store", store)
    assert found.returncode == 2
    assert "fault: store: 2" in found.stdout
    assert f"{store}/valid/zcr.npy: its content is not what was written" in found.stdout
    assert f"{store}/valid/f0.valid.npy: no such array" in found.stdout
    assert run_command("ptsel", "check", data_dir, "--store", store, "--headers-only").returncode == 0
