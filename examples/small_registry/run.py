"""Four downstream tasks on free recordings, from an empty folder to a table: does the choice of λ help?

    python examples/small_registry/run.py --out FOLDER            # every task, every method, three seeds
    python examples/small_registry/run.py --out FOLDER --tasks asr speaker --methods none sparsemax

Fetch, manifests, labels, scores, weights, pretraining, export, fine-tuning or probe, table. It says what it will cost, and
does nothing again that was done from the same inputs: run the same command again after an interruption.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from costs import estimate
from steps import ROOT, Runner, Step, ptsel, train, write
from tables import combine, write_answers
from tasks import TASKS, Task, corpora_of, write_pool, write_reference, write_task

HERE = Path(__file__).resolve().parent
LABELS = ("zaiem_speech",)
# How `ptsel select` is asked for each λ; `none` is wav2vec 2.0 as it is.
METHODS: dict[str, tuple[str, ...]] = {
    "none": (),
    "sparsemax": ("--method", "group", "--projection", "sparsemax"),
    "softmax": ("--method", "group", "--projection", "softmax"),
    "direct": ("--method", "direct"),
    "naive": ("--method", "naive"),
    "mrmr": ("--method", "mrmr"),
    "rfe": ("--method", "rfe"),
    "all": ("--method", "all"),
}
BASELINES = ("mfcc", "log_mel")


@dataclass(frozen=True)
class Settings:
    """What a run is asked for, and where it puts things."""

    out: Path
    corpora: Path
    tasks: tuple[Task, ...]
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    estimator: str
    updates: int
    finetune_updates: int
    pool_minutes: float | None
    most: int | None
    fetch: bool
    device: tuple[str, ...]

    def data(self, name: str) -> Path:
        return self.out / "data" / name

    def recipe(self, task: Task, method: str) -> Path:
        return self.out / "recipes" / f"{task.name}-{method}.yaml"


def main() -> None:
    settings = parse()
    started = time.monotonic()
    print(estimate(settings), flush=True)
    runner = Runner(settings.out)
    offline(runner, settings)
    # Seed by seed, so that an unfinished run has every system.
    for seed in settings.seeds:
        for task in settings.tasks:
            for method in settings.methods:
                model = pretrain(runner, settings, task, method, seed)
                downstream(runner, settings, task, method, seed, model)
    for task in settings.tasks:
        compare(runner, settings, task)
    combine(settings)
    minutes = (time.monotonic() - started) / 60
    print(f"\n{runner.number} steps, {runner.repeated} of them done before, {minutes:.0f} minutes: {settings.out}")


def parse() -> Settings:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of everything it makes")
    parser.add_argument("--corpora", type=Path, help="where corpora are fetched to (default: OUT/corpora)")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each system (default 3)")
    parser.add_argument("--estimator", choices=("cka", "hsic", "reference"), default="reference")
    parser.add_argument("--updates", type=int, default=4000, help="of a pretraining (default 4000)")
    parser.add_argument("--finetune-updates", type=int, default=2000, help="of a fine-tuning (default 2000)")
    parser.add_argument("--gpu", action="store_true", help="train on a GPU (16-bit floats)")
    parser.add_argument("--tiny", action="store_true", help="little data and few updates: to see that it works")
    options = parser.parse_args()
    out = options.out.resolve()
    return Settings(
        out=out,
        corpora=(options.corpora or out / "corpora").resolve(),
        tasks=tuple(TASKS[name] for name in options.tasks),
        methods=tuple(options.methods),
        seeds=tuple(range(1, options.seeds + 1)),
        estimator=options.estimator,
        updates=options.updates,
        finetune_updates=options.finetune_updates,
        pool_minutes=1.0 if options.tiny else None,
        most=40 if options.tiny else None,
        fetch=True,
        device=("common.cpu=false", "common.fp16=true") if options.gpu else (),
    )


def offline(runner: Runner, settings: Settings) -> None:
    """From nothing to λ: no training."""
    for name in corpora_of(settings.tasks):
        if not (settings.corpora / name / "report.md").is_file():  # which `ptsel fetch` writes last
            runner.run(Step(f"fetch {name}", ptsel("fetch", name, settings.corpora / name)))
    for pool in sorted({task.pool for task in settings.tasks}):
        data, store = settings.data(pool), settings.out / "store" / pool
        write_pool(pool, settings.corpora, data, settings.pool_minutes)
        runner.run(labels_of(pool, data, ("train", "valid"), store))
    for task in settings.tasks:
        data, store = settings.data(task.name), settings.out / "store" / task.name
        write_task(task, settings.corpora, data, settings.most)
        manifest, classes = data / "train.tsv", data / "classes.tsv"
        runner.run(labels_of(task.name, data, ("train",), store))
        scores = settings.out / "ci" / task.name
        command = ptsel("score", data, "--split", "train", "--store", store, "--classes", classes,
                        "--estimator", settings.estimator, "--out", scores)  # fmt: skip
        runner.run(Step(f"score {task.name}", command, (manifest, classes), (scores / "scores.json",)))
        for method in settings.methods:
            recipe = settings.recipe(task, method)
            template = (HERE / "pretrain.yaml").read_text()
            if method == "none":
                write(recipe, template)
                continue
            if not recipe.is_file():
                write(recipe, template)
            weights = settings.out / "weights" / f"{task.name}-{method}.yaml"
            command = ptsel("select", scores, *METHODS[method], "--out", weights, "--config", recipe)
            runner.run(
                Step(f"select {task.name} {method}", command, (scores / "scores.json",), (weights, recipe))
            )


def labels_of(name: str, data: Path, splits: tuple[str, ...], store: Path) -> Step:
    command = ptsel("extract", data, "--splits", *splits, "--labels", *LABELS, "--store", store)
    manifests = tuple(data / f"{split}.tsv" for split in splits)
    return Step(f"labels {name}", command, manifests, tuple(store / split / "header.json" for split in splits))


def pretrain(runner: Runner, settings: Settings, task: Task, method: str, seed: int) -> Path:
    """Pretrain and export; tasks of one pool that have the same λ share the model."""
    recipe = settings.recipe(task, method)
    name = f"{task.pool}-{digest(recipe)}-seed{seed}"
    run, model = settings.out / "pretrain" / name, settings.out / "models" / f"{name}.pt"
    data = settings.data(task.pool)
    command = train(
        recipe_named(recipe, settings.out / "recipes" / f"{task.pool}-{digest(recipe)}.yaml"), run,
        f"task.data={data}", f"task.store={settings.out / 'store' / task.pool}",
        f"common.user_dir={ROOT / 'ptsel_fairseq'}", f"common.seed={seed}",
        f"optimization.max_update={settings.updates}",
        f"lr_scheduler.warmup_updates={settings.updates // 10}", *settings.device,
    )  # fmt: skip
    checkpoint = run / "checkpoint_last.pt"
    runner.run(Step(f"pretrain {name}", command, (data / "train.tsv",), (run, checkpoint), training=True))
    runner.run(
        Step(f"export {name}", ptsel("export", checkpoint, "--out", model), (checkpoint,), (model,))
    )
    return model


def digest(recipe: Path) -> str:
    """A name for what is trained: of the recipe's settings, not of its comments."""
    settings = [line.split("#")[0].rstrip() for line in recipe.read_text().splitlines()]
    return hashlib.sha256("\n".join(line for line in settings if line).encode()).hexdigest()[:8]


def recipe_named(recipe: Path, copy: Path) -> Path:
    """The recipe under the name of its λ, so that a shared training has one command."""
    if not copy.is_file():
        write(copy, recipe.read_text())
    return copy


def downstream(
    runner: Runner, settings: Settings, task: Task, method: str, seed: int, model: Path
) -> None:
    """Answers of one model for the test items: by CTC fine-tuning, or by a probe on its frozen layers."""
    data, name = settings.data(task.name), f"{task.name}-{method}-seed{seed}"
    answers = settings.out / "answers" / f"{name}.tsv"
    if task.kind == "asr":
        run = settings.out / "finetune" / f"{task.name}-{model.stem}"
        command = train(
            HERE / "finetune.yaml", run, f"task.data={data}", f"model.w2v_path={model}",
            f"common.seed={seed}", f"optimization.max_update={settings.finetune_updates}", *settings.device,
        )  # fmt: skip
        best = run / "checkpoint_best.pt"
        texts = (data / "train.tsv", data / "train.ltr", model)
        runner.run(Step(f"finetune {run.name}", command, texts, (run, best), training=True))
        command = (sys.executable, str(HERE / "transcribe.py"), str(best), str(data), "--out", str(answers))
        runner.run(Step(f"transcribe {name}", command, (best, data / "test.tsv"), (answers,)))
    else:
        result = probe(runner, settings, task, str(model), f"{task.name}-{model.stem}", seed)
        write_answers(result, answers)


def probe(
    runner: Runner, settings: Settings, task: Task, features: str, name: str, seed: int
) -> Path:
    """One front end's result on a task."""
    data, out = settings.data(task.name), settings.out / "probe" / name
    folds = () if task.leave_out is None else ("--leave-out", data / "leave_out.tsv")
    command = ptsel("probe", data, "--classes", data / "classes.tsv", "--features", features, *folds,
                    "--seeds", 1, "--out", out)  # fmt: skip
    reads = tuple(data / f"{split}.tsv" for split in ("train", "valid", "test"))
    checkpoint = (Path(features),) if features not in BASELINES else ()
    result = out / Path(features).stem / "result.json"
    runner.run(Step(f"probe {name}", command, (*reads, data / "classes.tsv", *checkpoint), (result,)))
    return result


def compare(runner: Runner, settings: Settings, task: Task) -> None:
    """All systems of a task on the same test items, with intervals and paired tests."""
    reference = settings.out / "answers" / f"{task.name}-reference.tsv"
    systems = {
        method: [settings.out / "answers" / f"{task.name}-{method}-seed{seed}.tsv" for seed in settings.seeds]
        for method in settings.methods
    }
    if task.kind == "asr":
        write_reference(task, settings.data(task.name), reference)
    else:
        for features in BASELINES:
            result = probe(runner, settings, task, features, f"{task.name}-{features}", 1)
            systems[features] = [settings.out / "answers" / f"{task.name}-{features}.tsv"]
            write_answers(result, systems[features][0])
            write_answers(result, reference, of_reference=True)
    results = []
    kind = "asr" if task.kind == "asr" else "classification"
    groups = () if task.leave_out is None else ("--groups", settings.data(task.name) / "leave_out.tsv")
    for system, files in systems.items():
        result = settings.out / "results" / task.name / f"{system}.json"
        command = ptsel("evaluate", kind, "--reference", reference, "--hypothesis", *files, "--name", system,
                        *groups, "--out", result)  # fmt: skip
        runner.run(Step(f"evaluate {task.name} {system}", command, (reference, *files), (result,)))
        results.append(result)
    if len(results) > 1:
        table = settings.out / "results" / f"{task.name}.md"
        runner.run(Step(f"compare {task.name}", ptsel("compare", *results, "--out", table), tuple(results), (table,)))


if __name__ == "__main__":
    main()
