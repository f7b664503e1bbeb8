"""Features of checkpoints: hidden states are fairseq's, whatever wrote the checkpoint."""

from __future__ import annotations

import argparse

import numpy as np
import pytest
from conftest import ASTERISK
from stock_tools import save_stock

from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.downstream.features.front_end import front_ends


def test_a_checkpoint_of_the_plugin_is_as_good_as_its_export(tmp_path):
    from ptsel_fairseq.downstream.features.wav2vec import load_encoder

    waveform = read_audio(ASTERISK / "audio" / "en" / "agent-pass.ogg", 16000)
    states = []
    for name in ("wav2vec2", "ptsel_wav2vec2"):
        save_stock(tmp_path / f"{name}.pt", name=name)
        states.append(load_encoder(tmp_path / f"{name}.pt").hidden_states(waveform))
    np.testing.assert_array_equal(*states)


def test_a_checkpoint_of_2020_is_read_from_its_command_line(tmp_path):
    torch = pytest.importorskip("torch")
    from ptsel_fairseq.downstream.features.wav2vec import load_encoder

    save_stock(tmp_path / "new.pt", normalize=True)
    state = torch.load(tmp_path / "new.pt")
    settings = {key: value for key, value in state["cfg"]["model"].items() if key != "_name"}
    args = argparse.Namespace(
        arch="wav2vec2", normalize=True, latent_temp="(2, 0.5, 0.999995)", lr=[0.1], data="/gone", **settings
    )
    torch.save({"args": args, "cfg": None, "model": state["model"]}, tmp_path / "old.pt")
    waveform = read_audio(ASTERISK / "audio" / "en" / "agent-pass.ogg", 16000)
    states = [load_encoder(tmp_path / name).hidden_states(waveform) for name in ("new.pt", "old.pt")]
    np.testing.assert_array_equal(*states)
    torch.save({"model": state["model"]}, tmp_path / "bare.pt")
    with pytest.raises(PtselError, match="with 'cfg' or 'args', found neither"):
        load_encoder(tmp_path / "bare.pt")


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("samples", [16000, 16320])  # odd and even numbers of frames: the blocks see pairs
def test_hidden_states_are_fairseqs(tmp_path, normalize, samples):
    torch = pytest.importorskip("torch")
    from ptsel_fairseq.downstream.features.wav2vec import load_encoder

    model = save_stock(tmp_path / "stock.pt", normalize)
    waveform = read_audio(ASTERISK / "audio" / "en" / "agent-pass.ogg", 16000)[:samples]
    encoder = load_encoder(tmp_path / "stock.pt")
    states = encoder.hidden_states(waveform)
    assert states.shape == (3, encoder.grid.num_frames(samples), 32)
    scaled = (waveform - waveform.mean()) / np.sqrt(waveform.var() + 1e-5) if normalize else waveform
    with torch.no_grad():
        found = model.extract_features(torch.from_numpy(scaled)[None].float(), None)
    first_block_output = found["layer_results"][0][0][:, 0]
    np.testing.assert_allclose(states[1], first_block_output.numpy(), atol=1e-4)
    np.testing.assert_allclose(states[2], found["x"][0].numpy(), atol=1e-4)
    assert not np.allclose(states[0], states[1], atol=1e-2)


def test_checkpoints_that_cannot_be_used(tmp_path):
    from ptsel_fairseq.downstream.features.wav2vec import load_encoder

    save_stock(tmp_path / "ctc.pt", name="wav2vec_ctc")
    with pytest.raises(PtselError, match="'wav2vec_ctc'; give the checkpoint that it was fine-tuned from"):
        load_encoder(tmp_path / "ctc.pt")
    with pytest.raises(
        PtselError, match=r"expected a label or a pool .* or the file of a checkpoint, found 'none.pt'"
    ):
        front_ends(["mfcc", "none.pt"])
    with pytest.raises(PtselError, match="expected each once"):
        front_ends(["mfcc", "mfcc"])
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "last.pt").write_text(folder)
    names = [end.name for end in front_ends([str(tmp_path / folder / "last.pt") for folder in ("a", "b")])]
    assert names == ["a-last", "b-last"]
