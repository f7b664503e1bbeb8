"""A pipeline file: YAML that names the recordings and, for each step, the options of its command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.suggestion import did_you_mean
from ptsel_fairseq.base.yaml_file import read_yaml

EXAMPLE = """\
audio: recordings               # a folder; or example-data, the bundled speech
convert: {skip-bad: true}       # without it the audio is taken as it is (16 kHz .flac, .wav, .ogg)
classes: {from-folders: 1}      # options of `ptsel classes`, or a class file; or values: FILE, a value file
extract: {labels: [zaiem_speech, loudness]}
select: {support: 4}            # keep 4 labels
recipe: pretraining/tiny        # a recipe of `ptsel recipe`, or a file of yours
train: {optimization.max_update: 400}
"""
OPTIONS = (
    "convert",
    "manifest",
    "check",
    "extract",
    "score",
    "select",
    "report",
    "export",
    "probe",
    "decode",
)
TRAININGS = ("train", "untrained", "finetune")  # options are fairseq's own, SECTION.KEY: VALUE
WITHOUT_OPTIONS = ("audio", "data", "out", "classes", "values", "recipe")
KEYS = (*WITHOUT_OPTIONS, *OPTIONS, *TRAININGS)


@dataclass(frozen=True)
class Settings:
    """A pipeline file as read.

    Attributes:
        file: it.
        base: its folder, from which relative paths are meant and in which commands run.
        out: folder of everything that is made.
        values: by key; a step that is asked for without options has an empty mapping. `check` is there unless it is
            left out.
    """

    file: Path
    base: Path
    out: Path
    values: Mapping[str, Any]

    def has(self, step: str) -> bool:
        return step in self.values

    def options(self, step: str) -> dict[str, Any]:
        """The options of a step, empty if it has none."""
        return dict(self.values.get(step) or {})


def read_settings(file: Path, out: Path | None = None) -> Settings:
    """Read a pipeline file.

    Args:
        out: in place of the file's own.

    Raises:
        PtselError: no such file, no YAML, keys that do not exist, or values of another kind.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if not file.is_file():
        raise PtselError(f"{file}: no such file; expected a pipeline such as\n{EXAMPLE}")
    try:
        values = read_yaml(file, "a pipeline")
        if isinstance(values, dict):
            values = OmegaConf.to_container(OmegaConf.create(values), resolve=True)
    except (OmegaConfBaseException, ValueError, TypeError, RecursionError) as error:
        raise PtselError(f"{file}: cannot be read as YAML ({' '.join(str(error).split())})") from None
    if not isinstance(values, dict):
        raise PtselError(f"{file}: expected keys and values such as\n{EXAMPLE}")
    for key in values:
        if key not in KEYS:
            raise PtselError(
                f"{file}: no key {key!r}{did_you_mean(str(key), KEYS)}; a pipeline has {', '.join(KEYS)}"
            )
    values.setdefault("check", True)
    steps = {key: value for key, value in values.items() if value is not False and value is not None}
    steps |= {key: {} for key in (*OPTIONS, *TRAININGS) if key in values and values[key] in (None, True)}
    for key in (*OPTIONS, *TRAININGS):
        if key in steps and not isinstance(steps[key], dict):
            raise PtselError(f"{file}: {key}: expected options such as {{seed: 1}}, found {steps[key]!r}")
    if ("audio" in steps) == ("data" in steps):
        raise PtselError(f"{file}: expected one of audio: FOLDER and data: DATA_DIR")
    base = file.resolve().parent
    folder = out.resolve() if out is not None else base / str(steps.get("out", file.stem))
    return Settings(file, base, folder, {str(key): value for key, value in steps.items()})


def as_words(options: Mapping[str, Any]) -> list[str]:
    """Options as a command line has them: ``{labels: [f0, zcr], skip-bad: true}`` -> --labels f0 zcr --skip-bad."""
    words: list[str] = []
    for name, value in options.items():
        if value is False or value is None:
            continue
        words.append(f"--{name}")
        if value is not True:
            words += [str(item) for item in (value if isinstance(value, list) else [value])]
    return words


def as_overrides(options: Mapping[str, Any]) -> list[str]:
    """fairseq's settings as hydra takes them: ``{optimization.lr: [0.001]}`` -> optimization.lr=[0.001]."""
    return [f"{name}={_hydra(value)}" for name, value in options.items()]


def _hydra(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(_hydra(item) for item in value)}]"
    return "null" if value is None else str(value)
