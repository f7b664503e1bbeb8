"""The plain PyTorch loop: its encoder's grid, training on the bundled speech, going on after a stop."""

from __future__ import annotations

import re

import pytest
import torch
from example_tools import modules_of

from ptsel_fairseq.base.weights_file import write_weights


@pytest.fixture(scope="module")
def example():
    with modules_of("plain_pytorch") as modules:
        yield modules.pretrain


def test_the_encoder_has_the_grid_that_it_says(example):
    encoder = example.Encoder(8)
    assert (encoder.grid.hop, encoder.grid.window) == (320, 400)
    for samples in (400, 719, 720, 5000, 16_000):
        assert encoder(torch.zeros(1, samples)).shape == (1, encoder.grid.num_frames(samples), 8)


def test_a_frame_of_the_encoder_is_of_the_samples_that_the_grid_says(example):
    """Of the convolutions alone: the recurrent layer brings along what was before."""
    encoder = example.Encoder(8).double()
    encoder.recurrent.forward = lambda frames: (frames, None)
    waveform = torch.randn(1, 4000, dtype=torch.float64, requires_grad=True)
    encoder(waveform)[0, 5].sum().backward()
    heard = waveform.grad[0].nonzero()[:, 0]
    assert (int(heard.min()), int(heard.max())) == (320 * 5, 320 * 5 + 399)


@pytest.mark.slow
def test_it_learns_and_goes_on_after_a_stop(example, data_dir, store_dir, tmp_path, capsys, monkeypatch):
    weights = tmp_path / "weights.yaml"
    write_weights(weights, {"alpha_ratio": 0.5, "f0": 0.2, "log_mel": 0.3}, {})

    def run(out: str, *more: str) -> dict:
        settings = ["--batch-size", "4", "--longest", "16000", "--save-every", "20", *more]
        example.main([str(data_dir), "--store", str(store_dir), "--weights", str(weights), "--out",
                      str(tmp_path / out), *settings])  # fmt: skip
        return torch.load(tmp_path / out / "checkpoint.pt", weights_only=True)

    whole = run("whole", "--updates", "60")
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+)", capsys.readouterr().out)]
    assert len(losses) == 4
    assert losses[-1] < 0.8 * losses[0]
    run("stopped", "--updates", "20")
    stopped = run("stopped", "--updates", "60")
    assert all(torch.equal(whole["model"][name], stopped["model"][name]) for name in whole["model"])
    write_weights(weights, {"f0": 1.0}, {})
    with pytest.raises(SystemExit) as refused:
        run("whole")
    assert refused.value.code == 2
    assert "of the weights" in capsys.readouterr().err
