"""The pretraining task: fairseq's audio pretraining plus a label store, checked before training starts."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from fairseq.data.data_utils import numpy_seed
from fairseq.distributed import utils as distributed
from fairseq.tasks import register_task
from fairseq.tasks.audio_pretraining import AudioPretrainingConfig, AudioPretrainingTask
from omegaconf import OmegaConf

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.manifest import manifest_file, read_manifest
from ptsel_fairseq.base.weights_file import check_weights, join_weights
from ptsel_fairseq.heads.loss import LOSSES
from ptsel_fairseq.labels.crops import check_grid, check_split, standardisation
from ptsel_fairseq.labels.store.packing import pack_or_wait
from ptsel_fairseq.labels.store.reader import LabelStore
from ptsel_fairseq.plugin import preemption
from ptsel_fairseq.plugin.criterion import PtselWav2vecCriterion
from ptsel_fairseq.plugin.dataset import PtselDataset
from ptsel_fairseq.plugin.distortion import Distortion, check_distortion
from ptsel_fairseq.plugin.encoders import encoder as known
from ptsel_fairseq.plugin.health import CollapseWatch
from ptsel_fairseq.plugin.online import OnlineLabels
from ptsel_fairseq.plugin.planning import plan
from ptsel_fairseq.plugin.refusals import refuse_settings, refuse_what_cannot_be_aligned, train_split

logger = logging.getLogger(__name__)


@dataclass
class PtselPretrainingConfig(AudioPretrainingConfig):
    store: str = field(
        default="",
        metadata={"help": "absolute path of the label store that `ptsel extract` made from task.data"},
    )
    statistics_split: str = field(
        default="train",
        metadata={"help": "split whose mean and standard deviation standardise the labels of every split"},
    )
    pack: bool = field(
        default=False,
        metadata={
            "help": "before the first batch make a packed copy of the labels that the run reads, where the store has "
            "none: one read an utterance instead of one for each label (`ptsel extract --pack` makes it beforehand)"
        },
    )
    # Emptied when a checkpoint is loaded, and so off in fine-tuning, as fairseq empties all mappings.
    distortion: dict[str, Any] = field(
        default_factory=dict,
        metadata={
            "help": "distortions of the training audio, from which the clean labels are predicted, each with its "
            "probability, e.g. {noise: {probability: 0.4}}; see docs/training.md"
        },
    )


@register_task("ptsel_pretraining", dataclass=PtselPretrainingConfig)
class PtselPretrainingTask(AudioPretrainingTask):
    """Audio pretraining whose batches carry pretext labels.

    Files of the store are touched only when a run starts: fine-tuning rebuilds this task where they do not
    exist.
    """

    _labels: Sequence[str] = ()
    _grid = FrameGrid()
    _hears_bands = False
    _raw_labels: Collection[str] = ()
    _train_split = "train"
    _online_labels: Collection[str] = ()
    _online: OnlineLabels | None = None
    _judged: tuple[object, dict[str, float]] = (None, {})
    collapse_watch: CollapseWatch | None = None  # there is nothing to watch without a quantiser

    def build_model(self, model_cfg, from_checkpoint: bool = False):
        if not from_checkpoint:
            with one_line_errors():
                self._check_data_folder()
                refuse_settings(model_cfg)
                self._train_split = train_split(model_cfg)
                self._plan(model_cfg)
                self._prepare_to_be_stopped(model_cfg)
        model = super().build_model(model_cfg, from_checkpoint)
        self._grid = self._grid_of(model.cfg)
        self._hears_bands = len(model.cfg.get("input_mean") or []) > 0
        self._labels = list(getattr(model.cfg, "pretext_labels", None) or [])
        if not model.pretext_only:
            self.collapse_watch = CollapseWatch(model.cfg.latent_groups, model.cfg.latent_vars)
        heads = model.pretext_heads.settings if getattr(model, "pretext_heads", None) is not None else {}
        coded = [label for label, head in heads.items() if LOSSES.get(head.loss).of_codes]
        self._raw_labels = model.pretext_heads.raw_labels if heads else set()
        if coded and not from_checkpoint:
            store = self._open_store(self.cfg.statistics_split)
            model.pretext_heads.set_code_counts({label: store.statistics(label).counts for label in coded})
        self._online_labels = {label for label, head in heads.items() if head.source == "online"}
        return model

    def build_criterion(self, cfg, from_checkpoint: bool = False):
        with one_line_errors():
            return super().build_criterion(cfg, from_checkpoint)

    def active_weights(
        self,
        weights: Mapping[str, float],
        sum_to_one: bool,
        fixed: Mapping[str, float] | None = None,
    ) -> dict[str, float]:
        """The positive weights of a recipe by label, sorted, λ and fixed ones; PtselError if they cannot be used."""
        weights = {label: float(weight) for label, weight in weights.items()}
        fixed = {label: float(weight) for label, weight in (fixed or {}).items()}
        asked = (weights, sum_to_one, fixed)
        if self._judged[0] == asked:  # the criterion asks again what the model was built for
            return self._judged[1]
        active = join_weights(weights, fixed)
        if active and not self.cfg.store:
            raise PtselError(
                f"task.store: expected the label store that holds {', '.join(active)}, found nothing; give the folder "
                "that `ptsel extract --store` wrote, as an absolute path"
            )
        known = (
            self._open_store(self.cfg.statistics_split).labels
            if (weights or fixed) and self.cfg.store
            else ()
        )
        if self.cfg.store or active:
            check_weights(weights, known, sum_to_one)
            check_weights(fixed, known, sum_to_one=False, setting="pretext_fixed_weights")
        self._judged = asked, active
        return active

    def load_dataset(self, split: str, task_cfg=None, **kwargs) -> None:
        with one_line_errors():
            refuse_what_cannot_be_aligned(task_cfg or self.cfg)
            manifest = read_manifest(manifest_file(self.cfg.data, split))
            super().load_dataset(split, task_cfg=task_cfg, **kwargs)
            if not len(self.datasets[split]):
                raise PtselError(
                    f"{manifest.file}: none of its {len(manifest)} utterances is as long as task.min_sample_size, "
                    f"{(task_cfg or self.cfg).min_sample_size} samples; set it lower"
                )
            store, scaling = None, {}
            if self._labels:
                statistics = self._open_store(self.cfg.statistics_split)
                scaling = standardisation(statistics, self._labels, self._raw_labels)
                if len(self._online_labels) < len(self._labels):
                    store = statistics if split == self.cfg.statistics_split else self._open_store(split)
                    check_split(store, manifest)
                    if self.cfg.get("pack"):
                        pack_or_wait(store, sorted(set(self._labels) - set(self._online_labels)))
            if self._online_labels:
                self._online = OnlineLabels(scaling, self._online_labels, self._grid)
            distortion = None
            settings = check_distortion(self._distortion_settings())
            if settings and split == self._train_split:
                distortion = Distortion(settings, self.cfg.sample_rate)
            dataset = PtselDataset(
                self.datasets[split],
                manifest,
                self._grid,
                store,
                scaling,
                self.cfg.seed,
                distortion,
                self._online_labels,
                self._hears_bands,
            )
            dataset.audio.root_dir = str(manifest.root)
            self.datasets[split] = dataset

    def _distortion_settings(self) -> dict:
        block = self.cfg.get("distortion") or {}
        return OmegaConf.to_container(block) if OmegaConf.is_config(block) else dict(block)

    def train_step(self, sample, model, criterion, optimizer, update_num, ignore_grad=False, **kwargs):
        if isinstance(criterion, PtselWav2vecCriterion):
            criterion.set_num_updates(update_num)
        if ignore_grad:  # a worker that ran out of data repeats a batch; it counts for nothing
            sample = {**sample, "dummy": True}
        self.fill_online(sample)
        with numpy_seed(sample["mask_seed"]):
            return super().train_step(sample, model, criterion, optimizer, update_num, ignore_grad, **kwargs)

    def optimizer_step(self, optimizer, model, update_num):
        super().optimizer_step(optimizer, model, update_num)
        balancing = getattr(model, "pretext_balancing", None)
        if balancing is not None:
            balancing.end_update(_sum_over_workers)

    def reduce_metrics(self, logging_outputs, criterion) -> None:
        super().reduce_metrics(logging_outputs, criterion)
        if criterion.training and self.collapse_watch is not None:
            self.collapse_watch.look(logging_outputs)

    def valid_step(self, sample, model, criterion, **kwargs):
        self.fill_online(sample)
        torch.manual_seed(sample["mask_seed"])  # the trainer seeds torch anew before each update
        with numpy_seed(sample["mask_seed"]):
            return super().valid_step(sample, model, criterion, **kwargs)

    def fill_online(self, sample) -> None:
        """Compute the labels that the batch leaves to the device, if there are any."""
        if self._online is not None:
            self._online.fill(sample)

    def _check_data_folder(self) -> None:
        if not Path(self.cfg.data).is_dir():
            raise PtselError(
                "task.data: expected the folder with train.tsv and valid.tsv as an absolute path, found "
                f"{self.cfg.data!r}"
            )

    def _plan(self, model_cfg) -> None:
        """Write what the criterion's section asks of the model into the model's own, which checkpoints keep."""
        criterion_cfg = OmegaConf.select(model_cfg, "..criterion") if OmegaConf.is_config(model_cfg) else None
        if criterion_cfg is None or "pretext_weights" not in criterion_cfg:
            return
        active = self.active_weights(
            criterion_cfg.pretext_weights or {},
            criterion_cfg.pretext_sum_to_one,
            criterion_cfg.get("pretext_fixed_weights") or {},
        )
        encoder = known.get(model_cfg.get("_name"), "model._name")
        encoder.plan(model_cfg, criterion_cfg, self.cfg)
        # The statistics of its input are needed without labels too.
        needed = active or (encoder.hears(model_cfg) and self.cfg.store)
        store = self._open_store(self.cfg.statistics_split) if needed else None
        if store is not None:
            check_grid(store, self._grid_of(model_cfg))
        plan(model_cfg, criterion_cfg, active, store if active else None, self.cfg.seed)
        known.fill_in_input(model_cfg, encoder, store, self.cfg.normalize)

    @staticmethod
    def _prepare_to_be_stopped(model_cfg) -> None:
        if not OmegaConf.is_config(model_cfg):
            return
        checkpoint_cfg = OmegaConf.select(model_cfg, "..checkpoint")
        if checkpoint_cfg is not None and "save_dir" in checkpoint_cfg:
            preemption.mend_last_checkpoint(Path(checkpoint_cfg.save_dir))
            preemption.watch_for_signals()

    def _grid_of(self, model_cfg) -> FrameGrid:
        encoder = known.get(model_cfg.get("_name"), "model._name")
        return encoder.grid(model_cfg, self.cfg.sample_rate)

    def _open_store(self, split: str) -> LabelStore:
        if not Path(self.cfg.store).is_absolute():
            raise PtselError(
                f"task.store: expected an absolute path, found {self.cfg.store!r}; fairseq changes the working folder "
                "before it trains"
            )
        return LabelStore(self.cfg.store, split)


def _sum_over_workers(values: torch.Tensor) -> torch.Tensor:
    if distributed.get_data_parallel_world_size() > 1:
        distributed.all_reduce(values, distributed.get_data_parallel_group())
    return values


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Under fairseq's command line, end with the message and exit code 2 instead of a traceback."""
    try:
        yield
    except PtselError as error:
        from hydra.core.hydra_config import HydraConfig

        if not HydraConfig.initialized():
            raise
        logger.error("%s", error)
        raise SystemExit(2) from None
