"""The filterbank encoder as models of fairseq: one to pretrain with heads, one to fine-tune with CTC."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from fairseq.dataclass import FairseqDataclass
from fairseq.models import BaseFairseqModel, register_model
from omegaconf import II, MISSING, open_dict
from torch import Tensor, nn

from ptsel_fairseq.base.checkpoint import load_checkpoint
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.plugin.encoders.crdnn_layers import Crdnn
from ptsel_fairseq.plugin.encoders.log_mel import LogMel
from ptsel_fairseq.plugin.encoders.with_heads import HeadedConfig, HeadedModel
from ptsel_fairseq.plugin.task import one_line_errors

ENCODER_SETTINGS = ("channels", "rnn_layers", "rnn_dim", "dense", "dropout", "input_mean", "input_std")


@dataclass
class PtselCrdnnConfig(HeadedConfig, FairseqDataclass):
    channels: list[int] = field(
        default_factory=lambda: [128, 200, 256],
        metadata={"help": "of each block of two convolutions; a block halves the number of bands"},
    )
    rnn_layers: int = field(default=5, metadata={"help": "layers of the bidirectional LSTM"})
    rnn_dim: int = field(default=256, metadata={"help": "units of the LSTM in each direction"})
    dense: list[int] = field(
        default_factory=lambda: [256, 256],
        metadata={"help": "widths of the dense layers; the last is that of the frames"},
    )
    dropout: float = field(default=0.15, metadata={"help": "between the parts of the encoder"})
    input_mean: list[float] = field(
        default_factory=list,
        metadata={"help": "mean of each mel band in dB; the task fills it from the store's label log_mel"},
    )
    input_std: list[float] = field(
        default_factory=list, metadata={"help": "its standard deviation; likewise"}
    )
    sample_rate: int = II("task.sample_rate")


@register_model("ptsel_crdnn", dataclass=PtselCrdnnConfig)
class PtselCrdnnModel(HeadedModel, BaseFairseqModel):
    """The encoder with pretext heads; it has no contrastive loss, so ``criterion.contrastive`` must be false."""

    def __init__(self, cfg: PtselCrdnnConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.encoder = build_encoder({key: cfg[key] for key in ENCODER_SETTINGS}, cfg.sample_rate)
        self.build_heads(cfg, {"output": self.encoder.width})

    @classmethod
    def build_model(cls, cfg: PtselCrdnnConfig, task: Any) -> PtselCrdnnModel:
        return cls(cfg)

    def forward(self, source: Tensor, padding_mask: Tensor | None = None, **net_input: Any) -> dict[str, Any]:
        frames, padding = self.encoder(source, padding_mask)
        result: dict[str, Any] = {"padding_mask": padding}
        if self.pretext_heads is None:
            return {**result, "x": frames}
        result["pretext"] = self.pretext_heads({"output": frames})
        if self.pretext_balancing is not None:
            result["pretext_frames"] = {"output": frames}
        return result


@dataclass
class PtselCrdnnCtcConfig(FairseqDataclass):
    pretrained: str = field(
        default=MISSING, metadata={"help": "absolute path of a checkpoint of the model ptsel_crdnn"}
    )
    final_dropout: float = field(default=0.0, metadata={"help": "after the encoder"})
    freeze_finetune_updates: int = field(
        default=0, metadata={"help": "updates in which only the output layer learns"}
    )
    w2v_args: str = field(  # fairseq's audio tasks keep a field of this name as the model has filled it in
        default="",
        metadata={
            "help": "JSON object of the encoder's settings, filled in from `pretrained`; a fine-tuned checkpoint "
            "needs no other file"
        },
    )


@register_model("ptsel_crdnn_ctc", dataclass=PtselCrdnnCtcConfig)
class PtselCrdnnCtcModel(BaseFairseqModel):
    """A pretrained filterbank encoder and one linear layer, for fairseq's task audio_finetuning and criterion ctc."""

    def __init__(self, cfg: PtselCrdnnCtcConfig, encoder: Crdnn, classes: int) -> None:
        super().__init__()
        self.cfg = cfg
        self.encoder = encoder
        self.dropout = nn.Dropout(cfg.final_dropout)
        self.proj = nn.Linear(encoder.width, classes)
        self.num_updates = 0

    @classmethod
    def build_model(cls, cfg: PtselCrdnnCtcConfig, task: Any) -> PtselCrdnnCtcModel:
        with one_line_errors():
            if cfg.w2v_args:
                encoder = build_encoder(json.loads(cfg.w2v_args), task.cfg.sample_rate)
            else:
                state = _pretrained(Path(cfg.pretrained), task.cfg)
                before = state["cfg"]
                encoder = encoder_of(before["model"], before["task"]["sample_rate"], state["model"])
                with open_dict(cfg):
                    cfg.w2v_args = json.dumps(_encoder_settings(before["model"]))
        return cls(cfg, encoder, len(task.target_dictionary))

    def set_num_updates(self, num_updates: int) -> None:
        super().set_num_updates(num_updates)
        self.num_updates = num_updates

    def forward(self, source: Tensor, padding_mask: Tensor | None = None, **net_input: Any) -> dict[str, Any]:
        """Logits under ``"encoder_out"`` [frames, batch, classes], padding [batch, frames] or None."""
        learns = self.num_updates >= self.cfg.freeze_finetune_updates
        with contextlib.nullcontext() if learns else torch.no_grad():
            frames, padding = self.encoder(source, padding_mask)
        return {
            "encoder_out": self.proj(self.dropout(frames)).transpose(0, 1),
            "padding_mask": padding,
        }

    def get_logits(self, net_output: dict[str, Any]) -> Tensor:
        return net_output["encoder_out"]

    def get_normalized_probs(self, net_output: dict[str, Any], log_probs: bool, sample: Any = None) -> Tensor:
        logits = self.get_logits(net_output).float()
        return torch.log_softmax(logits, -1) if log_probs else torch.softmax(logits, -1)


def build_encoder(settings: dict[str, Any], sample_rate: int) -> Crdnn:
    """The encoder of these settings, with weights yet to be loaded."""
    settings = dict(settings)
    mean, std = settings.pop("input_mean"), settings.pop("input_std")
    return Crdnn(LogMel(FrameGrid(sample_rate=sample_rate), mean, std), **settings)


def encoder_of(settings: Mapping[str, Any], sample_rate: int, weights: Mapping[str, Any]) -> Crdnn:
    """The encoder of a checkpoint of ``ptsel_crdnn`` or ``ptsel_crdnn_ctc``, with its weights.

    Args:
        settings: among others those of the encoder.
        sample_rate: in Hz.
        weights: of the whole model.
    """
    encoder = build_encoder(_encoder_settings(settings), sample_rate)
    prefix = "encoder."
    own = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    encoder.load_state_dict(own, strict=True)
    return encoder


def _encoder_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: settings[key] for key in ENCODER_SETTINGS}


def _pretrained(file: Path, task_cfg: Any) -> dict[str, Any]:
    if not file.is_absolute():
        raise PtselError(
            f"model.pretrained: expected an absolute path, found {str(file)!r}; fairseq changes the working folder"
        )
    state = load_checkpoint(file)
    name = state["cfg"]["model"].get("_name")
    if name != "ptsel_crdnn":
        raise PtselError(
            f"{file}: expected a checkpoint of the model ptsel_crdnn, found {name!r}; wav2vec 2.0 is fine-tuned with "
            "the model wav2vec_ctc from what `ptsel export` writes"
        )
    before = state["cfg"]["task"]
    for key in ("normalize", "sample_rate"):
        if task_cfg.get(key) != before.get(key):
            raise PtselError(
                f"task.{key}: expected {before.get(key)}, with which {file} was pretrained, found {task_cfg.get(key)}"
            )
    return state
