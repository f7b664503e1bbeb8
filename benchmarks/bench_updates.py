"""Updates of a recipe by fairseq, with seven labels and without: seconds an update, and whether labels are learned.

    python benchmarks/bench_updates.py [--model base|tiny] [--device cuda] [--updates 200] [--precision fp16]

Trains on the bundled speech, one after the other, with fairseq's own command, loading and logging included. Seconds an
update are those of the second half, by the clock.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from common import RECIPES, ROOT, SEVEN, Figure, add_every, bundled_manifests, finish, parse, parser_of
from trainings import train_to_the_end

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import write_text
from ptsel_fairseq.base.weights_file import write_into_recipe
from ptsel_fairseq.labels import extract
from ptsel_fairseq.runs import Run

MODELS = {"base": "wav2vec2_base_librispeech", "tiny": "tiny"}
PRECISIONS = ("fp16", "bf16", "amp", "fp32")
GOAL = 1.03


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    parser.add_argument("--model", choices=MODELS, default="base")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--updates", type=int, default=200)
    parser.add_argument("--precision", choices=PRECISIONS, help="default: fp16 on a GPU, fp32 on a CPU")
    parser.add_argument(
        "--tokens", type=int, default=1_400_000, help="samples of an update (default 1400000)"
    )
    parser.add_argument("--out", type=Path, help="folder of the runs (default: one that is removed)")
    add_every(parser)
    options = parse(parser, arguments, {"model": "tiny", "updates": 4, "tokens": 100_000, "every": 4})
    options.precision = options.precision or ("fp16" if options.device == "cuda" else "fp32")
    with tempfile.TemporaryDirectory() as folder:
        out = (options.out or Path(folder)).resolve()
        bundled_manifests(out / "data", options.every)
        for split in ("train", "valid"):
            extract(out / "data" / f"{split}.tsv", SEVEN, out / "store")
        runs = {labelled: train(options, out, labelled) for labelled in (False, True)}
    seconds = {labelled: seconds_an_update(run) for labelled, run in runs.items()}
    skills = [run.series("train_inner", f"skill_{label}")[1][-1] for label in SEVEN for run in [runs[True]]]
    for labelled, run in runs.items():
        loss = run.series("train_inner", "loss")[1]
        print(f"{'with' if labelled else 'without':8s} labels: {seconds[labelled]:.3f} s an update, ", end="")
        print(f"loss {loss[0]:.3f} -> {loss[-1]:.3f} bits")
    kind = f"{options.updates} updates of {options.model} in {options.precision}"
    return finish(
        options,
        [
            Figure(f"{kind}: seconds an update with labels", seconds[True]),
            Figure(f"{kind}: time with labels, over without", seconds[True] / seconds[False], GOAL, True),
            Figure(f"{kind}: mean skill of the labels at the end", float(np.mean(skills)), 0.0),
        ],
    )


def train(options: argparse.Namespace, out: Path, labelled: bool) -> Run:
    name = MODELS[options.model]
    run = out / ("labels" if labelled else "none")
    run.mkdir(parents=True)
    write_text(run / f"{name}.yaml", (RECIPES / f"{name}.yaml").read_text())
    if labelled:
        write_into_recipe(
            run / f"{name}.yaml", dict.fromkeys(SEVEN, 1 / len(SEVEN)), {"method": "equal weights"}
        )
    settings = {
        "task.data": out / "data",
        "task.store": out / "store",
        "task.min_sample_size": 16_000,
        "task.seed": 1,
        "common.user_dir": ROOT / "ptsel_fairseq",
        "common.log_interval": max(1, options.updates // 20),
        "checkpoint.no_save": "true",
        "dataset.max_tokens": options.tokens,
        "dataset.num_workers": 4 if options.device == "cuda" else 0,
        "dataset.disable_validation": "true",
        "distributed_training.distributed_world_size": 1,
        "lr_scheduler.warmup_updates": options.updates // 4,
        "optimization.max_update": options.updates,
        "optimization.update_freq": "[1]",
        **{f"common.{kind}": str(kind == options.precision).lower() for kind in PRECISIONS if kind != "fp32"},
        "common.cpu": str(options.device == "cpu").lower(),
    }
    # With ++ a setting is added, or takes the place of the recipe's.
    added = {f"++{key}": value for key, value in settings.items()}
    return train_to_the_end(run, run / f"{name}.yaml", added, options.updates)


def seconds_an_update(run: Run) -> float:
    """Of the second half of the updates, by the clock."""
    reports = [record for record in run.records if record.kind == "train_inner"]
    first, last = reports[len(reports) // 2 - 1], reports[-1]
    return (last.time - first.time).total_seconds() / (last.update - first.update)


if __name__ == "__main__":
    try:
        main()
    except PtselError as error:
        sys.exit(f"bench_updates: {error}")
