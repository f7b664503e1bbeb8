"""What a run is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tasks import Task

LABELS = ("zaiem_speech",)
# How `ptsel select` is asked for each λ; `none` is wav2vec 2.0 as it is.
METHODS: dict[str, tuple[str, ...]] = {
    "none": (),
    "sparsemax": ("--method", "group", "--projection", "sparsemax", "--no-screening"),
    "softmax": ("--method", "group", "--projection", "softmax", "--no-screening"),
    "direct": ("--method", "direct", "--no-screening"),
    "naive": ("--method", "naive"),
    "mrmr": ("--method", "mrmr"),
    "rfe": ("--method", "rfe"),
    "all": ("--method", "all"),
}
CHOSEN = "sparsemax"  # whose difference from every other system is tested
BASELINES = ("mfcc", "log_mel")  # front ends without a model
RECOGNISER_SIZE = 128  # states of the BLSTM that recognises from them, in each direction
TINY_MINUTES, TINY_UTTERANCES = 1.0, 40  # of each part of a pool; of each split of a task


@dataclass(frozen=True)
class Settings:
    """What a run is asked for, and where it puts things.

    Attributes:
        corpora: where corpora are, or are fetched to.
        seeds: of pretraining and of what follows it.
        updates, finetune_updates: of each training.
        tiny: little data.
        jobs: trainings at a time.
    """

    out: Path
    corpora: Path
    tasks: tuple[Task, ...]
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    estimator: str
    updates: int
    finetune_updates: int
    tiny: bool
    jobs: int
    gpu: bool
    only_costs: bool

    def data(self, name: str) -> Path:
        """The manifests of a pool or a task."""
        return self.out / "data" / name

    def recipe(self, task: Task, method: str) -> Path:
        return self.out / "recipes" / f"{task.name}-{method}.yaml"

    @property
    def device(self) -> tuple[str, ...]:
        """fairseq's settings of the device."""
        return ("common.cpu=false", "common.fp16=true") if self.gpu else ()
