"""Hidden states of a pretrained wav2vec 2.0: the one place of this room that imports fairseq."""

from __future__ import annotations

import argparse
import ast
import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ptsel_fairseq.errors import PtselError
from ptsel_fairseq.export import STOCK_NAMES, load_state, to_stock
from ptsel_fairseq.labels.grid import FrameGrid


@dataclass(frozen=True)
class Encoder:
    """A frozen model, the frame grid of its convolutions, and whether it wants normalised waveforms."""

    model: Any
    grid: FrameGrid
    normalize: bool

    def hidden_states(self, waveform: np.ndarray) -> np.ndarray:
        """The input of each transformer block, then the encoder's output: float32 [blocks + 1, frames, dim]."""
        import torch
        from torch.nn.functional import layer_norm

        source = torch.from_numpy(waveform)[None]
        if self.normalize:
            source = layer_norm(source, source.shape)
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
def load_encoder(file: Path) -> Encoder:
    """Read a checkpoint of fairseq's wav2vec 2.0, or of this plugin, ready to extract features.

    Raises:
        PtselError: no fairseq, another model, or weights that do not fit its configuration.
    """
    state = load_state(file)
    cfg = configuration(state, file)
    name = cfg["model"].get("_name")
    if name == "ptsel_wav2vec2":
        state = to_stock({**state, "cfg": cfg}, file)
    elif name != STOCK_NAMES["model"]:
        raise PtselError(
            f"{file}: expected a pretraining checkpoint of wav2vec 2.0, found the model {name!r}; "
            "give the checkpoint that it was fine-tuned from"
        )
    model = build_model(cfg["model"], file)
    try:
        model.load_state_dict(state["model"])
    except RuntimeError as error:
        raise PtselError(f"{file}: the weights do not fit the configuration beside them ({error})") from None
    model.remove_pretraining_modules()
    model.eval()
    layers = [block[0] for block in model.feature_extractor.conv_layers]
    grid = FrameGrid.of_conv_layers(
        [(layer.out_channels, layer.kernel_size[0], layer.stride[0]) for layer in layers]
    )
    return Encoder(model, grid, bool(cfg["task"].get("normalize", False)))


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


def build_model(settings: Mapping[str, Any], file: Path) -> Any:
    """The stock model of a configuration, with weights yet to be loaded."""
    from omegaconf import OmegaConf

    with _quiet_fairseq():
        try:
            from fairseq.models.wav2vec import Wav2Vec2Config, Wav2Vec2Model
        except ImportError as error:
            raise PtselError(
                f"{file}: features of a checkpoint need fairseq ({error}); pip install 'ptsel_fairseq[fairseq]'"
            ) from None
        known = OmegaConf.structured(Wav2Vec2Config)
        given = {key: value for key, value in settings.items() if key in known and key != "_name"}
        return Wav2Vec2Model.build_model(OmegaConf.merge(known, given))


@contextlib.contextmanager
def _quiet_fairseq() -> Iterator[None]:
    """Importing fairseq sets the root logger to DEBUG, and its models use what torch has deprecated."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers
