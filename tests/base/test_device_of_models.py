"""`--device` of the commands that read pretrained models."""

from __future__ import annotations

import numpy as np
import pytest

from ptsel_fairseq.base import device
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.cli.arguments import use_device
from ptsel_fairseq.cli.parser import subparsers
from ptsel_fairseq.cli.program import build_parser


@pytest.fixture(autouse=True)
def cpu_again():
    yield
    device.put_models_on("cpu")


@pytest.mark.parametrize("command", ["probe", "decode", "verify", "align", "probe-asr", "extract", "score"])
def test_every_command_that_can_use_a_gpu_has_the_option(command):
    options = {
        option for action in subparsers(build_parser())[command]._actions for option in action.option_strings
    }
    assert "--device" in options


def test_on_the_cpu_all_processes_may_work():
    options = {"device": "cpu", "jobs": 4}
    use_device(options)
    assert options == {"jobs": 4}
    assert device.device_of_models() == "cpu"


def test_a_gpu_is_used_by_one_process(monkeypatch):
    monkeypatch.setattr(device, "check_device", lambda word: None)
    options = {"device": "cuda:1", "jobs": None}
    use_device(options)
    assert options == {"jobs": 1}
    assert device.device_of_models() == "cuda:1"
    with pytest.raises(PtselError, match="--jobs: expected 1 with --device cuda, found 2"):
        use_device({"device": "cuda", "jobs": 2})


@pytest.mark.parametrize("word", ["gpu", "cuda:x", "tpu"])
def test_a_device_that_torch_cannot_use_is_refused(word):
    with pytest.raises(PtselError, match="--device"):
        use_device({"device": word, "jobs": None})


def test_the_waveform_goes_where_the_model_is(monkeypatch):
    torch = pytest.importorskip("torch")
    pytest.importorskip("fairseq")
    from ptsel_fairseq.base.grid import FrameGrid
    from ptsel_fairseq.plugin.encoders.encoder import Frozen, source

    monkeypatch.setattr(device, "_of_models", "meta")  # torch's device without values: any GPU would do
    assert source(np.zeros(800, np.float32), normalize=False).device.type == "meta"
    seen = []

    def states(batch):
        seen.append(batch.device.type)
        return torch.zeros(1, 2, 3)

    assert Frozen(states, FrameGrid()).hidden_states(np.zeros(800, np.float32)).shape == (1, 2, 3)
    assert seen == ["meta"]
