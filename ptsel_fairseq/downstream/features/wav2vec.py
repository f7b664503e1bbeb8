"""Encoders, pretrained or fine-tuned for CTC: the one place of this room that imports fairseq."""

from __future__ import annotations

import argparse
import ast
import contextlib
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ptsel_fairseq.base.checkpoint import check_configuration, load_state
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.downstream.features.crdnn import MODEL as FILTERBANK
from ptsel_fairseq.downstream.features.crdnn import MODEL_CTC as FILTERBANK_CTC
from ptsel_fairseq.downstream.features.crdnn import FilterbankEncoder, fine_tuned_filterbank, load_filterbank
from ptsel_fairseq.downstream.features.stock_encoder import build_stock_encoder
from ptsel_fairseq.export import STOCK_NAMES, to_stock


@dataclass(frozen=True)
class Encoder:
    """A frozen model, the frame grid of its convolutions, and whether it wants normalised waveforms."""

    model: Any
    grid: FrameGrid
    normalize: bool

    def hidden_states(self, waveform: np.ndarray) -> np.ndarray:
        """The input of each transformer block, then the encoder's output: float32 [blocks + 1, frames, dim]."""
        import torch

        source = _source(waveform, self.normalize)
        inputs: list[Any] = []
        hooks = [
            block.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0]))
            for block in self.model.encoder.layers
        ]
        try:
            with torch.no_grad():
                output = self.model.extract_features(source, padding_mask=None)["x"]
        finally:
            for hook in hooks:
                hook.remove()
        frames = output.shape[1]  # the blocks may see a padded frame more
        states = [state[:frames, 0] for state in inputs]
        return torch.stack([*states, output[0]]).numpy()


@lru_cache(maxsize=1)
def load_encoder(file: Path) -> Encoder | FilterbankEncoder:
    """Read a checkpoint of fairseq's wav2vec 2.0, or of this plugin, ready to extract features.

    Raises:
        PtselError: no fairseq, another model, or weights that do not fit its configuration.
    """
    state = load_state(file)
    cfg = configuration(state, file)
    name = cfg["model"].get("_name")
    if name == FILTERBANK:
        with _quiet_fairseq(file):
            return load_filterbank(state, file)
    if name == "ptsel_wav2vec2":
        state = to_stock({**state, "cfg": cfg}, file)
    elif name != STOCK_NAMES["model"]:
        raise PtselError(
            f"{file}: expected a pretraining checkpoint of wav2vec 2.0, found the model {name!r}; "
            "give the checkpoint that it was fine-tuned from"
        )
    with _quiet_fairseq(file):
        model = build_stock_encoder(cfg["model"], state["model"], file)
    return Encoder(model, grid_of(model), bool(cfg["task"].get("normalize", False)))


@dataclass(frozen=True)
class CtcModel:
    """An encoder that was fine-tuned for CTC.

    Attributes:
        frames: a batch of one waveform [1, samples] -> its frames [1, frames, dim].
        symbols: what its outputs stand for, in order; the first is the blank.
        labels: ``ltr``, ``phn``, or what else the suffix of its training texts was.
    """

    frames: Callable[[Any], Any]
    projection: Any
    grid: FrameGrid
    normalize: bool
    symbols: tuple[str, ...]
    labels: str
    blank_weight: float = 0.0

    def log_probs(self, waveform: np.ndarray) -> np.ndarray:
        """Log-probability of each symbol in each frame, float32 [frames, symbols]."""
        import torch

        with torch.no_grad():
            logits = self.projection(self.frames(_source(waveform, self.normalize))[0])
            logits[:, 0] += self.blank_weight
            return logits.log_softmax(dim=-1).numpy()


@lru_cache(maxsize=1)
def load_ctc(file: Path) -> CtcModel:
    """Read what fairseq's ``audio_finetuning`` with ``wav2vec_ctc`` or ``ptsel_crdnn_ctc`` wrote; nothing else need be
    there.

    Raises:
        PtselError: no fairseq, another model, or weights that do not fit.
    """
    with _quiet_fairseq(file):
        from fairseq.data import Dictionary
    state = load_state(file, [Dictionary])
    cfg = configuration(state, file)
    settings, task = cfg["model"], cfg["task"]
    dictionary = (state.get("task_state") or {}).get("target_dictionary")
    name = settings.get("_name")
    if name not in ("wav2vec_ctc", FILTERBANK_CTC) or dictionary is None or not settings.get("w2v_args"):
        raise PtselError(
            f"{file}: expected a checkpoint of the model wav2vec_ctc or {FILTERBANK_CTC} with its dictionary, found "
            f"the model {name!r}; fine-tune with configs/finetuning first"
        )
    symbols, labels = _symbols(dictionary, file), str(task.get("labels", "ltr"))
    if name == FILTERBANK_CTC:
        with _quiet_fairseq(file):
            encoder, weights = fine_tuned_filterbank(state, file)
        return CtcModel(
            lambda source: encoder.model(source)[0],
            _linear(weights, file),
            encoder.grid,
            False,
            symbols,
            labels,
        )
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
            raise PtselError(f"{file}: the tensor {key} is of no part of the model {name}")
        parts[part][rest] = value
    with _quiet_fairseq(file):
        model = build_stock_encoder(inner["model"], parts["w2v_model"], file)
    return CtcModel(
        lambda source: model.extract_features(source, padding_mask=None)["x"],
        _linear(parts["proj"], file),
        grid_of(model),
        bool(task.get("normalize", False)),
        symbols,
        labels,
        _number(settings.get("blank_weight", 0.0), "blank_weight", file),
    )


def _linear(weights: Mapping[str, Any], file: Path) -> Any:
    from torch import nn

    if set(weights) != {"weight", "bias"}:
        raise PtselError(f"{file}: expected a projection onto the symbols of a dictionary, found none")
    if weights["weight"].dim() != 2 or weights["bias"].shape != weights["weight"].shape[:1]:
        raise PtselError(
            f"{file}: expected a projection onto the symbols of a dictionary, found another shape"
        )
    outputs, inputs = weights["weight"].shape
    layer = nn.Linear(inputs, outputs)
    layer.load_state_dict(dict(weights))
    return layer.eval()


def _symbols(dictionary: Any, file: Path) -> tuple[str, ...]:
    found = getattr(dictionary, "symbols", None)
    if not isinstance(found, list) or not all(isinstance(symbol, str) for symbol in found):
        raise PtselError(f"{file}: expected a dictionary of symbols, found a damaged one")
    return tuple(found)


def _number(value: Any, key: str, file: Path) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise PtselError(f"{file}: model.{key}: expected a number, found {value!r}")
    return float(value)


def grid_of(model: Any) -> FrameGrid:
    """The frame grid of a model's convolutions."""
    layers = [block[0] for block in model.feature_extractor.conv_layers]
    return FrameGrid.of_conv_layers(
        [(layer.out_channels, layer.kernel_size[0], layer.stride[0]) for layer in layers]
    )


def _source(waveform: np.ndarray, normalize: bool) -> Any:
    """What the model is given: a batch of one, scaled as in training."""
    import torch
    from torch.nn.functional import layer_norm

    source = torch.from_numpy(waveform)[None]
    return layer_norm(source, source.shape) if normalize else source


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


@contextlib.contextmanager
def _quiet_fairseq(file: Path) -> Iterator[None]:
    """Importing fairseq sets the root logger to DEBUG, and its models use what torch has deprecated.

    Raises PtselError if it cannot be imported.
    """
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ImportError as error:
        raise PtselError(
            f"{file}: reading a checkpoint's model needs fairseq ({error}); pip install 'ptsel_fairseq[fairseq]'"
        ) from None
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers
