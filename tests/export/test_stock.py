"""What `ptsel export` writes is wholly stock, also of a checkpoint that version 0.1 wrote."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import ASTERISK, ROOT, write_manifest

from ptsel_fairseq.base.checkpoint import load_checkpoint
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.stock import FIELDS, STOCK_NAMES, TENSORS, to_stock
from ptsel_fairseq.export import export_command

torch = pytest.importorskip("torch")
wav2vec = pytest.importorskip("fairseq.models.wav2vec", reason="the extra [fairseq] is not installed")

from training_tools import without_plugin  # noqa: E402  (it needs torch)

GOLDEN = ROOT / "tests" / "golden" / "v0_1"
SMALL = {
    "encoder_layers": 1,
    "encoder_embed_dim": 16,
    "encoder_ffn_embed_dim": 16,
    "encoder_attention_heads": 2,
    "conv_pos": 16,
    "conv_pos_groups": 4,
    "final_dim": 8,
    "latent_vars": 4,
    "conv_feature_layers": "[(16, 10, 5)] + [(16, 3, 2)] * 4 + [(16, 2, 2)] * 2",
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / "stock.pt"
    export_command(GOLDEN / "pretrained.pt", out)
    return out


def tone() -> np.ndarray:
    time = np.arange(4000) / 16000
    return (0.5 * np.sin(2 * np.pi * 220 * time) * np.hanning(4000)).astype(np.float32)


def test_the_fields_are_those_of_the_installed_fairseq():
    from fairseq.criterions.wav2vec_criterion import Wav2VecCriterionConfig
    from fairseq.tasks.audio_pretraining import AudioPretrainingConfig

    configs = (wav2vec.Wav2Vec2Config, AudioPretrainingConfig, Wav2VecCriterionConfig)
    for section, config in zip(STOCK_NAMES, configs, strict=True):
        assert {field.name for field in dataclasses.fields(config)} == FIELDS[section] | {"_name"}


@pytest.mark.parametrize(
    "changes", [{"quantize_targets": True}, {"quantize_input": True, "target_glu": True}, {}], ids=str
)
def test_no_tensor_of_a_stock_model_is_left_out(changes):
    state = wav2vec.Wav2Vec2Model.build_model(wav2vec.Wav2Vec2Config(**SMALL, **changes)).state_dict()
    assert {name.partition(".")[0] for name in state} <= TENSORS


def test_whatever_the_plugin_adds_is_left_out(tmp_path):
    state = load_checkpoint(GOLDEN / "pretrained.pt")
    state["cfg"]["criterion"]["added_later"] = state["cfg"]["task"]["added_later"] = 1
    state["model"]["added_later.weight"] = torch.zeros(2)
    stock = to_stock(state)
    for section, name in STOCK_NAMES.items():
        assert stock["cfg"][section]["_name"] == name
        assert set(stock["cfg"][section]) <= FIELDS[section] | {"_name"}
    assert all(name.partition(".")[0] in TENSORS for name in stock["model"])
    assert sum(name.startswith("pretext_") for name in state["model"]) > 0
    assert stock["extra_state"]["ptsel_fairseq"]["pretext_weights"] == {
        "f0": 0.5,
        "loudness": 0.3,
        "mfcc": 0.2,
    }


@pytest.mark.parametrize("contrastive", [True, False])
def test_stock_builds_the_criterion(exported, contrastive, tmp_path):
    state = load_checkpoint(GOLDEN / "pretrained.pt")
    state["cfg"]["criterion"]["contrastive"] = contrastive
    torch.save(to_stock(state), tmp_path / "stock.pt")
    built = without_plugin(
        "from fairseq import checkpoint_utils\n"
        "models, cfg, task = checkpoint_utils.load_model_ensemble_and_task([sys.argv[1]])\n"
        "print(type(models[0]).__name__, type(task.build_criterion(cfg.criterion)).__name__)\n",
        tmp_path / "stock.pt",
    )
    assert built.returncode == 0, built.stderr[-2000:]
    assert built.stdout.split() == ["Wav2Vec2Model", "Wav2vecCriterion"]


def test_stock_fairseq_validates_it(exported, tmp_path):
    write_manifest(ASTERISK / "valid.tsv", tmp_path / "valid.tsv", every=6)
    done = without_plugin(
        "from fairseq_cli.validate import cli_main\nsys.argv[0] = 'fairseq-validate'\ncli_main()\n",
        *(tmp_path, "--path", exported, "--task", "audio_pretraining", "--valid-subset", "valid", "--cpu"),
        *("--max-tokens", 160000, "--num-workers", 0),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "valid on 'valid' subset" in done.stdout + done.stderr


def test_the_features_are_those_of_version_0_1(exported):
    from ptsel_fairseq.downstream.features.wav2vec import load_encoder

    with np.load(GOLDEN / "pretrained_states.npz") as golden:
        expected = golden["states"]
    for file in (GOLDEN / "pretrained.pt", exported):
        np.testing.assert_allclose(load_encoder(file).hidden_states(tone()), expected, atol=1e-5)


def stock_model(exported: Path):
    """fairseq's model of an exported checkpoint, built by fairseq itself."""
    from fairseq import checkpoint_utils

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (model,), _, _ = checkpoint_utils.load_model_ensemble_and_task([str(exported)])
    return model.eval()


def torchaudio_importers():
    """torchaudio's importers, in a process where they may fail without ending the tests."""
    probe = "from torchaudio.models.wav2vec2.utils import import_fairseq_model, import_huggingface_model"
    if subprocess.run([sys.executable, "-c", probe], capture_output=True).returncode:
        pytest.skip("torchaudio cannot be loaded here")
    from torchaudio.models.wav2vec2.utils import import_fairseq_model, import_huggingface_model

    return import_fairseq_model, import_huggingface_model


def test_torchaudio_gives_the_same_features(exported, tmp_path):
    import_fairseq_model, import_huggingface_model = torchaudio_importers()
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    source = torch.from_numpy(tone())[None]
    stock = stock_model(exported)
    export_command(GOLDEN / "pretrained.pt", tmp_path / "hf", "hf")
    theirs = transformers.Wav2Vec2Model.from_pretrained(tmp_path / "hf").eval()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = stock.extract_features(source, None)["x"]
        of_fairseq = import_fairseq_model(stock).eval()(source)[0]
        of_hugging_face = import_huggingface_model(theirs).eval()(source)[0]
    assert expected.std() > 0.1
    torch.testing.assert_close(of_fairseq, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(of_hugging_face, expected, rtol=0, atol=1e-5)


def test_a_format_that_does_not_exist(tmp_path):
    shutil.copy(GOLDEN / "pretrained.pt", tmp_path / "pretrained.pt")
    with pytest.raises(PtselError, match="--format: expected fairseq or hf, found 'onnx'"):
        export_command(tmp_path / "pretrained.pt", tmp_path / "out", "onnx")
