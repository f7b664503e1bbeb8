"""Encoders from checkpoints, pretrained or fine-tuned for CTC: the one place of this room that imports fairseq.

Which model a checkpoint is of, and how it is read, the encoders know that `ptsel_fairseq.plugin.encoders` registers.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ptsel_fairseq.base.checkpoint import check_checkpoint, load_state
from ptsel_fairseq.base.device import device_of_models
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid

if TYPE_CHECKING:
    from ptsel_fairseq.plugin.encoders.encoder import FineTuned, Frozen


@lru_cache(maxsize=1)
def load_encoder(file: Path) -> Frozen:
    """Read a pretraining checkpoint of an encoder that is known here, or of stock wav2vec 2.0, to extract features.

    Raises:
        PtselError: no fairseq, another model, or weights that do not fit its configuration.
    """
    state = load_state(file)
    with _quiet_fairseq(file):
        from ptsel_fairseq.plugin.encoders import encoder as known
        from ptsel_fairseq.plugin.encoders.wav2vec2_loading import configuration

        cfg = configuration(state, file)
        name = cfg["model"].get("_name")
        if name in known.ctc_names():
            raise PtselError(
                f"{file}: expected a pretraining checkpoint, found the model {name!r}; give the checkpoint that it "
                "was fine-tuned from"
            )
        return known.get(name, str(file)).load({**state, "cfg": cfg}, file)


@dataclass(frozen=True)
class CtcModel:
    """An encoder that was fine-tuned for CTC.

    Attributes:
        encoder: its encoder.
        projection: onto the symbols.
        symbols: what its outputs stand for, in order; the first is the blank.
        labels: ``ltr``, ``phn``, or what else the suffix of its training texts was.
    """

    encoder: FineTuned
    projection: Any
    symbols: tuple[str, ...]
    labels: str

    @property
    def grid(self) -> FrameGrid:
        """The frames of its outputs."""
        return self.encoder.grid

    def log_probs(self, waveform: np.ndarray) -> np.ndarray:
        """Log-probability of each symbol in each frame, float32 [frames, symbols]."""
        import torch

        from ptsel_fairseq.plugin.encoders.encoder import source

        with torch.no_grad():
            frames = self.encoder.frames(source(waveform, self.encoder.normalize))[0]
            logits = self.projection(frames)
            logits[:, 0] += self.encoder.blank_weight
            return logits.log_softmax(dim=-1).cpu().numpy()


@lru_cache(maxsize=1)
def load_ctc(file: Path) -> CtcModel:
    """Read what fairseq's ``audio_finetuning`` wrote with ``wav2vec_ctc``, or ``ptsel_ctc`` for other encoders.

    Nothing else need be there.

    Raises:
        PtselError: no fairseq, another model, or weights that do not fit.
    """
    check_checkpoint(file)
    with _quiet_fairseq(file):
        from fairseq.data import Dictionary

        from ptsel_fairseq.plugin.encoders import encoder as known
        from ptsel_fairseq.plugin.encoders.wav2vec2_loading import configuration

        state = load_state(file, [Dictionary])
        cfg = configuration(state, file)
        settings = cfg["model"]
        dictionary = (state.get("task_state") or {}).get("target_dictionary")
        name = settings.get("_name")
        if name not in known.ctc_names() or dictionary is None or not settings.get("w2v_args"):
            raise PtselError(
                f"{file}: expected a checkpoint of one of the models {', '.join(known.ctc_names())} with its "
                f"dictionary, found the model {name!r}; fine-tune with configs/finetuning first"
            )
        kind = known.get_tuned(settings, str(file))
        encoder = kind.load_ctc({**state, "cfg": cfg}, file)
    labels = str(cfg["task"].get("labels", "ltr"))
    return CtcModel(
        encoder, _linear(encoder.output, file).to(device_of_models()), _symbols(dictionary, file), labels
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
    except PtselError:
        raise
    except ImportError as error:
        raise PtselError(
            f"{file}: reading a checkpoint's model needs fairseq ({error}); pip install 'ptsel_fairseq[fairseq]'"
        ) from None
    except Exception as error:  # whatever a configuration brings about that its encoder does not check
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise PtselError(
            f"{file}: no model can be built from this checkpoint ({reason}); it is damaged"
        ) from None
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers
