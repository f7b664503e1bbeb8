"""The folder for Hugging Face: its model gives the same outputs as fairseq's, for every architecture that both have."""

from __future__ import annotations

import json

import pytest
from conftest import ASTERISK

from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.export import export_command
from ptsel_fairseq.export_hf import hf_config, hf_tensors, write_hf

torch = pytest.importorskip("torch")
wav2vec = pytest.importorskip("fairseq.models.wav2vec", reason="the extra [fairseq] is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

SMALL = {
    "encoder_layers": 2,
    "encoder_embed_dim": 48,
    "encoder_ffn_embed_dim": 96,
    "encoder_attention_heads": 4,
    "conv_pos": 16,
    "conv_pos_groups": 4,
    "final_dim": 16,
    "quantize_targets": True,
    "latent_vars": 8,
    "conv_feature_layers": "[(32, 10, 5)] + [(32, 3, 2)] * 4 + [(32, 2, 2)] * 2",
}
ARCHITECTURES = {
    "base": {},
    "large": {"extractor_mode": "layer_norm", "layer_norm_first": True, "conv_bias": True},
    "tiny": {"extractor_mode": "layer_norm"},
    "no projection": {"conv_feature_layers": "[(48, 10, 5)] + [(48, 3, 2)] * 4 + [(48, 2, 2)] * 2"},
    "relu": {"activation_fn": "relu"},
}


def stock(changes: dict, normalize: bool = False) -> tuple:
    """A model of fairseq with random weights, and its checkpoint."""
    torch.manual_seed(0)
    cfg = wav2vec.Wav2Vec2Config(**SMALL | changes)
    model = wav2vec.Wav2Vec2Model.build_model(cfg).eval()
    for parameter in model.parameters():  # so that no scale or bias is still one or zero
        parameter.data += 0.02 * torch.randn_like(parameter)
    state = {
        "cfg": {"model": {**vars(cfg), "_name": "wav2vec2"}, "task": {"normalize": normalize}},
        "model": model.state_dict(),
    }
    return model, state


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_outputs_are_the_same(name, tmp_path):
    model, state = stock(ARCHITECTURES[name])
    assert write_hf(state, tmp_path) == len(hf_tensors(state["model"], state["cfg"]["model"]))
    theirs, info = transformers.Wav2Vec2Model.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    theirs.eval()
    clip = sorted((ASTERISK / "audio").rglob("*.ogg"))[4]
    waveform = torch.from_numpy(read_audio(clip, 16_000))[None]
    with torch.no_grad():
        expected = model.extract_features(waveform, None)["x"]
        found = theirs(waveform).last_hidden_state
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("normalize", [False, True])
def test_the_preprocessor_normalises_as_training_did(normalize, tmp_path):
    write_hf(stock(ARCHITECTURES["large"], normalize)[1], tmp_path)
    extractor = transformers.AutoFeatureExtractor.from_pretrained(tmp_path)
    assert extractor.do_normalize is normalize
    waveform = torch.randn(4000).numpy() * 3 + 1
    values = extractor(waveform, sampling_rate=16_000, return_tensors="pt").input_values[0]
    expected = torch.from_numpy(waveform)
    if normalize:
        expected = torch.nn.functional.layer_norm(expected, expected.shape)
    torch.testing.assert_close(values, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("key", "value"), [("layer_type", "conformer"), ("quantize_input", True), ("pos_conv_depth", 5)]
)
def test_what_hugging_face_lacks_is_refused(key, value):
    _, state = stock({})
    with pytest.raises(PtselError, match=rf"model\.{key} is {value}"):
        hf_config({**state["cfg"]["model"], key: value})


def test_an_unknown_tensor_is_refused():
    _, state = stock({})
    with pytest.raises(PtselError, match=r"the tensor encoder\.adapter has no place"):
        hf_tensors({**state["model"], "encoder.adapter": torch.zeros(3)}, state["cfg"]["model"])


def test_the_command_takes_a_stock_checkpoint(tmp_path, capsys):
    _, state = stock({})
    torch.save(state, tmp_path / "stock.pt")
    export_command(tmp_path / "stock.pt", tmp_path / "hf", "hf")
    assert "Wav2Vec2Model.from_pretrained reads it" in capsys.readouterr().out
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    assert (config["model_type"], config["hidden_size"]) == ("wav2vec2", 48)
    assert sorted(file.name for file in (tmp_path / "hf").iterdir()) == [
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
    ]
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PtselError, match="expected a folder for --format hf, found a file"):
        export_command(tmp_path / "stock.pt", tmp_path / "file", "hf")
