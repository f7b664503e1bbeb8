"""The label study: which score, computed before training, predicts what a label is worth?

    python examples/label_study/run.py --out FOLDER

Fetches free recordings, computes labels, scores them for eleven tasks, trains small encoders on one label or group at a
time, judges each by two heads on every task, and draws the conclusions. Every row is written as soon as it is known;
what is there is not done again, so that the same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where study_tools is
sys.path.insert(0, str(Path(__file__).resolve().parent))

import torch
from conclude import PAGE, conclude
from corpora import prepare
from models import plan
from settings import RESULTS, SEEDS, TASKS, Settings
from tiers import Study, baselines, run_tier, tier1, tier2, tier2_joined

STAGES = {
    "prepare": "fetch the corpora, align, compute every label: 0.3 GB, 10 minutes",
    "baselines": "heads on front ends without an encoder: 5 minutes",
    "scores": "what every estimator says, and the λ of every way: minutes",
    "1": "closed form: 20 minutes",
    "2": "trained encoders: 7 s each, about 700 of them",
    "3": "wav2vec 2.0 with contrastive loss: 2 minutes each, 48 of them",
    "conclude": "tables and pictures: a minute",
}


def main() -> None:
    settings, page = parse()
    torch.set_num_threads(1)
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    if "prepare" in settings.tiers:
        prepare(settings)
    study = Study(settings)
    if "baselines" in settings.tiers:
        run_tier(study, study.table("baselines"), baselines(study))
    if "scores" in settings.tiers:
        from scores import TrainingPart, score_all
        from ways import FIRST_WAYS, WAY, choose, score_groups

        parts: dict[str, TrainingPart] = {}
        score_all(study, tuple(TASKS))
        choose(study, tuple(TASKS), parts, FIRST_WAYS)
        score_groups(study, tuple(TASKS), parts)
        choose(study, tuple(TASKS), parts, FIRST_WAYS if settings.tiny else tuple(WAY))
    if {"1", "2"} & set(settings.tiers):
        train(study)
    if "3" in settings.tiers:
        import tier3

        tier3.prepare(study)
        run_tier(study, study.table("tier3"), tier3.tier3(study))
    if "conclude" in settings.tiers:
        conclude(settings, page)


def train(study: Study) -> None:
    """Tiers 1 and 2, what matters most first."""
    from ways import chosen_models

    tiers, (first, *others) = study.settings.tiers, study.settings.seeds
    models = tuple(plan(study.settings, study.labels, tuple(chosen_models(study))))
    if "2" in tiers:
        early = [model for model in models if model.seed == first and model.kind not in ("group", "oracle")]
        run_tier(study, study.table("tier2"), tier2(study, early))
    if "1" in tiers:
        run_tier(study, study.table("tier1"), tier1(study, first))
    if "2" in tiers:
        run_tier(study, study.table("tier2"), tier2(study, models))
        run_tier(study, study.table("tier2"), tier2_joined(study, models))
    for seed in others if "1" in tiers else ():
        run_tier(study, study.table("tier1"), tier1(study, seed))


def parse() -> tuple[Settings, Path | None]:
    stages = "; ".join(f"{name}: {what}" for name, what in STAGES.items())
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], epilog=f"Stages, on one core: {stages}."
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of corpora, labels and logs")
    parser.add_argument("--results", type=Path, help=f"folder of the tables (default: {RESULTS})")
    parser.add_argument("--corpora", type=Path, help="where corpora are fetched to (default: OUT/corpora)")
    parser.add_argument("--tiers", nargs="+", choices=STAGES, default=[name for name in STAGES if name != "3"],
                        metavar="STAGE", help="which stages (default: all but 3)")  # fmt: skip
    parser.add_argument("--seeds", type=int, default=len(SEEDS), metavar="N", help="how many (default 3)")
    parser.add_argument("--page", type=Path, help=f"page whose tables are written (default: {PAGE})")
    parser.add_argument(
        "--tiny", action="store_true", help="a few recordings and updates: to see that all works"
    )
    options = parser.parse_args()
    if not 1 <= options.seeds <= len(SEEDS):
        parser.error(f"--seeds: expected 1 to {len(SEEDS)}, found {options.seeds}")
    out = options.out.resolve()
    settings = Settings(
        out=out,
        results=(options.results or (out / "results" if options.tiny else RESULTS)).resolve(),
        corpora=(options.corpora or out / "corpora").resolve(),
        tiers=tuple(options.tiers),
        seeds=SEEDS[: options.seeds],
        tiny=options.tiny,
    )
    return settings, options.page or (None if options.tiny else PAGE)


if __name__ == "__main__":
    main()
