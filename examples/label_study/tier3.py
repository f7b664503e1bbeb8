"""Tier 3: wav2vec 2.0 with contrastive loss on log-mel bands, trained by fairseq with the plugin, λ from every way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import yaml
from models import random_groups
from outcomes import Scores, best_by_relevance
from settings import HERE, PAPERS_WAY, SEEDS, TIER3_DEFAULT, TIER3_TASKS, TIER3_UPDATES, Settings
from study_tools.fetched import draw, ptsel
from study_tools.points import Points
from study_tools.tables import read
from tiers import Judged, Study

from ptsel_fairseq.base.audio import read_whole_audio
from ptsel_fairseq.base.files import write_text
from ptsel_fairseq.base.grid import SAMPLE_RATE
from ptsel_fairseq.base.manifest import read_manifest

ROOT = HERE.parents[1]
RECIPE = ROOT / "configs" / "pretraining" / "tiny_filterbank.yaml"
VALID_SHARE = 0.05
POOL = "speech"


@dataclass(frozen=True)
class Contrastive:
    """A wav2vec 2.0 to train: λ sum to one, or there are none."""

    name: str
    seed: int
    weights: dict[str, float]
    tasks: tuple[str, ...]


def plan(study: Study) -> Iterator[Contrastive]:
    """Every way to λ of the first seed, then of the others; what several tasks share is trained once."""
    ways: dict[tuple[str, str], dict[str, float]] = {}
    file = study.settings.results / "ways.csv"
    for row in read(file) if file.is_file() else ():
        ways.setdefault((row["task"], row["way"]), {})[row["label"]] = float(row["weight"])
    scores = Scores.of(study.settings.results / "scores.csv")
    labels = study.labels
    shared = {
        "none": {},
        "equal": {label: 1 / len(labels) for label in labels},
        "random": dict(random_groups(labels, POOL, 1, SEEDS[0])[0].weights),
    }
    for seed in study.settings.seeds:
        for name, weights in shared.items():
            yield Contrastive(name, seed, weights, TIER3_TASKS)
        for task in TIER3_TASKS:
            for way in (PAPERS_WAY, "cka_direct", TIER3_DEFAULT):
                if (task, way) in ways:
                    yield Contrastive(f"{way}_{task}", seed, ways[task, way], (task,))
            best = best_by_relevance(scores, task)
            if best:
                yield Contrastive(f"single_{best}", seed, {best: 1.0}, (task,))


def prepare(study: Study) -> None:
    """Manifests of the pool's training part, and the store of their labels."""
    pool, settings = study.pool(POOL), study.settings
    data = settings.out / "data" / "tier3"
    rows: dict[str, list[str]] = {"train": [], "valid": []}
    for path, samples, test in zip(pool.paths, pool.samples, pool.test, strict=True):
        if not test:
            split = "valid" if draw(f"tier 3 {path}") < VALID_SHARE else "train"
            rows[split].append(f"{path}\t{samples}")
    for split, lines in rows.items():
        file, text = data / f"{split}.tsv", "\n".join([str(settings.corpora), *sorted(lines)]) + "\n"
        if not file.is_file() or file.read_text() != text:
            write_text(file, text)
    ptsel(
        settings, "extract-tier3", "extract", data, "--labels", *settings.labels, "--store",
        settings.out / "store" / "tier3", "--dtype", "float16", "--jobs", 1,
    )  # fmt: skip


def train(settings: Settings, model: Contrastive) -> Path:
    """The checkpoint of a model; an interrupted training goes on from its last one."""
    run = settings.out / "tier3" / f"{model.name}-seed{model.seed}"
    checkpoint, done = run / "checkpoint_last.pt", run / "done.txt"
    if done.is_file():
        return checkpoint
    recipe = yaml.safe_load(RECIPE.read_text())
    recipe["criterion"]["pretext_weights"] = dict(model.weights)
    updates = 4 if settings.tiny else TIER3_UPDATES
    file = settings.out / "tier3" / "recipes" / f"{model.name}.yaml"
    write_text(file, yaml.safe_dump(recipe, sort_keys=False))
    command = [
        str(Path(sys.executable).parent / "fairseq-hydra-train"),
        *("--config-dir", str(file.parent), "--config-name", file.stem),
        f"task.data={settings.out / 'data' / 'tier3'}", f"task.store={settings.out / 'store' / 'tier3'}",
        f"common.user_dir={ROOT / 'ptsel_fairseq'}", f"common.seed={model.seed}", "dataset.num_workers=0",
        f"optimization.max_update={updates}", f"lr_scheduler.warmup_updates={max(1, updates // 10)}",
        "dataset.validate_interval_updates=1000", "checkpoint.save_interval_updates=500",
        f"checkpoint.save_dir={run}", f"hydra.run.dir={run}",
    ]  # fmt: skip
    log = settings.out / "logs" / f"tier3-{run.name}.log"
    with log.open("w") as output:
        code = subprocess.run(
            command, stdout=output, stderr=subprocess.STDOUT,
            env={"OMP_NUM_THREADS": "1", **os.environ, "PYTHONWARNINGS": "ignore"},
        ).returncode  # fmt: skip
    if code or not checkpoint.is_file():
        sys.exit(
            f"{log.read_text(errors='replace')[-3000:]}\n{run.name}: training failed; whole output: {log}"
        )
    write_text(done, f"{updates} updates\n")
    return checkpoint


@dataclass
class Trained:
    """The layers of one trained model on the recordings of its tasks, the mean of all layers as features."""

    study: Study
    model: Contrastive

    @cached_property
    def frames(self) -> np.ndarray:
        """float32 [frames of the pool's stream, dim]; zeros in recordings without a point."""
        from ptsel_fairseq.downstream.features.wav2vec import load_encoder

        pool = self.study.pool(POOL)
        encoder = load_encoder(train(self.study.settings, self.model))
        manifest = read_manifest(self.study.settings.out / "data" / POOL / "pool.tsv")
        used = sorted({int(u) for task in self.model.tasks for u in self.study.points[task].utterance})
        found = np.zeros((pool.total, 0), np.float32)
        for number in used:
            utterance = manifest.utterances[int(pool.lines[number])]
            audio = read_whole_audio(
                manifest.audio_path(utterance), SAMPLE_RATE, utterance.samples, manifest.where(utterance)
            )
            states = encoder.hidden_states(audio).mean(axis=0)
            if not found.shape[1]:
                found = np.zeros((pool.total, states.shape[1]), np.float32)
            found[pool.first[number] : pool.first[number] + len(states)] = states
        return found

    def vectors(self) -> Callable[[Points], np.ndarray]:
        frames = self.frames
        return lambda points: points.summarise(frames)


def tier3(study: Study) -> Iterator[Judged]:
    """Features of every model for its tasks."""
    for model in plan(study):
        row = {"tier": "3", "pool": POOL, "kind": "contrastive", "model": model.name, "seed": model.seed}
        yield Judged({**row, "features": "encoder"}, Trained(study, model).vectors, tasks=model.tasks)
