"""Checkpoints of stock wav2vec 2.0; tests that need none run without fairseq."""

from __future__ import annotations

import pytest


def save_stock(file, normalize=False, name="wav2vec2"):
    """Write a checkpoint of a small wav2vec 2.0 with random weights; return its model."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("fairseq")
    from ctc_tools import SMALL
    from fairseq.models.wav2vec import Wav2Vec2Config, Wav2Vec2Model
    from omegaconf import OmegaConf

    settings = {**SMALL, "layer_norm_first": True}
    torch.manual_seed(0)
    model = Wav2Vec2Model(OmegaConf.merge(OmegaConf.structured(Wav2Vec2Config), settings))
    cfg = {
        "common": {"user_dir": None},
        "criterion": {"_name": "wav2vec"},
        "model": {"_name": name, **settings},
        "task": {"_name": "audio_pretraining", "normalize": normalize},
    }
    heads = {"pretext_heads.f0.weight": torch.zeros(1, 32)} if name == "ptsel_wav2vec2" else {}
    torch.save({"cfg": cfg, "model": {**model.state_dict(), **heads}}, file)
    return model.eval()
