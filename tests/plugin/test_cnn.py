"""The convolutional encoder: its frames, how far they see, padding, training, probing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import ROOT
from omegaconf import OmegaConf
from plugin_tools import batch_of, build, recipe, run
from test_criterion import gradients
from test_multitask import FIXED, LAMBDAS

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.downstream.features.wav2vec import load_encoder
from ptsel_fairseq.plugin.encoders.cnn import Cnn
from ptsel_fairseq.plugin.encoders.log_mel import LogMel


def small(layers=4, kernel=3):
    torch.manual_seed(1)
    return Cnn(LogMel(FrameGrid(), [-50.0] * 80, [20.0] * 80), [4, 6], 12, layers, kernel, 0.0)


def cnn(data, store):
    cfg = recipe(data, store, weights=LAMBDAS)
    own = OmegaConf.load(ROOT / "configs" / "pretraining" / "tiny_cnn.yaml")
    cfg.criterion, cfg.model = own.criterion, own.model
    cfg.criterion.pretext_weights, cfg.criterion.pretext_fixed_weights = LAMBDAS, FIXED
    cfg.criterion.pretext_heads = {"log_mel": {"loss": "mse"}}
    from fairseq.dataclass.initialize import add_defaults

    add_defaults(cfg)
    return cfg


@pytest.mark.parametrize("samples", [400, 719, 720, 16_000, 16_080])
def test_its_frames_are_those_of_wav2vec(samples):
    frames, padding = small()(torch.randn(2, samples))
    assert frames.shape == (2, FrameGrid().num_frames(samples), 12)
    assert padding is None


def test_a_frame_sees_as_far_as_it_says():
    """Blocks of 3x3 reach a frame for each convolution, dilated ones by dilation · (kernel - 1) / 2."""
    encoder, grid = small().eval(), FrameGrid()
    assert encoder.reach == 4 + 1 + 2 + 4 + 8
    middle = 40
    waveform = 0.1 * torch.randn(1, grid.num_samples(2 * middle + 1))
    other = waveform.clone()
    other[0, grid.centre(middle)] += 1.0
    with torch.no_grad():
        differs = (encoder(other)[0] - encoder(waveform)[0]).abs().amax(-1)[0] > 1e-7
    first, last = differs.nonzero().flatten()[[0, -1]].tolist()
    assert (first, last) == (middle - encoder.reach, middle + encoder.reach)


def test_padding_changes_nothing():
    encoder = small().eval()
    long, short = 0.1 * torch.randn(16_000), 0.1 * torch.randn(9_000)
    batch = torch.zeros(2, 16_000)
    batch[0], batch[1, :9_000] = long, short
    mask = torch.zeros(2, 16_000, dtype=torch.bool)
    mask[1, 9_000:] = True
    with torch.no_grad():
        together, padding = encoder(batch, mask)
        alone, _ = encoder(short[None])
        first, _ = encoder(long[None])
    assert (~padding).sum(1).tolist() == [49, 27]
    torch.testing.assert_close(together[1, :27], alone[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together[0], first[0], atol=1e-5, rtol=1e-4)


def test_an_even_kernel_is_refused():
    with pytest.raises(PtselError, match=r"model\.kernel: expected an odd number of frames, found 4"):
        small(kernel=4)


def test_every_parameter_learns_and_probes_read_its_checkpoint(data_dir, store_dir, tmp_path):
    task, model, criterion = build(cnn(data_dir, store_dir))
    task.load_dataset("train")
    run(model, criterion, batch_of(task, "train", list(range(4))))
    assert gradients(model).keys() == dict(model.named_parameters()).keys()

    cfg = OmegaConf.to_container(OmegaConf.create({"model": model.cfg, "task": {"sample_rate": 16_000}}))
    cfg["model"]["_name"] = "ptsel_cnn"
    torch.save({"cfg": cfg, "model": model.state_dict()}, tmp_path / "checkpoint.pt")
    encoder = load_encoder(tmp_path / "checkpoint.pt")
    waveform = task.dataset("train")[0]["source"]
    with torch.no_grad():
        expected = model.eval().encoder(waveform[None])[0].numpy()
    np.testing.assert_array_equal(encoder.hidden_states(waveform.numpy()), expected)
    assert encoder.grid == FrameGrid()
