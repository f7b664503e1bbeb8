"""Encoders of checkpoints of whomever: nothing runs, and a configuration that asks for too much is refused first."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
wav2vec = pytest.importorskip("fairseq.models.wav2vec", reason="the extra [fairseq] is not installed")

from ctc_tools import SMALL, save_ctc  # noqa: E402

from ptsel_fairseq.base.errors import PtselError  # noqa: E402
from ptsel_fairseq.downstream.features.wav2vec import load_ctc, load_encoder  # noqa: E402
from ptsel_fairseq.export import export_command  # noqa: E402

RUNS = '__import__("pathlib").Path("RAN").write_text("") or [(16, 10, 5)]'


@pytest.fixture(autouse=True)
def nothing_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not (tmp_path / "RAN").exists()


def save(file, changes, name="wav2vec2"):
    torch.manual_seed(0)
    model = wav2vec.Wav2Vec2Model.build_model(wav2vec.Wav2Vec2Config(**SMALL))
    settings = {**vars(wav2vec.Wav2Vec2Config(**SMALL)), "_name": name, **changes}
    torch.save({"cfg": {"model": settings, "task": {}}, "model": model.state_dict()}, file)
    return model.eval()


def test_the_features_are_those_of_the_whole_model(tmp_path):
    model = save(tmp_path / "a.pt", {})
    waveform = torch.randn(1, 4000)
    with torch.no_grad():
        expected = model.extract_features(waveform, padding_mask=None)["x"][0].numpy()
    assert (load_encoder(tmp_path / "a.pt").hidden_states(waveform[0].numpy())[-1] == expected).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv_feature_layers": RUNS}, "not evaluated"),
        ({"conv_feature_layers": None}, "not evaluated"),
        ({"conv_feature_layers": "[(16, 10, 5)]"}, "do not fit"),
        ({"encoder_layerdrop": "${oc.env:HOME}"}, "not resolved"),
        ({"activation_fn": "${oc.env:HOME}"}, "not resolved"),
        ({"encoder_layers": 10**9}, "at most 1000"),
        ({"encoder_ffn_embed_dim": 900_000, "encoder_embed_dim": 900_000}, r"\(900000"),
        (
            {"latent_vars": 10**6, "latent_groups": 4, "quantize_input": True},
            r"input_quantizer\.vars do not fit",
        ),
        ({"encoder_attention_heads": 0}, "no wav2vec 2.0 can be built"),
        ({"encoder_attention_heads": 5}, "no wav2vec 2.0 can be built"),
        ({"layer_type": "nonsense"}, "no wav2vec 2.0 can be built"),
        ({"encoder_layers": "two"}, "no wav2vec 2.0 can be built"),
        ({"extractor_mode": "nonsense"}, "no wav2vec 2.0 can be built"),
        ({"pos_conv_depth": 3}, "do not fit"),
        ({"encoder_layers": 3}, "do not fit"),
    ],
)
def test_a_configuration_that_does_not_fit(changes, message, tmp_path):
    save(tmp_path / "a.pt", changes)
    with pytest.raises(PtselError, match=message) as raised:
        load_encoder(tmp_path / "a.pt")
    assert str(raised.value).startswith(f"{tmp_path}/a.pt: ")


@pytest.mark.parametrize("format", ["hf", "fairseq"])
def test_an_export_runs_nothing(format, tmp_path):
    save(
        tmp_path / "a.pt",
        {"conv_feature_layers": RUNS},
        "ptsel_wav2vec2" if format == "fairseq" else "wav2vec2",
    )
    with pytest.raises(PtselError, match="not evaluated"):
        export_command(tmp_path / "a.pt", tmp_path / "out", format)
    assert not (tmp_path / "out").exists()


def hostile_ctc(file, change):
    save_ctc(file, "a b |")
    with torch.serialization.safe_globals([torch.serialization.safe_globals]):
        state = torch.load(file, weights_only=False)
    change(state)
    torch.save(state, file)


def put(where, value):
    def change(state):
        *path, last = where
        for key in path:
            state = state[key]
        state[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put(("cfg", "model", "w2v_args", "model", "conv_feature_layers"), RUNS), "not evaluated"),
        (put(("cfg", "model", "w2v_args", "model", "dropout"), "${oc.env:HOME}"), "not resolved"),
        (put(("cfg", "model", "w2v_args", "model", "encoder_layers"), 7), "do not fit"),
        (put(("cfg", "model", "w2v_args", "model"), []), "no model"),
        (put(("cfg", "model", "blank_weight"), "much"), "blank_weight: expected a number"),
        (put(("model", "another.weight"), torch.ones(1)), "another.weight is of no part"),
        (put(("model", "proj.weight"), torch.ones(3)), "another shape"),
        (put(("task_state", "target_dictionary"), {"a": 1}), "a dictionary of symbols"),
    ],
)
def test_a_fine_tuned_one_that_was_made_to_harm(change, message, tmp_path):
    hostile_ctc(tmp_path / "a.pt", change)
    with pytest.raises(PtselError, match=message):
        load_ctc(tmp_path / "a.pt")
