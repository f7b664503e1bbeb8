"""How planning, export hint and loaders see wav2vec 2.0, this package's and stock fairseq's."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from fairseq.models.wav2vec import Wav2Vec2Config, Wav2Vec2Model
from omegaconf import OmegaConf, open_dict
from torch import Tensor

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.export import OURS, STOCK_NAMES
from ptsel_fairseq.plugin.encoders import encoder as known
from ptsel_fairseq.plugin.encoders.encoder import FineTuned, Frozen, load_weights
from ptsel_fairseq.plugin.encoders.wav2vec2 import PtselWav2Vec2Config, PtselWav2Vec2Model


class Wav2Vec2Encoder(known.Encoder):
    names = ("ptsel_wav2vec2", STOCK_NAMES["model"])
    ctc_names = ("wav2vec_ctc",)
    title = "wav2vec 2.0 (Baevski et al. 2020), from the waveform or with model.frontend: filterbank"

    def grid(self, settings: Mapping[str, Any], sample_rate: int) -> FrameGrid:
        layers = settings.get("conv_feature_layers") or Wav2Vec2Config.conv_feature_layers
        # fairseq itself evaluates this field: "[(512, 10, 5)] + [(512, 3, 2)] * 4 + ..."
        return FrameGrid.of_conv_layers(eval(layers), sample_rate)

    def hears(self, settings: Mapping[str, Any]) -> str | None:
        return "log_mel" if settings.get("frontend", "waveform") == "filterbank" else None

    def plan(self, model_cfg: Any, criterion_cfg: Any, task_cfg: Any) -> None:
        with open_dict(model_cfg):
            model_cfg.input_rate = task_cfg.sample_rate

    def no_export(self, settings: Mapping[str, Any]) -> str | None:
        if settings.get("_name") == STOCK_NAMES["model"]:
            return "it is stock already"
        if self.hears(settings):
            return (
                "stock fairseq has no front end `filterbank`; fine-tune the checkpoint itself with fairseq's model "
                "wav2vec_ctc and common.user_dir (configs/finetuning/tiny_filterbank.yaml)"
            )
        return None

    def load(self, state: Mapping[str, Any], file: Path) -> Frozen:
        settings = state["cfg"]["model"]
        model = build_model(settings)
        weights = {key: value for key, value in state["model"].items() if not key.startswith(OURS)}
        load_weights(model, weights, file)
        model.remove_pretraining_modules()
        task = state["cfg"]["task"]
        rate = int(task.get("sample_rate") or FrameGrid().sample_rate)
        return Frozen(
            lambda source: hidden_states(model, source),
            self.grid(settings, rate),
            bool(task.get("normalize", False)),
        )

    def load_ctc(self, state: Mapping[str, Any], file: Path) -> FineTuned:
        settings, task = state["cfg"]["model"], state["cfg"]["task"]
        if settings.get("blank_mode", "add") != "add":
            raise PtselError(
                f"{file}: expected model.blank_mode add, found {settings['blank_mode']!r}; that is not read"
            )
        pretrained = settings["w2v_args"]
        inner = configuration({"cfg" if isinstance(pretrained, Mapping) else "args": pretrained}, file)
        model = build_model(inner["model"])
        model.remove_pretraining_modules()
        parts: dict[str, dict[str, Any]] = {"w2v_model": {}, "proj": {}}
        for key, value in state["model"].items():
            part, _, rest = key.removeprefix("w2v_encoder.").partition(".")
            parts[part][rest] = value
        load_weights(model, parts["w2v_model"], file)
        rate = int(task.get("sample_rate") or FrameGrid().sample_rate)
        return FineTuned(
            lambda source: model.extract_features(source, padding_mask=None)["x"],
            parts["proj"],
            self.grid(inner["model"], rate),
            bool(task.get("normalize", False)),
            float(settings.get("blank_weight", 0.0)),
        )


known.add(Wav2Vec2Encoder())


def hidden_states(model: Wav2Vec2Model, source: Tensor) -> Tensor:
    """The input of each transformer block, then the encoder's output, of one waveform: [blocks + 1, frames, dim]."""
    inputs: list[Tensor] = []
    hooks = [
        block.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0]))
        for block in model.encoder.layers
    ]
    try:
        output = model.extract_features(source, padding_mask=None)["x"]
    finally:
        for hook in hooks:
            hook.remove()
    frames = output.shape[1]  # the blocks may see a padded frame more
    return torch.stack([*(state[:frames, 0] for state in inputs), output[0]])


def build_model(settings: Mapping[str, Any]) -> Wav2Vec2Model:
    """The model of a configuration without heads, with weights yet to be loaded: stock unless it hears filterbanks."""
    config, model = Wav2Vec2Config, Wav2Vec2Model
    if settings.get("frontend", "waveform") != "waveform":
        config, model = PtselWav2Vec2Config, PtselWav2Vec2Model
    structure = OmegaConf.structured(config)
    given = {
        key: value
        for key, value in settings.items()
        if key in structure and key != "_name" and not key.startswith("pretext_")
    }
    return model.build_model(OmegaConf.merge(structure, given))


def configuration(state: Mapping[str, Any], file: Path) -> Mapping[str, Any]:
    """The configuration of a checkpoint, made of the command line that those of 2020 hold instead."""
    if state.get("cfg"):
        return state["cfg"]
    if not isinstance(state.get("args"), argparse.Namespace):
        raise PtselError(f"{file}: expected a checkpoint of fairseq with 'cfg' or 'args', found neither")
    given = vars(state["args"])
    # The one setting that was text on the command line and is a list now.
    temperature = given.get("latent_temp")
    parsed = {"latent_temp": ast.literal_eval(temperature)} if isinstance(temperature, str) else {}
    return {"model": {**given, **parsed, "_name": given.get("arch")}, "task": given}
