"""The label study: which score, computed before training, predicts what a label is worth?

    python examples/label_study/run.py --out FOLDER

Fetches free recordings, computes labels, trains small encoders on one label or group at a time, and judges each on
eleven tasks. Every row is written as soon as it is known; what is there is not done again, so that the same command
goes on after an interruption.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import torch
from corpora import prepare
from settings import RESULTS, SEEDS, Settings
from tiers import Study, baselines, models_of, run_tier, tier1, tier2

TIERS = ("prepare", "baselines", "1", "2")


def main() -> None:
    settings = parse()
    torch.set_num_threads(1)
    if "prepare" in settings.tiers:
        prepare(settings)
    study = Study(settings)
    if "baselines" in settings.tiers:
        run_tier(study, study.table("baselines"), baselines(study))
    first, *others = settings.seeds
    if "2" in settings.tiers:  # single labels before anything else
        early = (m for m in models_of(study) if m.seed == first and m.kind not in ("group", "oracle"))
        run_tier(study, study.table("tier2"), tier2(study, early))
    if "1" in settings.tiers:
        run_tier(study, study.table("tier1"), tier1(study, first))
    if "2" in settings.tiers:
        run_tier(study, study.table("tier2"), tier2(study, models_of(study)))
    if "1" in settings.tiers:
        for seed in others:
            run_tier(study, study.table("tier1"), tier1(study, seed))


def parse() -> Settings:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of corpora, labels and logs")
    parser.add_argument("--results", type=Path, help=f"folder of the tables (default: {RESULTS})")
    parser.add_argument("--corpora", type=Path, help="where corpora are fetched to (default: OUT/corpora)")
    parser.add_argument("--tiers", nargs="+", choices=TIERS, default=list(TIERS))
    parser.add_argument("--seeds", type=int, default=len(SEEDS), metavar="N", help="how many (default 3)")
    parser.add_argument(
        "--tiny", action="store_true", help="a few recordings and updates: to see that all works"
    )
    options = parser.parse_args()
    out = options.out.resolve()
    return Settings(
        out=out,
        results=(options.results or (out / "results" if options.tiny else RESULTS)).resolve(),
        corpora=(options.corpora or out / "corpora").resolve(),
        tiers=tuple(options.tiers),
        seeds=tuple(range(1, options.seeds + 1)),
        tiny=options.tiny,
    )


if __name__ == "__main__":
    main()
