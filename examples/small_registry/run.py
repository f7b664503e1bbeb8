"""Four downstream tasks on free recordings, from an empty folder to a table: does the choice of λ help?

    python examples/small_registry/run.py --out FOLDER            # every task, every method, three seeds
    python examples/small_registry/run.py --out FOLDER --tasks asr speaker --methods none sparsemax

Fetch, manifests, labels, scores, weights, pretraining, export, fine-tuning or probe, table. It says first what it will
cost, and does nothing again that was done from the same inputs: run the same command again after an interruption.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from costs import estimate
from settings import METHODS, Settings
from stages import compare, downstream, model_file, offline, pretrain
from tables import combine
from tasks import TASKS, corpora_of

from ptsel_fairseq.cli.failures import one_line_failures
from ptsel_fairseq.pipeline import Runner


def main() -> None:
    settings = parse()
    print(estimate(settings, corpora_of(settings.tasks)), flush=True)
    if settings.only_costs:
        return
    started = time.monotonic()
    with one_line_failures(lambda: False), Runner(settings.out, show=False, threads=1) as runner:
        run(runner, settings)
    before = sum(outcome.state == "done before" for outcome in runner.outcomes)
    minutes = (time.monotonic() - started) / 60
    print(
        f"\n{len(runner.outcomes)} steps, {before} of them done before, {minutes:.0f} minutes: {settings.out}"
    )


def run(runner: Runner, settings: Settings) -> None:
    offline(runner, settings)
    for seed in settings.seeds:  # seed by seed, so that an unfinished run has every system
        # Methods that found the same λ are one model, and tasks of one pool share it.
        models = {
            model_file(settings, task, method, seed): (task, method)
            for task in settings.tasks
            for method in settings.methods
        }
        runner.at_once(
            settings.jobs, (partial(pretrain, runner, settings, *of, seed) for of in models.values())
        )
        tested = {
            (task.name, model_file(settings, task, method, seed)): task
            for task in settings.tasks
            for method in settings.methods
        }
        runner.at_once(
            settings.jobs,
            (partial(downstream, runner, settings, task, model, seed) for (_, model), task in tested.items()),
        )
    for task in settings.tasks:
        compare(runner, settings, task)
    combine(settings)


def parse() -> Settings:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of everything it makes")
    parser.add_argument("--corpora", type=Path, help="where corpora are fetched to (default: OUT/corpora)")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument(
        "--seeds", type=int, default=3, metavar="N", help="trainings of each system (default 3)"
    )
    parser.add_argument(
        "--estimator",
        choices=("reference", "cka", "hsic"),
        default="reference",
        help="of `ptsel score`: reference is the papers' code (default)",
    )
    parser.add_argument(
        "--updates", type=int, default=4000, metavar="N", help="of a pretraining (default 4000)"
    )
    parser.add_argument(
        "--finetune-updates", type=int, default=2000, metavar="N", help="of a fine-tuning (default 2000)"
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="trainings at a time (default 1)")
    parser.add_argument("--gpu", action="store_true", help="train on a GPU, in 16-bit floats")
    parser.add_argument(
        "--tiny",
        action="store_true",
        help="a minute of each corpus and 4 updates: to see that all steps work",
    )
    parser.add_argument("--only-costs", action="store_true", help="say what it would cost, and stop")
    options = parser.parse_args()
    out = options.out.resolve()
    if options.seeds < 1 or options.jobs < 1:
        parser.error("--seeds, --jobs: expected at least 1")
    return Settings(
        out=out,
        corpora=(options.corpora or out / "corpora").resolve(),
        tasks=tuple(TASKS[name] for name in dict.fromkeys(options.tasks)),
        methods=tuple(dict.fromkeys(options.methods)),
        seeds=tuple(range(1, options.seeds + 1)),
        estimator=options.estimator,
        updates=4 if options.tiny else options.updates,
        finetune_updates=4 if options.tiny else options.finetune_updates,
        tiny=options.tiny,
        jobs=options.jobs,
        gpu=options.gpu,
        only_costs=options.only_costs,
    )


if __name__ == "__main__":
    main()
