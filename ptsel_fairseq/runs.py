"""Read what fairseq runs logged (``common.log_format: json``)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.json_file import parse_json

# [2026-01-31 12:00:00,123][train_inner][INFO] - {"epoch": 1, "update": 0.5, "loss": "6.6", ...}
LINE = re.compile(
    r"^\[(?P<time>[\d\- :,]+)\]\[(?P<kind>train|train_inner|valid|test)\]\[INFO\] - (?P<json>\{.*\})\s*$"
)

DRAWN = ("train_inner", "valid")  # kinds of reports that are drawn
ALWAYS = (
    "loss",
    "accuracy",
    "wer",
    "uer",
    "code_perplexity",
)  # quantities worth drawing of any run, in this order
OF_LABELS = ("pretext_", "skill_", "cosine_")


@dataclass(frozen=True)
class Record:
    """One report of a run: `kind` is fairseq's (train_inner, train, valid); values by fairseq's names."""

    time: datetime
    kind: str
    update: int
    values: dict[str, float]


@dataclass(frozen=True)
class Run:
    """The reports of one run folder in the order of their updates; a resumed run has each update once."""

    folder: Path
    records: tuple[Record, ...]

    def series(self, kind: str, key: str) -> tuple[list[int], list[float]]:
        """Updates and values of one logged quantity; empty lists if it was never logged."""
        found = [
            (record.update, record.values[key])
            for record in self.records
            if record.kind == kind and key in record.values
        ]
        return [update for update, _ in found], [value for _, value in found]

    def keys(self, kind: str) -> list[str]:
        return sorted({key for record in self.records if record.kind == kind for key in record.values})

    @property
    def kind(self) -> str:
        """What was trained, ``pretraining``, ``recognition`` (CTC) or ``classification``."""
        keys = {key for record in self.records for key in record.values}
        if "wer" in keys or "uer" in keys:
            return "recognition"
        if "code_perplexity" in keys or any(key.startswith(OF_LABELS) for key in keys):
            return "pretraining"
        return "classification" if "accuracy" in keys else "pretraining"

    def updates_and_seconds(self) -> tuple[int, float]:
        """Updates done and the seconds spent in training steps, as fairseq's ``train_wall`` sums them."""
        steps = [
            record
            for record in self.records
            if record.kind == "train_inner" and "train_wall" in record.values
        ]
        if not steps:
            return 0, 0.0
        return steps[-1].update, sum(record.values["train_wall"] for record in steps)


def parse_line(line: str) -> Record | None:
    """A report, or None if the line is another message."""
    match = LINE.match(line)
    if match is None:
        return None
    try:
        logged = parse_json(match["json"], finite=False)
        time = datetime.strptime(match["time"], "%Y-%m-%d %H:%M:%S,%f")
    except ValueError:  # a line that two processes wrote into at once
        return None
    if not isinstance(logged, dict):
        return None
    prefix = f"{match['kind']}_"
    values: dict[str, float] = {}
    for key, value in logged.items():
        try:
            # fairseq writes valid_loss, train_loss; one name for one quantity is enough.
            values[key.removeprefix(prefix) if key != "train_wall" else key] = float(value)
        except (TypeError, ValueError, OverflowError):
            continue
    update = values.get("num_updates")
    if update is None or not math.isfinite(update):
        return None
    return Record(time, match["kind"], int(update), values)


def read_run(folder: Path | str) -> Run:
    """Read every ``*.log`` of a run folder; raise PtselError if none holds a report."""
    folder = Path(folder)
    if not folder.is_dir():
        raise PtselError(
            f"{folder}: no such folder; expected hydra.run.dir of a training, which holds fairseq's log"
        )
    records: dict[tuple[str, int], Record] = {}
    for file in sorted(folder.glob("*.log")):
        with file.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                record = parse_line(line)
                if record is not None:
                    records[record.kind, record.update] = record
    below = sorted({file.parent for file in folder.glob("*/*.log")} if not records else ())
    if below:
        raise PtselError(
            f"{folder}: holds no log itself, but {', '.join(map(str, below[:3]))}; give the folders of the trainings"
        )
    if not records:
        raise PtselError(
            f"{folder}: expected fairseq's log with JSON reports, found none; train with common.log_format=json and "
            "hydra.run.dir set to this folder"
        )
    return Run(folder, tuple(sorted(records.values(), key=lambda record: record.update)))


def quantities(runs: Sequence[Run]) -> list[str]:
    """What is worth drawing of some runs: loss, accuracy, error rates, perplexity, and what each label has."""
    logged = {key for run in runs for kind in DRAWN for key in run.keys(kind)}
    return [key for key in ALWAYS if key in logged] + sorted(
        key for key in logged if key.startswith(OF_LABELS)
    )
