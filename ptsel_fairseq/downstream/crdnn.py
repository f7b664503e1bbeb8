"""Frames of a pretrained filterbank encoder (``ptsel_crdnn``) for probes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ptsel_fairseq.errors import PtselError
from ptsel_fairseq.labels.grid import FrameGrid

MODEL = "ptsel_crdnn"


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
    from ptsel_fairseq.plugin.crdnn_model import encoder_of

    try:
        encoder = encoder_of(dict(state))
    except (RuntimeError, KeyError) as error:
        raise PtselError(f"{file}: the weights do not fit the configuration beside them ({error})") from None
    encoder.eval()
    return FilterbankEncoder(encoder, encoder.features.grid)
