"""`ptsel estimate`: what a recipe needs, found by building its model and running one utterance through it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from json import dumps
from pathlib import Path
from typing import Any

import numpy as np
from fairseq import tasks
from fairseq.dataclass.initialize import add_defaults
from omegaconf import DictConfig, OmegaConf
from torch import nn

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.weights_file import join_weights, read_weights
from ptsel_fairseq.base.yaml_file import read_yaml
from ptsel_fairseq.labels import registry
from ptsel_fairseq.labels.store.reader import THIS_PACKAGE, LabelStore, Statistics
from ptsel_fairseq.plugin.encoders import encoder as known
from ptsel_fairseq.plugin.estimate.measuring import measure
from ptsel_fairseq.plugin.planning import plan

# numbers that an optimizer keeps for each parameter, in single precision
STATES = {"adam": 2, "adamax": 2, "adadelta": 2, "composite": 2, "adagrad": 1, "nag": 1}
BUFFER = 2**28  # parameters that fairseq's legacy_ddp gathers at once


@dataclass(frozen=True)
class Precision:
    """Bytes of each parameter: as the model holds it, its gradient, and what else the optimizer holds of it."""

    name: str
    weight: int
    gradient: int
    master: int


@dataclass(frozen=True)
class Estimate:
    """What one GPU holds and reads, in bytes unless said otherwise.

    Attributes:
        encoder, heads: parameters, frozen ones included.
        frozen: of them not trained.
        head_flops, encoder_flops: of a forward pass, per second of audio; training takes about three times as many.
        seconds: of audio in an update of all GPUs, at most.
        samples: of a batch on one GPU, at most; `crop` of its longest utterance.
        activations: what a forward pass of such a batch saves for the backward pass.
        audio, labels: read for a second of audio: 16-bit samples, and tracks with their masks.
    """

    encoder: int
    heads: int
    frozen: int
    head_flops: float
    encoder_flops: float
    precision: Precision
    weights: int
    gradients: int
    optimizer: int | None
    exchange: int
    activations: int
    samples: int
    crop: int
    gpus: int
    accumulated: int
    seconds: float
    audio: int
    labels: int

    @property
    def memory(self) -> int:
        return self.weights + self.gradients + (self.optimizer or 0) + self.exchange + self.activations


class LabelsOfTheCatalogue:
    """Stands where a recipe's store is not at hand: a store without an utterance that holds every known label."""

    folder = "the catalogue of labels"
    num_utterances = 0

    @property
    def labels(self) -> list[str]:
        return registry.names()

    def info(self, label: str) -> Any:
        return registry.get(label)

    def statistics(self, label: str) -> Statistics:
        dim = registry.get(label).dim
        return Statistics(np.zeros(dim), np.ones(dim), 0)

    def software(self, label: str) -> str:
        return THIS_PACKAGE


def estimate_command(
    recipe: Path,
    overrides: Sequence[str],
    store: Path | None,
    weights: Path | None,
    json: bool = False,
) -> None:
    """Print what a recipe needs before anything is trained; with `json` the fields of `Estimate` and its memory.

    Raises PtselError for a recipe that cannot be read, or whose model cannot be built.
    """
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cfg = read_recipe(recipe, overrides, weights)
            labels = (
                LabelStore(store, cfg.task.statistics_split) if store is not None else LabelsOfTheCatalogue()
            )
            try:
                found = estimate(cfg, labels)
            except PtselError:
                raise
            except Exception as error:  # likewise
                reason = (str(error) or type(error).__name__).splitlines()[0]
                raise PtselError(f"{recipe}: no model can be built of the recipe ({reason})") from None
    finally:
        logging.disable(before)
    if json:
        print(dumps({**asdict(found), "memory": found.memory}, indent=1))
        return
    for line in report(found):
        print(line)


def read_recipe(recipe: Path, overrides: Sequence[str] = (), weights: Path | None = None) -> DictConfig:
    """A recipe with λ and overrides (``section.key=value``, as on fairseq's command line) and fairseq's defaults."""
    try:
        settings = read_yaml(recipe, "the recipe of a pretraining")
        if not isinstance(settings, dict):
            raise PtselError(f"{recipe}: expected the recipe of a pretraining, found no sections in it")
        cfg = OmegaConf.merge(
            OmegaConf.create(settings), OmegaConf.from_dotlist([word.lstrip("+") for word in overrides])
        )
        return _completed(cfg, recipe, weights)
    except PtselError:
        raise
    except Exception as error:  # hydra and fairseq raise what they come upon in settings of another type
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise PtselError(f"{recipe}: the recipe cannot be read ({reason})") from None


def _completed(cfg: DictConfig, recipe: Path, weights: Path | None) -> DictConfig:
    if weights is not None:
        cfg.criterion.pretext_weights, cfg.criterion.pretext_sum_to_one = read_weights(weights)
    for section in ("task", "model", "criterion", "optimizer", "optimization", "dataset"):
        if OmegaConf.select(cfg, section) is None:
            raise PtselError(f"{recipe}: expected the recipe of a pretraining, found no section {section}")
    if cfg.task.get("_name") != "ptsel_pretraining":
        raise PtselError(f"{recipe}: expected the task ptsel_pretraining, found {cfg.task.get('_name')!r}")
    known.get(cfg.model.get("_name"), str(recipe))
    cfg.task.data = cfg.task.store = "/"
    cfg.task.tpu, cfg.task.seed = False, 1
    add_defaults(cfg)
    return cfg


def estimate(cfg: DictConfig, labels: LabelStore | LabelsOfTheCatalogue) -> Estimate:
    """What training with a complete recipe needs, its labels described by a store or by the catalogue."""
    task, model = build(cfg, labels)
    heads = model.pretext_heads
    in_heads = _count(heads) if heads is not None else 0
    every = _count(model)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    precision = _precision(cfg.get("common") or {})
    batch, gpus = cfg.dataset, int(OmegaConf.select(cfg, "distributed_training.distributed_world_size") or 1)
    samples, crop = _batch(batch, cfg.task)
    accumulated = int((cfg.optimization.get("update_freq") or [1])[0])
    grid = task._grid
    saved, flops, head_flops = measure(model, crop, precision.name != "float32")
    read = [
        (1 if labels.info(label).codes else dim) * _itemsize(labels, label) + 1  # one byte for the mask
        for label, dim in zip(model.cfg.pretext_labels, model.cfg.pretext_dims, strict=True)
        if heads.settings[label].source == "store"
    ]
    states = STATES.get(cfg.optimizer.get("_name"))
    exchange = min(BUFFER, every) * precision.weight if gpus > 1 and _ddp(cfg) == "legacy_ddp" else 0
    seconds = crop / task.cfg.sample_rate
    return Estimate(
        encoder=every - in_heads,
        heads=in_heads,
        frozen=every - trained,
        head_flops=head_flops / seconds,
        encoder_flops=(flops - head_flops) / seconds,
        precision=precision,
        weights=every * precision.weight,
        gradients=trained * precision.gradient,
        optimizer=None if states is None else trained * (precision.master + 4 * states),
        exchange=exchange,
        activations=round(saved * samples / crop),
        samples=samples,
        crop=crop,
        gpus=gpus,
        accumulated=accumulated,
        seconds=samples * accumulated * gpus / task.cfg.sample_rate,
        audio=2 * task.cfg.sample_rate,
        labels=round(sum(read) * grid.frame_rate),
    )


def build(cfg: DictConfig, labels: LabelStore | LabelsOfTheCatalogue) -> tuple[Any, nn.Module]:
    """Task and model of a recipe, the heads as they will be."""
    criterion = cfg.criterion
    given, fixed = (
        {label: float(weight) for label, weight in (criterion.get(key) or {}).items()}
        for key in ("pretext_weights", "pretext_fixed_weights")
    )
    active = join_weights(given, fixed)
    encoder = known.get(cfg.model._name, "model._name")
    encoder.plan(cfg.model, criterion, cfg.task)
    plan(cfg.model, criterion, active, labels if active else None, seed=1)
    known.fill_in_input(cfg.model, encoder, labels, cfg.task.normalize)
    task = tasks.setup_task(cfg.task)
    return task, task.build_model(cfg.model, from_checkpoint=True)


def report(found: Estimate) -> list[str]:
    """The lines that `ptsel estimate` prints."""
    precision, update = found.precision, found.seconds
    states = "unknown for this optimizer" if found.optimizer is None else _bytes(found.optimizer)
    share = found.head_flops / (found.head_flops + found.encoder_flops)
    frozen = f", {_number(found.frozen)} of them not trained" if found.frozen else ""
    memory = [
        ("weights", _bytes(found.weights), precision.name),
        ("gradients", _bytes(found.gradients), ""),
        ("optimizer", states, "its states, and master weights in mixed precision"),
        ("exchange", _bytes(found.exchange), "buffer of legacy_ddp") if found.exchange else None,
        (
            "activations",
            _bytes(found.activations),
            f"saved by the forward pass of {found.samples / found.crop:.1f} utterances of {found.crop} samples, the "
            "largest batch; from one such utterance on a CPU",
        ),
        ("together", _bytes(found.memory), "and what the GPU's libraries take"),
    ]
    read = f"{_bytes(found.audio)} of audio (16-bit samples) and {_bytes(found.labels)} of labels"
    lines = [
        f"parameters   encoder {_number(found.encoder)}, heads {_number(found.heads)}{frozen}",
        f"computing    {found.encoder_flops / 1e9:.3g} GFLOP for a second of audio in a forward pass, heads "
        f"{found.head_flops / 1e9:.2g} GFLOP more ({100 * share:.2g} %); training takes about three times as much",
        "memory of one GPU",
        *(f"  {name:11s} {size:>8s}  {why}".rstrip() for name, size, why in filter(None, memory)),
        f"an update    {update:.0f} s of audio at most: {found.samples} samples x {found.accumulated} (update_freq) x "
        f"{found.gpus} {'GPU' if found.gpus == 1 else 'GPUs'}",
        f"reading      {read} for a second of audio; {_bytes((found.audio + found.labels) * update)} an update",
    ]
    if not found.heads:
        lines.append("no label has a positive weight, so this is without heads; give --weights")
    return lines


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _precision(common: Mapping[str, Any]) -> Precision:
    kind = "float16" if common.get("fp16") else "bfloat16" if common.get("bf16") else ""
    if not kind or common.get("amp"):
        return Precision("float32", 4, 4, 0)
    if common.get("memory_efficient_fp16") or common.get("memory_efficient_bf16"):
        return Precision(kind, 2, 2, 0)
    return Precision(kind, 2, 2, 8)  # weights and gradients once more, in float32


def _ddp(cfg: DictConfig) -> str:
    return str(OmegaConf.select(cfg, "distributed_training.ddp_backend") or "pytorch_ddp")


def _batch(dataset: Any, task: Any) -> tuple[int, int]:
    """Samples of the largest batch of one GPU, and of its longest utterance."""
    longest, tokens, utterances = (
        task.get("max_sample_size"),
        dataset.get("max_tokens"),
        dataset.get("batch_size"),
    )
    if longest is None and tokens is None:
        raise PtselError(
            "task.max_sample_size: expected the longest crop in samples, or dataset.max_tokens the samples of a batch, "
            "found neither; without them a batch has no largest size"
        )
    crop = min(longest or tokens, tokens or longest)
    if tokens is None and utterances is None:
        raise PtselError("dataset: expected max_tokens (samples) or batch_size (utterances), found neither")
    samples = min(tokens or utterances * crop, (utterances or tokens) * crop)
    return int(samples), int(crop)


def _itemsize(labels: LabelStore | LabelsOfTheCatalogue, label: str) -> int:
    return labels.itemsize(label) if isinstance(labels, LabelStore) else 4


def _number(count: int) -> str:
    return f"{count / 1e6:.2f} M" if count >= 100_000 else str(count)


def _bytes(number: float) -> str:
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} GB"
