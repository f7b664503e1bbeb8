"""Labels in torch on a device that is not the CPU: as extraction and training with online labels compute them."""

from __future__ import annotations

import contextlib

import pytest
import torch
from fake_device import DEVICE, OnDevice

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels.batch import compute_batch, torch_labels
from ptsel_fairseq.labels.registry import get


@pytest.mark.parametrize("name", torch_labels())
def test_a_label_is_computed_where_the_waveforms_are(name, monkeypatch):
    # Autocast, which is switched off for labels, does not know this device.
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    grid, waveforms = FrameGrid(), torch.zeros(2, 16_000, device=DEVICE)
    lengths = torch.zeros(2, dtype=torch.int64, device=DEVICE)
    with OnDevice() as device:
        values, valid = compute_batch(waveforms, lengths, [name], grid)[name]
    assert device.operations > 5
    assert (values.device, valid.device) == (DEVICE, DEVICE)
    assert (values.dtype, valid.dtype) == (torch.float32, torch.bool)
    assert values.shape == (2, grid.num_frames(16_000), get(name).dim)
