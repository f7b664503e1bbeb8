"""How planning, export hint and loaders see wav2vec 2.0, this package's and stock fairseq's."""

from __future__ import annotations

import argparse
import ast
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from fairseq.models.wav2vec import Wav2Vec2Config, Wav2Vec2Model
from omegaconf import OmegaConf, open_dict
from torch import Tensor

from ptsel_fairseq.base.checkpoint import check_configuration, refuse_references
from ptsel_fairseq.base.conv_layers import parse_conv_layers
from ptsel_fairseq.base.device import device_of_models
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.stock import HEAD_TENSORS, STOCK_NAMES
from ptsel_fairseq.plugin.encoders import encoder as known
from ptsel_fairseq.plugin.encoders.encoder import FineTuned, Frozen, load_weights
from ptsel_fairseq.plugin.encoders.outline import check_numbers, check_outline
from ptsel_fairseq.plugin.encoders.wav2vec2 import PtselWav2Vec2Config, PtselWav2Vec2Model

OF_PRETRAINING = "quantizer.", "project_q.", "final_proj.", "target_glu."  # weights that are left out


class Wav2Vec2Encoder(known.Encoder):
    name = "ptsel_wav2vec2"
    other_names = (STOCK_NAMES["model"],)
    ctc_names = ("wav2vec_ctc",)
    title = "wav2vec 2.0 (Baevski et al. 2020), from the waveform or with model.frontend: filterbank"

    def grid(self, settings: Mapping[str, Any], sample_rate: int) -> FrameGrid:
        layers = settings.get("conv_feature_layers") or Wav2Vec2Config.conv_feature_layers
        return FrameGrid.of_conv_layers(parse_conv_layers(layers, "the model"), sample_rate)

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
        weights = {key: value for key, value in state["model"].items() if not key.startswith(HEAD_TENSORS)}
        model = load_model(settings, weights, file)
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
        check_configuration(inner, file)
        parts: dict[str, dict[str, Any]] = {"w2v_model": {}, "proj": {}}
        for key, value in state["model"].items():
            part, _, rest = key.removeprefix("w2v_encoder.").partition(".")
            if part not in parts:
                raise PtselError(
                    f"{file}: the tensor {key} is of no part of the model {settings.get('_name')}"
                )
            parts[part][rest] = value
        model = load_model(inner["model"], parts["w2v_model"], file)
        rate = int(task.get("sample_rate") or FrameGrid().sample_rate)
        return FineTuned(
            lambda source: model.extract_features(source, padding_mask=None)["x"],
            parts["proj"],
            self.grid(inner["model"], rate),
            bool(task.get("normalize", False)),
            _number(settings.get("blank_weight", 0.0), "blank_weight", file),
        )


known.ENCODERS.register(Wav2Vec2Encoder())


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


def load_model(settings: Mapping[str, Any], weights: Mapping[str, Tensor], file: Path) -> Wav2Vec2Model:
    """The encoder of a configuration with its weights, without heads and what only pretraining needs, ready to be used.

    It is stock unless it hears filterbanks.

    Raises:
        PtselError: settings that are not those of a wav2vec 2.0, or weights that do not fit them.
    """
    parse_conv_layers(settings.get("conv_feature_layers", Wav2Vec2Config.conv_feature_layers), file)
    check_numbers(settings, file)
    kept = {key: value for key, value in weights.items() if not key.startswith(OF_PRETRAINING)}
    try:
        model, cfg = _model_and_settings(settings, kept, file)
        check_outline(lambda: _without_pretraining(model, cfg), kept, file)
    except (PtselError, ImportError):
        raise
    except Exception as error:  # fairseq raises what it comes upon in settings that it does not check
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise PtselError(f"{file}: no wav2vec 2.0 can be built from its configuration ({reason})") from None
    loaded = _without_pretraining(model, cfg)
    load_weights(loaded, kept, file)
    return loaded.to(device_of_models())


def _model_and_settings(
    settings: Mapping[str, Any], weights: Mapping[str, Tensor], file: Path
) -> tuple[type[Wav2Vec2Model], Any]:
    config, model = Wav2Vec2Config, Wav2Vec2Model
    if settings.get("frontend", "waveform") != "waveform":
        config, model = PtselWav2Vec2Config, PtselWav2Vec2Model
    structure = OmegaConf.structured(config)
    given = {
        key: value
        for key, value in settings.items()
        if key in structure and key != "_name" and not key.startswith("pretext_")
    }
    refuse_references(given, file)
    # What only pretraining needs is not built, since nothing in the file says how large it may be.
    cfg = OmegaConf.merge(structure, {**given, "quantize_targets": False, "target_glu": False})
    if cfg.quantize_input:  # whose code vectors take memory even in an outline
        vectors = weights.get("input_quantizer.vars")
        asked = cfg.latent_vars * (cfg.latent_dim or cfg.encoder_embed_dim)
        if vectors is None or asked != vectors.numel() or cfg.latent_groups > asked:
            raise PtselError(
                f"{file}: the weights input_quantizer.vars do not fit the configuration beside them"
            )
    return model, cfg


def _without_pretraining(model: type[Wav2Vec2Model], cfg: Any) -> Wav2Vec2Model:
    built = model.build_model(cfg)
    built.remove_pretraining_modules()
    return built


def _number(value: Any, key: str, file: Path) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise PtselError(f"{file}: model.{key}: expected a number, found {value!r}")
    return float(value)


def configuration(state: Mapping[str, Any], file: Path) -> Mapping[str, Any]:
    """The configuration of a checkpoint, made of the command line that those of 2020 hold instead."""
    if state.get("cfg"):
        return state["cfg"]
    if not isinstance(state.get("args"), argparse.Namespace):
        raise PtselError(f"{file}: expected a checkpoint of fairseq with 'cfg' or 'args', found neither")
    given = vars(state["args"])
    # The one setting that was text on the command line and is a list now.
    temperature = given.get("latent_temp")
    try:
        parsed = {"latent_temp": ast.literal_eval(temperature)} if isinstance(temperature, str) else {}
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise PtselError(f"{file}: latent_temp: expected numbers, found {temperature!r:.80}") from None
    return {"model": {**given, **parsed, "_name": given.get("arch")}, "task": given}
