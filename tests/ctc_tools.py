"""A fine-tuned CTC checkpoint as fairseq writes it, of a small model with random weights."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("fairseq", reason="CTC checkpoints are fairseq's")

from fairseq.data import Dictionary  # noqa: E402
from fairseq.models.wav2vec import Wav2Vec2Config, Wav2Vec2CtcConfig, Wav2VecCtc  # noqa: E402
from omegaconf import OmegaConf  # noqa: E402

SMALL = {
    "conv_feature_layers": "[(16, 10, 5)] + [(16, 3, 2)] * 4 + [(16, 2, 2)] * 2",
    "extractor_mode": "layer_norm",
    "encoder_layers": 2,
    "encoder_embed_dim": 32,
    "encoder_ffn_embed_dim": 64,
    "encoder_attention_heads": 4,
    "conv_pos": 16,
    "final_dim": 16,
    "quantize_targets": True,
    "latent_vars": 8,
}


class Task:
    """What the model's constructor wants of a task."""

    def __init__(self, dictionary: Dictionary) -> None:
        self.target_dictionary = dictionary


def save_ctc(file: Path, symbols: str, labels: str = "ltr", normalize: bool = False, **changes) -> Wav2VecCtc:
    """Write a checkpoint whose outputs are special symbols and `symbols`; return fairseq's own model of it."""
    dictionary = Dictionary()
    for symbol in symbols.split():
        dictionary.add_symbol(symbol)
    inner = {
        "_name": None,
        "common": {},
        "criterion": {"_name": "wav2vec"},
        "optimizer": None,
        "lr_scheduler": None,
        "model": {
            **OmegaConf.to_container(OmegaConf.structured(Wav2Vec2Config), resolve=False, enum_to_str=True),
            **SMALL,
            "_name": "wav2vec2",
        },
        "task": {"_name": "audio_pretraining", "data": ".", "normalize": normalize},
    }
    plain = OmegaConf.to_container(OmegaConf.structured(Wav2Vec2CtcConfig), resolve=False, enum_to_str=True)
    model_cfg = {
        **{key: None if str(value).startswith("${") else value for key, value in plain.items()},
        "_name": "wav2vec_ctc",
        "w2v_path": "gone.pt",
        "data": ".",
        "normalize": normalize,
        "ddp_backend": "legacy_ddp",
        "no_pretrained_weights": True,
        "w2v_args": OmegaConf.create(inner),
        **changes,
    }
    torch.manual_seed(0)
    model = Wav2VecCtc.build_model(
        OmegaConf.create(model_cfg, flags={"allow_objects": True}), Task(dictionary)
    )
    with torch.no_grad():
        model.w2v_encoder.proj.weight.mul_(4)  # probabilities that are not all alike
    cfg = {
        "model": {**model_cfg, "w2v_args": inner},
        "task": {"_name": "audio_finetuning", "labels": labels, "normalize": normalize},
    }
    torch.save(
        {
            "args": None,
            "cfg": cfg,
            "model": model.state_dict(),
            "task_state": {"target_dictionary": dictionary},
        },
        file,
    )
    return model.eval()
