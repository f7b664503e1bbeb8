"""The grid of design choices in multitask pretraining on music: encoder, weighting of the losses, workers.

    python examples/music_multitask/run.py --out FOLDER

Fetches free recordings, computes labels, trains small encoders by pretext labels alone, judges each by linear probes on
six tasks, and fits a plain linear model over the grid. Every row is written as soon as it is known; what is there is
not done again, so that the same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where study_tools is
sys.path.insert(0, str(Path(__file__).resolve().parent))

import torch
from conclude import conclude
from corpora import prepare
from design import longer, plan
from grid import baselines, grid
from settings import LONGER, NONE, PAGE, RESULTS, SEEDS, Settings
from study_tools.tables import read
from tasks import Data

STAGES = {
    "prepare": "fetch the corpora, compute every label",
    "baselines": "probes on labels without an encoder",
    "grid": "train and judge the encoders",
    "longer": "some of them again, trained eight times as long",
    "conclude": "linear model, tables and pictures",
}
SECONDS = 8.0  # of CPU time, of a training with its probes, where no row says it better


def main() -> None:
    settings, page = parse()
    torch.set_num_threads(1)
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    logging.getLogger("fairseq").setLevel(logging.WARNING)
    trainings = list(plan(settings))
    if "grid" in settings.stages:
        print(cost(settings, trainings), flush=True)
    if "prepare" in settings.stages:
        prepare(settings)
    data = Data(settings)
    if "baselines" in settings.stages:
        baselines(data)
    if "grid" in settings.stages:
        grid(data, trainings)
    if "longer" in settings.stages:
        grid(data, longer(settings), LONGER)
    if "conclude" in settings.stages:
        conclude(settings, page)


def cost(settings: Settings, trainings: list) -> str:
    """What the grid will take, before it begins."""
    file = settings.results / "grid.csv"
    rows = read(file) if file.is_file() else []
    there = {(row["encoder"], row["weighting"], row["workers"], row["seed"], row["task"]) for row in rows}
    lacking = [
        training
        for training in trainings
        if any((*map(str, training.row.values()), task) not in there for task in training.tasks)
    ]
    number = sum(training.cell.weighting != NONE for training in lacking)
    seconds = number * (1.0 if settings.tiny else SECONDS)
    limit = "" if settings.minutes is None else f"; stops after {settings.minutes:g} minutes"
    return (
        f"grid: {len(lacking)} of {len(trainings)} encoders lack rows, {number} of them to train; about "
        f"{seconds / 3600:.1f} core-hours{limit}"
    )


def parse() -> tuple[Settings, Path | None]:
    stages = "; ".join(f"{name}: {what}" for name, what in STAGES.items())
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], epilog=f"Stages: {stages}.")
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder of corpora, labels and logs")
    add("--results", type=Path, help=f"folder of the tables (default: {RESULTS})")
    add("--corpora", type=Path, help="where corpora are fetched to (default: OUT/corpora)")
    add(
        "--stages",
        nargs="+",
        choices=STAGES,
        default=list(STAGES),
        metavar="STAGE",
        help="which (default: all)",
    )
    add("--seeds", type=int, default=len(SEEDS), metavar="N", help=f"how many (default {len(SEEDS)})")
    add(
        "--minutes",
        type=float,
        metavar="N",
        help="stop each of `grid` and `longer` after so long, at the end of a training",
    )
    add("--page", type=Path, help=f"page whose tables are written (default: {PAGE})")
    add("--tiny", action="store_true", help="a few recordings and updates: to see that all works")
    options = parser.parse_args()
    if not 1 <= options.seeds <= len(SEEDS):
        parser.error(f"--seeds: expected 1 to {len(SEEDS)}, found {options.seeds}")
    if options.minutes is not None and not options.minutes > 0:
        parser.error(f"--minutes: expected a number above 0, found {options.minutes:g}")
    out = options.out.resolve()
    settings = Settings(
        out=out,
        results=(options.results or (out / "results" if options.tiny else RESULTS)).resolve(),
        stages=tuple(options.stages),
        corpora=(options.corpora or out / "corpora").resolve(),
        minutes=options.minutes,
        seeds=SEEDS[: options.seeds],
        tiny=options.tiny,
    )
    return settings, options.page or (None if options.tiny else PAGE)


if __name__ == "__main__":
    main()
