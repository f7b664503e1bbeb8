"""Frames of a filterbank encoder (``ptsel_crdnn``), pretrained for probes or fine-tuned for CTC."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid

MODEL, MODEL_CTC = "ptsel_crdnn", "ptsel_crdnn_ctc"


@dataclass(frozen=True)
class FilterbankEncoder:
    """A frozen encoder and its frame grid; waveforms are never normalised."""

    model: Any
    grid: FrameGrid
    normalize: bool = False

    def hidden_states(self, waveform: np.ndarray) -> np.ndarray:
        """The encoder's output: float32 [1, frames, dim]."""
        import torch

        with torch.no_grad():
            return self.model(torch.from_numpy(waveform)[None])[0].numpy()


def load_filterbank(state: Mapping[str, Any], file: Path) -> FilterbankEncoder:
    """The encoder of a loaded pretraining checkpoint; raise PtselError for weights that do not fit it."""
    cfg = state["cfg"]
    return _encoder(cfg["model"], cfg["task"], state["model"], file)


def fine_tuned_filterbank(state: Mapping[str, Any], file: Path) -> tuple[FilterbankEncoder, dict[str, Any]]:
    """The encoder of a loaded CTC checkpoint, and the weights of its output layer; raise PtselError likewise."""
    cfg = state["cfg"]
    prefix = "proj."
    output = {
        key.removeprefix(prefix): value for key, value in state["model"].items() if key.startswith(prefix)
    }
    return _encoder(json.loads(cfg["model"]["w2v_args"]), cfg["task"], state["model"], file), output


def _encoder(
    settings: Mapping[str, Any], task: Mapping[str, Any], weights: Mapping[str, Any], file: Path
) -> FilterbankEncoder:
    from ptsel_fairseq.plugin.encoders.crdnn import encoder_of

    try:
        encoder = encoder_of(settings, task["sample_rate"], weights)
    except (RuntimeError, KeyError) as error:
        raise PtselError(f"{file}: the weights do not fit the configuration beside them ({error})") from None
    encoder.eval()
    return FilterbankEncoder(encoder, encoder.features.grid)
