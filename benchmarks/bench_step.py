"""What pretext heads add to a training step: the plugin with seven labels against the same without, in one run.

    OMP_NUM_THREADS=1 python benchmarks/bench_step.py [--model base|tiny] [--rounds 7]

Forward, backward and update of wav2vec 2.0 on one real batch, alternating between both; prints the median times, their
ratio, and the share of parameters that the heads hold. `base` has the shapes of BASE, on a smaller batch.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from fairseq import tasks
from fairseq.dataclass.initialize import add_defaults
from omegaconf import OmegaConf

import ptsel_fairseq.plugin  # noqa: F401  (registers the classes)
from ptsel_fairseq.labels.extract import extract
from ptsel_fairseq.make_manifest import rewrite_manifests
from ptsel_fairseq.manifest import read_manifest

ROOT = Path(__file__).resolve().parent.parent
LABELS = ["alpha_ratio", "f0", "log_hnr", "loudness", "rasta_l1", "voicing", "zcr"]
RECIPES = {"base": "wav2vec2_base_librispeech", "tiny": "tiny"}
BATCH = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", choices=RECIPES, default="base")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data, store = Path(folder) / "data", Path(folder) / "store"
        rewrite_manifests(ROOT / "examples" / "asterisk", data)
        extract(read_manifest(data / "train.tsv"), LABELS, store)
        contenders = {
            "no pretext labels": Step(options.model, data, store, {}),
            "seven pretext labels": Step(options.model, data, store, dict.fromkeys(LABELS, 1 / len(LABELS))),
        }
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(options.rounds + 1):  # the first round warms up
            for name, step in contenders.items():
                times[name].append(step.run())
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    plain, labelled = contenders.values()
    for name, seconds in medians.items():
        print(f"{name:20s} {seconds:8.3f} s a step")
    print(f"ratio of step times: {medians['seven pretext labels'] / medians['no pretext labels']:.3f}")
    print(f"ratio of parameters: {labelled.parameters / plain.parameters:.5f}")


class Step:
    """A model with its criterion and optimizer, and one batch to train on."""

    def __init__(self, model: str, data: Path, store: Path, weights: dict[str, float]) -> None:
        cfg = OmegaConf.load(ROOT / "configs" / "pretraining" / f"{RECIPES[model]}.yaml")
        cfg.task.data, cfg.task.store, cfg.task.tpu, cfg.task.seed = str(data), str(store), False, 1
        cfg.task.min_sample_size = 16_000
        cfg.criterion.pretext_weights = weights
        add_defaults(cfg)
        torch.manual_seed(0)
        task = tasks.setup_task(cfg.task)
        self.model = task.build_model(cfg.model).train()
        self.criterion = task.build_criterion(cfg.criterion)
        task.load_dataset("train")
        dataset = task.dataset("train")
        longest = dataset.ordered_indices()[:BATCH]
        self.batch = dataset.collater([dataset[int(i)] for i in longest])
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-5)
        self.parameters = sum(parameter.numel() for parameter in self.model.parameters())

    def run(self) -> float:
        torch.manual_seed(1)
        np.random.seed(1)
        started = time.perf_counter()
        self.optimizer.zero_grad()
        loss, sample_size, _ = self.criterion(self.model, self.batch)
        (loss / sample_size).backward()
        self.optimizer.step()
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
