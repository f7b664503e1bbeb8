"""Extraction in which torch computes what it can: on a GPU where there is one, and on the CPU by the same code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ASTERISK, run_command, write_manifest
from test_extract import broken_dir, spoil
from test_torch_labels import WITHIN

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.labels.extraction import on_device as extract_device
from ptsel_fairseq.labels.extraction.extract import announce, extract, extract_command
from ptsel_fairseq.labels.store.reader import LabelStore
from ptsel_fairseq.labels.store.writer import StoreWriter
from ptsel_fairseq.labels.tracks import resolve

__all__ = ["broken_dir"]
BY_TORCH = torch.device("cpu")
LABELS = ["chroma", "f0", "loudness", "mfcc", "rasta_l1", "spectral_flatness"]
ELSEWHERE = ["f0", "rasta_l1"]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return read_manifest(write_manifest(ASTERISK / "train.tsv", folder / "train.tsv", every=30))


@pytest.fixture(scope="module")
def stores(manifest, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("stores")
    extract(manifest, LABELS, folder / "cpu", jobs=1)
    extract(manifest, LABELS, folder / "torch", jobs=1, device=BY_TORCH)
    return folder


def assert_same(expected: Path, found: Path, column: int) -> None:
    mine, theirs = LabelStore(found, "train"), LabelStore(expected, "train")
    assert mine.labels == theirs.labels
    for label in mine.labels:
        within = WITHIN[label][column] if label in WITHIN else 0.0
        for line in range(mine.num_utterances):
            np.testing.assert_array_equal(mine.valid(label, line), theirs.valid(label, line))
            np.testing.assert_allclose(
                mine.track(label, line), theirs.track(label, line), rtol=0, atol=within
            )
        np.testing.assert_allclose(
            mine.statistics(label).std, theirs.statistics(label).std, rtol=0, atol=within
        )


def test_the_store_is_the_same_but_for_rounding(stores):
    assert_same(stores / "cpu", stores / "torch", 0)
    for label in ELSEWHERE:  # computed as ever
        name = f"train/{label}.npy"
        assert (stores / "cpu" / name).read_bytes() == (stores / "torch" / name).read_bytes()


def test_the_header_says_what_computed_each_label(stores):
    headers = [
        json.loads((stores / kind / "train/header.json").read_text())["labels"] for kind in ("cpu", "torch")
    ]
    for label in LABELS:
        ordinary, other = (header[label] for header in headers)
        assert ordinary["device"] == "cpu"
        assert other["device"] == ("cpu" if label in ELSEWHERE else "torch on cpu")
        assert ordinary["info"] == other["info"]


def test_batches_and_lots_change_nothing(manifest, stores, tmp_path, monkeypatch):
    monkeypatch.setattr(extract_device, "READ_AT_ONCE", 120_000)
    monkeypatch.setattr(extract_device, "BATCH", 90_000)
    extract(manifest, LABELS, tmp_path, jobs=1, device=BY_TORCH)
    assert_same(stores / "torch", tmp_path, 0)


def test_lots_and_batches_hold_no_more_than_they_should(manifest, monkeypatch):
    monkeypatch.setattr(extract_device, "READ_AT_ONCE", 120_000)
    monkeypatch.setattr(extract_device, "BATCH", 90_000)
    lots = list(extract_device._lots(list(manifest)))
    assert [utterance for lot in lots for utterance in lot] == list(manifest)
    assert len(lots) > 2
    assert all(sum(u.samples for u in lot) <= 120_000 or len(lot) == 1 for lot in lots)
    lengths = [utterance.samples for utterance in manifest]
    batches = list(extract_device._batches(lengths))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert all(len(batch) * max(lengths[i] for i in batch) <= 90_000 or len(batch) == 1 for batch in batches)


@pytest.mark.parametrize("labels", [["zcr"], ["f0"]])
def test_all_or_none_of_the_labels_by_torch(manifest, labels, tmp_path):
    extract(manifest, labels, tmp_path / "torch", jobs=1, device=BY_TORCH)
    extract(manifest, labels, tmp_path / "cpu", jobs=1)
    assert_same(tmp_path / "cpu", tmp_path / "torch", 0)


def test_a_bad_file_is_named_and_what_came_before_is_kept(broken_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(extract_device, "READ_AT_ONCE", 1)
    says = spoil(broken_dir, "truncated")
    split = read_manifest(broken_dir / "train.tsv")
    with pytest.raises(PtselError, match=r"line 7 \(.*") as caught:
        extract(split, ["f0", "zcr"], tmp_path, jobs=1, device=BY_TORCH)
    assert says in str(caught.value)
    device = {"zcr": "torch on cpu"}
    for devices, left in ((device, 3), (None, 8)):  # values of two kinds are never mixed in one array
        writer = StoreWriter(tmp_path, split, resolve(["f0", "zcr"]), FrameGrid(), devices=devices)
        assert len(writer.todo()) == left
        writer.close()


def test_the_announcement_names_both_places(manifest, tmp_path, capsys):
    writer = StoreWriter(
        tmp_path, manifest, resolve(["f0", "zcr"]), FrameGrid(), devices={"zcr": "torch on cpu"}
    )
    announce([writer], tmp_path, 1, device=BY_TORCH)
    writer.close()
    said = capsys.readouterr().out.splitlines()[-1]
    assert "on cpu (" in said
    assert "times real time) and with 1 process (" in said


def test_devices_that_are_not_there_are_refused(manifest, tmp_path):
    with pytest.raises(PtselError, match="--device: expected cpu, cuda or cuda:N, found 'gpu'"):
        extract_command(manifest.file.parent, ["train"], ["zcr"], tmp_path / "store", device="gpu")
    with pytest.raises(PtselError, match=r"--device cuda:99: torch .* finds \d+ GPUs here"):
        extract_command(manifest.file.parent, ["train"], ["zcr"], tmp_path / "store", device="cuda:99")
    assert not (tmp_path / "store").exists()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_command_on_a_gpu(manifest, stores, tmp_path):
    done = run_command(
        "ptsel", "extract", manifest.file.parent, "--splits", "train", "--labels", *LABELS, "--store", tmp_path,
        "--device", "cuda",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert_same(stores / "cpu", tmp_path, 1)
    header = json.loads((tmp_path / "train/header.json").read_text())
    assert header["labels"]["mfcc"]["device"].startswith("torch on cuda (")
