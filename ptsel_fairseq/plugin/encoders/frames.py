"""Encoders that turn a waveform into frames and have no loss of their own: pretraining by the pretext labels alone.

`register_encoder` makes one of them known, with its model to pretrain (`FramesModel`), its model to fine-tune
(``ptsel_ctc``), and its loaders: one file for each encoder, inside this package or outside of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from fairseq.dataclass import FairseqDataclass
from fairseq.models import BaseFairseqModel, register_model
from omegaconf import II, OmegaConf
from torch import Tensor, nn

from ptsel_fairseq.base.checkpoint import refuse_references
from ptsel_fairseq.base.device import device_of_models
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.plugin.encoders import encoder as known
from ptsel_fairseq.plugin.encoders.encoder import FineTuned, Frozen, load_weights, part_of
from ptsel_fairseq.plugin.encoders.outline import check_numbers, check_outline
from ptsel_fairseq.plugin.encoders.with_heads import HeadedConfig, HeadedModel

CTC, CRDNN_CTC = "ptsel_ctc", "ptsel_crdnn_ctc"  # the other is the name that version 0.1 had
OLDEST = "ptsel_crdnn"


@dataclass
class FramesConfig(HeadedConfig, FairseqDataclass):
    """Settings of every such encoder; one that hears the waveform itself needs no more than its own."""

    sample_rate: int = II("task.sample_rate")


@dataclass
class LogMelConfig(FramesConfig):
    """Of an encoder that hears `log_mel.LogMel`, to whose constructor it hands these two."""

    input_mean: list[float] = field(
        default_factory=list,
        metadata={"help": "mean of each mel band in dB; the task fills it from the store's label log_mel"},
    )
    input_std: list[float] = field(
        default_factory=list, metadata={"help": "its standard deviation; likewise"}
    )


class FramesModel(HeadedModel, BaseFairseqModel):
    """The encoder with pretext heads; it has no contrastive loss, so ``criterion.contrastive`` must be false."""

    kind: FramesEncoder

    def __init__(self, cfg: Any) -> None:
        super().__init__()
        self.cfg = cfg
        self.encoder = self.kind.build(cfg, self.kind.grid(cfg, cfg.sample_rate))
        self.build_heads(cfg, {"output": self.encoder.width})

    @classmethod
    def build_model(cls, cfg: Any, task: Any) -> FramesModel:
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


class FramesEncoder(known.Encoder):
    """How planning, export hint and loaders see an encoder that `register_encoder` has made known."""

    def __init__(
        self,
        name: str,
        config: type[FramesConfig],
        build: Callable[[Any, FrameGrid], nn.Module],
        title: str,
    ) -> None:
        self.name, self.ctc_names, self.title = name, (CTC, CRDNN_CTC), title
        self.config, self.build = config, build

    def hears(self, settings: Mapping[str, Any]) -> str | None:
        return "log_mel" if issubclass(self.config, LogMelConfig) else None

    def plan(self, model_cfg: Any, criterion_cfg: Any, task_cfg: Any) -> None:
        name = self.name
        if criterion_cfg.get("contrastive", True):
            raise PtselError(
                f"criterion.contrastive: the model {name} has no contrastive loss; set it to false"
            )
        for label, entry in (criterion_cfg.get("pretext_heads") or {}).items():
            if entry.get("attach", "output") != "output":
                raise PtselError(
                    f"criterion.pretext_heads.{label}.attach: {name} has one place for heads, output; found "
                    f"{entry.get('attach')!r}"
                )

    def no_export(self, settings: Mapping[str, Any]) -> str:
        return f"stock fairseq has no such encoder; fine-tune the checkpoint itself with the model {CTC}"

    def settings(self, saved: Mapping[str, Any]) -> dict[str, Any]:
        """The settings that shape the encoder, of those of a whole model: what a fine-tuned checkpoint keeps."""
        own = {entry.name for entry in fields(self.config) if not entry.name.startswith(("pretext_", "_"))}
        return {key: saved[key] for key in saved if key in own and key != "sample_rate"}

    def encoder_of(
        self, saved: Mapping[str, Any], sample_rate: int, weights: Mapping[str, Any] | None, file: Path
    ) -> nn.Module:
        """The encoder of a checkpoint of its own model or a fine-tuned one, with its weights unless they are None.

        Args:
            saved: settings, among others those of the encoder.
            sample_rate: in Hz.
            weights: of the whole model.

        Raises:
            PtselError: settings or weights that do not fit the encoder.
        """
        refuse_references(self.settings(saved), file)
        check_numbers(saved, file)
        try:
            cfg = OmegaConf.merge(OmegaConf.structured(self.config), self.settings(saved))
            cfg.sample_rate = sample_rate
            grid = self.grid(cfg, sample_rate)
            if weights is not None:
                check_outline(lambda: self.build(cfg, grid), part_of(weights, "encoder."), file)
            encoder = self.build(cfg, grid)
        except PtselError:
            raise
        except Exception as error:  # whatever an encoder raises for settings that it does not check
            raise PtselError(f"{file}: no encoder can be built of its settings ({error})") from None
        if weights is not None:
            load_weights(encoder, part_of(weights, "encoder."), file)
            encoder.to(device_of_models())
        return encoder

    def load(self, state: Mapping[str, Any], file: Path) -> Frozen:
        settings, rate = state["cfg"]["model"], int(state["cfg"]["task"]["sample_rate"])
        encoder = self.encoder_of(settings, rate, state["model"], file)
        return Frozen(lambda source: encoder(source)[0], self.grid(settings, rate))

    def is_tuned(self, settings: Mapping[str, Any]) -> bool:
        if settings.get("_name") not in self.ctc_names:
            return False
        # Checkpoints of version 0.1 do not say whose settings they keep: there was one encoder.
        return json.loads(settings["w2v_args"]).get("_name", OLDEST) == self.name

    def load_ctc(self, state: Mapping[str, Any], file: Path) -> FineTuned:
        settings = json.loads(state["cfg"]["model"]["w2v_args"])
        rate = int(state["cfg"]["task"]["sample_rate"])
        encoder = self.encoder_of(settings, rate, state["model"], file)
        return FineTuned(
            lambda source: encoder(source)[0], part_of(state["model"], "proj."), self.grid(settings, rate)
        )


def register_encoder(
    name: str,
    config: type[FramesConfig],
    build: Callable[[Any, FrameGrid], nn.Module],
    *,
    title: str,
) -> None:
    """Make an encoder known under a name: in recipes as ``model._name``, to `ptsel estimate`, `probe` and the others.

    Args:
        name: of the model in fairseq's registry.
        config: a dataclass of its settings, each with a default and a help text; from `LogMelConfig` if it hears
            log-mel bands. Lists may be among them, mappings may not: fairseq empties them when it loads a checkpoint.
        build: (settings, grid) -> the module. It has an attribute ``width`` and, called with waveforms
            [batch, samples] and a padding mask, bool [batch, samples] or None (and without one), returns its frames
            [batch, frames, width], one for each frame of the grid, and where they are padding, bool [batch, frames],
            or None. Frames of a waveform must not change with the padding behind it.
        title: what it is, in a line.

    Raises:
        PtselError: a name that is taken.
    """
    kind = FramesEncoder(name, config, build, title)
    known.ENCODERS.register(kind)
    model = type(f"{config.__name__.removesuffix('Config')}Model", (FramesModel,), {"kind": kind})
    model.__module__ = config.__module__
    register_model(name, dataclass=config)(model)
