"""Checkpoints of whomever: what runs, what reads this machine, what is larger than its file."""

from __future__ import annotations

import io
import pickle
import zipfile

import pytest
import torch

from ptsel_fairseq.base import checkpoint
from ptsel_fairseq.base.checkpoint import load_checkpoint, load_state, refuse_references
from ptsel_fairseq.base.errors import PtselError

CFG = {"model": {"_name": "wav2vec2"}, "task": {}}


def test_what_fairseq_writes_is_read(tmp_path):
    torch.save({"cfg": CFG, "model": {"w": torch.ones(3)}}, tmp_path / "a.pt")
    assert load_checkpoint(tmp_path / "a.pt")["model"]["w"].sum() == 3


class Runs:
    def __reduce__(self):
        return eval, ("open('RAN', 'w')",)


def bytes_of(save, *arguments, **options):
    content = io.BytesIO()
    save(*arguments, content, **options)
    return content.getvalue()


def packed_bomb():
    """A torch archive whose tensor was packed, which torch never does: 16 MB of zeros in a few kB."""
    whole = bytes_of(torch.save, {"cfg": CFG, "model": {"w": torch.zeros(4_000_000)}})
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(whole)) as archive,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for part in archive.infolist():
            packed.writestr(part.filename, archive.read(part))
    return out.getvalue()


def expanded():
    return {"cfg": CFG, "model": {"w": torch.zeros(1).expand(10**12)}}


HOSTILE = {
    "runs code": pickle.dumps({"cfg": CFG, "model": Runs()}, protocol=2),
    "runs code, by torch": bytes_of(torch.save, {"cfg": CFG, "model": Runs()}),
    "runs code, old format": bytes_of(torch.save, Runs(), _use_new_zipfile_serialization=False),
    "packed": packed_bomb(),
    "expanded": bytes_of(torch.save, expanded()),
    "one tensor, many names": bytes_of(
        torch.save, {"cfg": CFG, "model": dict.fromkeys(map(str, range(99)), torch.zeros(9000))}
    ),
    "sparse": bytes_of(torch.save, {"cfg": CFG, "model": {"w": torch.eye(3).to_sparse()}}),
    "no tensors": bytes_of(torch.save, {"cfg": CFG, "model": {"w": 3}}),
    "names that are none": bytes_of(torch.save, {"cfg": CFG, "model": {3: torch.ones(1)}}),
    "model is a list": bytes_of(torch.save, {"cfg": CFG, "model": [torch.ones(1)]}),
    "no task": bytes_of(torch.save, {"cfg": {"model": {}}, "model": {}}),
    "cfg is text": bytes_of(torch.save, {"cfg": "x", "model": {}}),
    "settings without names": bytes_of(torch.save, {"cfg": {"model": {1: 2}, "task": {}}, "model": {}}),
    "a list": bytes_of(torch.save, [1, 2]),
    "empty": b"",
    "text": b"hello",
    "cut off": bytes_of(torch.save, {"cfg": CFG, "model": {"w": torch.ones(999)}})[:2000],
    "cut off, old format": bytes_of(
        torch.save, {"cfg": CFG, "model": {"w": torch.ones(999)}}, _use_new_zipfile_serialization=False
    )[:2000],
    "a zip of nothing": bytes_of(lambda out: zipfile.ZipFile(out, "w").close()),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_none_is_refused_and_does_nothing(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pt").write_bytes(HOSTILE[kind])
    with pytest.raises(PtselError, match=r"a\.pt: ") as raised:
        load_checkpoint(tmp_path / "a.pt")
    assert "\n" not in str(raised.value)
    assert [file.name for file in tmp_path.iterdir()] == ["a.pt"]


@pytest.mark.parametrize("version", ["2.5.1+cu121", "1.13.1", "2.0.0a0+git"])
def test_a_torch_in_which_reading_can_run_code_is_refused(version, tmp_path, monkeypatch):
    torch.save({"cfg": CFG, "model": {}}, tmp_path / "a.pt")
    monkeypatch.setattr(torch, "__version__", version)
    with pytest.raises(PtselError, match=r"expected torch 2\.6 or later"):
        load_state(tmp_path / "a.pt")


@pytest.mark.parametrize("version", ["2.6.0", "2.13.0+cpu", "3.0.0.dev20270101"])
def test_later_ones_are_not(version):
    checkpoint._refuse_old_torch(version)


def test_references_into_this_machine_are_found_wherever_they_stand():
    loop: dict = {"a": ["b", {"c": 1}]}
    loop["self"] = loop
    refuse_references(loop, "x.pt")
    for settings in ({"a": ["b", {"c": "${oc.env:HOME}"}]}, {"${x}": 1}, [("${task.data}",)]):
        with pytest.raises(PtselError, match="not resolved"):
            refuse_references(settings, "x.pt")


def test_settings_that_share_their_parts_are_looked_through_in_no_time():
    settings: list = []
    for _ in range(100):
        settings = [settings, settings]
    refuse_references(settings, "x.pt")
