"""The steps of one run: what is done to data, to a model, and to its answers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import yaml
from files import write
from settings import (
    BASELINES,
    CHOSEN,
    LABELS,
    METHODS,
    RECOGNISER_SIZE,
    TINY_MINUTES,
    TINY_UTTERANCES,
    Settings,
)
from tables import write_answers
from tasks import SPLITS, Task, corpora_of, write_pool, write_reference, write_task

from ptsel_fairseq.base.bundled import PACKAGE
from ptsel_fairseq.pipeline import Runner, Step, training_command

HERE = Path(__file__).resolve().parent


def ptsel(*words: object) -> tuple[str, ...]:
    return ("ptsel", *(str(word) for word in words))


def template(settings: Settings, name: str) -> Path:
    """A recipe of this folder, copied into the run: where the clone lies is in no command."""
    copy = settings.out / "recipes" / name
    write(copy, (HERE / name).read_text())
    return copy


def offline(runner: Runner, settings: Settings) -> None:
    """From nothing to λ: no training."""
    for name in corpora_of(settings.tasks):
        report = settings.corpora / name / "report.md"  # which `ptsel fetch` writes last
        if not report.is_file():
            command = ptsel("fetch", name, settings.corpora / name)
            runner.run(Step(f"fetch-{name}", (command,), makes=(report,)))
    for pool in sorted({task.pool for task in settings.tasks}):
        data, store = settings.data(pool), settings.out / "store" / pool
        write_pool(pool, settings.corpora, data, TINY_MINUTES if settings.tiny else None)
        runner.run(_labels(pool, data, ("train", "valid"), store))
    for task in settings.tasks:
        data, store = settings.data(task.name), settings.out / "store" / task.name
        write_task(task, settings.corpora, data, TINY_UTTERANCES if settings.tiny else None)
        manifest, classes = data / "train.tsv", data / "classes.tsv"
        runner.run(_labels(task.name, data, ("train",), store))
        scores = settings.out / "ci" / task.name
        command = ptsel("score", data, "--split", "train", "--store", store, "--classes", classes,
                        "--estimator", settings.estimator, "--out", scores)  # fmt: skip
        runner.run(Step(f"score-{task.name}", (command,), (manifest, classes), (scores / "scores.json",)))
        for method in settings.methods:
            _weigh(runner, settings, task, method, scores)


def _labels(name: str, data: Path, splits: tuple[str, ...], store: Path) -> Step:
    command = ptsel("extract", data, "--splits", *splits, "--labels", *LABELS, "--store", store)
    manifests = tuple(data / f"{split}.tsv" for split in splits)
    return Step(
        f"labels-{name}", (command,), manifests, tuple(store / split / "header.json" for split in splits)
    )


def _weigh(runner: Runner, settings: Settings, task: Task, method: str, scores: Path) -> None:
    """A copy of the recipe with the λ of a method in it."""
    recipe, bare = settings.recipe(task, method), template(settings, "pretrain.yaml")
    if method == "none":
        write(recipe, bare.read_text())
        return
    weights = settings.out / "weights" / f"{task.name}-{method}.yaml"
    select = ptsel("select", scores, *METHODS[method], "--out", weights, "--config", recipe)
    # The bare recipe first, so that no other λ is left in it.
    commands = (("cp", str(bare), str(recipe)), select)
    reads = (scores / "scores.json", bare)
    runner.run(Step(f"select-{task.name}-{method}", commands, reads, (weights, recipe)))


def model_file(settings: Settings, task: Task, method: str, seed: int) -> Path:
    """Where an exported model lies: named by pool, by what it is trained with, and by seed."""
    return settings.out / "models" / f"{task.pool}-{_digest(settings.recipe(task, method))}-seed{seed}.pt"


def _digest(recipe: Path) -> str:
    """Of the recipe's settings, λ to three digits: methods that found the same minimum have the same."""
    settings = yaml.safe_load(recipe.read_text())
    weights = settings["criterion"]["pretext_weights"]
    settings["criterion"]["pretext_weights"] = {label: round(weight, 3) for label, weight in weights.items()}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]


def pretrain(runner: Runner, settings: Settings, task: Task, method: str, seed: int) -> None:
    """Pretrain with the λ of a method, and export."""
    model = model_file(settings, task, method, seed)
    data, run = settings.data(task.pool), settings.out / "pretrain" / model.stem
    recipe = settings.out / "recipes" / f"{model.stem.removesuffix(f'-seed{seed}')}.yaml"
    write(recipe, settings.recipe(task, method).read_text(), keep=True)
    command = training_command(
        recipe, run,
        f"task.data={data}", f"task.store={settings.out / 'store' / task.pool}",
        f"common.user_dir={PACKAGE}", f"common.seed={seed}",
        f"optimization.max_update={settings.updates}",
        f"lr_scheduler.warmup_updates={settings.updates // 10}", *settings.device,
    )  # fmt: skip
    checkpoint = run / "checkpoint_last.pt"
    runner.run(
        Step(
            f"pretrain-{model.stem}", (command,), (recipe, data / "train.tsv"), (checkpoint,), run_folder=run
        )
    )
    runner.run(
        Step(f"export-{model.stem}", (ptsel("export", checkpoint, "--out", model),), (checkpoint,), (model,))
    )


def answers_file(settings: Settings, task: Task, model: Path) -> Path:
    return settings.out / "answers" / f"{task.name}-{model.stem}.tsv"


def downstream(runner: Runner, settings: Settings, task: Task, model: Path, seed: int) -> None:
    """A model's answers for the test items: after CTC fine-tuning, or by a probe on its frozen layers."""
    data, answers = settings.data(task.name), answers_file(settings, task, model)
    if task.kind == "classification":
        write_answers(_probe(runner, settings, task, str(model)), answers)
        return
    run = settings.out / "finetune" / answers.stem
    recipe = template(settings, "finetune.yaml")
    command = training_command(
        recipe, run, f"task.data={data}", f"model.w2v_path={model}", f"common.seed={seed}",
        f"optimization.max_update={settings.finetune_updates}", *settings.device,
    )  # fmt: skip
    best = run / "checkpoint_best.pt"
    reads = (recipe, data / "train.tsv", data / "train.ltr", model)
    runner.run(Step(f"finetune-{answers.stem}", (command,), reads, (best,), run_folder=run))
    decoded = settings.out / "decoded" / answers.stem
    command = ptsel("decode", data, "--model", best, "--split", "test", "--out", decoded)
    runner.run(
        Step(f"decode-{answers.stem}", (command,), (best, data / "test.tsv"), (decoded / "hypothesis.txt",))
    )
    write(answers, (decoded / "hypothesis.txt").read_text())


def _probe(runner: Runner, settings: Settings, task: Task, features: str) -> Path:
    """One front end's result on a task."""
    data, name = settings.data(task.name), f"{task.name}-{Path(features).stem}"
    folds = () if task.leave_out is None else ("--leave-out", data / "leave_out.tsv")
    command = ptsel("probe", data, "--classes", data / "classes.tsv", "--features", features, *folds,
                    "--seeds", 1, "--out", settings.out / "probe" / name)  # fmt: skip
    reads = tuple(data / f"{split}.tsv" for split in ("train", "valid", "test"))
    model = () if features in BASELINES else (Path(features),)
    result = settings.out / "probe" / name / Path(features).stem / "result.json"
    runner.run(Step(f"probe-{name}", (command,), (*reads, data / "classes.tsv", *model), (result,)))
    return result


def _recogniser(runner: Runner, settings: Settings, task: Task, features: str) -> Path:
    """The result of a small recogniser trained on a front end, with every seed."""
    data, out = settings.data(task.name), settings.out / "probe" / f"{task.name}-{features}"
    short = ("--epochs", 1) if settings.tiny else ()
    command = ptsel("probe-asr", data, "--features", features, "--size", RECOGNISER_SIZE, *short,
                    "--seeds", len(settings.seeds), "--out", out)  # fmt: skip
    reads = tuple(data / f"{split}.{ending}" for split in SPLITS for ending in ("tsv", "wrd"))
    result = out / features / "result.json"
    runner.run(Step(f"probe-{out.name}", (command,), reads, (result,)))
    return result


def compare(runner: Runner, settings: Settings, task: Task) -> None:
    """All systems of a task on the same test items, with intervals and paired tests."""
    reference = settings.out / "answers" / f"{task.name}-reference.tsv"
    systems = {
        method: [
            answers_file(settings, task, model_file(settings, task, method, seed)) for seed in settings.seeds
        ]
        for method in settings.methods
    }
    if task.kind == "asr":
        write_reference(settings.data(task.name), reference)
    else:
        for features in BASELINES:
            result, answers = (
                _probe(runner, settings, task, features),
                reference.with_name(f"{task.name}-{features}.tsv"),
            )
            write_answers(result, answers)
            write_answers(result, reference, of_reference=True)
            systems[features] = [answers]
    groups = () if task.leave_out is None else ("--groups", settings.data(task.name) / "leave_out.tsv")
    results = []
    for system, files in systems.items():
        result = settings.out / "results" / task.name / f"{system}.json"
        command = ptsel("evaluate", task.kind, "--reference", reference, "--hypothesis", *files, "--name", system,
                        *groups, "--out", result)  # fmt: skip
        runner.run(Step(f"evaluate-{task.name}-{system}", (command,), (reference, *files), (result,)))
        results.append(result)
    if task.kind == "asr":
        results += [_recogniser(runner, settings, task, features) for features in BASELINES]
    if len(results) > 1:
        table = settings.out / "results" / f"{task.name}.md"
        against = ("--against", CHOSEN) if CHOSEN in settings.methods else ()
        command = ptsel("compare", *results, *against, "--out", table)
        runner.run(Step(f"compare-{task.name}", (command,), tuple(results), (table,)))
