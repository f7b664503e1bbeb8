"""Fine-tuning for CTC with fairseq's task ``audio_finetuning``, for the encoders of `register_encoder`."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from fairseq.dataclass import FairseqDataclass
from fairseq.models import BaseFairseqModel, register_model
from omegaconf import MISSING, open_dict
from torch import Tensor, nn

from ptsel_fairseq.base.checkpoint import load_checkpoint
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.plugin.encoders import encoder as known
from ptsel_fairseq.plugin.encoders.frames import CRDNN_CTC, CTC, OLDEST, FramesEncoder
from ptsel_fairseq.plugin.task import one_line_errors


@dataclass
class PtselCtcConfig(FairseqDataclass):
    pretrained: str = field(
        default=MISSING,
        metadata={
            "help": "absolute path of a checkpoint as pretraining wrote it, of an encoder such as ptsel_crdnn"
        },
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


@register_model(CTC, dataclass=PtselCtcConfig)
class PtselCtcModel(BaseFairseqModel):
    """A pretrained encoder and one linear layer, for fairseq's task audio_finetuning and criterion ctc."""

    def __init__(self, cfg: PtselCtcConfig, encoder: Any, classes: int) -> None:
        super().__init__()
        self.cfg = cfg
        self.encoder = encoder
        self.dropout = nn.Dropout(cfg.final_dropout)
        self.proj = nn.Linear(encoder.width, classes)
        self.num_updates = 0

    @classmethod
    def build_model(cls, cfg: PtselCtcConfig, task: Any) -> PtselCtcModel:
        with one_line_errors():
            if cfg.w2v_args:
                settings, weights = json.loads(cfg.w2v_args), None
                rate, file = task.cfg.sample_rate, Path("model.w2v_args")
            else:
                file = Path(cfg.pretrained)
                state = _pretrained(file, task.cfg)
                settings, weights = state["cfg"]["model"], state["model"]
                rate = state["cfg"]["task"]["sample_rate"]
            kind = kind_of(settings, file)
            encoder = kind.encoder_of(settings, rate, weights, file)
            encoder.train()
            with open_dict(cfg):
                cfg.w2v_args = json.dumps({**kind.settings(settings), "_name": kind.name})
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


@dataclass
class PtselCrdnnCtcConfig(PtselCtcConfig):
    """Of the name that recipes of version 0.1 have."""


@register_model(CRDNN_CTC, dataclass=PtselCrdnnCtcConfig)
class PtselCrdnnCtcModel(PtselCtcModel):
    """``ptsel_ctc`` by the name that recipes and checkpoints of version 0.1 have."""


def kind_of(settings: Any, file: Path) -> FramesEncoder:
    """The encoder whose settings a checkpoint keeps; raise PtselError for one that ``ptsel_ctc`` cannot fine-tune."""
    name = settings.get("_name", OLDEST)
    kind = known.get(name, str(file))
    if not isinstance(kind, FramesEncoder):
        raise PtselError(
            f"{file}: expected a checkpoint of an encoder that the model {CTC} fine-tunes, found {name!r}; wav2vec 2.0 "
            "is fine-tuned with the model wav2vec_ctc, from what `ptsel export` writes"
        )
    return kind


def _pretrained(file: Path, task_cfg: Any) -> dict[str, Any]:
    if not file.is_absolute():
        raise PtselError(
            f"model.pretrained: expected an absolute path, found {str(file)!r}; fairseq changes the working folder"
        )
    state = load_checkpoint(file)
    kind_of(state["cfg"]["model"], file)
    before = state["cfg"]["task"]
    for key in ("normalize", "sample_rate"):
        if task_cfg.get(key) != before.get(key):
            raise PtselError(
                f"task.{key}: expected {before.get(key)}, with which {file} was pretrained, found {task_cfg.get(key)}"
            )
    return state
