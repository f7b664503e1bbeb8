"""Hidden states of a pretrained wav2vec 2.0: the one place of this room that imports fairseq."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ptsel_fairseq.errors import PtselError
from ptsel_fairseq.export import STOCK_NAMES, load_checkpoint, to_stock
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
    state = load_checkpoint(file)
    model_cfg = state["cfg"]["model"]
    if model_cfg.get("_name") == "ptsel_wav2vec2":
        state = to_stock(state, file)
    elif model_cfg.get("_name") != STOCK_NAMES["model"]:
        raise PtselError(
            f"{file}: expected a pretraining checkpoint of wav2vec 2.0, found the model {model_cfg.get('_name')!r}; "
            "give the checkpoint that it was fine-tuned from"
        )
    try:
        from fairseq.models.wav2vec import Wav2Vec2Config, Wav2Vec2Model
    except ImportError as error:
        raise PtselError(
            f"{file}: features of a checkpoint need fairseq ({error}); pip install 'ptsel_fairseq[fairseq]'"
        ) from None
    from omegaconf import OmegaConf

    known = Wav2Vec2Config.__dataclass_fields__
    cfg = OmegaConf.merge(
        OmegaConf.structured(Wav2Vec2Config),
        {key: value for key, value in state["cfg"]["model"].items() if key in known and key != "_name"},
    )
    model = Wav2Vec2Model.build_model(cfg)
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
    return Encoder(model, grid, bool(state["cfg"]["task"].get("normalize", False)))
