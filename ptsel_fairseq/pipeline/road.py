"""A pipeline file -> the steps of the road, each as the plain commands that a person would type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.pipeline.commands import training_command
from ptsel_fairseq.pipeline.settings import Settings, as_overrides, as_words
from ptsel_fairseq.pipeline.step import Step

USER_DIR = Path(__file__).resolve().parents[1]
EXAMPLE_DATA = "example-data"
TARGETS = ("classes", "values")
TARGET_EXPECTED = "classes: FILE, options of `ptsel classes`, or values: FILE"
MODELS = ("pretrained", "untrained")  # what `probe: {features: [...]}` may name beside labels
LEAST_FOLDS = 3  # to learn from, to choose on, to test


def steps_of(settings: Settings) -> list[Step]:
    """The steps that a pipeline asks for, in the order of the road.

    Raises:
        PtselError: steps that lack what they need.
    """
    return _Road(settings).steps


class _Road:
    """Builds the steps one after the other; each knows where the ones before it have put things."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.out = settings, settings.out
        self.steps: list[Step] = []
        self.data: Path | None = None
        # What is to be predicted: --classes or --values, and its file.
        self.target: tuple[str, Path] | None = None
        self.store, self.ci = self.out / "store", self.out / "ci"
        self.recipe, self.weights = self.out / "recipe.yaml", self.out / "weights.yaml"
        self._prepare_data()
        self._find_target()
        self._check()
        self._weigh()
        self._train()
        self._use()

    def _add(self, name: str, *commands: Sequence[Any], **more: Any) -> None:
        shown = tuple(tuple(map(str, command)) for command in commands)
        self.steps.append(Step(name, shown, **more))

    def _path(self, value: Any) -> Path:
        return self.settings.base / str(value)

    def _options(self, step: str, *taken: str) -> list[str]:
        """A step's options in words; those that the pipeline sets itself are refused."""
        options = self.settings.options(step)
        for name in taken:
            if name in options:
                raise PtselError(
                    f"{self.settings.file}: {step}: {name}: is set by the pipeline (below {self.out}); leave it out"
                )
        return as_words(options)

    def _need(self, step: str, condition: bool, what: str) -> None:
        if not condition:
            raise PtselError(f"{self.settings.file}: {step}: needs {what}")

    def _prepare_data(self) -> None:
        settings, made = self.settings, self.out / "data"
        if settings.has("data"):
            self._need(
                "data", not settings.has("convert"), "manifests that are there; convert goes with audio"
            )
            self.data = self._path(settings.values["data"])
            return
        source, name = self._path(settings.values["audio"]), settings.values["audio"]
        if name == EXAMPLE_DATA:
            source = self.out / "speech"
            self._add(EXAMPLE_DATA, ["ptsel", EXAMPLE_DATA, source], makes=(source / "train.tsv",))
        step = "convert" if settings.has("convert") else "manifest"
        words = self._options(step, "out")
        command = ["ptsel", step, source, *([made] if step == "convert" else ["--out", made]), *words]
        self._add(step, command, reads=(source,), makes=(made / "train.tsv",))
        self.data = made

    def _find_target(self) -> None:
        settings, data = self.settings, self.data
        kinds = [kind for kind in TARGETS if settings.has(kind)]
        if not kinds:
            return
        self._need(kinds[-1], len(kinds) == 1, f"one of {' and '.join(f'{kind}: ...' for kind in TARGETS)}")
        asked = settings.values[kinds[0]]
        if isinstance(asked, dict):
            self._need("values", kinds[0] == "classes", f"a value file, found {asked}")
            file = self.out / "classes.tsv"
            table = [self._path(asked["from-table"])] if "from-table" in asked else []
            words = self._options("classes", "out")
            self._add("classes", ["ptsel", "classes", data, "--out", file, *words],
                      reads=(data, *table), makes=(file,))  # fmt: skip
        elif settings.values.get("audio") == EXAMPLE_DATA and not self._path(asked).is_file():
            file = self.out / "speech" / str(asked)
        else:
            file = self._path(asked)
        self.target = f"--{kinds[0]}", file

    def _check(self) -> None:
        if self.settings.has("check"):
            words = self._options("check", *TARGETS)
            self._add("check", ["ptsel", "check", self.data, *(self.target or ()), *words],
                      reads=(self.data, *(self.target or ())[1:]))  # fmt: skip

    def _needed_target(self, step: str) -> tuple[str, Path]:
        if self.target is None:
            raise PtselError(f"{self.settings.file}: {step}: needs {TARGET_EXPECTED}")
        return self.target

    def _weigh(self) -> None:
        settings, data = self.settings, self.data
        if settings.has("extract"):
            splits = settings.options("extract").get("splits", ["train", "valid"])
            headers = tuple(self.store / split / "header.json" for split in splits)
            words = self._options("extract", "store")
            self._add("extract", ["ptsel", "extract", data, "--store", self.store, *words], reads=(data,),
                      makes=headers)  # fmt: skip
        if settings.has("score") or settings.has("select"):
            self._need("score", settings.has("extract"), "extract: {labels: [...]}")
            target = self._needed_target("score")
            header = self.store / settings.options("score").get("split", "train") / "header.json"
            words = self._options("score", "store", *TARGETS, "out")
            self._add("score", ["ptsel", "score", data, "--store", self.store, *target, "--out", self.ci, *words],
                      reads=(data, target[1], header), makes=(self.ci / "scores.json",))  # fmt: skip
        if settings.has("select"):
            self._select()
        if settings.has("report"):
            self._need("report", settings.has("select"), "select: {...}")
            page = self.out / "report.html"
            words = self._options("report", "out", "weights")
            self._add("report", ["ptsel", "report", self.ci, "--weights", self.weights, "--out", page, *words],
                      reads=(self.ci / "scores.json", self.weights), makes=(page,))  # fmt: skip

    def _select(self) -> None:
        words = self._options("select", "out", "config")
        command = ["ptsel", "select", self.ci, *words, "--out", self.weights]
        scores = self.ci / "scores.json"
        if not self.settings.has("recipe"):
            self._add("select", command, reads=(scores,), makes=(self.weights,))
            return
        asked = str(self.settings.values["recipe"])
        own, template = self._path(asked), self._template()
        # The recipe is written anew each time, without the λ that another choice of labels has left in it.
        get = ["ptsel", "recipe", asked, "--force", "--out", self.recipe]
        if own.is_file():
            get = ["cp", own, self.recipe]
        self._add("select", get, [*command, "--config", self.recipe], reads=(scores, template),
                  makes=(self.weights, self.recipe))  # fmt: skip

    def _template(self) -> Path:
        """The recipe that the pipeline names: a file of the user, or one of the package."""
        asked = str(self.settings.values["recipe"])
        own = self._path(asked)
        return own if own.is_file() else _bundled(asked)

    def _check_labels(self, step: str, overrides: Mapping[str, Any]) -> None:
        """Say now, rather than when the training begins, that `extract` makes no label that the recipe takes anyway."""
        from ptsel_fairseq.data.recipes import labels_left_out

        asked = _listed(self.settings.options("extract").get("labels", []))
        missing = labels_left_out(self._template(), overrides, asked)
        if asked and missing:
            raise PtselError(
                f"{self.settings.file}: {step}: the recipe {self.settings.values['recipe']} takes "
                + ", ".join(f"{name} ({why})" for name, why in missing.items())
                + f"; expected among the labels of extract, found {', '.join(asked)}"
            )

    def _train(self) -> None:
        settings = self.settings
        for name, folder in (("train", "pretrain"), ("untrained", "untrained")):
            if not settings.has(name):
                continue
            self._need(
                name, settings.has("select") and settings.has("recipe"), "select: {...} and recipe: NAME"
            )
            run = self.out / folder
            overrides = settings.options(name)
            if name == "untrained":  # the weights that a training begins with: one update of size nothing
                overrides = {**settings.options("train"), "optimization.lr": [0.0], "optimization.max_update": 1,
                             "dataset.disable_validation": True, **overrides}  # fmt: skip
            self._check_labels(name, overrides)
            command = training_command(
                self.recipe, run, f"task.data={self.data}", f"task.store={self.store}", f"common.user_dir={USER_DIR}",
                *as_overrides(overrides),
            )  # fmt: skip
            header = self.store / "train" / "header.json"
            self._add(name, command, reads=(self.recipe, self.data, header),
                      makes=(run / "checkpoint_last.pt",), run_folder=run)  # fmt: skip
        if settings.has("train"):
            picture = self.out / "losses.png"
            self._add("plot", ["ptsel", "plot", self.out / "pretrain", "--out", picture],
                      reads=(self.out / "pretrain" / "checkpoint_last.pt",), makes=(picture,))  # fmt: skip
        if settings.has("export"):
            self._need("export", settings.has("train"), "train: {...}")
            checkpoint, stock = self.out / "pretrain" / "checkpoint_last.pt", self.out / "wav2vec2.pt"
            self._add("export", ["ptsel", "export", checkpoint, "--out", stock, *self._options("export", "out")],
                      reads=(checkpoint,), makes=(stock,))  # fmt: skip

    def _model(self, name: str) -> Path:
        folder = "pretrain" if name == "pretrained" else name
        return self.out / folder / "checkpoint_last.pt"

    def _use(self) -> None:
        settings = self.settings
        if settings.has("probe"):
            self._probe()
        if settings.has("finetune"):
            self._finetune()

    def _probe(self) -> None:
        options = self.settings.options("probe")
        target = self._needed_target("probe")
        words: list[Any] = []
        models = []
        for feature in _listed(options.pop("features", ["pretrained"])):
            if feature in MODELS:
                step = "train" if feature == "pretrained" else feature
                self._need("probe", self.settings.has(step), f"{step}: {{...}} for the feature {feature}")
                models.append(self._model(feature))
            words.append(models[-1] if feature in MODELS else feature)
        out = self.out / "probe"
        commands: list[list[Any]] = []
        folds = options.pop("folds", None)
        groups: list[Any] = []
        if folds is not None:
            several = isinstance(folds, int) and folds >= LEAST_FOLDS
            self._need("probe", several, f"folds: {LEAST_FOLDS} or more, found {folds}")
            file = self.out / "folds.tsv"
            commands.append(["ptsel", "classes", self.data, "--random", folds, "--out", file])
            groups = ["--leave-out", file]
            options.setdefault("splits", ["train", "valid"])
        commands.append(["ptsel", "probe", self.data, *target, "--features", *words, *groups,
                         "--out", out, *as_words(options)])  # fmt: skip
        made = out / "comparison.md" if len(words) > 1 else out
        self._add("probe", *commands, reads=(self.data, target[1], *models), makes=(made,))

    def _finetune(self) -> None:
        options = self.settings.options("finetune")
        stock = self.out / "wav2vec2.pt"
        self._need("finetune", self.settings.has("export"), "export: true")
        self._need("finetune", "recipe" in options and "data" in options, "recipe: NAME and data: DATA_DIR")
        asked, data = str(options.pop("recipe")), self._path(options.pop("data"))
        recipe, run = self.out / "finetune.yaml", self.out / "finetune"
        get = ["ptsel", "recipe", asked, "--force", "--out", recipe]
        if self._path(asked).is_file():
            get = ["cp", self._path(asked), recipe]
        command = training_command(
            recipe, run, f"task.data={data}", f"model.w2v_path={stock}", *as_overrides(options)
        )
        best = run / "checkpoint_best.pt"
        self._add("finetune", get, command, reads=(stock, data), makes=(best,), run_folder=run)
        if self.settings.has("decode"):
            out = self.out / "decoded"
            words = self._options("decode", "model", "out")
            self._add("decode", ["ptsel", "decode", data, "--model", best, "--out", out, *words],
                      reads=(best, data), makes=(out / "result.json",))  # fmt: skip


def _bundled(name: str) -> Path:
    from ptsel_fairseq.data.recipes import find

    return find(name)


def _listed(value: Any) -> list[str]:
    return [str(item) for item in (value if isinstance(value, list) else [value])]
