"""Settings of fairseq with which this plugin does not run, each refused with what to do instead."""

from __future__ import annotations

from typing import Any

from omegaconf import OmegaConf

from ptsel_fairseq.base.errors import PtselError

OF_THE_TASK = {
    "binarized_dataset": "binarized manifests do not tell which utterance a line is; use a .tsv manifest",
    "multi_corpus_keys": "several corpora in one run; write one manifest for all of them",
    "num_batch_buckets": "buckets pad the audio after the labels are cut; set it to 0",
    "tpu": "TPUs, on which fairseq's audio pretraining does not run; use GPUs or a CPU",
    "precompute_mask_config": "masks made by the dataset; leave it out",
}


def refuse_what_cannot_be_aligned(task_cfg: Any) -> None:
    """Raise PtselError for a setting of the task's section that cannot be used."""
    for key, reason in OF_THE_TASK.items():
        if task_cfg.get(key):
            raise PtselError(f"task.{key}: {task_cfg.get(key)} is not supported: {reason}")


def refuse_settings(model_cfg: Any) -> None:
    """Raise PtselError for a setting beside the model's section that cannot be used, before anything is built."""
    if not OmegaConf.is_config(model_cfg):
        return
    if OmegaConf.select(model_cfg, "..common.tpu"):
        raise PtselError(f"common.tpu: True is not supported: {OF_THE_TASK['tpu']}")
    backend = OmegaConf.select(model_cfg, "..distributed_training.ddp_backend")
    if backend == "fully_sharded":
        raise PtselError(
            "distributed_training.ddp_backend: fully_sharded is not supported: fairseq's needs fairscale, which is no "
            "longer developed, and its flattened parameters lose the group `pretext`; use legacy_ddp, and for less "
            "memory common.memory_efficient_fp16=true or model.checkpoint_activations=true"
        )


def train_split(model_cfg: Any) -> str:
    """The split that fairseq trains on, whatever it is called."""
    found = OmegaConf.select(model_cfg, "..dataset.train_subset") if OmegaConf.is_config(model_cfg) else None
    return found or "train"
