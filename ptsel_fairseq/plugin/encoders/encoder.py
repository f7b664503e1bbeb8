"""What an encoder is to the rest of the package, and the encoders that are known by name.

Planning, `ptsel estimate`, `ptsel export` and the loaders behind `ptsel probe`, `decode` and `align` ask the object
that is registered here for the model of a recipe or a checkpoint; none of them names an encoder itself.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from ptsel_fairseq.base.device import device_of_models
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.extensions import Registry
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels.store.reader import LabelStore


@dataclass(frozen=True)
class Frozen:
    """An encoder whose weights no longer change.

    Attributes:
        states: waveforms [1, samples] -> float32 [layers, frames, dim], one layer or several.
        grid: of the frames.
        normalize: whether waveforms are brought to mean 0 and variance 1 before it hears them.
    """

    states: Callable[[Tensor], Tensor]
    grid: FrameGrid
    normalize: bool = False

    def hidden_states(self, waveform: np.ndarray) -> np.ndarray:
        """float32 [layers, frames, dim] of one waveform, float32 [samples]."""
        with torch.no_grad():
            return self.states(source(waveform, self.normalize)).cpu().numpy()


@dataclass(frozen=True)
class FineTuned:
    """An encoder that was fine-tuned for CTC.

    Attributes:
        frames: waveforms [1, samples] -> the frames that its output layer reads, [1, frames, dim].
        output: weights of that layer: ``weight`` [symbols, dim] and ``bias`` [symbols].
        grid, normalize: as of `Frozen`.
        blank_weight: added to the logit of the blank.
    """

    frames: Callable[[Tensor], Tensor]
    output: Mapping[str, Tensor]
    grid: FrameGrid
    normalize: bool = False
    blank_weight: float = 0.0


class Encoder(ABC):
    """One kind of encoder.

    Attributes:
        name: of its pretraining model in fairseq, in recipes ``model._name``.
        other_names: of pretraining models that are loaded as it is.
        ctc_names: of the models in which fairseq fine-tunes it for CTC.
        title: what it is, in a line of documentation or of a message.
    """

    name: str
    other_names: tuple[str, ...] = ()
    ctc_names: tuple[str, ...]
    title: str

    def grid(self, settings: Mapping[str, Any], sample_rate: int) -> FrameGrid:
        """The frames of a model of these settings."""
        return FrameGrid(sample_rate=sample_rate)

    def hears(self, settings: Mapping[str, Any]) -> str | None:
        """The label that a model of these settings computes from the waveform as its input; None: the waveform."""
        return None

    def plan(self, model_cfg: Any, criterion_cfg: Any, task_cfg: Any) -> None:  # noqa: B027 (refuses nothing)
        """Raise PtselError for settings of a recipe that this encoder cannot be trained with.

        It may fill in fields of ``model_cfg``, which the checkpoint keeps; it is called before the model is built.
        """

    @abstractmethod
    def no_export(self, settings: Mapping[str, Any]) -> str | None:
        """Why a model of these settings has no stock twin, and what to do instead; None: it can be exported."""

    @abstractmethod
    def load(self, state: Mapping[str, Any], file: Path) -> Frozen:
        """The encoder of a loaded pretraining checkpoint; raise PtselError for weights that do not fit it."""

    def is_tuned(self, settings: Mapping[str, Any]) -> bool:
        """Whether the settings of a model of `ctc_names` are of this encoder."""
        return settings.get("_name") in self.ctc_names

    @abstractmethod
    def load_ctc(self, state: Mapping[str, Any], file: Path) -> FineTuned:
        """The encoder and output layer of a loaded CTC checkpoint; raise PtselError likewise."""


ENCODERS: Registry[Encoder] = Registry("encoder", "encoders", "ptsel_fairseq.encoders")


def ctc_names() -> list[str]:
    """The models in which encoders are fine-tuned for CTC, sorted."""
    return sorted({name for encoder in ENCODERS.all() for name in encoder.ctc_names})


def find(model: str | None) -> Encoder | None:
    """The encoder of a pretraining model, None if there is none of this name."""
    return next(
        (encoder for encoder in ENCODERS.all() if model in (encoder.name, *encoder.other_names)), None
    )


def get(model: str | None, where: str) -> Encoder:
    """As `find`; raise PtselError that begins with `where` if there is none."""
    found = find(model)
    if found is None:
        raise PtselError(
            f"{where}: expected one of the models {', '.join(ENCODERS.names())}, found {model!r}; for an encoder of "
            "your own give the file that registers it (--plugin FILE.py, in training common.user_dir)"
        )
    return found


def get_tuned(settings: Mapping[str, Any], where: str) -> Encoder:
    """The encoder of a fine-tuned model's settings; raise PtselError that begins with `where` if none is known."""
    for encoder in ENCODERS.all():
        if encoder.is_tuned(settings):
            return encoder
    return get(json.loads(settings["w2v_args"]).get("_name"), where)  # says which there are


def fill_in_input(model_cfg: Any, encoder: Encoder, store: LabelStore | None, normalize: bool) -> None:
    """Give a model that hears a label its mean and standard deviation over the training split.

    Args:
        model_cfg: its fields ``input_mean`` and ``input_std`` are filled in.
        store: of the split whose statistics they are; None where the recipe has none.
        normalize: whether waveforms are normalised, which the statistics are not of.

    Raises:
        PtselError: waveforms that are normalised, no store, or one without the label.
    """
    from omegaconf import open_dict

    label = encoder.hears(model_cfg)
    if label is None:
        return
    what = " with model.frontend: ".join(filter(None, [encoder.name, model_cfg.get("frontend")]))
    if normalize:
        raise PtselError(
            f"task.normalize: {what} standardises its input {label} by the store's statistics, which are of the "
            "audio as it is; set it to false"
        )
    if store is None:
        raise PtselError(
            f"task.store: expected a label store that holds {label}, by whose statistics {what} standardises its "
            f"input, found nothing; make one with `ptsel extract --labels {label}`"
        )
    if label not in store.labels:
        raise PtselError(
            f"{store.folder}: {what} standardises its input by the statistics of the label {label}, which this store "
            f"lacks; add it with `ptsel extract --labels {label}`"
        )
    statistics = store.statistics(label)
    with open_dict(model_cfg):
        model_cfg.input_mean = statistics.mean.tolist()
        model_cfg.input_std = np.where(statistics.std > 0, statistics.std, 1.0).tolist()


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], file: Path) -> None:
    """Load all weights and stop dropout and masking; raise PtselError if they are of another model."""
    try:
        model.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise PtselError(f"{file}: the weights do not fit the configuration beside them ({error})") from None
    model.eval()


def part_of(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The weights whose names begin with the prefix, without it."""
    return {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}


def source(waveform: np.ndarray, normalize: bool) -> Tensor:
    """What a model is given: a batch of one, scaled as in training, where models compute."""
    batch = torch.from_numpy(waveform)[None].to(device_of_models())
    return layer_norm(batch, batch.shape) if normalize else batch
